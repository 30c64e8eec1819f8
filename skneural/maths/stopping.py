"""When to stop: the rule of scikit-learn's multi-layer perceptrons."""


def count_epoch(loss, best_loss, no_improvement, tol):
    """Count an epoch that did not better the best loss by `tol`.

    Parameters
    ----------
    loss, best_loss : float
        Of this epoch, and the smallest before it.
    no_improvement : int
        Epochs in a row without improvement.
    tol : float

    Returns
    -------
    (float, int)
        The new `best_loss` and `no_improvement`.
    """
    no_improvement = no_improvement + 1 if loss > best_loss - tol else 0
    return (loss if loss < best_loss else best_loss), no_improvement
