"""Kernels that change the parameters of recurrent layers, as `updates` does those of others.

Sizes: T steps, B rows, I in, H units, G gates (each padded to ``op.pitch``).
"""

from skneural.backends.cpu.compiler import digest_of
from skneural.backends.cpu.intrinsics import LAYER_KERNEL, call_product, clear, frame_at, op_at
from skneural.backends.cpu.simd import INSTRUCTION_SET
from skneural.backends.cpu.updates import add_numbers, transpose_rows, use_gradient
from skneural.maths.cells import weighted_gates
from skneural.network.program import APPLY, COLLECT

#: Bytes of gradients that are read again for each strip of weights, and rows that these are at least: together with
#: the inputs they should stay in the cache.
CHUNK_BYTES, CHUNK_ROWS = 1 << 16, 64


def make_recurrent_update(dtype, entry):
    """Gradients ``x.T @ dz``, ``h_before.T @ dz`` and ``sum(dz)`` over all steps, handed to the optimizer.

    The gradients of all steps do not fit a cache. So sums are taken chunk by chunk, in the order of the rows all the
    same: each product begins with what the one before has stored.
    """
    digest, size, collect, apply = digest_of(entry.formula), dtype().itemsize, COLLECT, APPLY
    n_gates, count = len(entry.gates), weighted_gates(entry)
    state = n_gates - count
    lanes, chunk_bytes, chunk_rows = INSTRUCTION_SET.vector_bytes // size, CHUNK_BYTES, CHUNK_ROWS

    def recurrent_update(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        unit, ld, width, total = op.ld_out, op.ld_gates, count * op.pitch, op.steps * last
        of_input, of_state = (op.n_in + f.strip - 1) // f.strip, (op.n_out + f.strip - 1) // f.strip
        strips = of_input + of_state
        begin, end = f.rank * strips // f.crew, (f.rank + 1) * strips // f.crew
        dz, x = f.work + op.gates * f.capacity * size, f.work + op.x * f.capacity * size  # (T, B, G, H), (T, B, I)
        h = f.work + (op.states if op.states >= 0 else op.y) * f.capacity * size  # (T, B, H)
        with_bias, chunk = f.rank == f.crew - 1, max(chunk_rows, chunk_bytes // (ld * size))
        for k in range(0, total if f.phase != apply else 0, chunk):
            for s in range(begin, end):
                i = s * f.strip if s < of_input else (s - of_input) * f.strip
                rows = min(f.strip, (op.n_in if s < of_input else op.n_out) - i)
                at = f.gradient + ((op.weight if s < of_input else op.recurrent) + i * op.ld_weight) * size
                low, high = k, min(k + chunk, total)
                if s < of_input:
                    source, ld_source = x + (low * op.ld_in + i) * size, op.ld_in
                    target = dz + low * ld * size
                else:  # the first step has no state before it, which is the last in memory if time runs backwards
                    low, high = (low, min(high, total - last)) if op.reverse != 0 else (max(low, last), high)
                    place = low + last if op.reverse != 0 else low - last
                    source, ld_source = h + (place * unit + i) * size, unit
                    target = dz + (low * ld + state * op.pitch) * size
                fresh = f.done == 0 and k == 0
                if low < high:
                    call_product(
                        f.product, (source, 1, ld_source, target, ld, at, op.ld_weight, rows, width, high - low,
                        0 if fresh else at, op.ld_weight, 0, f.panel),
                    )  # fmt: skip
                elif fresh:
                    clear(at, rows * op.ld_weight * size)
            if with_bias:
                sums = f.gradient + op.bias * size
                if f.done == 0 and k == 0:
                    clear(sums, n_gates * op.pitch * size)
                for r in range(k, min(k + chunk, total)):
                    add_numbers(sums, dz + r * ld * size, n_gates * op.pitch, dtype)
        for s in range(begin, end):
            is_input = s < of_input
            i = s * f.strip if is_input else (s - of_input) * f.strip
            rows = min(f.strip, (op.n_in if is_input else op.n_out) - i)
            at = (op.weight if is_input else op.recurrent) + i * op.ld_weight
            use_gradient(f, frame_address, at, rows * op.ld_weight, f.gradient + at * size, op.slot + s, 1, size, dtype)
            turned, ld_turned = (op.transposed, op.ld_in) if is_input else (op.recurrent_transposed, unit)
            if turned >= 0 and f.phase != collect:
                goal = f.transposed + (turned + i) * size
                transpose_rows(f.params + at * size, op.ld_weight, width, goal, ld_turned, rows, dtype, lanes, size)
        if with_bias:
            bias = f.gradient + op.bias * size
            use_gradient(f, frame_address, op.bias, n_gates * op.pitch, bias, op.slot + strips, 0, size, dtype)

    return LAYER_KERNEL, recurrent_update
