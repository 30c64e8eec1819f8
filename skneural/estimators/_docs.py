"""Sections of the docstrings that estimators share, written once."""

import textwrap

PARAMETERS = """
hidden_layer_sizes : int or array-like of shape (n_layers - 2,), default=(100,)
    Number of units of each hidden layer.

activation : {{{activations}}}, default='relu'
    Activation of the hidden layers:

{activation_table}
"""

TRAINING = """
solver : {'lbfgs', 'sgd', 'adam'}, default='adam'
    - 'lbfgs': quasi-Newton method, by :func:`scipy.optimize.minimize`. Good for small data.
    - 'sgd': stochastic gradient descent, with momentum.
    - 'adam': Kingma and Ba's stochastic method (2014).

alpha : float, default=0.0001
    Strength of the L2 penalty on the weights, divided by the (weighted) number of samples of the batch when added to
    the loss.

batch_size : int or 'auto', default='auto'
    Number of samples of a minibatch. 'auto' is ``min(200, n_samples)``. Not used by 'lbfgs'.

learning_rate : {'constant', 'invscaling', 'adaptive'}, default='constant'
    Schedule of the learning rate of ``solver='sgd'``:

    - 'constant': `learning_rate_init` throughout.
    - 'invscaling': after each epoch ``learning_rate_init / (t + 1) ** power_t``, with t the samples seen.
    - 'adaptive': divided by 5 whenever training would stop for lack of improvement, down to 1e-6.

learning_rate_init : float, default=0.001
    The initial learning rate of 'sgd' and 'adam'.

power_t : float, default=0.5
    Exponent of 'invscaling'.

max_iter : int, default=200
    Largest number of epochs (passes over the data; iterations for 'lbfgs').

shuffle : bool, default=True
    Whether to take the samples in another order in each epoch.

random_state : int, RandomState instance or None, default=None
    Decides initial weights, order of the samples, dropout and the split for early stopping. With an int, a fit gives
    the same bits every time, for any `n_jobs`.

tol : float, default=1e-4
    Training stops when loss (or score, when there is validation data) does not improve by at least `tol` for
    `n_iter_no_change` epochs in a row.

verbose : bool, default=False
    Whether to print the loss of every epoch.

warm_start : bool, default=False
    Whether `fit` goes on from the weights of the fit before.

momentum : float, default=0.9
    Momentum of 'sgd', between 0 and 1.

nesterovs_momentum : bool, default=True
    Whether the momentum of 'sgd' is Nesterov's.

early_stopping : bool, default=False
    Whether to set `validation_fraction` of the data aside (stratified for classes), to stop by the score on it, and to
    restore the best weights. Only with 'sgd' and 'adam'. See also `X_val` of :meth:`fit`.

validation_fraction : float, default=0.1
    Share of the data set aside by `early_stopping`.

beta_1 : float, default=0.9
    Decay of the first moment of 'adam', in [0, 1).

beta_2 : float, default=0.999
    Decay of the second moment of 'adam', in [0, 1).

epsilon : float, default=1e-8
    Added to the denominator of 'adam'.

n_iter_no_change : int or inf, default=10
    See `tol`.

max_fun : int, default=15000
    Largest number of evaluations of the loss by 'lbfgs'.

dropout : float or array-like of shape (n_layers - 2,), default=0.0
    Rate of dropout after each hidden layer, one for all or one each, in [0, 1). The units that stay are scaled up
    in training; prediction uses them all. Not with 'lbfgs'.

scoring : str, callable or None, default=None
    What validation is scored by: None for {metric}, 'loss' for the (negative) validation loss, or any name or
    callable that :func:`sklearn.metrics.check_scoring` takes.

n_jobs : int or None, default=None
    Cap on the number of threads. None: as many as the work in a step is worth, up to the cores that this process may
    use, and 1 within a joblib worker. Results do not depend on it.

dtype : {'auto', 'float32', 'float64'}, default='auto'
    Precision of the network. 'auto' is float32 for float32 `X`, else float64.
"""

ATTRIBUTES = """
loss_ : float
    Loss of the last epoch, penalty included.

best_loss_ : float or None
    Smallest loss of an epoch; None if training stops by validation data.

loss_curve_ : list of float
    Loss of every epoch.

validation_scores_ : list of float or None
    Score on the validation data after every epoch, None without such data.

validation_loss_curve_ : list of float or None
    Loss on the validation data after every epoch (without penalty), None without such data.

best_validation_score_ : float or None
    Best of `validation_scores_`.

history_ : dict of lists
    ``loss``, ``validation_loss``, ``score``, ``learning_rate`` and ``time`` (seconds since the fit began) of every
    epoch, NaN where there is none: ready for ``pandas.DataFrame(est.history_)``.

t_ : int
    Number of samples that the solver has seen, counted in every epoch.

coefs_ : list of ndarray
    The weights of layer i, of shape (n_in, n_out): views of one vector.

intercepts_ : list of ndarray
    The biases of layer i, of shape (n_out,): views of the same vector.

n_features_in_ : int
    Number of features seen in :meth:`fit`.

feature_names_in_ : ndarray of shape (`n_features_in_`,)
    Names of the features, if `X` had names that are all strings.

n_iter_ : int
    Number of epochs of the last fit (iterations for 'lbfgs').

n_layers_ : int
    Number of layers, those of inputs and outputs counted.

n_outputs_ : int
    Number of outputs.

out_activation_ : str
    Name of the output activation.
"""


def _activation_table(activations):
    return "\n".join(f"    - '{name}': {entry.summary}" for name, entry in activations.items())


def describe(activations, metric):
    """Class decorator: fill ``{architecture}``, ``{training}`` and ``{attributes}`` into the docstring.

    Parameters
    ----------
    activations : Registry
    metric : str
        Name of the default score.
    """
    names = ", ".join(repr(name) for name in activations)
    architecture = PARAMETERS.format(activations=names, activation_table=_activation_table(activations))
    sections = {
        "{architecture}": architecture,
        "{training}": TRAINING.replace("{metric}", metric),
        "{attributes}": ATTRIBUTES,
    }

    def fill(cls):
        for mark, text in sections.items():
            cls.__doc__ = cls.__doc__.replace(mark, textwrap.indent(text.strip("\n"), "    ").lstrip())
        return cls

    return fill
