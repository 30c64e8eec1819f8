"""Sections of the docstrings that estimators share, written once."""

import functools
import re
import textwrap

from skneural.estimators._targets import REAL_LOSSES as REAL_LOSS_NAMES
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.optimizers import OPTIMIZERS
from skneural.maths.schedules import SCHEDULES
from skneural.network.initializers import INITIALIZERS

PARAMETERS = """
hidden_layer_sizes : int or array-like of shape (n_layers - 2,), default=(100,)
    Number of units of each hidden layer.

activation : {{{activations}}} or array-like of shape (n_layers - 2,), default='relu'
    Activation of the hidden layers, one for all or one each:

{activation_table}
"""

TRAINING = """
solver : {{solvers}}, default='adam'
    - 'lbfgs': quasi-Newton method, by :func:`scipy.optimize.minimize`. Good for small data.
{solver_table}

alpha : float, default=0.0001
    Strength of the penalty on the weights, divided by the (weighted) number of samples of the batch when added to
    the loss: half the sum of their squares, or what `l1_ratio` says.

batch_size : int or 'auto', default='auto'
    Number of samples of a minibatch. 'auto' is ``min(200, n_samples)``. Not used by 'lbfgs'.

learning_rate : {{schedules}}, default='constant'
    Schedule of the learning rate, for every solver but 'lbfgs':

{schedule_table}

    A call of :meth:`partial_fit` is an epoch: after `max_iter` of them 'cosine' and 'one_cycle' have come to their end.

learning_rate_init : float, default=0.001
    What the schedule multiplies: the initial or (cosine, one_cycle) the largest learning rate.

power_t : float, default=0.5
    Exponent of 'invscaling'.

max_iter : int, default=200
    Largest number of epochs (passes over the data; iterations for 'lbfgs').

shuffle : bool, default=True
    Whether to take the samples in another order in each epoch.

random_state : int, RandomState instance or None, default=None
    Decides initial weights, order of the samples, dropout, noise and the split for early stopping. With an int, a fit
    gives the same bits every time, for any `n_jobs`.

tol : float, default=1e-4
    Training stops when loss (or score, when there is validation data) does not improve by at least `tol` for
    `n_iter_no_change` epochs in a row.

verbose : bool, default=False
    Whether to print the loss of every epoch.

warm_start : bool, default=False
    Whether `fit` goes on from the weights of the fit before. Its losses and scores join those before; when it stops,
    and which weights are the best, is decided by its own.

momentum : float, default=0.9
    Momentum of 'sgd', between 0 and 1.

nesterovs_momentum : bool, default=True
    Whether the momentum of 'sgd' is Nesterov's.

early_stopping : bool, default=False
    Whether to set `validation_fraction` of the data aside (stratified for classes), to stop by the score on it, and to
    restore the best weights. Not with 'lbfgs'. See also `X_val` of :meth:`fit`.

validation_fraction : float, default=0.1
    Share of the data set aside by `early_stopping`.

beta_1 : float, default=0.9
    Decay of the first moment of 'adam', 'adamw', 'nadam' and 'lion', in [0, 1).

beta_2 : float, default=0.999
    Decay of the second moment of 'adam', 'adamw' and 'nadam', and of the only one of 'lion' (whose authors use 0.99),
    in [0, 1).

epsilon : float, default=1e-8
    Added to the denominator of 'adam', 'adamw', 'nadam', 'rmsprop' and 'adagrad'.

n_iter_no_change : int or inf, default=10
    Patience: see `tol`.

max_fun : int, default=15000
    Largest number of evaluations of the loss by 'lbfgs'.

l1_ratio : float, default=0.0
    Mix of the penalty, in [0, 1]: ``alpha * (l1_ratio * |w|_1 + (1 - l1_ratio) / 2 * |w|_2^2)``, as in
    :class:`sklearn.linear_model.ElasticNet`. Weights come near 0 by it, not to 0 itself. Not with 'lbfgs'.

weight_decay : float, default=0.01
    Share by which 'adamw' and 'lion' shrink the weights in a step, times the learning rate; other solvers ignore it.
    `alpha` acts beside it.

rho : float, default=0.9
    Decay of the mean of squares of 'rmsprop', in [0, 1).

decay_factor : float or 'auto', default='auto'
    Factor of the schedules 'step' and 'plateau' ('auto' is 0.1) and 'exponential' (0.95), in (0, 1].

decay_epochs : int or 'auto', default='auto'
    Epochs until 'step' lowers the rate ('auto' is ``max_iter // 3``), and without improvement until 'plateau' does
    (``n_iter_no_change // 2``).

warmup : float, default=0.0
    Share of all steps of `max_iter` epochs in which the learning rate rises linearly from 0, in [0, 1]. For
    'one_cycle' the share in which it rises (0.3 if this is 0).

weight_init : {{initializers}} or callable, default='auto'
    Initial weights. 'auto' is scikit-learn's rule (glorot_uniform, narrower for the logistic activation, biases
    too); with the others biases are 0. A callable ``weight_init(n_in, n_out, rng)`` gets a
    :class:`numpy.random.Generator` and returns an array of shape (n_in, n_out).

{initializer_table}

dropout : float or array-like of shape (n_layers - 2,), default=0.0
    Rate of dropout after each hidden layer, one for all or one each, in [0, 1). The units that stay are scaled up
    in training; prediction uses them all. Not with 'lbfgs'.

input_noise : float, default=0.0
    Standard deviation of Gaussian noise that is added to the inputs in training. Not with 'lbfgs' or sparse X.

normalization : {'batch', 'layer'} or None, default=None
    Normalisation before the activation of each hidden layer: of every unit over the batch (exact over the whole
    batch, weighted by `sample_weight`; prediction uses running means), or of every sample over the units. 'batch' not
    with 'lbfgs'.

residual : bool, default=False
    Whether to add the input of a hidden layer to its output where both have the same number of units. The first
    hidden layer has no such shortcut.

clip_norm : float or None, default=None
    Scale the gradient of the loss down to this norm (over all weights and biases) where it is larger. Not with
    'lbfgs'.

clip_value : float or None, default=None
    Largest absolute value of each number in the gradient of the loss. Not with 'lbfgs'.

max_norm : float or None, default=None
    Largest norm of the incoming weights of each hidden unit: they are scaled down after every step. Not with 'lbfgs'.

monitor_gradients : bool, default=False
    Whether to note the norms of the layers' gradients in ``history_['gradient_norm']``. Not with 'lbfgs'.

scoring : str, callable or None, default=None
    What validation is scored by: None for {metric}, 'loss' for the (negative) validation loss, or any name or
    callable that :func:`sklearn.metrics.check_scoring` takes.

score_training : bool, default=False
    Whether to score the training data, too, after every epoch (in prediction, so without dropout), for
    ``history_['training_score']``. It takes about a third of an epoch.

n_jobs : int or None, default=None
    Cap on the number of threads of the CPU. None: as many as the work in a step is worth, up to the cores that this
    process may use; no more than OpenMP may use, as ``OMP_NUM_THREADS`` or ``threadpoolctl.threadpool_limits`` say;
    and 1 within a joblib worker. A number overrules these limits. Results do not depend on it.

dtype : {'auto', 'float32', 'float64'}, default='auto'
    Precision of the network. 'auto' is float32 for float32 `X`, else float64; on a GPU it is float32 for every `X`. A
    fit that goes on with the weights of one before keeps their precision.

device : {'cpu', 'cuda', 'auto'} or 'cuda:N', default='cpu'
    Where the network is trained and predicts. 'cuda' is the NVIDIA GPU number 0, 'cuda:N' number N: where it cannot be
    used, a fit is an error that says why. 'auto' is 'cuda' where that can be used, else 'cpu'. GPUs need
    ``pip install "skneural[cuda]"``. A fitted model predicts on the device of its fit, or on the CPU where that cannot
    be used. Results on a GPU differ from those on the CPU by rounding.

precision : {'full', 'tf32'}, default='full'
    'tf32' rounds the factors of matrix products to 10 bits of mantissa, which tensor cores multiply faster; weights
    stay float32. Only on a GPU and in float32; with ``device='auto'`` it is 'full' where there is no such GPU.
"""

#: The default score of regressors.
REAL_METRIC = "R2 (D2 of the pinball loss for ``loss='quantile'``)"

CLASS_LOSSES = """
class_weight : dict, 'balanced' or None, default=None
    Weights of the classes, ``{label: weight}``, multiplied into the sample weights. 'balanced' weights them
    inversely to how often they occur. Multilabel: as :func:`sklearn.utils.class_weight.compute_sample_weight` has
    it. For two classes that is the weighted binary cross-entropy.

loss : {'log_loss', 'focal'}, default='log_loss'
    What is minimised. 'focal' (Lin et al., 2017) is the log loss times ``(1 - p) ** focal_gamma``, p the
    probability of the true class: well-classified samples count for less.

label_smoothing : float, default=0.0
    Share of each target that is spread evenly over all classes (Szegedy et al., 2016), in [0, 1). Only with
    ``loss='log_loss'``.

focal_gamma : float, default=2.0
    Exponent of the focal loss, not negative; 0 is the log loss.

focal_alpha : float, array-like of shape (n_classes,) or None, default=None
    Factors of the classes in the focal loss. With two classes or multilabel targets one number is that of the
    second class (of a label that is set), one minus it that of the other. None is 1 for all.
"""

REAL_LOSSES = f"""
loss : {{{", ".join(map(repr, REAL_LOSS_NAMES))}}}, default='squared_error'
    - 'squared_error': half the squared error.
    - 'absolute_error': the absolute error; predictions are medians.
    - 'huber': squared for errors up to `huber_delta`, then linear.
    - 'log_cosh': logarithm of the hyperbolic cosine of the error: a smooth relative of 'huber'.
    - 'quantile': the pinball loss; predictions are `quantiles`.
    - 'poisson', 'gamma': half the deviance with a log link (exponential output; y must not be negative, or must be
      positive).

    With several outputs the solvers minimise the sum over them; those that have no deviance are reported as the
    mean over them, as scikit-learn reports squared errors.
"""

REAL_LOSS_OPTIONS = """
huber_delta : float, default=1.0
    Error at which the Huber loss becomes linear, in units of y.

quantiles : float or array-like of shape (n_quantiles,), default=0.5
    What ``loss='quantile'`` predicts, each in (0, 1). With a sequence, :meth:`predict` returns a column each,
    sorted so that they never cross.
"""

ATTRIBUTES = """
loss_ : float
    Loss of the last epoch, penalty included.

best_loss_ : float or None
    Smallest loss of an epoch of the last fit; None if training stops by validation data.

loss_curve_ : list of float
    Loss of every epoch. With `warm_start` those of all fits; of the calls of :meth:`partial_fit` the last 1,000.

validation_scores_ : list of float or None
    Score on the validation data after every epoch, None without such data.

validation_loss_curve_ : list of float or None
    Loss on the validation data after every epoch (without penalty), None without such data.

best_validation_score_ : float or None
    Best of the `validation_scores_` of the last fit; None without such data.

history_ : dict of lists
    ``loss``, ``validation_loss``, ``score``, ``learning_rate`` (of the last step) and ``time`` (seconds since the fit
    began) of every epoch, NaN where there is none: ready for ``pandas.DataFrame(est.history_)``. With
    `score_training` also ``training_score``, with `monitor_gradients` also ``gradient_norm``: an array of shape
    (n_layers - 1,) for every epoch, with the mean norm of the gradient by all parameters of each layer (before
    clipping). Of the calls of :meth:`partial_fit` the last 100 stay.

t_ : int
    Number of samples that the solver has seen, counted in every epoch.

coefs_ : list of ndarray
    The weights of layer i, of shape (n_in, n_out): views of one vector.

intercepts_ : list of ndarray
    The biases of layer i, of shape (n_out,): views of the same vector. With ``normalization='batch'`` they are added
    after it.

norms_ : list of mappings
    Of every normalised layer the arrays ``scale`` and, for 'layer', ``shift``, for 'batch', the running ``mean`` and
    ``variance``, each of shape (n_out,): views of the same vector.

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

device_ : str
    Device of the last fit: 'cpu', or 'cuda:N' with the number of the GPU.
"""


def _names(registry, *first):
    return ", ".join(repr(name) for name in (*first, *registry))


def _table(registry):
    return "\n".join(f"    - '{name}': {entry.summary}" for name, entry in registry.items())


def paragraphs(text, leave_out=()):
    """A section without the paragraphs of some names."""
    parts = re.split(r"\n(?=\w+ : )", "\n" + text.strip("\n"))
    return "\n".join(part for part in parts if part.split(" : ")[0].strip() not in leave_out).strip("\n")


def fill(cls, sections):
    """Fill sections into the marks ``{name}`` of a docstring, if there is one: ``python -OO`` drops them."""
    if cls.__doc__ is None:
        return cls
    for name, text in sections.items():
        cls.__doc__ = cls.__doc__.replace(f"{{{name}}}", textwrap.indent(text.strip("\n"), "    ").lstrip())
    return cls


def training(metric):
    """The parameters of training, the default score named."""
    text = TRAINING.replace("{metric}", metric)
    for mark, words in {
        "{solvers}": _names(OPTIMIZERS, "lbfgs"), "{solver_table}": _table(OPTIMIZERS),
        "{schedules}": _names(SCHEDULES), "{schedule_table}": _table(SCHEDULES),
        "{initializers}": _names(INITIALIZERS), "{initializer_table}": _table(INITIALIZERS),
    }.items():  # fmt: skip
        text = text.replace(mark, words)
    return text


def describe(metric, losses, loss_options=""):
    """Class decorator: fill the sections that multi-layer perceptrons share into the docstring.

    Parameters
    ----------
    metric : str
        Name of the default score.
    losses, loss_options : str
        Parameters of the loss.
    """
    architecture = PARAMETERS.format(activations=_names(ACTIVATIONS), activation_table=_table(ACTIVATIONS))
    sections = {
        "architecture": architecture, "training": training(metric), "attributes": ATTRIBUTES, "losses": losses,
        "loss_options": loss_options,
    }  # fmt: skip
    return functools.partial(fill, sections=sections)
