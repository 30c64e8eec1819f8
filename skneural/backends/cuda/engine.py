"""Run programs on a GPU: own the memory there, launch the kernels, capture them into graphs.

The host only says which steps come next. Rows, their order, parameters and all that changes with every step stand on
the device; after an epoch the frame comes back, some hundred bytes, and says what became of it.
"""

import contextlib
import time

import numpy as np

from skneural.backends.base import CALL_SECONDS, BaseTrainer, check_settings
from skneural.backends.cuda import hub, memory
from skneural.backends.cuda.binding import roles_of
from skneural.backends.cuda.launches import THREADS, Launch, over
from skneural.backends.cuda.passes import Passes
from skneural.backends.cuda.run import Run
from skneural.backends.cuda.spectra import room_of
from skneural.backends.cuda.steps import make_epoch_end, make_keep_parameters, make_shuffle, make_step_begin
from skneural.backends.cuda.streaming import Stream
from skneural.backends.cuda.updates import MEASURING
from skneural.backends.frame import Frame
from skneural.backends.inputs import Inputs
from skneural.backends.passes import limited_matrices, one_pass
from skneural.backends.records import N_CONSTANTS, NOTES, SOURCE

#: Bytes of buffers that chunks of a batch, or of rows to predict, may take.
WORK_BYTES = 1 << 32
PREDICT_BYTES = 1 << 28
#: Rows of such chunks in a prediction, at the most.
PREDICT_ROWS = 16 if hub.IS_SIMULATED else 1 << 14
#: Launches in one graph, at the most.
MOST_NODES = 2000
#: Threads that draw the order of the rows.
SHUFFLING = THREADS if hub.IS_SIMULATED else 1024
#: What stays of a frame that comes back: passes have other sources.
OF_THE_HOST = [name for name, _ in SOURCE]
#: Which parameter to turn where memory does not suffice.
KNOBS = "A smaller batch_size or smaller hidden layers need less; device='cpu' none."


class Predictor:
    """Forward passes on a GPU.

    Memory there is taken for each call and given back; one that measures the loss, which a fit asks for again and
    again, keeps it with the data until it is closed.

    Parameters
    ----------
    program : Program
    params : ndarray of shape (n_params,)
        On the host.
    with_loss : bool, default=False
    device : int, default=0
    precision : {'full', 'tf32'}, default='full'
    """

    def __init__(self, program, params, with_loss=False, *, device=0, precision="full"):
        self.inputs = Inputs(program)
        self.inputs.check_vector("The vector of parameters", params)
        self.program = program
        self.params = params
        self.with_loss = with_loss
        self.device = device
        self.precision = precision
        self.settings = check_settings(program)
        self._resident = None

    def __call__(self, X, targets=None, weights=None, n_threads=None):
        """Outputs of shape (n_rows, n_outputs), and the weighted loss of every row if there are targets, else None."""
        self.inputs.check(X, targets, weights)
        with hub.readable_errors("predicting"), hub.on_device(self.device):
            if self._resident is not None and self._resident[0] is X:
                return self._predict(*self._resident)
            self.close()
            run = Run(self.program, self.device)
            try:
                outputs, losses, self._resident = self._predict_parts(run, X, targets, weights)
            finally:
                if self._resident is None:
                    run.close()
            return outputs, losses

    def close(self):
        """Free what has been kept on the device."""
        if self._resident is not None:
            self._resident[1].close()
            self._resident = None

    def _predict_parts(self, run, X, targets, weights):
        """Outputs and losses, of rows that fit at a time; what may be kept."""
        n_rows = memory.n_rows_of(X)
        part = memory.n_rows_of(X)
        # A number that does not depend on how many rows there are: it decides how products are summed.
        nominal = min(max(PREDICT_BYTES // run.row_bytes, 1), PREDICT_ROWS)
        capacity = max(1, min(nominal, n_rows))
        fixed = capacity * run.row_bytes + self.params.nbytes
        data = memory.data_bytes(X, run.dtype)
        while not memory.fits(fixed + data * part // max(n_rows, 1)):
            if part <= capacity or not isinstance(X, np.ndarray):
                memory.refuse(fixed + data, KNOBS)
            part = -(-part // 2)
        frame = Frame()
        facts = {"sparse": isinstance(X, tuple), "with_loss": targets is not None}
        run.bind(self.precision, capacity, frame, nominal=nominal, training=False, **facts)
        frame.update(
            settings=run.arena.put("settings", self.settings),
            scale=1.0,
            window=-1,
            outputs=run.arena.empty("outputs", capacity * self.program.n_outputs, run.dtype),
            losses=run.arena.empty("losses", capacity, run.dtype),
        )
        results = []
        for begin in range(0, n_rows, part):
            rows = slice(begin, begin + part)
            frame.update(**memory.put_data(run.arena, X[rows] if part < n_rows else X, run.dtype))
            if targets is not None:
                own = None if weights is None else weights[rows]
                frame.update(
                    targets=run.arena.put("targets", targets[rows]),
                    n_targets=targets.shape[1],
                    weights=run.arena.put("weights", own),
                )
            results.append(self._predict(X, run, frame, min(part, n_rows - begin)))
        outputs, losses = zip(*results, strict=True)
        losses = None if targets is None else np.concatenate(losses)
        keep = (X, run, frame, n_rows) if self.with_loss and part == n_rows else None
        return np.concatenate(outputs), losses, keep

    def _predict(self, X, run, frame, n_rows):
        """Outputs and losses of the rows that stand on the device."""
        outputs = np.empty((n_rows, self.program.n_outputs), run.dtype)
        losses = np.empty(n_rows, run.dtype) if run.binder.with_loss else None
        frame["params"] = run.arena.put("params", self.params)
        for begin in range(0, n_rows, frame["capacity"]):
            rows = slice(begin, begin + frame["capacity"])
            frame.update(start=begin, chunk=len(outputs[rows]))
            run.push(frame)
            run.start(run.binder.forward)
            run.arena.get("outputs", outputs[rows])
            if losses is not None:
                run.arena.get("losses", losses[rows])
        return outputs, None if losses is None else losses.astype(np.float64)


class Trainer(BaseTrainer):
    """Training on a GPU. See `BaseTrainer`.

    Parameters
    ----------
    n_threads : int
        Of the CPU's trainer; ignored.
    device : int, default=0
    precision : {'full', 'tf32'}, default='full'

    Attributes
    ----------
    execution : {'graph', 'launches'}
        How steps are run: 'launches' where a graph could not be captured, for the reason in `capture_error`.
    """

    def __init__(self, program, params, X, targets, weights, *, n_threads=None, device=0, precision="full", **settings):
        super().__init__(program, params, X, targets, weights, **settings)
        self.precision = precision
        self.stepper = None
        self.graphs = {}
        self.most_steps = 1
        self.launched = 0
        self.execution = "graph"
        self.capture_error = None
        self.streamed = None
        self.frame = self.template
        self.template["n_rows"] = memory.n_rows_of(X)
        self.run = Run(program, device)
        is_alone = settings.get("passes") is None
        if is_alone:
            self.passes = one_pass(self.run.program)
        self.is_usual = is_alone and self.sources is None
        self.mixes = self.shares is not None

    # -- getting ready -----------------------------------------------------------------------------------------------

    def _capacity(self, batch, n_params_kept):
        """Rows of a chunk of a batch, and whether the data has to be streamed; raise where memory does not suffice."""
        run = self.run
        n_rows = self.template["n_rows"]
        rest = self.targets.nbytes + (0 if self.weights is None else self.weights.nbytes)
        rest += n_params_kept * self.params.nbytes + 16 * n_rows + batch * run.size
        data = memory.data_bytes(self.X, run.dtype)
        capacity = min(batch, n_rows)
        if self.program.n_statistics == 0:  # statistics of a batch need all of it
            capacity = max(1, min(capacity, WORK_BYTES // run.row_bytes))
        needed = rest + data + capacity * run.row_bytes
        if memory.fits(needed):
            return capacity, False
        if self.program.n_statistics == 0:
            smaller = max(1, capacity // 8)
            if memory.fits(rest + data + smaller * run.row_bytes):
                return smaller, False
        streamed = rest + Stream.bytes_for(self.X, run.dtype, batch) + capacity * run.row_bytes
        if not isinstance(self.X, tuple) and batch < n_rows and memory.fits(streamed):
            return capacity, True
        memory.refuse(needed, KNOBS)

    def _prepare(self, batch, kept):
        """Bind the program, make all buffers, copy the data."""
        run = self.run
        f = self.template
        program = self.program
        arena = run.arena
        dtype = run.dtype
        capacity, streamed = self._capacity(batch, kept)
        run.bind(self.precision, capacity, f, training=True, sparse=isinstance(self.X, tuple), mixes=self.mixes)
        n_rows = f["n_rows"]
        blocks = over(program.n_params)[0] * len(self.passes)
        _, limited = limited_matrices(program)
        numbers = max(run.binder.n_scratch, len(limited) * room_of(limited))
        scratch = max(numbers * run.size, n_rows * 8 if f["shuffle"] else 0)
        f.update(
            params=arena.put("params", self.params),
            gradient=arena.zeros("gradient", program.n_params, dtype),
            roles=arena.put("roles", roles_of(program)),
            settings=arena.put("settings", self.settings),
            targets=arena.put("targets", self.targets),
            weights=arena.put("weights", self.weights),
            mixup=arena.put("mixup", self.shares),
            losses=arena.zeros("losses", batch * self.gathered, dtype),
            hits=0 if self.sources is None else arena.zeros("hits", batch * self.gathered, dtype),
            penalties=arena.zeros("penalties", blocks, dtype),
            n_slots=blocks,
            scratch=arena.empty("scratch", scratch // 8 + 1, np.int64),
            batch=batch,
        )
        if streamed:
            self.streamed = Stream(run, self.X, batch, f)
        else:
            f.update(**memory.put_data(arena, self.X, dtype))
        self.chunks = -(-batch // capacity)

    @property
    def gathered(self):
        """Passes whose gradients come together, at the most: each has its own losses."""
        return 1 + int(np.count_nonzero(self.passes["gathers"]))

    def _walk(self):
        """What steps launch, when everything has its place."""
        facts = {"sources": self.sources, "is_usual": self.is_usual, "mixes": self.mixes}
        return Passes(self.run, self.template, self.passes, self.chunks, **facts)

    def start(self, optimizer, hyper, state, *, shuffle, batch, **rules):
        """Get ready to run epochs: see `BaseTrainer.start`."""
        super().start(optimizer, hyper, state, shuffle=shuffle, batch=batch, **rules)
        run = self.run
        f = self.template
        arena = self.run.arena
        with hub.readable_errors("copying the data"), hub.on_device(run.device):
            self._prepare(batch, kept=6)
            n_params = self.program.n_params
            n_layers = self.program.n_layers
            f.update(
                state_s=arena.put("s", state.s),
                state_v=arena.put("v", state.v),
                best=arena.put("best", self.params),
                snapshot=arena.empty("snapshot", n_params, run.dtype),
                order=arena.empty("order", f["n_rows"], np.int64) if shuffle else 0,
                constants=arena.empty("constants", self.steps_per_epoch * len(self.passes) * N_CONSTANTS, run.dtype),
                squares=arena.zeros("squares", n_layers * MEASURING + 1, run.dtype),
                layer_norms=arena.zeros("layer_norms", n_layers, run.dtype) if self.monitor else 0,
            )
            self._bind_steps()

    def _bind_steps(self):
        """The launches of a step, and of the beginning and the end of an epoch."""
        dtype = self.run.dtype
        begin = [Launch((make_keep_parameters, dtype), grid=over(self.program.n_params))]
        if self.template["shuffle"]:
            begin.append(Launch((make_shuffle,), block=SHUFFLING))
        walk = self._walk()
        begin.append(walk.sums(make_step_begin, True, self.mixes))
        self.begin_epoch = begin
        measures = self.monitor or self.sources is not None or self.template["clip_norm"] > 0
        self.steps = walk.steps(self.optimizer, measures)
        self.end_epoch = [Launch((make_epoch_end, dtype), block=1)]

    # -- epochs ------------------------------------------------------------------------------------------------------

    def _call(self, rates):
        """Run epochs until some time has passed, or the stopping rule says so; then copy the parameters back."""
        run = self.run
        f = self.frame
        begin = time.perf_counter()
        with hub.readable_errors("training"), hub.on_device(run.device):
            while True:
                done = f["epochs_done"]
                fresh = f.copy()
                constants = self.constants_of_passes(rates, done * self.steps_per_epoch, self.steps_per_epoch)
                fresh["constants"] = run.arena.put("constants", constants.astype(run.dtype))
                if self.monitor:
                    fresh["layer_norms"] = run.arena.put("layer_norms", np.zeros(self.program.n_layers, run.dtype))
                if self.sources is not None:
                    notes = np.zeros((len(self.passes), len(NOTES)))
                    fresh["notes"] = run.arena.put("notes", notes)
                fresh["sum_loss"] = 0.0
                run.push(fresh)
                self._run_epoch()
                run.pull(fresh)
                f.follow(fresh, keep=OF_THE_HOST)
                self.losses_of_epochs[done] = loss = f["sum_loss"]
                if self.monitor:
                    norms = np.empty(self.program.n_layers, run.dtype)
                    run.arena.get("layer_norms", norms)
                    self.layer_norms[done] = norms
                if self.sources is not None:
                    run.arena.get("notes", notes)
                    self.notes[done] = notes
                stop = f["no_improvement"] > f["patience"] or not np.isfinite(loss) or f["epochs_left"] == 0
                if stop or time.perf_counter() - begin > CALL_SECONDS:
                    break
            for name, array in (("params", self.params), ("s", self.state.s), ("v", self.state.v)):
                run.arena.get(name, array)

    def _run_epoch(self):
        """Run the epoch that begins with the step at which the frame stands."""
        self.number = self.frame["step"]
        self.run.start(self.begin_epoch)
        if self.streamed:
            self.streamed.run_epoch(self._run_steps, self.steps_per_epoch)
        else:
            self._run_steps(self.steps_per_epoch)
        self.run.start(self.end_epoch)
        period = len(self.steps)
        most = max(1, MOST_NODES // max(map(len, self.steps)))
        self.most_steps = most - most % period if most > period else most  # then most graphs begin alike

    def _run_steps(self, count):
        """Run steps: the first of each kind by launches, which load the kernels, others replayed from graphs.

        In the first epoch these are of one step: it is not known whether larger ones would be worth while.
        """
        while count > 0:
            part = min(count, self.most_steps)
            replay = self._graph(part) if self.launched >= len(self.steps) else None
            if replay is None:
                self._start_steps(part)
                self.launched += part
            else:
                replay(self.run.stream)
            self.number += part
            count -= part

    def _start_steps(self, count, stream=None):
        """Launch steps, from the one at hand on, or add them to a graph."""
        for number in range(self.number, self.number + count):
            self.run.start(self.steps[number % len(self.steps)], stream)

    def _graph(self, count):
        """A function of a stream that runs a graph of `count` steps; None where graphs cannot be had."""
        key = count, self.number % len(self.steps)
        if self.execution == "graph" and key not in self.graphs:
            try:
                self.graphs[key] = hub.capture(self.run.device, lambda stream: self._start_steps(count, stream))
            except Exception as error:  # whatever it is, launching the steps one by one does the same
                self.graphs[key] = None
                self.capture_error = error
            if self.graphs[key] is None:
                self.execution = "launches"
        return self.graphs.get(key) if self.execution == "graph" else None

    def best_parameters(self):
        """The parameters with which the epoch of the smallest loss began; whether they are others than at the start."""
        f = self.frame
        good = self.params.copy()
        with hub.readable_errors("training"), hub.on_device(self.run.device):
            arrays = self.run.arena.arrays
            name = next(name for name in ("best", "snapshot") if hub.address(arrays[name]) == f["best"])
            self.run.arena.get(name, good)
        return good, f["best_epoch"] > self.first_epoch

    # -- all rows at once --------------------------------------------------------------------------------------------

    def loss_and_gradient(self):
        """Sum of the weighted losses over all rows, and the gradient of it as a vector like `params`."""
        run = self.run
        f = self.template
        n_rows = self.template["n_rows"]
        with hub.readable_errors("training"), hub.on_device(run.device):
            if self.stepper is None:
                self._prepare(n_rows, kept=2)
                walk = self._walk()
                self.stepper = [(turn, walk.rows(*turn, False)) for turn in walk.running(-1)]
                self.losses = np.empty(n_rows * self.gathered, run.dtype)
                self.gradient = np.empty_like(self.params)
            run.arena.put("params", self.params)
            run.push(f)
            total = 0.0
            for (number, gathered), launches in self.stepper:
                run.start(launches)
                run.arena.get("losses", self.losses)
                own = self.losses[gathered * n_rows : (gathered + 1) * n_rows]
                total += float(self.passes["counts"][number] * own.sum(dtype=np.float64))
            run.arena.get("gradient", self.gradient)
        return total, self.gradient

    def close(self):
        """Free the memory on the device."""
        self.graphs = {}
        if self.streamed:
            with contextlib.suppress(Exception), hub.on_device(self.run.device):
                self.streamed.close()
        self.run.close()
