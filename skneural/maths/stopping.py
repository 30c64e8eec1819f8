"""The end of a batch and of an epoch: losses, the best epoch, and when to stop, as in scikit-learn's perceptrons.

The first three functions change a frame, the record of where a run stands.
"""


def add_loss(f, loss, penalty, rows):
    """Add the sum of a batch's losses and its penalty to those of the epoch."""
    f.sum_loss += (loss * f.averaging + penalty) * f.scale * rows


def end_batch(f, loss, penalty, rows):
    """Add what is left of a batch's loss to that of the epoch, and go on to the next batch."""
    add_loss(f, loss, penalty, rows)
    f.row += rows
    f.step += 1
    f.batches += 1
    f.steps_done += 1


def end_epoch(f):
    """Keep the parameters with which the best epoch began, and count those without improvement; the epoch's loss."""
    loss = f.sum_loss / f.n_rows
    if loss < f.best_loss:
        f.best, f.snapshot = f.snapshot, f.best
        f.best_epoch = f.epoch
    f.best_loss, f.no_improvement = count_epoch(loss, f.best_loss, f.no_improvement, f.tol)
    f.row = 0
    f.epoch += 1
    f.epochs_left -= 1
    f.epochs_done += 1
    return loss


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
    if loss > best_loss - tol:
        no_improvement = no_improvement + 1
    else:
        no_improvement = 0
    best_loss = loss if loss < best_loss else best_loss
    return best_loss, no_improvement
