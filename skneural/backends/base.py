"""What trainers and predictors of all backends share: the host's side of a fit."""

import time
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

from skneural.backends.frame import Frame, data
from skneural.backends.inputs import Inputs
from skneural.backends.passes import check_passes, one_pass
from skneural.backends.records import N_CONSTANTS, NOTES
from skneural.maths import random
from skneural.maths.augmentation import N_SHARES
from skneural.maths.losses import LOSSES, n_settings
from skneural.maths.optimizers import OPTIMIZERS
from skneural.network.memory import aligned_zeros

#: Seconds that a call should last at the most, so that Ctrl-C is heard.
CALL_SECONDS = 0.1
#: So few numbers are made sooner one by one than as an array.
FEW = 10


def check_settings(program):
    """The constants of the loss as an array; raise if there are not as many as it takes."""
    settings = np.array(program.settings, program.dtype)
    needed = n_settings(program.loss, program.n_outputs)
    if len(settings) != needed:
        raise ValueError(f"The loss {program.loss!r} needs {needed} constants.")
    return settings


@dataclass(kw_only=True, eq=False)
class OptimizerState:
    """Where an optimizer stands.

    Attributes
    ----------
    s, v : ndarray of shape (n_params,)
        Its moments.
    step, epoch : int
        How many there have been.
    batches : int
        Steps, those of earlier fits included.
    """

    s: np.ndarray
    v: np.ndarray
    step: int = 0
    epoch: int = 0
    batches: int = 0

    @classmethod
    def fresh(cls, program, **values):
        """The state before the first step."""
        s = aligned_zeros(program.n_params, program.dtype)
        v = aligned_zeros(program.n_params, program.dtype)
        return cls(s=s, v=v, **values)


def order_keys(seed, first, count):
    """Keys of the random orders of epochs: an array of int64."""
    if count > FEW:
        epochs = np.arange(first, first + count, dtype=np.uint64)
        return random.key(seed, random.ORDER, epochs).astype(np.int64)
    return np.array([random.key(seed, random.ORDER, epoch) for epoch in range(first, first + count)], np.int64)


def quantiles_of_shares(mixup):
    """Quantiles of a beta distribution with both parameters `mixup`: what uniform numbers become shares by."""
    middles = (np.arange(N_SHARES) + 0.5) / N_SHARES
    return betaincinv(mixup, mixup, middles)


def make_records(before, n_epochs, *shape):
    """Room for records of epochs and of one that has begun; the first goes on with that of the call before."""
    records = np.zeros((n_epochs + 1, *shape))
    if before is not None:
        records[0] = before[-1]
    return records


class BaseTrainer:
    """The epochs of a fit, as Python sees them: learning rates in, losses out.

    A backend's trainer has a method ``_call(rates)`` that runs some steps, `template`, what all of its frames begin
    with, and a property `frame`, the frame that says where the run stands.

    Parameters
    ----------
    program : Program
    params : ndarray of shape (n_params,)
        Changed in place.
    X : ndarray or tuple
        Rows: an array with contiguous rows, a tuple (values, indices, indptr), or `Sequences`.
    targets : ndarray of shape (n_rows, n_targets)
    weights : ndarray of shape (n_rows,) or None
    alpha, l1_ratio : float
        Of the penalty.
    seed : int
        For the order of the rows and for dropout.
    limits : dict, default=None
        ``clip_norm`` and ``clip_value`` of the gradient, ``max_norm`` of a unit's incoming weights; none without.
    mixup : float, default=0.0
        Parameter of the beta distribution of the shares with which samples are mixed; 0: they are not.
    monitor : bool, default=False
        Whether to measure the norms of the layers' gradients.
    passes : ndarray of `records.PASS`, default=None
        What a step consists of: by default one pass over all operations, which updates all parameters.
    sources : list of dict, default=None
        For every pass what differs in where its samples come from, by the names of `records.SOURCE`. With them the
        trainer takes notes of every pass, in `notes`: see `records.NOTES`.

    Raises
    ------
    TypeError, ValueError
        If an array is not what the program reads, or a pass names operations that there are not.
    """

    def __init__(
        self,
        program,
        params,
        X,
        targets,
        weights,
        *,
        alpha,
        seed,
        l1_ratio=0.0,
        limits=None,
        mixup=0.0,
        monitor=False,
        passes=None,
        sources=None,
    ):
        self.inputs = Inputs(program)
        self.inputs.check_training(params, X, targets, weights)
        self.program = program
        self.params = params
        self.X = X
        self.targets = targets
        self.weights = weights
        self.itemsize = program.dtype.itemsize
        self.settings = check_settings(program)
        self.monitor = monitor
        self.layer_norms = None
        self.notes = None
        self.passes = one_pass(program) if passes is None else check_passes(passes, program)
        self.sources = sources
        self.shares = quantiles_of_shares(mixup) if mixup > 0 else None
        self.template = Frame()
        self.template.update(clip_norm=0.0, clip_value=np.inf, max_norm=0.0)
        self.template.update(**(limits or {}))
        self.template.update(
            n_params=program.n_params,
            scale=1.0,
            n_threads=1,
            training=1,
            alpha=alpha,
            l1_ratio=l1_ratio,
            seed=seed,
            mixup=data(self.shares),
            n_targets=targets.shape[1],
            best_epoch=-1,
            n_layers=program.n_layers,
            window=-1,
            averaging=1 / program.n_outputs if LOSSES[program.loss].averaged else 1.0,
        )

    def can_renew(self, n_rows):
        """Whether the trainer can go on with other rows by its method ``renew``: only some backends' can."""
        return False

    def start(self, optimizer, hyper, state, *, batch, shuffle, tol, patience, weight_decay=0.0):
        """Get ready to run epochs.

        Parameters
        ----------
        optimizer : str
        hyper : sequence of float
        state : OptimizerState
            Changed in place.
        batch : int
        shuffle : bool
        tol, patience : float
            Of the stopping rule on the training loss.
        weight_decay : float, default=0.0
            Share of a weight that decays in a step, times the learning rate, for optimizers that decouple it.
        """
        self.inputs.check_vector("The optimizer's 's'", state.s)
        self.inputs.check_vector("The optimizer's 'v'", state.v)
        self.optimizer = OPTIMIZERS[optimizer]
        self.hyper = tuple(hyper)
        self.state = state
        self.weight_decay = weight_decay if self.optimizer.decoupled else 0.0
        self.steps_per_epoch = -(-self.template["n_rows"] // batch)
        self.first_epoch = state.epoch
        self.template.update(
            step=state.step,
            epoch=state.epoch,
            batches=state.batches,
            shuffle=shuffle,
            tol=tol,
            patience=patience,
            batch=batch,
        )

    def refresh(self):
        """Note that parameters were changed from outside; for backends that keep copies of them."""

    def run_epochs(self, rates, best_loss, no_improvement, begin=0.0):
        """Run at least one epoch, and more, up to one for every learning rate given, if they end in the same call.

        Parameters
        ----------
        rates : ndarray of shape (n_epochs,) or (n_epochs, steps_per_epoch)
            Learning rate of each epoch, or of each step.
        best_loss, no_improvement : float, int
            Where the stopping rule stands.
        begin : float
            `time.perf_counter` when the fit began.

        Returns
        -------
        epochs : list of (float, float)
            Loss of every epoch that was run, and the seconds since `begin` when it ended. Epochs that ended in one
            call share its time evenly.
        best_loss, no_improvement : float, int
        """
        n_epochs = len(rates)
        rates = rates.reshape(n_epochs, -1)
        frame = self.frame
        self.losses_of_epochs = np.zeros(n_epochs)
        if self.monitor:
            self.layer_norms = make_records(self.layer_norms, n_epochs, self.program.n_layers)
        if self.sources is not None:
            self.notes = make_records(self.notes, n_epochs, len(self.passes), len(NOTES))
        self.order_keys = order_keys(self.template["seed"], frame["epoch"], n_epochs)
        frame.update(best_loss=best_loss, no_improvement=no_improvement, epochs_left=n_epochs, epochs_done=0)
        started = time.perf_counter() - begin
        while frame["epochs_done"] == 0:
            before = (frame["step"], frame["row"])
            self._call(rates)
            if frame["epochs_done"] == 0 and (frame["step"], frame["row"]) == before:
                # It would be so for ever. No fault of the host leads here: kernels have run to no effect.
                raise RuntimeError("The training does not go on: a call has come back without having taken a step.")
        begun = -(-frame["row"] // frame["batch"])  # steps of an epoch that the next call ends
        self.state.step = frame["step"] - begun
        self.state.epoch = frame["epoch"]
        self.state.batches = frame["batches"] - begun
        done = frame["epochs_done"]
        length = (time.perf_counter() - begin - started) / done
        seconds = started + length * np.arange(1, done + 1)
        if self.monitor:
            self.layer_norms = self.layer_norms[: done + 1]
            self.layer_norms[:done] /= self.steps_per_epoch
        if self.notes is not None:
            self.notes = self.notes[: done + 1]
        losses = self.losses_of_epochs[:done].tolist()
        epochs = list(zip(losses, seconds.tolist(), strict=True))
        return epochs, frame["best_loss"], frame["no_improvement"]

    def constants(self, rates, first, count, every=1, factor=1.0):
        """What the next updates need: a row of constants of the optimizer each, and how much weights shrink.

        Parameters
        ----------
        rates : ndarray of shape (n_epochs, 1) or (n_epochs, steps_per_epoch)
        first, count : int
            Steps of these epochs that come before, and how many are wanted.
        every : int, default=1
            How many steps there are for each update.
        factor : float, default=1.0
            What multiplies the rates.
        """
        steps_of_a_rate = self.steps_per_epoch // rates.shape[1]
        rates = factor * rates.ravel()[np.arange(first, first + count) // steps_of_a_rate]
        done = self.frame["step"]
        t = np.maximum(np.arange(done + 1, done + 1 + count) // every, 1)
        constants = np.zeros((count, N_CONSTANTS))
        for i, values in enumerate(self.optimizer.constants(rates, t, *self.hyper)):
            constants[:, i] = values
        constants[:, -1] = rates * self.weight_decay
        return constants

    def constants_of_passes(self, rates, first, count):
        """The same for every pass of every step: an array of a row each, in the order in which they run."""
        parts = []
        for part in self.passes:
            factor = float(part["rate"]) or 1.0
            every = max(int(part["every"]), 1)
            parts.append(self.constants(rates, first, count, every, factor))
        return parts[0] if len(parts) == 1 else np.stack(parts, axis=1)

    def total_weight(self):
        """Sum of the sample weights."""
        if self.weights is None:
            return float(len(self.targets))
        return float(self.weights.sum(dtype=np.float64))
