"""Kernels of batch and layer normalisation (Ioffe and Szegedy, 2015; Ba, Kiros and Hinton, 2016).

``y = activation(scale * n + shift)``, where n is x without its mean and in units of its standard deviation. On the way
forward n replaces x. As on the CPU (`backends.cpu.normalization`), rows count by their weights.

Sums down the columns: a block has some columns, and some threads for each of them, which take rows in turn; their sums
are added in order.

Sizes: B rows of the batch, O columns; ``ld_out`` is O padded.
"""

from skneural.backends.cuda.compiler import DIGEST, digest_of, formula
from skneural.backends.cuda.hub import IS_SIMULATED, cuda, register
from skneural.backends.cuda.intrinsics import model_frame, op_at, row_number, vector
from skneural.backends.cuda.kernels import row_of
from skneural.backends.cuda.updates import make_sum_block
from skneural.maths.elementary import sqrt

#: Share of a batch in the running statistics, at the least: the first batches are averaged.
MOMENTUM = 0.1
#: Columns of a block, and threads for each.
COLUMNS, LANES = (4, 2) if IS_SIMULATED else (32, 16)


def make_sum_lanes(dtype):
    """A function that adds up one number of each of a column's threads, in order; they all get the sum."""
    columns, lanes, zero = COLUMNS, LANES, dtype(0)

    def sum_lanes(shared, value):
        cuda.syncthreads()
        shared[cuda.threadIdx.x] = value
        cuda.syncthreads()
        total = zero
        for lane in range(lanes):
            total += shared[lane * columns + cuda.threadIdx.x % columns]
        return total

    return register(sum_lanes)


def make_batch_norm_gather(dtype):
    """Mean and one over the deviation of the columns; the running statistics follow."""
    digest, size, momentum, columns, lanes = DIGEST, dtype().itemsize, MOMENTUM, COLUMNS, LANES
    zero, one, sum_lanes = dtype(0), dtype(1), make_sum_lanes(dtype)

    def batch_norm_gather(op_address, frames, step):
        digest  # part of the cache key
        op, f, shared = op_at(op_address), model_frame(frames, 1), cuda.shared.array(0, dtype)
        lane, j = cuda.threadIdx.x // columns, cuda.blockIdx.x * columns + cuda.threadIdx.x % columns
        weights, inside = vector(f.weights, dtype), j < op.n_out
        mean, rows, spread = zero, zero, zero
        for r in range(lane, f.chunk if inside else 0, lanes):
            part = dtype(f.scale) * (weights[row_number(f, r)] if f.weights != 0 else one)
            rows += one if part > zero else zero
            mean += part * vector(row_of(f, op.x, op.ld_out, r, size), dtype)[j]
        mean, rows = sum_lanes(shared, mean), sum_lanes(shared, rows)
        for r in range(lane, f.chunk if inside else 0, lanes):
            part = dtype(f.scale) * (weights[row_number(f, r)] if f.weights != 0 else one)
            d = vector(row_of(f, op.x, op.ld_out, r, size), dtype)[j] - mean
            spread += part * d * d
        spread = sum_lanes(shared, spread)
        if inside and lane == 0:
            statistics = vector(f.statistics + op.statistics * size, dtype)  # OUT (4, O): the first two
            statistics[j], statistics[op.ld_out + j] = mean, one / sqrt(spread + dtype(op.rate))
            running = vector(f.params + (op.weight + 2 * op.ld_out) * size, dtype)  # OUT (2, O)
            # A last batch of few rows counts for less, one of a single row for nothing.
            share = max(dtype(momentum), one / dtype(f.batches + 1)) * dtype(f.chunk)
            share = share / dtype(min(f.batch, f.n_rows)) if rows > one else zero
            running[j] += share * (mean - running[j])
            running[op.ld_out + j] += share * (spread - running[op.ld_out + j])

    return batch_norm_gather


def make_batch_norm_forward(dtype, activation):
    """Normalise rows, in training with the statistics of the batch, else with the running ones."""
    digest, size, value_and_slope = digest_of(activation.formula), dtype().itemsize, formula(activation.formula)
    one = dtype(1)

    def batch_norm_forward(op_address, frames, step):
        digest  # part of the cache key
        op, f = op_at(op_address), model_frame(frames, 1)
        parameters, ld = vector(f.params + op.weight * size, dtype), op.ld_out
        for e in range(cuda.grid(1), f.chunk * op.n_out, cuda.gridsize(1)):
            r, j = e // op.n_out, e % op.n_out
            x = vector(row_of(f, op.x, ld, r, size), dtype)  # (B, O), OUT: normalised
            if f.training != 0:
                statistics = vector(f.statistics + op.statistics * size, dtype)
                x[j] = (x[j] - statistics[j]) * statistics[ld + j]
            else:
                x[j] = (x[j] - parameters[2 * ld + j]) * (one / sqrt(parameters[3 * ld + j] + dtype(op.rate)))
            value, slope = value_and_slope(parameters[j] * x[j] + parameters[ld + j])
            vector(row_of(f, op.y, ld, r, size), dtype)[j] = value  # OUT (B, O)
            if f.training != 0:
                vector(row_of(f, op.dy, ld, r, size), dtype)[j] = slope  # OUT (B, O)

    return batch_norm_forward


def make_norm_gradient(dtype, batch):
    """Gradients by scale and shift, ``sum(dy * n)`` and ``sum(dy)``; with `batch` the way back needs them as well."""
    digest, size, columns, lanes = DIGEST, dtype().itemsize, COLUMNS, LANES
    zero, sum_lanes = dtype(0), make_sum_lanes(dtype)

    def norm_gradient(op_address, frames, step):
        digest  # part of the cache key
        op, f, shared = op_at(op_address), model_frame(frames, 1), cuda.shared.array(0, dtype)
        lane, j = cuda.threadIdx.x // columns, cuda.blockIdx.x * columns + cuda.threadIdx.x % columns
        inside, by_scale, by_shift = j < op.n_out, zero, zero
        for r in range(lane, f.chunk if inside else 0, lanes):
            d = vector(row_of(f, op.dy, op.ld_out, r, size), dtype)[j]
            by_scale += d * vector(row_of(f, op.x, op.ld_out, r, size), dtype)[j]
            by_shift += d
        by_scale, by_shift = sum_lanes(shared, by_scale), sum_lanes(shared, by_shift)
        if inside and lane == 0:
            gradient = vector(f.gradient + op.weight * size, dtype)  # OUT (2, O)
            before = f.done > 0
            gradient[j] = gradient[j] + by_scale if before else by_scale
            gradient[op.ld_out + j] = gradient[op.ld_out + j] + by_shift if before else by_shift
            if batch:
                statistics = vector(f.statistics + op.statistics * size, dtype)  # OUT (4, O): the last two
                statistics[2 * op.ld_out + j], statistics[3 * op.ld_out + j] = by_scale, by_shift

    return norm_gradient


def make_batch_norm_backward(dtype):
    """``dx = scale / deviation * (dy - share * (sum(dy) + n * sum(dy * n)))``, share the row's part of the weights."""
    digest, size = DIGEST, dtype().itemsize

    def batch_norm_backward(op_address, frames, step):
        digest  # part of the cache key
        op, f = op_at(op_address), model_frame(frames, 1)
        statistics, scale = (
            vector(f.statistics + op.statistics * size, dtype),
            vector(f.params + op.weight * size, dtype),
        )
        ld = op.ld_out
        for e in range(cuda.grid(1), f.chunk * op.n_out, cuda.gridsize(1)):
            r, j = e // op.n_out, e % op.n_out
            share = dtype(f.scale)
            if f.weights != 0:
                share *= vector(f.weights, dtype)[row_number(f, r)]
            n = vector(row_of(f, op.x, ld, r, size), dtype)[j]  # (B, O)
            d = vector(row_of(f, op.dy, ld, r, size), dtype)[j]  # (B, O)
            d -= share * (statistics[3 * ld + j] + n * statistics[2 * ld + j])
            vector(row_of(f, op.dx, ld, r, size), dtype)[j] = scale[j] * statistics[ld + j] * d  # OUT (B, O)

    return batch_norm_backward


def make_layer_norm_forward(dtype, activation):
    """Normalise every row by its own mean and deviation: a block has a row."""
    digest, size, value_and_slope = digest_of(activation.formula), dtype().itemsize, formula(activation.formula)
    zero, one, sum_block = dtype(0), dtype(1), make_sum_block(dtype)

    def layer_norm_forward(op_address, frames, step):
        digest  # part of the cache key
        op, f, shared = op_at(op_address), model_frame(frames, 1), cuda.shared.array(0, dtype)
        parameters, r, t, width = vector(f.params + op.weight * size, dtype), cuda.blockIdx.x, cuda.threadIdx.x, 0
        width += cuda.blockDim.x
        if r >= f.chunk:
            return
        x = vector(row_of(f, op.x, op.ld_out, r, size), dtype)  # (B, O), OUT: normalised
        y = vector(row_of(f, op.y, op.ld_out, r, size), dtype)  # OUT (B, O)
        total, spread, share = zero, zero, one / dtype(op.n_out)
        for j in range(t, op.n_out, width):
            total += x[j]
        mean = share * sum_block(shared, total)
        for j in range(t, op.n_out, width):
            spread += (x[j] - mean) * (x[j] - mean)
        factor = one / sqrt(share * sum_block(shared, spread) + dtype(op.rate))
        for j in range(t, op.n_out, width):
            x[j] = (x[j] - mean) * factor
            value, slope = value_and_slope(parameters[j] * x[j] + parameters[op.ld_out + j])
            y[j] = value
            if f.training != 0:
                vector(row_of(f, op.dy, op.ld_out, r, size), dtype)[j] = slope  # OUT (B, O)
        if t == 0:  # room for one number is padded to 64 bytes
            vector(row_of(f, op.statistics, 64 // size, r, size), dtype)[0] = factor  # OUT (B, 1)

    return layer_norm_forward


def make_layer_norm_backward(dtype):
    """``dx = (g - mean(g) - n * mean(g * n)) / deviation`` with ``g = scale * dy``."""
    digest, size, zero, one, sum_block = DIGEST, dtype().itemsize, dtype(0), dtype(1), make_sum_block(dtype)

    def layer_norm_backward(op_address, frames, step):
        digest  # part of the cache key
        op, f, shared = op_at(op_address), model_frame(frames, 1), cuda.shared.array(0, dtype)
        scale, r, t, width = vector(f.params + op.weight * size, dtype), cuda.blockIdx.x, cuda.threadIdx.x, 0
        width += cuda.blockDim.x
        if r >= f.chunk:
            return
        n = vector(row_of(f, op.x, op.ld_out, r, size), dtype)  # (B, O)
        dy = vector(row_of(f, op.dy, op.ld_out, r, size), dtype)  # (B, O)
        dx = vector(row_of(f, op.dx, op.ld_out, r, size), dtype)  # OUT (B, O)
        factor = vector(row_of(f, op.statistics, 64 // size, r, size), dtype)[0]
        total, slope, share = zero, zero, one / dtype(op.n_out)
        for j in range(t, op.n_out, width):
            total += scale[j] * dy[j]
            slope += scale[j] * dy[j] * n[j]
        mean, slope = share * sum_block(shared, total), share * sum_block(shared, slope)
        for j in range(t, op.n_out, width):
            dx[j] = factor * (scale[j] * dy[j] - mean - n[j] * slope)

    return layer_norm_backward
