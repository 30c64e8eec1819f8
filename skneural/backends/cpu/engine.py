"""Run programs on the CPU: bind operations to kernels, fill in frames, own the buffers."""

import threading
import time

import numpy as np

from skneural.backends.cpu import elementary  # noqa: F401  (teaches the compiler exp and its kin)
from skneural.backends.cpu.compiler import address, compiled_kernels, kernel
from skneural.backends.cpu.crew import Crew, Pace, make_lead, make_serve
from skneural.backends.cpu.kernels import (
    make_activation,
    make_dense_backward,
    make_dense_forward,
    make_dropout_forward,
    make_input_forward,
    make_loss_forward,
    make_optimizer,
    make_output_forward,
    make_sparse_dense_forward,
    make_update,
)
from skneural.backends.cpu.product import make_product, panel_size
from skneural.backends.cpu.simd import INSTRUCTION_SET
from skneural.backends.cpu.walker import make_loss_and_gradient, make_predict, make_train
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.losses import LINKS, LOSSES
from skneural.maths.optimizers import OPTIMIZERS
from skneural.network.program import FRAME, KINDS, OP, aligned_zeros

#: Rows of a piece of a batch, at the most: larger batches are run in pieces, so buffers stay small.
MAX_CAPACITY = 2048
#: Rows that a prediction runs through the network at a time.
PREDICT_BLOCK = 112
#: Floating-point operations a second that one thread reaches on small products: only to guess the first call's length.
_GUESSED_SPEED = 3e10
#: Seconds of work in a step from which a second thread is tried.
_WORTH_A_THREAD = 8e-6
#: Seconds of work from which a prediction starts a thread.
_WORTH_A_CALL = 2e-4
#: Seconds a compiled call should last at the most, so that Ctrl-C is heard.
CALL_SECONDS = 0.1


def data(array):
    """Address of an array's first element, 0 for None."""
    return 0 if array is None else array.__array_interface__["data"][0]


def bind_training(program):
    """Operations with the addresses of their kernels for training."""
    dtype, ops = program.dtype.type, program.ops.copy()
    for op, function in zip(ops, program.functions, strict=True):
        kind = KINDS[op["kind"]]
        if kind == "input":
            op["forward"] = address(make_input_forward, dtype)
        elif kind == "dropout":
            op["forward"] = address(make_dropout_forward, dtype)
        elif kind == "loss":
            op["forward"] = address(make_loss_forward, dtype, function)
        else:
            _bind_dense(op, kind, function, dtype)
            if op["dx"] >= 0:
                op["backward"] = address(make_dense_backward, dtype)
            op["update"] = address(make_update, dtype, kind == "sparse_dense")
    return ops


def bind_prediction(program, with_loss=False):
    """Operations with the addresses of their kernels for prediction: no dropout; the outputs go into an array."""
    dtype, rows = program.dtype.type, []
    for op, function in zip(program.ops.copy(), program.functions, strict=True):
        kind = KINDS[op["kind"]]
        if kind == "input":
            op["forward"] = address(make_input_forward, dtype)
        elif kind == "loss":
            loss = np.array(op)
            op["forward"] = address(make_output_forward, dtype, LOSSES[function].link)
            if with_loss:
                loss["forward"] = address(make_loss_forward, dtype, function)
                rows.append(loss)
        elif kind != "dropout":
            _bind_dense(op, kind, function, dtype)
        rows.append(op)
    return np.array(rows, OP)


def _bind_dense(op, kind, function, dtype):
    make = make_sparse_dense_forward if kind == "sparse_dense" else make_dense_forward
    op["forward"] = address(make, dtype)
    op["function"] = address(make_activation, dtype, function) if function else 0


def flops_per_row(program):
    """Floating-point operations of one row, forward."""
    return 2 * sum(t.n_in * t.ld for t in program.tensors)


class Engine:
    """What training and prediction share: a frame filled with a program, its parameters and its data."""

    def __init__(self, program, params, ops):
        self.program, self.params, self.ops = program, params, ops
        self.itemsize = program.dtype.itemsize
        self.template = np.zeros((), FRAME)
        f = self.template
        f["ops"], f["n_ops"], f["params"] = data(ops), len(ops), data(params)
        f["product"] = address(make_product, program.dtype.type)
        f["n_outputs"], f["scale"], f["crew"] = program.n_outputs, 1.0, 1

    def set_inputs(self, frame, X):
        """Point a frame at the rows of X: an array with contiguous rows, or a tuple (values, indices, indptr)."""
        if isinstance(X, tuple):
            frame["inputs"], frame["indices"], frame["indptr"] = (data(a) for a in X)
            frame["n_rows"] = len(X[2]) - 1
        else:
            frame["inputs"], frame["ld_inputs"], frame["n_rows"] = data(X), X.shape[1], X.shape[0]

    def widest(self):
        """Largest depth of a product and largest padded width of the program."""
        tensors = self.program.tensors
        return max(max(t.n_in, t.n_out) for t in tensors), max(t.ld for t in tensors)


class Predictor(Engine):
    """Forward passes. Safe to call from several threads: every call has its own buffers."""

    def __init__(self, program, params, with_loss=False):
        super().__init__(program, params, bind_prediction(program, with_loss))
        self._predict = kernel(make_predict).ctypes
        self._panel = panel_size(self.widest()[0], program.dtype.type)

    def __call__(self, X, targets=None, weights=None, n_threads=None):
        """Outputs of shape (n_rows, n_outputs), and the weighted loss of every row if there are targets, else None.

        Parameters
        ----------
        X : ndarray or tuple
            See `Engine.set_inputs`.
        targets : ndarray of shape (n_rows, n_targets), default=None
        weights : ndarray of shape (n_rows,), default=None
        n_threads : callable, default=None
            Returns how many at most. Small work runs on one.
        """
        frame = self.template.copy()
        self.set_inputs(frame, X)
        n_rows = int(frame["n_rows"])
        outputs = np.empty((n_rows, self.program.n_outputs), self.program.dtype)
        losses = None if targets is None else np.empty(n_rows)
        frame["outputs"], frame["losses"] = data(outputs), data(losses)
        if targets is not None:
            frame["targets"], frame["n_targets"], frame["weights"] = data(targets), targets.shape[1], data(weights)
        seconds = flops_per_row(self.program) * n_rows / _GUESSED_SPEED
        pieces = int(seconds / _WORTH_A_CALL)
        crew = min(n_threads(), pieces) if n_threads and pieces > 1 else 1
        frame["crew"], frame["capacity"] = crew, min(PREDICT_BLOCK, max(n_rows, 1))
        frames = [frame.copy() for _ in range(crew)]
        memory = [self._buffers(frames[rank], rank) for rank in range(crew)]
        threads = [threading.Thread(target=self._predict, args=(data(f),)) for f in frames[1:]]
        for thread in threads:
            thread.start()
        self._predict(data(frames[0]))
        for thread in threads:
            thread.join()
        del memory  # the kernels are done with it
        return outputs, losses

    def _buffers(self, frame, rank):
        numbers = int(frame["capacity"]) * self.program.n_work
        memory = aligned_zeros(numbers + self._panel, self.program.dtype)
        frame["rank"], frame["work"], frame["panel"] = rank, data(memory), data(memory) + numbers * self.itemsize
        return memory


class Trainer(Engine):
    """Training: the state of an optimizer, the position in the epochs, and a crew.

    Parameters
    ----------
    program : Program
    params : ndarray of shape (n_params,)
        Changed in place.
    X : ndarray or tuple
        See `Engine.set_inputs`.
    targets : ndarray of shape (n_rows, n_targets)
    weights : ndarray of shape (n_rows,) or None
    alpha : float
    seed : int
        For the order of the rows and for dropout.
    n_threads : int
        At most.
    """

    def __init__(self, program, params, X, targets, weights, *, alpha, seed, n_threads):
        super().__init__(program, params, bind_training(program))
        self.X, self.targets, self.weights = X, targets, weights
        f = self.template
        self.set_inputs(f, X)
        f["training"], f["alpha"], f["seed"] = 1, alpha, seed
        f["targets"], f["n_targets"], f["weights"] = data(targets), targets.shape[1], data(weights)
        f["averaging"] = 1 / program.n_outputs if LOSSES[program.functions[-1]].averaged else 1.0
        self.n_threads, self.frames, self.crew = n_threads, None, None
        self.turned = aligned_zeros(max(program.n_transposed, 1), program.dtype)
        f["transposed"] = data(self.turned)

    def prepare(self, job, batch):
        """Make buffers for batches of `batch` rows, and the threads' frames for a job."""
        program, f = self.program, self.template
        dtype, n_rows = program.dtype, int(f["n_rows"])
        capacity = min(batch, n_rows, MAX_CAPACITY)
        depth, width = self.widest()
        strip = INSTRUCTION_SET.rows[0]
        self._memory = [aligned_zeros(capacity * program.n_work, dtype), np.zeros(capacity), None]
        f["work"], f["losses"], f["capacity"], f["strip"], f["batch"] = (
            data(self._memory[0]), data(self._memory[1]), capacity, strip, batch,
        )  # fmt: skip
        self._number_penalties(strip)
        if batch > capacity:
            self.gradient = aligned_zeros(program.n_params, dtype)
            f["gradient"] = data(self.gradient)
        work = flops_per_row(program) * 3 * min(batch, n_rows) / _GUESSED_SPEED
        size = self.n_threads if work > _WORTH_A_THREAD else 1
        tile, panel = strip * width, panel_size(max(depth, capacity), dtype.type)
        self._scratch = [aligned_zeros(tile + panel, dtype) for _ in range(size)]
        self.frames = []
        for scratch in self._scratch:
            frame = f.copy()
            frame["scratch"], frame["panel"] = data(scratch), data(scratch) + tile * self.itemsize
            self.frames.append(frame)
        self.crew = Crew(job, self.frames)
        self.pace = Pace(size, work)

    def _number_penalties(self, strip):
        count = 0
        for op in self.ops:
            if op["update"]:
                op["penalty"] = count
                count += -(-int(op["n_in"]) // strip)
        self.penalties = np.zeros(count)
        self.template["penalties"], self.template["n_penalties"] = data(self.penalties), count

    def refresh(self):
        """Copy the parameters into the transposed weights, after a change from outside."""
        for op, tensor in zip(self.ops[self.ops["update"] != 0], self.program.tensors, strict=True):
            if op["transposed"] >= 0:
                start, ld = int(op["transposed"]), int(op["ld_in"])
                block = self.turned[start : start + tensor.n_out * ld].reshape(tensor.n_out, ld)
                block[:, : tensor.n_in] = tensor.coef(self.params).T

    def start(self, optimizer, hyper, state, *, batch, shuffle, tol, patience):
        """Get ready to run epochs.

        Parameters
        ----------
        optimizer : str
        hyper : sequence of float
        state : dict
            ``s``, ``v``: arrays of the optimizer; ``step``, ``epoch``: how many there have been. Changed in place.
        batch : int
        shuffle : bool
        tol, patience : float
            Of the stopping rule on the training loss.
        """
        f = self.template
        self.optimizer, self.hyper, self.state = OPTIMIZERS[optimizer], tuple(hyper), state
        f["optimizer"] = address(make_optimizer, self.program.dtype.type, optimizer)
        for i, value in enumerate(self.hyper):
            f[f"hyper_{i}"] = value
        f["state_s"], f["state_v"] = data(state["s"]), data(state["v"])
        f["step"], f["epoch"], f["shuffle"], f["tol"], f["patience"] = state["step"], state["epoch"], shuffle, tol, patience
        f["best_loss"] = np.inf
        n_rows = int(f["n_rows"])
        self.order = np.arange(n_rows) if shuffle else None
        f["order"] = data(self.order)
        self.steps_per_epoch = -(-n_rows // batch)
        self.prepare((make_train, self.program.dtype.type), batch)
        self.refresh()

    def run_epochs(self, rates, best_loss, no_improvement, begin=0.0):
        """Run one epoch for every learning rate given, or fewer where the stopping rule says so.

        Parameters
        ----------
        rates : ndarray of shape (n_epochs,)
            Learning rate of each epoch.
        best_loss, no_improvement : float, int
            Where the stopping rule stands.
        begin : float
            `time.perf_counter` when the fit began.

        Returns
        -------
        epochs : list of (float, float)
            Loss of every epoch that was run, and the seconds since `begin` when it ended. Epochs that ended in one
            compiled call share its time evenly.
        best_loss, no_improvement : float, int
        """
        losses, seconds = np.zeros(len(rates)), []
        first = self.frames[0]
        first["best_loss"], first["no_improvement"] = best_loss, no_improvement
        first["epochs_left"], first["epochs_done"], first["epoch_losses"] = len(rates), 0, data(losses)
        while first["epochs_left"] > 0 and first["no_improvement"] <= first["patience"]:
            started, before = time.perf_counter() - begin, int(first["epochs_done"])
            self._call(rates)
            ended = int(first["epochs_done"]) - before
            seconds += np.linspace(started, time.perf_counter() - begin, ended + 1)[1:].tolist()
        self.state["step"], self.state["epoch"] = int(first["step"]), int(first["epoch"])
        epochs = list(zip(losses[: len(seconds)].tolist(), seconds, strict=True))
        return epochs, float(first["best_loss"]), int(first["no_improvement"])

    def _call(self, rates):
        first = self.frames[0]
        size, steps = self.pace.choose(CALL_SECONDS)
        done = int(first["epochs_done"]) * self.steps_per_epoch + -(-int(first["row"]) // int(first["batch"]))
        steps = min(steps, len(rates) * self.steps_per_epoch - done)
        t = int(first["step"]) + 1 + np.arange(steps)
        scheduled = np.asarray(rates)[(done + np.arange(steps)) // self.steps_per_epoch]
        sizes = np.ascontiguousarray(self.optimizer.facts["step_size"](scheduled, t, self.hyper), np.float64)
        first["rates"], first["steps_left"], first["steps_done"], first["crew"] = data(sizes), steps, 0, size
        if size > 1:
            self._brief(size)
        begin = time.perf_counter()
        self.crew.run(size)
        self.pace.record(size, int(first["steps_done"]), time.perf_counter() - begin)

    def _brief(self, size):
        """Give all frames the first one's state."""
        first = self.frames[0]
        for rank, frame in enumerate(self.frames[1:], 1):
            own = frame["scratch"].copy(), frame["panel"].copy()
            frame[...] = first
            frame["rank"], frame["scratch"], frame["panel"] = rank, *own

    def loss_and_gradient(self):
        """Sum of the weighted losses over all rows, and the gradient of it as a vector like `params`."""
        if self.crew is None:
            n_rows = int(self.template["n_rows"])
            self.gradient = aligned_zeros(self.program.n_params, self.program.dtype)
            self.template["gradient"] = data(self.gradient)
            self.prepare((make_loss_and_gradient,), n_rows)
        self.gradient[:] = 0
        self.refresh()
        size = self.pace.choose(CALL_SECONDS)[0]
        self.frames[0]["crew"] = size
        if size > 1:
            self._brief(size)
        begin = time.perf_counter()
        self.crew.run(size)
        self.pace.record(size, 1, time.perf_counter() - begin)
        return float(self.frames[0]["sum_loss"]), self.gradient

    def total_weight(self):
        """Sum of the sample weights."""
        return float(self.template["n_rows"]) if self.weights is None else float(self.weights.sum(dtype=np.float64))

    def close(self):
        """End the threads."""
        if self.crew is not None:
            self.crew.close()


def compile_everything(dtypes):
    """Compile every kernel of every registry; the number of kernels."""
    for kind in dtypes:
        dtype = np.dtype(kind).type
        for make in (make_input_forward, make_dense_forward, make_sparse_dense_forward, make_dense_backward,
                     make_dropout_forward, make_product, make_train):  # fmt: skip
            kernel(make, dtype)
        for is_sparse in (False, True):
            kernel(make_update, dtype, is_sparse)
        for registry, make in ((ACTIVATIONS, make_activation), (LOSSES, make_loss_forward), (LINKS, make_output_forward),
                               (OPTIMIZERS, make_optimizer)):  # fmt: skip
            for name in registry:
                kernel(make, dtype, name)
    for make in (make_predict, make_loss_and_gradient, make_serve, make_lead):
        kernel(make)
    return len(compiled_kernels())
