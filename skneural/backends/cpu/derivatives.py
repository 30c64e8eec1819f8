"""Outputs of a network as it predicts, and their derivatives by its input."""

import numpy as np

from skneural.backends.base import check_settings
from skneural.backends.cpu.binding import bind_derivatives
from skneural.backends.cpu.buffers import BEHIND
from skneural.backends.cpu.catalogue import function
from skneural.backends.cpu.engine import (
    PREDICT_BLOCK,
    PREDICT_BYTES,
    SEQUENCE_BYTES,
    SMALLEST_BLOCK,
    frame_fields,
    set_inputs,
    widest,
)
from skneural.backends.cpu.layout import CHUNK_ROWS, STRIP, STRIPS, strip_pitch
from skneural.backends.cpu.weights import lay_out_weights
from skneural.backends.frame import Frame, data
from skneural.backends.inputs import Inputs, Sequences
from skneural.maths.normalization import one_over_deviation
from skneural.network.memory import aligned_zeros

#: Details of operations by which training differs from prediction, apart from statistics of the batch: of dropout and
#: noise, and where gradients end in time. At 0 nothing is drawn, and gradients go back to the first step.
OF_TRAINING = ("limit", "rate", "deviation", "truncate")


def as_in_prediction(ops, program):
    """Let operations of a table draw nothing and cut no gradient off."""
    for op, operation in zip(ops, program.operations, strict=True):
        names = operation.traits.details.names
        for name in OF_TRAINING:
            if name in names and ("stream" in names):
                op["details"][names.index(name)] = 0


def _rows_of(X, part):
    """Some of the rows that the engine reads."""
    if isinstance(X, Sequences):
        return Sequences(X.values[part], None if X.lengths is None else X.lengths[part])
    return X[part]


class Derivatives:
    """Passes forward, as of a prediction, and back to the input.

    The kernels are those of training. What batch normalisation would measure of the batch is set to what it has learnt:
    then the same kernels compute as prediction does, and nothing goes back by way of statistics.

    Parameters
    ----------
    program : Program
        Lowered for training, with the gradient by the input.
    params : ndarray of shape (n_params,)

    Raises
    ------
    ValueError
        If there is a layer of a user's own that looks at the batch: what it does in prediction is not known.
    """

    def __init__(self, program, params):
        for operation in program.operations:
            if "statistics" in operation.traits.details.names and operation.kind not in ("batch_norm", "layer_norm"):
                raise ValueError(f"There is no derivative of {operation.kind!r}, which looks at the whole batch.")
        self.inputs = Inputs(program)
        self.inputs.check_vector("The vector of parameters", params)
        self.program = program
        self.params = params
        self.settings = check_settings(program)
        self.forward, self.backward = bind_derivatives(program)
        as_in_prediction(self.forward, program)
        as_in_prediction(self.backward[::-1], program)
        self.statistics = self._statistics()
        self.transposed = aligned_zeros(max(program.n_transposed, 1), program.dtype)
        self.panels = aligned_zeros(program.n_params, program.dtype)
        self._predict = function(1, "predict")
        self.template = Frame()
        self.template.update(
            **frame_fields(program, params, self.forward, self.settings),
            training=1,
            statistics=data(self.statistics),
            transposed=data(self.transposed),
            panels=data(self.panels),
            window_panels=data(self.panels),
        )
        self.template.scale = 0.0  # gradients of outputs know nothing of what is added to the loss
        lay_out_weights(program, self.template, program.matrices)

    def _statistics(self):
        """Mean and one over the deviation of every batch normalisation, as learnt; nothing to go back through them."""
        program = self.program
        dtype = program.dtype.type
        statistics = aligned_zeros(max(program.n_statistics, 1), program.dtype)
        for operation in program.operations:
            if operation.kind != "batch_norm":
                continue
            ld = operation.output.ld
            learnt = self.params[operation.details["weight"].start :]
            start = operation.details["statistics"]
            statistics[start : start + ld] = learnt[2 * ld : 3 * ld]
            epsilon = dtype(operation.details["epsilon"])
            for j in range(ld):
                statistics[start + ld + j] = one_over_deviation(learnt[3 * ld + j], epsilon)
        return statistics

    def __call__(self, X, seeds_of):
        """Outputs, and the gradient by the input of a sum of them.

        Parameters
        ----------
        X : ndarray or Sequences
            As a prediction takes it.
        seeds_of : callable
            Given a slice of the rows and their outputs, of shape (n_rows, n_outputs), it returns the derivatives by the
            values before the output activation that the way back begins with, of the same shape.

        Returns
        -------
        (ndarray, ndarray)
            Outputs of shape (n_rows, n_outputs), and gradients like X: by what stands there, before it is scaled.

        Raises
        ------
        TypeError, ValueError
            If X is not what the program reads.
        """
        program = self.program
        n_rows = self.inputs.check(X)
        outputs = np.empty((n_rows, program.n_outputs), program.dtype)
        read = program.operations[0].output
        gradient = np.empty((n_rows, read.steps, read.width), program.dtype)
        rows = min(self._rows_at_a_time(), n_rows)
        self._make_rooms(rows)
        for first in range(0, n_rows, max(rows, 1)):
            part = slice(first, min(first + rows, n_rows))
            self._run(X, part, outputs[part], gradient[part], seeds_of)
        if program.standardizes:
            gradient /= program.norm_views(self.params)[0]["deviation"]
        return outputs, gradient if program.n_timesteps else gradient[:, 0]

    def _rows_at_a_time(self):
        """Rows whose buffers fit a cache, as of a prediction."""
        size = self.program.n_work * self.program.dtype.itemsize
        fits = min(max(SMALLEST_BLOCK, PREDICT_BYTES // size), SEQUENCE_BYTES // size)
        return max(1, min(PREDICT_BLOCK, fits))

    def _make_rooms(self, rows):
        """Buffers for so many rows, and room for kernels to work in."""
        program = self.program
        dtype = program.dtype
        numbers = max(STRIPS * STRIP, CHUNK_ROWS) * widest(program)
        self.work = aligned_zeros(rows * program.n_work + BEHIND, dtype)
        self.scratch = aligned_zeros(numbers, dtype)
        self.strips = aligned_zeros(STRIPS * strip_pitch(max(rows, CHUNK_ROWS), dtype.itemsize), dtype)
        self.template.update(
            work=data(self.work),
            capacity=rows,
            scratch=data(self.scratch),
            strips=data(self.strips),
        )

    def _run(self, X, part, outputs, gradient, seeds_of):
        """Some rows forward and back."""
        piece = _rows_of(X, part)
        frame = self.template.copy()
        set_inputs(frame, piece)
        frame.update(ops=data(self.forward), n_ops=len(self.forward), outputs=data(outputs))
        self._predict(frame.address)
        last = self.program.outputs
        seeds = self._buffer(last, len(outputs))
        seeds[:] = 0
        seeds[0, :, : last.width] = seeds_of(part, outputs)
        frame.update(ops=data(self.backward), n_ops=len(self.backward))
        self._predict(frame.address)
        read = self.program.operations[0].output
        found = self._buffer(read, len(outputs))
        gradient[:] = found[:, :, : read.width].swapaxes(0, 1)

    def _buffer(self, value, rows):
        """The gradient by a value, of shape (steps, rows, padded width): a view."""
        begin = value.dy * self.template["capacity"]
        return self.work[begin : begin + value.steps * rows * value.ld].reshape(value.steps, rows, value.ld)
