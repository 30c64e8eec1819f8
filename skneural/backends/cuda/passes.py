"""The launches of a step of training, pass by pass."""

import functools
import math

import numpy as np

from skneural.backends.cuda.binding import layer_ranges, roles_of
from skneural.backends.cuda.launches import THREADS, Launch, over
from skneural.backends.cuda.spectra import make_limit_spectra, room_of
from skneural.backends.cuda.steps import (
    make_average_parameters,
    make_pass_begin,
    make_pass_end,
    make_step_begin,
    make_step_end,
)
from skneural.backends.cuda.updates import MEASURING, make_clip, make_measure, make_optimizer
from skneural.backends.passes import limited_matrices, source_of
from skneural.backends.records import PASS


class Passes:
    """What steps launch.

    Parameters
    ----------
    run : Run
        With its program bound.
    frame : Frame
        Where everything stands; is told where the passes do.
    table : ndarray of `records.PASS`
    chunks : int
        That a batch is divided into.
    sources : list of dict or None
        For every pass what differs in where its samples come from.
    is_usual : bool
        Whether a step is the one pass that trains everything: the end of the step before begins it, and the end of
        its own counts its losses.
    mixes : bool
        Whether samples are mixed.

    Attributes
    ----------
    period : int
        Steps after which they launch the same again.
    """

    def __init__(self, run, frame, table, chunks, *, sources, is_usual, mixes):
        self.run = run
        self.frame = frame
        self.table = table.copy()
        self.chunks = chunks
        self.is_usual = is_usual
        self.mixes = mixes
        self.period = math.lcm(*(max(int(part["every"]), 1) for part in table))
        arena = run.arena
        self.table["source"] = [self._put_source(i, changes) for i, changes in enumerate(sources or [])] or 0
        frame.update(passes=arena.put("passes", self.table.view(np.int64)), n_passes=len(table))

    def _put_source(self, number, changes):
        """Address of the record of where the samples of a pass come from."""
        arena = self.run.arena
        known = {
            name: arena.put(f"{name} {number}", value) if isinstance(value, np.ndarray) else value
            for name, value in changes.items()
        }
        return arena.put(f"source {number}", source_of(self.frame, known).view(np.int64))

    def _address(self, number):
        """Of the record of a pass."""
        return self.frame["passes"] + number * PASS.itemsize

    def sums(self, make, *options, **facts):
        """Launch of a kernel whose blocks add up numbers."""
        return Launch((make, self.run.dtype, *options), shared=THREADS * self.run.size, **facts)

    def running(self, number):
        """The passes that run in a step, by number, and how many before each have gathered gradients for it."""
        found = []
        gathered = 0
        for i, part in enumerate(self.table):
            if (number + 1) % max(int(part["every"]), 1) == 0:
                found.append((i, gathered))
                gathered = gathered + 1 if part["gathers"] else 0
        return found

    def rows(self, number, gathered, scaled):
        """The launches of a pass over the rows of a batch, chunk by chunk, forward and back; and its end."""
        part = self.table[number]
        binder = self.run.binder
        begin = part["reuses"] if part["reuses"] > 0 and self.chunks == 1 else part["begin"]
        updated = range(part["update_begin"], part["update_end"])
        forward = [
            launch
            for launch in binder.forward
            if begin <= launch.op < part["end"] and not part["gap_begin"] <= launch.op < part["gap_end"]
        ]
        backward = [
            launch
            for launch in binder.backward
            if part["back"] <= launch.op < part["end"] and (launch.op in updated or not launch.is_gradient)
        ]
        launches = []
        for chunk in range(self.chunks):
            if chunk == 0 and not self.is_usual:
                launches.append(self._of_pass(make_pass_begin, number, step=gathered, block=1))
            elif chunk > 0 or not scaled:  # the first chunk is begun where the step before ends
                launches.append(self.sums(make_step_begin, scaled, self.mixes, step=chunk))
            launches += forward + backward
        return launches

    def _of_pass(self, make, number, **facts):
        """Launch of a kernel that is told of a pass."""
        return Launch((make, self.run.dtype), address=self._address(number), **facts)

    def update(self, number, gathered, optimizer, measures):
        """The launches that update the parameters of a pass when its rows have been forward and back."""
        part = self.table[number]
        run = self.run
        f = self.frame
        updated = range(part["update_begin"], part["update_end"])
        launches = []
        if measures and not part["gathers"]:
            launches += self._measure(number, updated)
        if not self.is_usual:
            launches.append(self.sums(make_pass_end, address=self._address(number), step=gathered))
        if part["gathers"]:
            return launches
        roles = run.arena.put(f"roles {number}", roles_of(run.program, updated))
        blocks = over(run.program.n_params)
        launches.append(self.sums(make_optimizer, optimizer, grid=blocks, address=roles, step=number * blocks[0]))
        if f["max_norm"] > 0:
            launches += [launch for launch in run.binder.after if launch.op in updated]
        if part["spectral_norm"] > 0:
            launches.append(self._limit_spectra())
        if part["averages"] > 0:
            launches.append(self._of_pass(make_average_parameters, number, grid=over(int(part["n_averaged"]))))
        return launches

    def _limit_spectra(self):
        """The launch that limits spectral norms: a block for each matrix."""
        _, records = limited_matrices(self.run.program)
        address = self.run.arena.put("spectra", records.view(np.int64))
        return self.sums(make_limit_spectra, grid=(len(records), 1, 1), address=address, step=room_of(records))

    def _measure(self, number, updated):
        """The launches that measure the gradient of a pass, and clip it where it is too large."""
        arena = self.run.arena
        ranges = layer_ranges(self.run.program, updated)
        first = arena.put(f"ranges {number}", ranges)
        launches = []
        for i, row in enumerate(ranges):
            where = first + i * row.nbytes
            launches.append(self.sums(make_measure, grid=(MEASURING, 1, 1), address=where))
        layers = np.unique(ranges[:, 2])
        address = arena.put(f"layers {number}", layers)
        launches.append(Launch((make_clip, self.run.dtype), block=1, address=address, step=len(layers)))
        return launches

    def steps(self, optimizer, measures):
        """The launches of steps, one after the other, until they are the same again."""

        @functools.cache
        def launches_of(number, gathered):
            of_rows = self.rows(number, gathered, True)
            return of_rows + self.update(number, gathered, optimizer, measures)

        end = self.sums(make_step_end, self.mixes, self.is_usual)
        steps = []
        for number in range(self.period):
            launches = [launch for turn in self.running(number) for launch in launches_of(*turn)]
            steps.append([*launches, end])
        return steps
