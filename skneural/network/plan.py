"""From what layers compute to a table of operations: which work in place, where values stand, how gradients meet.

On rows an activation leaves its derivative where the gradient by its output will be, and whoever reads that output
multiplies: so there is one pass over memory fewer on the way back. What a value's several readers send back is added
up from the last of them to the first.
"""

import numpy as np

from skneural.network.builder import Transposed
from skneural.network.operations import HEAD, N_DETAILS, OP
from skneural.network.parameters import Block

_HEAD_NAMES = [name for name, _ in HEAD]

#: Fields of the head that are -1 where there is no such thing.
OFFSETS = ("x", "y", "dx", "dy", "begin", "other", "d_other", "begin_other", "layer")

#: An operation sends no gradient: target, what the sums begin with, and whether a derivative multiplies them.
NOTHING = (-1, -1, 0)


def fuse_activations(operations):
    """Let an activation be a part of the operation before it, where that has none and nobody else reads it."""
    fused = []
    for operation in operations:
        if operation.kind == "activation":
            (x,) = operation.inputs
            before = x.producer
            can_take = before is not None and before.traits.derivative == "function" and before.function is None
            if can_take and len(x.readers) == 1:
                before.function = operation.function
                before.output = operation.output
                operation.output.producer = before
                continue
        fused.append(operation)
    return fused


class Plan:
    """Where everything stands that operations read and write.

    Parameters
    ----------
    builder : Builder
        What the layers compute.
    input_gradient : bool
        Whether the gradient by the input is asked for.

    Attributes
    ----------
    operations : list of Operation
    n_work, n_transposed : int
        Numbers of buffers for every row, and of transposed weights.
    transposed : list of (Block, int, int, int)
        Weights, where they stand transposed, the length of a row there, and how many there are (of every tap).
    """

    def __init__(self, builder, input_gradient):
        self.builder = builder
        self.operations = fuse_activations(builder.operations)
        self.transposed = []
        self.n_transposed = 0
        self._wanted = {builder.input: input_gradient and builder.training}
        for operation in self.operations:
            if operation.kind == "loss":  # it writes its gradient, in prediction too
                self._wanted[operation.inputs[0]] = True
            elif operation.output not in (None, builder.input):
                self._wanted[operation.output] = self._is_wanted(operation)
        self._in_place = {op for op in self.operations if self._may_be_in_place(op)}
        for operation in self.operations:
            self._place_output(operation)
        self._ways = {}
        for value in self._wanted:
            self._collect_gradients(value)

    def _is_wanted(self, operation):
        """Whether the gradient by an operation's output is asked for: something before it, or itself, learns."""
        if not self.builder.training:
            return False
        learns = any(block.learnt for block in operation.blocks)
        return learns or any(self._wanted[value] for value in operation.inputs)

    # -- in place ----------------------------------------------------------------------------------------------------

    def _is_free(self, value):
        """Whether a value's only reader may write over it."""
        if len(value.readers) > 1 or value.is_sparse:
            return False
        return value.producer is None or not value.producer.traits.keeps_output

    def _may_be_in_place(self, operation):
        if not operation.traits.elementwise or not self._is_free(operation.inputs[0]):
            return False
        return operation.traits.chains or not self.waits(operation.inputs[0])

    def waits(self, value):
        """Whether a derivative waits where the gradient by a value will be."""
        producer = value.producer
        if producer is None or not self._wanted[value]:
            return False
        rule = producer.traits.derivative
        if rule == "always" or (rule == "function" and producer.function is not None):
            return True
        return producer.traits.elementwise and self._may_be_in_place(producer) and self.waits(producer.inputs[0])

    # -- buffers -----------------------------------------------------------------------------------------------------

    def _place_output(self, operation):
        output = operation.output
        if output is None:
            return
        if operation in self._in_place:
            output.y = operation.inputs[0].y
        else:
            output.y = self.builder.room(output.ld, output.steps)
        overwritten = operation.traits.overwrites
        if overwritten is not None:
            operation.details[overwritten] = self._room_over(operation.inputs[0])

    def _room_over(self, x):
        """A buffer like that of a value: its own, if nobody else needs what is there."""
        return x.y if self._is_free(x) else self.builder.room(x.ld, x.steps)

    def _place_gradient(self, value):
        """The buffer of the gradient by a value: that of its only reader's output, if they are the same numbers."""
        if value.dy >= 0 or not self._wanted[value]:
            return value.dy
        reader = value.readers[0][0] if len(value.readers) == 1 else None
        in_place = reader in self._in_place
        if reader is not None and (in_place or (self._passes(reader) and not self.waits(value))):
            value.dy = self._place_gradient(reader.output)
        else:
            value.dy = self.builder.room(value.ld, value.steps)
        return value.dy

    @staticmethod
    def _passes(operation):
        return operation.traits.passes or operation.traits.elementwise

    # -- gradients ---------------------------------------------------------------------------------------------------

    def _collect_gradients(self, value):
        """Say how each reader of a value sends its gradient: where it goes, with what it begins, what multiplies it."""
        if not self._wanted[value]:
            return
        dy = self._place_gradient(value)
        sent = own = -1
        for i, (reader, position) in reversed(list(enumerate(value.readers))):
            is_last = i == 0
            passed = self._place_gradient(reader.output) if self._passes(reader) else -1
            way = NOTHING
            if is_last and not (passed == dy and sent < 0):
                way = dy, sent, int(self.waits(value))
            elif not is_last and passed >= 0 and sent < 0:
                sent = passed
            elif not is_last:
                if own < 0:
                    own = self.builder.room(value.ld, value.steps) if self.waits(value) else dy
                way = own, sent, 0
                sent = own
            self._ways[reader, position] = way

    # -- the table ---------------------------------------------------------------------------------------------------

    def table(self):
        """The operations as an array of `OP`."""
        table = np.zeros(len(self.operations), OP)
        rows = []
        for operation in self.operations:
            head = self._head(operation)
            details = self._details(operation)
            unused = [0] * (N_DETAILS - len(details))
            rows.append([head.get(name, 0) for name in _HEAD_NAMES] + details + unused)
        table.view(np.int64).reshape(len(table), -1)[:] = rows
        return table

    def _head(self, operation):
        head = dict.fromkeys(OFFSETS, -1)
        head["layer"] = operation.layer
        output = operation.output
        inputs = operation.inputs
        if output is not None:
            head["n_out"] = output.width
            head["ld_out"] = output.ld
            head["steps"] = output.steps
            # Sequences that are read end where their data do, whatever those behind make of their steps.
            head["every"] = 1 if operation.kind == "sequence_input" else output.every
            head["y"] = output.y
            head["dy"] = output.dy
        if inputs:
            x = inputs[0]
            head["n_in"] = x.width
            head["ld_in"] = x.ld
            head["steps_in"] = x.steps
            head["every_in"] = x.every
            head["x"] = x.y
            head["dx"], head["begin"], head["scale"] = self._way(operation, 0)
        if len(inputs) > 1:
            head["other"] = inputs[1].y
            head["d_other"], head["begin_other"], head["scale_other"] = self._way(operation, 1)
        return head

    def _way(self, operation, position):
        """How an operation sends the gradient by one of its inputs; what works in place notes whether any waits."""
        x = operation.inputs[position]
        if operation in self._in_place:
            return -1, -1, int(self.waits(x))
        return self._ways.get((operation, position), NOTHING)

    def _details(self, operation):
        numbers = []
        kind = operation.traits.details
        for name in kind.names:
            value = operation.details.get(name, -1)
            if isinstance(value, Block):
                value = value.start
            elif isinstance(value, Transposed):
                value = self._transpose(value)
            is_real = kind[name].kind == "f"
            numbers.append(int(np.float64(value).view(np.int64)) if is_real else int(value))
        return numbers

    def _transpose(self, wanted):
        """Where weights stand transposed, -1 where nobody needs them."""
        if wanted.value is not None and not self._wanted[wanted.value]:
            return -1
        start = self.n_transposed
        rows = wanted.rows * wanted.block.groups or wanted.block.ld
        self.n_transposed += rows * wanted.ld * max(wanted.block.parts, 1)
        self.transposed.append((wanted.block, start, wanted.ld, rows))
        return start
