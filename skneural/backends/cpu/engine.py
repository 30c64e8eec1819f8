"""Run programs on the CPU: fill in frames, own the buffers, choose the number of threads."""

import threading
import time

import numpy as np

from skneural.backends.cpu.binding import bind_prediction, bind_training
from skneural.backends.cpu.compiler import address, kernel
from skneural.backends.cpu.crew import Crew, Pace
from skneural.backends.cpu.frame import Frame, data
from skneural.backends.cpu.product import make_product, panel_size
from skneural.backends.cpu.simd import INSTRUCTION_SET
from skneural.backends.cpu.updates import make_optimizer
from skneural.backends.cpu.walker import make_loss_and_gradient, make_predict, make_train
from skneural.maths import random
from skneural.maths.losses import LOSSES, n_settings
from skneural.maths.optimizers import OPTIMIZERS
from skneural.network.program import N_CONSTANTS, Sequences, aligned_zeros

#: Rows of a piece of a batch, at the most: larger batches are run in pieces, so buffers stay small.
MAX_CAPACITY = 2048
#: Rows that a prediction runs through the network at a time.
PREDICT_BLOCK = 112
#: The same for sequences: as many as fit a second-level cache, but enough for a tile of a product.
PREDICT_BYTES, SMALLEST_BLOCK = 1 << 19, 14
#: Bytes of buffers that pieces of a batch of sequences may take.
SEQUENCE_BYTES = 1 << 26
#: Floating-point operations a second that one thread reaches on small products: only to guess the first call's length.
_GUESSED_SPEED = 3e10
#: Seconds of work in a step from which a second thread is tried.
_WORTH_A_THREAD = 6e-5
#: Seconds of work from which a prediction starts a thread.
_WORTH_A_CALL = 2e-4
#: Numbers in a cache line, at the most.
_LINE = 16
#: How many times longer than planned a call on several threads may take.
OVERRUN = 2
#: Seconds a compiled call should last at the most, so that Ctrl-C is heard.
CALL_SECONDS = 0.1


def flops_per_row(program):
    """Floating-point operations of one row, forward."""
    return 2 * sum(t.n_rows * t.ld * (max(program.n_timesteps, 1) if t.n_gates else 1) for t in program.tensors)


class Engine:
    """What training and prediction share: a frame filled with a program, its parameters and its data."""

    def __init__(self, program, params, ops):
        self.program, self.params, self.ops = program, params, ops
        self.itemsize = program.dtype.itemsize
        self.settings, loss = np.array(program.settings, program.dtype), program.functions[-1]
        if len(self.settings) != n_settings(loss, program.n_outputs):
            raise ValueError(f"The loss {loss!r} needs {n_settings(loss, program.n_outputs)} constants.")
        self.template = Frame()
        self.template.update(
            ops=data(ops), n_ops=len(ops), params=data(params), n_params=program.n_params,
            product=address(make_product, program.dtype.type), settings=data(self.settings), scale=1.0, crew=1,
        )  # fmt: skip

    def set_inputs(self, frame, X):
        """Point a frame at X: an array with contiguous rows, a tuple (values, indices, indptr), or `Sequences`."""
        if isinstance(X, tuple):
            values, indices, indptr = X
            frame.update(inputs=data(values), indices=data(indices), indptr=data(indptr), n_rows=len(indptr) - 1)
        elif isinstance(X, Sequences):
            by_sample, by_step, by_feature = X.values.strides
            frame.update(
                inputs=data(X.values), lengths=data(X.lengths), n_rows=len(X.values),
                ld_inputs=by_sample // self.itemsize, ld_steps=by_step // self.itemsize,
                ld_features=by_feature // self.itemsize,
            )  # fmt: skip
        else:
            frame.update(inputs=data(X), ld_inputs=X.shape[1], n_rows=X.shape[0])

    def widest(self):
        """Largest depth of a product and largest padded width of the program."""
        tensors = self.program.tensors
        return max(max(t.n_in, t.ld) for t in tensors), max(t.ld for t in tensors)


class Predictor(Engine):
    """Forward passes. Safe to call from several threads: every call has its own buffers."""

    def __init__(self, program, params, with_loss=False):
        super().__init__(program, params, bind_prediction(program, with_loss))
        self._predict = kernel(make_predict).ctypes
        self._panel = panel_size(self.widest()[0], program.dtype.type)
        self._seconds_a_row = flops_per_row(program) / _GUESSED_SPEED
        self._block = PREDICT_BLOCK
        if program.n_timesteps:
            row = program.n_work * self.itemsize
            fits = min(max(SMALLEST_BLOCK, PREDICT_BYTES // row), SEQUENCE_BYTES // row)
            self._block = max(1, min(PREDICT_BLOCK, fits))

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
        n_rows = frame["n_rows"]
        outputs = np.empty((n_rows, self.program.n_outputs), self.program.dtype)
        losses = None
        if targets is not None:
            losses = np.empty(n_rows)
            frame.update(targets=data(targets), n_targets=targets.shape[1], weights=data(weights), losses=data(losses))
        frame["outputs"], frame["capacity"] = data(outputs), min(self._block, n_rows)
        pieces = int(self._seconds_a_row * n_rows / _WORTH_A_CALL)
        crew = min(n_threads(), pieces) if n_threads and pieces > 1 else 1
        if crew == 1:
            self._run(frame)
        else:
            self._run_together(frame, crew)
        return outputs, losses

    def _run(self, frame):
        """One thread's rows, in buffers of its own."""
        numbers = frame["capacity"] * self.program.n_work
        memory = np.empty(numbers + self._panel + _LINE, self.program.dtype)
        work = -(-data(memory) // 64) * 64
        frame["work"], frame["panel"] = work, work + numbers * self.itemsize
        self._predict(frame.address)

    def _run_together(self, frame, crew):
        frame["crew"] = crew
        frames = [frame.copy() for _ in range(crew)]
        threads = []
        for rank in range(1, crew):
            frames[rank]["rank"] = rank
            threads.append(threading.Thread(target=self._run, args=(frames[rank],)))
            threads[-1].start()
        self._run(frames[0])
        for thread in threads:
            thread.join()


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
    alpha, l1_ratio : float
        Of the penalty.
    seed : int
        For the order of the rows and for dropout.
    n_threads : int
        At most.
    limits : dict, default=None
        ``clip_norm`` and ``clip_value`` of the gradient, ``max_norm`` of a unit's incoming weights; none without.
    monitor : bool, default=False
        Whether to measure the norms of the layers' gradients.
    """

    def __init__(
        self, program, params, X, targets, weights, *, alpha, seed, n_threads, l1_ratio=0.0, limits=None, monitor=False
    ):
        limits = {"clip_norm": 0.0, "clip_value": np.inf, "max_norm": 0.0} | (limits or {})
        super().__init__(program, params, bind_training(program, constrain=limits["max_norm"] > 0))
        self.X, self.targets, self.weights = X, targets, weights
        self.n_threads, self.frames, self.crew, self.monitor = n_threads, None, None, monitor
        self.layer_norms = None
        self.turned = aligned_zeros(max(program.n_transposed, 1), program.dtype)
        self._kept = params.copy(), params.copy()
        self.set_inputs(self.template, X)
        self.template.update(
            training=1, alpha=alpha, l1_ratio=l1_ratio, seed=seed, **limits,
            targets=data(targets), n_targets=targets.shape[1], weights=data(weights),
            good=data(self._kept[0]), candidate=data(self._kept[1]), good_epoch=-1,
            averaging=1 / program.n_outputs if LOSSES[program.functions[-1]].averaged else 1.0,
            transposed=data(self.turned), n_layers=len(program.tensors),
        )  # fmt: skip

    def prepare(self, job, batch):
        """Make buffers for batches of `batch` rows, and the threads' frames for a job."""
        program, f = self.program, self.template
        dtype, n_rows = program.dtype, f["n_rows"]
        # Statistics of a batch need all of it; everything else can be had in pieces.
        most = MAX_CAPACITY if program.n_statistics == 0 else n_rows
        if program.n_timesteps:
            most = max(1, min(most, SEQUENCE_BYTES // (program.n_work * self.itemsize)))
        capacity = min(batch, n_rows, most)
        depth, width = self.widest()
        strip = INSTRUCTION_SET.rows[0]
        self.work, self.losses = aligned_zeros(capacity * program.n_work, dtype), np.zeros(capacity)
        self.statistics = aligned_zeros(max(program.n_statistics, 1), dtype)
        f.update(work=data(self.work), losses=data(self.losses), capacity=capacity, strip=strip, batch=batch)
        f["statistics"] = data(self.statistics)
        self._number_slots(strip)
        if batch > capacity or f["clip_norm"] > 0 or program.n_timesteps:
            self.gradient = aligned_zeros(program.n_params, dtype)
            f["gradient"] = data(self.gradient)
        work = flops_per_row(program) * 3 * min(batch, n_rows) / _GUESSED_SPEED
        size = self.n_threads if work > _WORTH_A_THREAD else 1
        tile, panel = strip * width, panel_size(max(depth, capacity), dtype.type)
        self._scratch = [aligned_zeros(tile + panel, dtype) for _ in range(size)]
        self.frames = []
        for scratch in self._scratch:
            frame = f.copy()
            frame.update(scratch=data(scratch), panel=data(scratch) + tile * self.itemsize)
            self.frames.append(frame)
        self.crew = Crew(job, self.frames)
        self.pace = Pace(size, work)

    def _number_slots(self, strip):
        """Every strip of weights and every bias has a place for its partial sums; a normalisation uses the first."""
        count, f = 0, self.template
        for op in self.ops:
            if op["update"]:
                sizes = [op["n_in"], op["n_out"]] if op["recurrent"] >= 0 else [op["n_in"]]
                op["slot"], op["n_slots"] = count, sum(-(-int(size) // strip) for size in sizes) + 1
                count += int(op["n_slots"])
        self.penalties = np.zeros(count)
        self.squares = np.zeros(count) if self.monitor or f["clip_norm"] > 0 else None
        f.update(penalties=data(self.penalties), squares=data(self.squares), n_slots=count)

    def refresh(self):
        """Copy the parameters into the transposed weights, after a change from outside."""
        for op in self.ops:
            if op["transposed"] >= 0 or op["recurrent_transposed"] >= 0:
                tensor = self.program.tensors[op["layer"]]
                self._turn(tensor.matrix(self.params), int(op["transposed"]), int(op["ld_in"]))
                if op["recurrent_transposed"] >= 0:
                    states = tensor.recurrent_matrix(self.params)
                    self._turn(states, int(op["recurrent_transposed"]), int(op["ld_out"]))

    def _turn(self, matrix, start, ld):
        """Write a matrix of weights transposed, in rows of length `ld`."""
        if start >= 0:
            n_in, n_out = matrix.shape
            self.turned[start : start + n_out * ld].reshape(n_out, ld)[:, :n_in] = matrix.T

    def start(self, optimizer, hyper, state, *, batch, shuffle, tol, patience, weight_decay=0.0):
        """Get ready to run epochs.

        Parameters
        ----------
        optimizer : str
        hyper : sequence of float
        state : dict
            ``s``, ``v``: arrays of the optimizer; ``step``, ``epoch``: how many there have been; ``batches``: the same
            with those of earlier fits. Changed in place.
        batch : int
        shuffle : bool
        tol, patience : float
            Of the stopping rule on the training loss.
        weight_decay : float, default=0.0
            Share of a weight that decays in a step, times the learning rate, for optimizers that decouple it.
        """
        f = self.template
        n_rows = f["n_rows"]
        self.optimizer, self.hyper, self.state = OPTIMIZERS[optimizer], tuple(hyper), state
        self.weight_decay = weight_decay if self.optimizer.decoupled else 0.0
        self.order = np.arange(n_rows) if shuffle else None
        self.steps_per_epoch, self.first_epoch = -(-n_rows // batch), state["epoch"]
        f.update(
            optimizer=address(make_optimizer, self.program.dtype.type, self.optimizer),
            state_s=data(state["s"]), state_v=data(state["v"]), step=state["step"], epoch=state["epoch"],
            batches=state.get("batches", 0),
            shuffle=shuffle, order=data(self.order), tol=tol, patience=patience,
        )  # fmt: skip
        self.prepare((make_train, self.program.dtype.type), batch)
        self.refresh()

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
            compiled call share its time evenly.
        best_loss, no_improvement : float, int
        """
        losses, rates = np.zeros(len(rates)), rates.reshape(len(rates), -1)
        if self.monitor:
            begun, self.layer_norms = self.layer_norms, np.zeros((len(rates) + 1, len(self.program.tensors)))
            if begun is not None:  # the epoch in which the call before ended
                self.layer_norms[0] = begun[-1]
        first = self.frames[0]
        first.update(best_loss=best_loss, no_improvement=no_improvement)
        epochs = np.arange(first["epoch"], first["epoch"] + len(rates), dtype=np.uint64)
        keys = random.key(first["seed"], random.ORDER, epochs).astype(np.int64)
        first.update(epochs_left=len(rates), epochs_done=0, epoch_losses=data(losses), order_keys=data(keys))
        first["layer_norms"] = data(self.layer_norms)
        started = time.perf_counter() - begin
        while first["epochs_done"] == 0:
            self._call(rates)
        begun = -(-first["row"] // first["batch"])  # steps of an epoch that the next call ends
        self.state.update(step=first["step"] - begun, epoch=first["epoch"], batches=first["batches"] - begun)
        done = first["epochs_done"]
        seconds = np.linspace(started, time.perf_counter() - begin, done + 1)[1:]
        epochs = list(zip(losses[:done].tolist(), seconds.tolist(), strict=True))
        if self.monitor:
            self.layer_norms = self.layer_norms[: done + 1]
            self.layer_norms[:done] /= self.steps_per_epoch
        return epochs, first["best_loss"], first["no_improvement"]

    def _call(self, rates):
        first = self.frames[0]
        size, steps = self.pace.choose(CALL_SECONDS)
        done = first["epochs_done"] * self.steps_per_epoch + -(-first["row"] // first["batch"])
        steps = min(steps, len(rates) * self.steps_per_epoch - done)
        epoch, step = np.divmod(done + np.arange(steps), self.steps_per_epoch)
        constants = self._constants(rates[epoch, step % rates.shape[1]], first["step"] + 1 + np.arange(steps))
        first.update(constants=data(constants), steps_left=steps, steps_done=0)
        self._run(size, steps, lambda: first["steps_done"])

    def good_parameters(self):
        """The parameters with which the epoch of the smallest loss began; whether they are others than at the start."""
        first = self.frames[0]
        good = next(kept for kept in self._kept if data(kept) == first["good"])
        return good, first["good_epoch"] > self.first_epoch

    def _constants(self, rates, t):
        """What the updates number `t` need: a row of constants of the optimizer each, and how much weights shrink."""
        constants = np.zeros((len(t), N_CONSTANTS))
        for i, values in enumerate(self.optimizer.constants(rates, t, *self.hyper)):
            constants[:, i] = values
        constants[:, -1] = rates * self.weight_decay
        return constants

    def _run(self, size, steps, steps_done):
        """Run `steps` steps of the job on `size` threads, and note how long those took that were done."""
        # Threads that wait for one another on busy cores may take a thousand times as long as planned: they turn back.
        deadline, fresh = 0.0, False
        if size > 1:
            fresh = self.crew.start()
            deadline = time.perf_counter() + OVERRUN * steps * self.pace.seconds_a_step[size] if steps else 0.0
        self.frames[0].update(crew=size, deadline=deadline)
        for frame in self.frames[1:size]:
            frame.follow(self.frames[0], keep=("rank", "scratch", "panel"))
        begin = time.perf_counter()
        self.crew.run(size)
        if not fresh:  # the first call waits until new threads are on a core, which says nothing of the next
            self.pace.record(size, steps_done(), time.perf_counter() - begin)

    def loss_and_gradient(self):
        """Sum of the weighted losses over all rows, and the gradient of it as a vector like `params`."""
        if self.crew is None:
            self.gradient = aligned_zeros(self.program.n_params, self.program.dtype)
            self.template["gradient"] = data(self.gradient)
            self.prepare((make_loss_and_gradient,), self.template["n_rows"])
        self.refresh()
        self._run(self.pace.choose(CALL_SECONDS)[0], 0, lambda: 1)  # one step, which must be finished
        return self.frames[0]["sum_loss"], self.gradient

    def total_weight(self):
        """Sum of the sample weights."""
        return float(len(self.targets)) if self.weights is None else float(self.weights.sum(dtype=np.float64))

    def close(self):
        """End the threads."""
        if self.crew is not None:
            self.crew.close()
