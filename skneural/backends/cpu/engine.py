"""Run programs on the CPU: fill in frames, own the buffers, choose the number of threads."""

import time

import numpy as np

from skneural.backends.base import CALL_SECONDS, BaseTrainer, check_settings
from skneural.backends.cpu import crew
from skneural.backends.cpu.binding import bind_prediction, bind_training, keys_of_fit, tables_of_passes
from skneural.backends.cpu.buffers import BEHIND, Spare, buffers_for
from skneural.backends.cpu.catalogue import address, function
from skneural.backends.cpu.layout import (
    CHUNK_ROWS,
    GRADIENT_NUMBERS,
    PANEL_NUMBERS,
    STRIP,
    STRIPS,
    make_claims,
    strip_pitch,
)
from skneural.backends.cpu.pool import Pace, Pool
from skneural.backends.cpu.threads import run_together
from skneural.backends.cpu.weights import lay_out_weights, panels_of, spectra_of
from skneural.backends.frame import Frame, data
from skneural.backends.inputs import Inputs, Sequences
from skneural.backends.passes import source_of
from skneural.network.memory import aligned_zeros

#: Rows of a chunk of a batch, at the most: larger batches are run in chunks, so buffers stay small.
MAX_CAPACITY = 2048
#: Rows that a prediction runs through the network at a time.
PREDICT_BLOCK = 112
#: The same for sequences: as many as fit a second-level cache, but enough for a tile of a product.
PREDICT_BYTES = 1 << 19
SMALLEST_BLOCK = 14
#: Bytes of buffers that chunks of a batch of sequences may take.
SEQUENCE_BYTES = 1 << 26
#: Floating-point operations a second that one thread reaches on small products: only to guess the first call's length.
_GUESSED_SPEED = 3e10
#: Seconds of work in a step from which a second thread is tried.
_WORTH_A_THREAD = 6e-5
#: Seconds of work from which a prediction starts a thread.
_WORTH_A_CALL = 2e-4
#: Seconds of work on rows that are claimed together: with less of it, threads have fixed shares of a batch.
_WORTH_A_CLAIM = 5e-4
#: How many rows or steps must meet a weight in a prediction, on average, so that it pays to lay the weights out.
_WORTH_PANELS = 96
#: How many times longer than planned a call on several threads may take.
OVERRUN = 2


def frame_fields(program, params, ops, settings):
    """Fields of a frame that say which program runs on which parameters."""
    return {
        "ops": data(ops),
        "n_ops": len(ops),
        "params": data(params),
        "n_params": program.n_params,
        "product": address("product", program.dtype.type),
        "window_product": address("window_product", program.dtype.type) if program.has_windows else 0,
        "settings": data(settings),
        "scale": 1.0,
        "n_threads": 1,
        "step_end": 1,
        "step_pieces": 1,
    }


def get_ready(program, solver, n_threads):
    """Compile what a fit needs and is not there, in up to as many processes as it has threads."""
    if solver not in program.prepared:
        crew.get_ready(keys_of_fit(program, solver), n_threads)
        program.prepared.add(solver)


def set_inputs(frame, X):
    """Point a frame at X: an array with contiguous rows, a tuple (values, indices, indptr), or `Sequences`."""
    if isinstance(X, tuple):
        values, indices, indptr = X
        frame.update(inputs=data(values), indices=data(indices), indptr=data(indptr), n_rows=len(indptr) - 1)
    elif isinstance(X, Sequences):
        values = X.values
        itemsize = values.itemsize
        by_sample, by_step, by_feature = values.strides
        frame.inputs = data(values)
        frame.lengths = data(X.lengths)
        frame.integers = 0 if values.dtype.kind == "f" else itemsize
        frame.n_rows = len(values)
        frame.ld_inputs = by_sample // itemsize
        frame.ld_steps = by_step // itemsize
        frame.ld_features = by_feature // itemsize
    else:
        frame.inputs = data(X)
        frame.n_rows, frame.ld_inputs = X.shape


def widest(program):
    """Largest padded width of the program."""
    widths = [block.ld for block in program.matrices]
    for operation in program.operations:
        values = [operation.output, *operation.inputs]
        widths += [value.ld for value in values if value]
    return max(widths)


class Predictor:
    """Forward passes. Safe to call from several threads: every call has its own buffers."""

    def __init__(self, program, params, with_loss=False):
        if program.training:  # what only training has, like dropout, is not there in prediction
            program = program.variant(sparse=program.sparse, training=False)
        self.inputs = Inputs(program)
        self.inputs.check_vector("The vector of parameters", params)
        self.program = program
        self.params = params
        self.ops = bind_prediction(program, with_loss)
        self.itemsize = program.dtype.itemsize
        self.settings = check_settings(program)
        self.template = Frame()
        self.template.update(**frame_fields(program, params, self.ops, self.settings))
        self._predict = function(1, "predict")
        self._in_panels = panels_of(program)
        self._spare = Spare(self.inputs.dtype)
        self._spare_panels = Spare(self.inputs.dtype)
        self._seconds_a_row = program.flops / _GUESSED_SPEED
        self._block = PREDICT_BLOCK
        if program.has_steps:
            row = program.n_work * self.itemsize
            fits = min(max(SMALLEST_BLOCK, PREDICT_BYTES // row), SEQUENCE_BYTES // row)
            self._block = max(1, min(PREDICT_BLOCK, fits))

    def __call__(self, X, targets=None, weights=None, n_threads=None):
        """Outputs of shape (n_rows, n_outputs), and the weighted loss of every row if there are targets, else None.

        Parameters
        ----------
        X : ndarray or tuple
            See `set_inputs`.
        targets : ndarray of shape (n_rows, n_targets), default=None
        weights : ndarray of shape (n_rows,), default=None
        n_threads : callable, default=None
            Returns how many at most. Small work runs on one.

        Raises
        ------
        TypeError, ValueError
            If an array is not what the program reads.
        """
        frame = self.template.copy()
        n_rows = self.inputs.check(X, targets, weights)
        set_inputs(frame, X)
        outputs = np.empty((n_rows, self.program.n_outputs), self.inputs.dtype)
        losses = None
        if targets is not None:
            losses = np.empty(n_rows)
            frame.update(targets=data(targets), n_targets=targets.shape[1], weights=data(weights), losses=data(losses))
        panels = self._lay_out_weights(frame)
        frame.outputs = data(outputs)
        frame.capacity = min(self._block, n_rows)
        shares = int(self._seconds_a_row * n_rows / _WORTH_A_CALL)
        most = min(shares, n_rows)
        size = min(n_threads(), most) if n_threads and most > 1 else 1
        if size == 1:
            self._run(frame)
        else:
            self._run_together(frame, size, held=(X, targets, weights, outputs, losses, panels))
        if panels is not None:
            self._spare_panels.give_back(panels)
        return outputs, losses

    def _run_together(self, frame, size, held):
        """All rows, on several threads that hold what they work on."""
        claims, pitch = make_claims(1, size)
        frame.update(n_threads=size, claims=data(claims), claims_pitch=pitch)
        frames = [frame.copy() for _ in range(size)]
        for rank, copy in enumerate(frames):
            copy["rank"] = rank
        run_together(self._run, frames, held=(*held, claims))

    def close(self):
        """Nothing to do: other backends keep memory."""

    def _run(self, frame):
        """One thread's rows, in buffers of its own."""
        memory = self._spare.take(frame.capacity * self.program.n_work + BEHIND)
        frame.work = data(memory)
        self._predict(frame.address)
        self._spare.give_back(memory)

    def _lay_out_weights(self, frame):
        """Panels of the weights, for all threads, or None where they would not pay."""
        fields = []
        wanted = []
        for field, (blocks, flops) in self._in_panels.items():
            n_weights = sum(block.size for block in blocks)
            if blocks and flops * frame.n_rows >= 2 * _WORTH_PANELS * n_weights:
                fields.append(field)
                wanted += blocks
        if not wanted:
            return None
        panels = self._spare_panels.take(self.program.n_params)
        frame.panels = data(panels)
        lay_out_weights(self.program, frame, wanted)
        frame.panels = 0
        frame.update(**dict.fromkeys(fields, data(panels)))
        return panels


class Trainer(BaseTrainer):
    """Training on the CPU: a pool of threads, each with a frame of its own. See `BaseTrainer`.

    Parameters
    ----------
    n_threads : int
        At most.
    """

    def __init__(self, program, params, X, targets, weights, *, n_threads, **settings):
        super().__init__(program, params, X, targets, weights, **settings)
        self.ops, self.n_work = bind_training(program, constrain=self.template["max_norm"] > 0)
        self.n_threads = n_threads
        self.frames = None
        self.pool = None
        self.transposed = aligned_zeros(max(program.n_transposed, 1), program.dtype)
        self.panels = aligned_zeros(program.n_params, program.dtype)
        self._snapshots = [params.copy(), params.copy()]
        set_inputs(self.template, X)
        self.template.update(
            **frame_fields(program, params, self.ops, self.settings),
            targets=data(targets),
            weights=data(weights),
            best=data(self._snapshots[0]),
            snapshot=data(self._snapshots[1]),
            transposed=data(self.transposed),
            panels=data(self.panels),
            window_panels=data(self.panels),
            passes=data(self.passes),
            n_passes=len(self.passes),
        )

    @property
    def frame(self):
        """The first thread's frame: where the run stands."""
        return self.frames[0]

    def prepare(self, job, batch):
        """Make buffers for batches of `batch` rows, and the threads' frames for a job."""
        program = self.program
        f = self.template
        dtype = program.dtype
        n_rows = f["n_rows"]
        capacity = self._capacity_for(batch)
        work = max(program.flops, 1) * 3 * min(batch, n_rows) / _GUESSED_SPEED
        is_shared = work > _WORTH_A_THREAD
        row_block = STRIP if is_shared else STRIPS * STRIP  # threads can share small ones more evenly
        self.work = buffers_for(program, self.n_work, capacity)
        self.losses = np.zeros(capacity)
        self.hits = None if self.sources is None else np.zeros(capacity)
        self.statistics = aligned_zeros(max(program.n_statistics, 1), dtype)
        f.update(
            work=data(self.work),
            losses=data(self.losses),
            hits=data(self.hits),
            statistics=data(self.statistics),
            capacity=capacity,
            row_block=row_block,
            batch=batch,
        )
        # Statistics of a batch need all threads at once, and steps of a sequence read the weights once for all rows.
        splits = not (program.n_statistics or program.has_steps or program.has_windows)
        splits = splits and work * STRIPS * STRIP / min(batch, n_rows) > _WORTH_A_CLAIM
        self._number_slots(row_block)
        self._tables = tables_of_passes(program, self.ops, self.passes)
        self.passes["ops"] = [data(table) for table in self._tables]
        self._limit_spectra()
        stores = any(operation.traits.stores_gradient for operation in program.operations)
        self._name_sources()
        if batch > capacity or f["clip_norm"] > 0 or stores or self.passes["gathers"].any():
            self.gradient = aligned_zeros(program.n_params, dtype)
            f["gradient"] = data(self.gradient)
        size = self.n_threads if is_shared else 1
        gradients = max(STRIPS * STRIP, CHUNK_ROWS) * widest(program)
        if program.has_windows:
            gradients = max(gradients, GRADIENT_NUMBERS)
            gradients += max(gradients, 2 * PANEL_NUMBERS)  # panels and strips, or the gradient of a group
        strips = STRIPS * strip_pitch(max(capacity, CHUNK_ROWS), self.itemsize)
        self._scratch = [aligned_zeros(gradients + strips, dtype) for _ in range(size)]
        self.claims, pitch = make_claims(3 * len(program.ops) + 1, size)
        f.update(claims=data(self.claims), claims_pitch=pitch, claims_rows=int(splits))
        self.frames = []
        for scratch in self._scratch:
            frame = f.copy()
            frame.update(scratch=data(scratch), strips=data(scratch) + gradients * self.itemsize)
            self.frames.append(frame)
        self.pool = Pool(job, self.frames)
        self.pace = Pace(size, work)

    def _capacity_for(self, batch):
        """Rows that the buffers are made for."""
        program = self.program
        n_rows = self.template["n_rows"]
        if program.n_statistics > 0:  # statistics of a batch need all of it; everything else can be had in chunks
            return min(batch, n_rows)
        most = MAX_CAPACITY
        if program.has_steps:
            most = max(1, min(most, SEQUENCE_BYTES // (self.n_work * self.itemsize)))
        return min(batch, n_rows, most)

    def _number_slots(self, row_block):
        """Every block of weights and every bias has a slot for its partial sums; a normalisation uses the first."""
        count = 0
        f = self.template
        for op, operation in zip(self.ops, self.program.operations, strict=True):
            op["slot"] = count
            op["n_slots"] = 0
            if op["update"]:
                together = 1 if operation.traits.updates_rows else row_block
                weights = [block.n_rows for block in operation.blocks if block.penalised]
                op["n_slots"] = sum(-(-n_rows // together) for n_rows in weights) + 1
                count += int(op["n_slots"])
        self.penalties = np.zeros(count)
        measures = self.monitor or self.sources is not None or f["clip_norm"] > 0
        self.squares = np.zeros(count) if measures else None
        f.update(penalties=data(self.penalties), squares=data(self.squares), n_slots=count)

    def _limit_spectra(self):
        """Name the matrices whose spectral norms passes limit."""
        if self.passes["spectral_norm"].any():
            self._spectra = spectra_of(self.program)
            kernel = address("limit_spectrum", self.program.dtype.type)
            self.template.update(spectra=data(self._spectra), n_spectra=len(self._spectra), limit_spectrum=kernel)

    def _name_sources(self):
        """Tell the passes where their samples come from."""
        if self.sources is None:
            return
        self._records = [source_of(self.template, changes) for changes in self.sources]
        self.passes["source"] = [data(record) for record in self._records]

    def refresh(self):
        """Lay the weights out for products, after a change from outside."""
        lay_out_weights(self.program, self.template, self.program.matrices)

    def start(self, optimizer, hyper, state, *, shuffle, batch, **rules):
        """Get ready to run epochs: see `BaseTrainer.start`."""
        super().start(optimizer, hyper, state, shuffle=shuffle, batch=batch, **rules)
        dtype = self.program.dtype.type
        self.order = np.arange(self.template["n_rows"]) if shuffle else None
        self.template.update(
            optimizer=address("optimizer", dtype, self.optimizer),
            state_s=data(state.s),
            state_v=data(state.v),
            order=data(self.order),
        )
        self.prepare(("train", dtype), batch)
        self.refresh()

    def can_renew(self, n_rows):
        """Whether `renew` can follow, with so many rows: as many as before, for which buffers and orders were made."""
        works_alone = self.frames is not None and len(self.frames) == 1 and self.sources is None
        return works_alone and n_rows == self.template["n_rows"]

    def renew(self, X, targets, weights):
        """Go on with the epochs on other rows, as many as before: for batches that come one by one.

        Buffers, operations and the state of the optimizer stay.
        """
        self.inputs.check_training(self.params, X, targets, weights)
        if not self.can_renew(len(targets)):
            raise ValueError(f"A trainer of {self.template['n_rows']} rows cannot go on with {len(targets)}.")
        self.X = X
        self.targets = targets
        self.weights = weights
        set_inputs(self.frame, X)
        for snapshot in self._snapshots:
            snapshot[:] = self.params
        self.first_epoch = self.state.epoch
        self.layer_norms = None
        self.frame.update(
            targets=data(targets),
            weights=data(weights),
            row=0,
            sum_loss=0.0,
            step=self.state.step,
            epoch=self.state.epoch,
            batches=self.state.batches,
            best_epoch=-1,
            best=data(self._snapshots[0]),
            snapshot=data(self._snapshots[1]),
        )
        self.refresh()

    def release(self):
        """Let go of the rows, until there are others."""
        self.X = self.targets = self.weights = None

    def _call(self, rates):
        first = self.frame
        size, steps = self.pace.choose(CALL_SECONDS)
        of_epoch = -(-first["row"] // first["batch"])
        done = first["epochs_done"] * self.steps_per_epoch + of_epoch
        left = self.steps_per_epoch - of_epoch
        if steps > left:  # calls end with an epoch: what is noted of its time is its own
            steps = left + (steps - left) // self.steps_per_epoch * self.steps_per_epoch
        steps = min(steps, len(rates) * self.steps_per_epoch - done)
        self.step_constants = self.constants_of_passes(rates, done, steps)
        first.update(
            constants=data(self.step_constants),
            steps_left=steps,
            steps_done=0,
            order_keys=data(self.order_keys),
            epoch_losses=data(self.losses_of_epochs),
            layer_norms=data(self.layer_norms),
            notes=data(self.notes),
        )
        self._run(size, steps, lambda: first["steps_done"])

    def best_parameters(self):
        """The parameters with which the epoch of the smallest loss began; whether they are others than at the start."""
        frame = self.frame
        best = next(snapshot for snapshot in self._snapshots if data(snapshot) == frame["best"])
        return best, frame["best_epoch"] > self.first_epoch

    def _run(self, size, steps, steps_done):
        """Run `steps` steps of the job on `size` threads, and note how long those took that were done."""
        is_new = False
        if size > 1 and not self.pool.started:
            is_new = self.pool.start(held=self)
            if not is_new:  # no more threads are to be had: one does the same
                size = 1
                self.pace = Pace(1, self.pace.seconds_a_step[1])
        deadline = 0.0
        if size > 1 and steps:
            # Threads that wait for one another on busy cores may take a thousand times as long as planned: they turn
            # back.
            deadline = time.perf_counter() + OVERRUN * steps * self.pace.seconds_a_step[size]
        self.claims[:] = 0
        self.frame.update(n_threads=size, deadline=deadline)
        for frame in self.frames[1:size]:
            frame.follow(self.frame, keep=("rank", "scratch", "strips"))
        begin = time.perf_counter()
        self.pool.run(size)
        if not is_new:  # the first call waits until new threads are on a core, which says nothing of the next
            self.pace.record(size, steps_done(), time.perf_counter() - begin)

    def loss_and_gradient(self):
        """Sum of the weighted losses over all rows, and the gradient of it as a vector like `params`."""
        if self.pool is None:
            self.gradient = aligned_zeros(self.program.n_params, self.program.dtype)
            self.template["gradient"] = data(self.gradient)
            self.prepare(("loss_and_gradient",), self.template["n_rows"])
        self.refresh()
        size, _ = self.pace.choose(CALL_SECONDS)
        self._run(size, 0, lambda: 1)  # one step, which must be finished
        return self.frame["sum_loss"], self.gradient

    def values_of(self, value):
        """A copy of what stands in the buffer of a value after `loss_and_gradient`: (n_rows, n_steps, width)."""
        capacity = self.template["capacity"]
        n_rows = len(self.targets)
        if n_rows > capacity:
            raise ValueError(f"Buffers have room for {capacity} of {n_rows} rows: the others are gone.")
        begin = value.y * capacity
        rows = self.work[begin : begin + value.steps * n_rows * value.ld]
        return rows.reshape(value.steps, n_rows, value.ld)[:, :, : value.width].swapaxes(0, 1).copy()

    def close(self):
        """End the threads."""
        if self.pool is not None:
            self.pool.close()
