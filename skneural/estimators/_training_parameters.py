"""The hyper-parameters that all networks have, and the fitted attributes."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real

import numpy as np
from sklearn.metrics import get_scorer_names
from sklearn.utils._param_validation import Interval, Options, StrOptions

from skneural._declare import COUNT, NOT_NEGATIVE, POSITIVE, SHARE, SHARE_BELOW_1, declare, options, parameter
from skneural.backends import devices
from skneural.maths.optimizers import OPTIMIZERS
from skneural.maths.schedules import SCHEDULES
from skneural.network.initializers import INITIALIZERS


class _Devices(StrOptions):
    """Names of devices: 'cuda' may have a number."""

    def is_satisfied_by(self, val):
        if super().is_satisfied_by(val):
            return True
        if not isinstance(val, str):
            return False
        return devices.NUMBERED.fullmatch(val) is not None

    def __str__(self):
        return f"{super().__str__()} or 'cuda:N', N the number of a GPU"


#: Rows of the families that have one.
MAX_NORM = parameter(
    default=None,
    constraint=[POSITIVE, None],
    stochastic=True,
    doc="""Largest norm of the incoming weights of each hidden unit: they are scaled down after every step. Not with
    'lbfgs'.""",
)
MIXUP = parameter(
    default=0.0,
    constraint=[NOT_NEGATIVE],
    stochastic=True,
    doc="""Parameter of the beta distribution of mixup (Zhang et al., 2018): in training every sample is mixed with
    another one, and its loss, in `loss_curve_` too, is that of both targets, each with its own weight, in shares that
    are drawn from the distribution. Steps that the other sequence lacks stay as they are. 0.2 is usual, 0 mixes
    nothing. Not with 'lbfgs'.""",
)
INPUT_FORMAT = parameter(
    default="channels_last",
    constraint=[options("channels_last", "channels_first")],
    doc="""'channels_first' reads 3-D `X` as (n_samples, n_features, n_timesteps), as aeon and sktime lay it out.""",
)


@declare
class TrainingParameters:
    """What decides how a network is trained, whatever its layers: first scikit-learn's, in its order.

    Attributes
    ----------
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
        ``loss``, ``validation_loss``, ``score``, ``learning_rate`` (of the last step) and ``time`` (seconds since the
        fit began) of every epoch, NaN where there is none: ready for ``pandas.DataFrame(est.history_)``. With
        `score_training` also ``training_score``, with `monitor_gradients` also ``gradient_norm``: an array of shape
        (n_layers - 1,) for every epoch, with the mean norm of the gradient by all parameters of each layer (before
        clipping). Of the calls of :meth:`partial_fit` the last 100 stay.

    t_ : int
        Number of samples that the solver has seen, counted in every epoch.

    coefs_ : list of ndarray
        The weights of layer i, of shape (n_in, n_out): views of one vector.

    intercepts_ : list of ndarray
        The biases of layer i, of shape (n_out,): views of the same vector. With ``normalization='batch'`` they are
        added after it.

    norms_ : list of mappings
        Of every normalised layer the arrays ``scale`` and, for 'layer', ``shift``, for 'batch', the running ``mean``
        and ``variance``, each of shape (n_out,): views of the same vector.

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

    solver: str = parameter(
        default="adam",
        constraint=[options("lbfgs", *OPTIMIZERS)],
        table=OPTIMIZERS,
        doc="""
        - 'lbfgs': quasi-Newton method, by :func:`scipy.optimize.minimize`. Good for small data.
        {table}""",
    )
    alpha: float = parameter(
        default=0.0001,
        constraint=[NOT_NEGATIVE],
        doc="""Strength of the penalty on the weights, divided by the (weighted) number of samples of the batch when
        added to the loss: half the sum of their squares, or what `l1_ratio` says.""",
    )
    batch_size: int | str = parameter(
        default="auto",
        constraint=[options("auto"), COUNT],
        doc="""Number of samples of a minibatch. 'auto' is ``min(200, n_samples)``. Not used by 'lbfgs'.""",
    )
    learning_rate: str = parameter(
        default="constant",
        constraint=[options(*SCHEDULES)],
        table=SCHEDULES,
        doc="""Schedule of the learning rate, for every solver but 'lbfgs':

        {table}

        A call of :meth:`partial_fit` is an epoch: after `max_iter` of them 'cosine' and 'one_cycle' have come to their
        end.""",
    )
    learning_rate_init: float = parameter(
        default=0.001,
        constraint=[POSITIVE],
        doc="""What the schedule multiplies: the initial or (cosine, one_cycle) the largest learning rate.""",
    )
    power_t: float = parameter(
        default=0.5,
        constraint=[NOT_NEGATIVE],
        doc="""Exponent of 'invscaling'.""",
    )
    max_iter: int = parameter(
        default=200,
        constraint=[COUNT],
        doc="""Largest number of epochs (passes over the data; iterations for 'lbfgs').""",
    )
    shuffle: bool = parameter(
        default=True,
        constraint=["boolean"],
        doc="""Whether to take the samples in another order in each epoch.""",
    )
    random_state: int | np.random.RandomState | None = parameter(
        default=None,
        constraint=["random_state"],
        doc="""Decides initial weights, order of the samples, dropout, noise and the split for early stopping. With an
        int, a fit gives the same bits every time, for any `n_jobs`.""",
    )
    tol: float = parameter(
        default=1e-4,
        constraint=[NOT_NEGATIVE],
        doc="""Training stops when loss (or score, when there is validation data) does not improve by at least `tol` for
        `n_iter_no_change` epochs in a row.""",
    )
    verbose: bool | int = parameter(
        default=False,
        constraint=["verbose"],
        doc="""Whether to print the loss of every epoch.""",
    )
    warm_start: bool = parameter(
        default=False,
        constraint=["boolean"],
        doc="""Whether `fit` goes on from the weights of the fit before. Its losses and scores join those before; when
        it stops, and which weights are the best, is decided by its own.""",
    )
    momentum: float = parameter(
        default=0.9,
        constraint=[SHARE],
        doc="""Momentum of 'sgd', between 0 and 1.""",
    )
    nesterovs_momentum: bool = parameter(
        default=True,
        constraint=["boolean"],
        doc="""Whether the momentum of 'sgd' is Nesterov's.""",
    )
    early_stopping: bool = parameter(
        default=False,
        constraint=["boolean"],
        doc="""Whether to set `validation_fraction` of the data aside (stratified for classes), to stop by the score on
        it, and to restore the best weights. Not with 'lbfgs'. See also `X_val` of :meth:`fit`.""",
    )
    validation_fraction: float = parameter(
        default=0.1,
        constraint=[SHARE_BELOW_1],
        doc="""Share of the data set aside by `early_stopping`.""",
    )
    beta_1: float = parameter(
        default=0.9,
        constraint=[SHARE_BELOW_1],
        doc="""Decay of the first moment of 'adam', 'adamw', 'nadam' and 'lion', in [0, 1).""",
    )
    beta_2: float = parameter(
        default=0.999,
        constraint=[SHARE_BELOW_1],
        doc="""Decay of the second moment of 'adam', 'adamw' and 'nadam', and of the only one of 'lion' (whose authors
        use 0.99), in [0, 1).""",
    )
    epsilon: float = parameter(
        default=1e-8,
        constraint=[POSITIVE],
        doc="""Added to the denominator of 'adam', 'adamw', 'nadam', 'rmsprop' and 'adagrad'.""",
    )
    n_iter_no_change: float = parameter(
        default=10,
        constraint=[COUNT, Options(Real, {np.inf})],
        doc="""Patience: see `tol`.""",
    )
    max_fun: int = parameter(
        default=15000,
        constraint=[COUNT],
        doc="""Largest number of evaluations of the loss by 'lbfgs'.""",
    )
    l1_ratio: float = parameter(
        default=0.0,
        constraint=[SHARE],
        stochastic=True,
        doc="""Mix of the penalty, in [0, 1]: ``alpha * (l1_ratio * |w|_1 + (1 - l1_ratio) / 2 * |w|_2^2)``, as in
        :class:`sklearn.linear_model.ElasticNet`. Weights come near 0 by it, not to 0 itself. Not with 'lbfgs'.""",
    )
    weight_decay: float = parameter(
        default=0.01,
        constraint=[NOT_NEGATIVE],
        doc="""Share by which 'adamw' and 'lion' shrink the weights in a step, times the learning rate; other solvers
        ignore it. `alpha` acts beside it.""",
    )
    rho: float = parameter(
        default=0.9,
        constraint=[SHARE_BELOW_1],
        doc="""Decay of the mean of squares of 'rmsprop', in [0, 1).""",
    )
    decay_factor: float | str = parameter(
        default="auto",
        constraint=[Interval(Real, 0, 1, closed="right"), options("auto")],
        doc="""Factor of the schedules 'step' and 'plateau' ('auto' is 0.1) and 'exponential' (0.95), in (0, 1].""",
    )
    decay_epochs: int | str = parameter(
        default="auto",
        constraint=[options("auto"), COUNT],
        doc="""Epochs until 'step' lowers the rate ('auto' is ``max_iter // 3``), and without improvement until
        'plateau' does (``n_iter_no_change // 2``).""",
    )
    min_learning_rate: float | str = parameter(
        default="auto",
        constraint=[NOT_NEGATIVE, options("auto")],
        doc="""Rate below which no schedule goes; only `warmup` begins at 0. 'auto' is 1e-6 for 'plateau', and 0 for the
        others, but that 'adaptive' stops training where its rate has come down to 1e-6 or less; with a number it stops
        there. A `learning_rate_init` that is lower already is left as it is.""",
    )
    warmup: float = parameter(
        default=0.0,
        constraint=[SHARE],
        doc="""Share of all steps of `max_iter` epochs in which the learning rate rises linearly from 0, in [0, 1]. For
        'one_cycle' the share in which it rises (0.3 if this is 0).""",
    )
    weight_init: str | Callable = parameter(
        default="auto",
        constraint=[options(*INITIALIZERS), callable],
        table=INITIALIZERS,
        doc="""Initial weights. 'auto' is scikit-learn's rule (glorot_uniform, narrower for the logistic activation,
        biases too); with the others, but for 'pytorch', biases are 0. A callable ``weight_init(n_in, n_out, rng)`` gets
        a :class:`numpy.random.Generator` and returns an array of shape (n_in, n_out). For a convolution n_in and n_out
        in the table are channels and filters, times the pixels of the kernel.

        {table}""",
    )
    input_noise: float = parameter(
        default=0.0,
        constraint=[NOT_NEGATIVE],
        stochastic=True,
        doc="""Standard deviation of Gaussian noise that is added to the inputs in training. Not with 'lbfgs' or sparse
        X.""",
    )
    clip_norm: float | None = parameter(
        default=None,
        constraint=[POSITIVE, None],
        stochastic=True,
        doc="""Scale the gradient of the loss down to this norm (over all weights and biases) where it is larger. Not
        with 'lbfgs'.""",
    )
    clip_value: float | None = parameter(
        default=None,
        constraint=[POSITIVE, None],
        stochastic=True,
        doc="""Largest absolute value of each number in the gradient of the loss. Not with 'lbfgs'.""",
    )
    monitor_gradients: bool = parameter(
        default=False,
        constraint=["boolean"],
        stochastic=True,
        doc="""Whether to note the norms of the layers' gradients in ``history_['gradient_norm']``. Not with
        'lbfgs'.""",
    )
    scoring: str | Callable | None = parameter(
        default=None,
        constraint=[options("loss", *get_scorer_names()), callable, None],
        type="str, callable or None",
        doc="""What validation is scored by: None for the default score, 'loss' for the (negative) validation loss, or
        any name or callable that :func:`sklearn.metrics.check_scoring` takes.""",
    )
    score_training: bool = parameter(
        default=False,
        constraint=["boolean"],
        doc="""Whether to score the training data, too, after every epoch (in prediction, so without dropout), for
        ``history_['training_score']``. It takes about a third of an epoch.""",
    )
    n_jobs: int | None = parameter(
        default=None,
        constraint=[Interval(Integral, None, -1, closed="right"), COUNT, None],
        doc="""Cap on the number of threads of the CPU. None: as many as the work in a step is worth, up to the cores
        that this process may use; no more than OpenMP may use, as ``OMP_NUM_THREADS`` or
        ``threadpoolctl.threadpool_limits`` say; and 1 within a joblib worker. A number overrules these limits. Results
        do not depend on it.""",
    )
    dtype: str = parameter(
        default="auto",
        constraint=[options("auto", "float32", "float64")],
        doc="""Precision of the network. 'auto' is float32 for float32 `X`, else float64; on a GPU it is float32 for
        every `X`. A fit that goes on with the weights of one before keeps their precision.""",
    )
    device: str = parameter(
        default="cpu",
        constraint=[_Devices({"cpu", "cuda", "auto"})],
        type="{'cpu', 'cuda', 'auto'} or 'cuda:N'",
        doc="""Where the network is trained and predicts. 'cuda' is the NVIDIA GPU number 0, 'cuda:N' number N: where it
        cannot be used, a fit is an error that says why. 'auto' is 'cuda' where that can be used, else 'cpu'. GPUs need
        ``pip install "skneural[cuda]"``. A fitted model predicts on the device of its fit, or on the CPU where that
        cannot be used. Results on a GPU differ from those on the CPU by rounding.""",
    )
    precision: str = parameter(
        default="full",
        constraint=[options("full", "tf32")],
        doc="""'tf32' rounds the factors of matrix products to 10 bits of mantissa, which tensor cores multiply faster;
        weights stay float32. Only on a GPU and in float32; with ``device='auto'`` it is 'full' where there is no such
        GPU.""",
    )
