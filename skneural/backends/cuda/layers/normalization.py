"""Kernels of batch and layer normalisation (Ioffe and Szegedy, 2015; Ba, Kiros and Hinton, 2016).

``y = activation(scale * n + shift)``, where n is x without its mean and in units of its standard deviation: down a
column of the batch, or along a row. What n is stays in a buffer, which may be that of x.

Statistics of columns are sums over all rows of the batch, and over all of their steps. A block has some columns and a
part of the rows, and some threads for each column, which take rows in turn; their sums are added in order, then those
of all parts by a kernel of its own. Rows count by their weights.

Sizes: T steps, B rows of the batch, O columns; ``ld_out`` is O padded.
"""

from skneural.backends.cuda.compiler import DIGEST, digest_of, formula
from skneural.backends.cuda.hub import IS_SIMULATED, cuda, register
from skneural.backends.cuda.intrinsics import divide, vector
from skneural.backends.cuda.launches import THREADS, Launch, layer_kernel, layer_launches, over
from skneural.backends.cuda.rows import (
    get,
    get_dy,
    get_x,
    has_ended,
    make_each_number,
    make_kernel,
    parameter,
    put,
    put_dy,
    put_y,
    row_of,
    send_x,
    weight_of,
)
from skneural.backends.cuda.updates import make_sum_block
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.normalization import (
    batch_norm_gradient,
    layer_norm_gradient,
    normalize,
    one_over_deviation,
    running_share,
)

for _function in (running_share, one_over_deviation, normalize, batch_norm_gradient, layer_norm_gradient):
    formula(_function)

#: Columns of a block, and threads for each.
COLUMNS, LANES = (4, 2) if IS_SIMULATED else (32, 16)
#: Parts that rows are divided into, at the most, rows of each at the least, and numbers of a column that it leaves.
MOST_PARTS = 64
LEAST_ROWS = 8 if IS_SIMULATED else 256
NUMBERS = 4
#: Numbers of 4 or 8 bytes in a padded row of one.
LINE = 64


def over_columns(net, i, make_parts, make, *options):
    """Launches of a kernel whose blocks have some columns and a part of the rows each, and of one that adds them up."""
    op = net.op(i)
    columns = int(op.n_out)
    blocks = -(-columns // COLUMNS)
    rows = net.capacity * int(op.steps)
    op.n_slots = max(1, min(2 * net.n_processors // blocks, rows // LEAST_ROWS, MOST_PARTS))
    op.slot = net.scratch(int(op.n_slots) * NUMBERS * int(op.ld_out))
    threads = COLUMNS * LANES
    grid = (blocks, int(op.n_slots), 1)
    parts = Launch((make_parts, net.dtype, *options), i, grid, threads, threads * net.size)
    return [parts, Launch((make, net.dtype, *options), i, over(columns))]


def over_rows(net, i, make, *options):
    """Launch of a kernel whose blocks have a row of a step each."""
    blocks = net.capacity * int(net.ops[i]["steps"])
    return [Launch((make, net.dtype, *options), i, (blocks, 1, 1), THREADS, THREADS * net.size)]


@layer_launches("batch_norm", "statistics_forward")
def batch_norm_statistics_launches(net, i):
    """Statistics of the batch."""
    return over_columns(net, i, make_batch_norm_parts, make_batch_norm_statistics)


@layer_launches("batch_norm", "statistics_backward")
def batch_norm_gradient_launches(net, i):
    """Sums that the way back needs; they are the gradients by scale and shift."""
    return over_columns(net, i, make_norm_gradient_parts, make_norm_gradient, True)


@layer_launches("layer_norm", "gradient")
def layer_norm_gradient_launches(net, i):
    """Gradients by scale and shift."""
    return over_columns(net, i, make_norm_gradient_parts, make_norm_gradient, False)


@layer_launches("layer_norm", "forward")
def layer_norm_launches(net, i):
    """A block a row."""
    return over_rows(net, i, make_layer_norm_forward, ACTIVATIONS.get(net.operation(i).function))


@layer_launches("layer_norm", "backward")
def layer_norm_backward_launches(net, i):
    """A block a row."""
    return over_rows(net, i, make_layer_norm_backward)


# -- of columns --------------------------------------------------------------------------------------------------------


@register
def lane_and_column():
    """Which of a column's threads this one is, and the column."""
    index = cuda.threadIdx.x
    return index // COLUMNS, cuda.blockIdx.x * COLUMNS + index % COLUMNS


def make_sum_lanes(dtype):
    """A function that adds up one number of each of a column's threads, in order; they all get the sum."""
    columns = COLUMNS
    lanes = LANES

    def sum_lanes(shared, value):
        cuda.syncthreads()
        shared[cuda.threadIdx.x] = value
        cuda.syncthreads()
        total = dtype(0)
        for lane in range(lanes):
            total += shared[lane * columns + cuda.threadIdx.x % columns]
        return total

    return register(sum_lanes)


@register
def rows_of_part(op, f):
    """The first row of this block's part, counted over all steps, and the one after the last."""
    rows = op.steps * f.chunk
    each = (rows + op.n_slots - 1) // op.n_slots
    first = cuda.blockIdx.y * each
    return first, min(first + each, rows)


@register
def weight_at(op, f, row, dtype):
    """Weight of a row of some step: 0 after its end."""
    return dtype(0) if has_ended(op, f, row) else weight_of(f, row - divide(row, f.chunk) * f.chunk, dtype)


@register
def place_of_number(op, part, number, j):
    """Where a number of a column stands that a part has left."""
    return op.slot + (part * NUMBERS + number) * op.ld_out + j


def make_sum_of_parts(dtype):
    """A function that adds up a number of a column that all parts have left, in order."""

    def sum_of_parts(op, f, number, j):
        parts = vector(f.scratch, dtype)
        total = dtype(0)
        for part in range(op.n_slots):
            total += parts[place_of_number(op, part, number, j)]
        return total

    return register(sum_of_parts)


def make_batch_norm_parts(dtype):
    """Of columns of a part of the rows: weight, mean, squared distance from it, and how many rows have weight."""
    lanes = LANES
    sum_lanes = make_sum_lanes(dtype)

    def batch_norm_parts(op, own, f, step):
        shared = cuda.shared.array(0, dtype)
        lane, j = lane_and_column()
        first, end = rows_of_part(op, f)
        inside = j < op.n_out
        weight = dtype(0)
        total = dtype(0)
        rows = dtype(0)
        for row in range(first + lane, end if inside else 0, lanes):
            share = weight_at(op, f, row, dtype)
            weight += share
            total += share * get_x(op, f, row, j, dtype)
            if row < f.chunk and share > dtype(0):
                rows += dtype(1)
        weight = sum_lanes(shared, weight)
        total = sum_lanes(shared, total)
        rows = sum_lanes(shared, rows)
        mean = total / weight if weight > dtype(0) else dtype(0)
        squares = dtype(0)
        for row in range(first + lane, end if inside else 0, lanes):
            distance = get_x(op, f, row, j, dtype) - mean
            squares += weight_at(op, f, row, dtype) * distance * distance
        squares = sum_lanes(shared, squares)
        if inside and lane == 0:
            parts = vector(f.scratch, dtype)  # OUT (parts, 4, O)
            part = cuda.blockIdx.y
            parts[place_of_number(op, part, 0, j)] = weight
            parts[place_of_number(op, part, 1, j)] = mean
            parts[place_of_number(op, part, 2, j)] = squares
            parts[place_of_number(op, part, 3, j)] = rows

    return make_kernel("batch_norm", batch_norm_parts)


def make_batch_norm_statistics(dtype):
    """Mean and one over the deviation of the columns; the running statistics follow."""
    sum_of_parts = make_sum_of_parts(dtype)

    def batch_norm_statistics(op, own, f, step):
        j = cuda.grid(1)
        if j < op.n_out:
            parts = vector(f.scratch, dtype)
            weight = sum_of_parts(op, f, 0, j)
            share = dtype(1) / weight if weight > dtype(0) else dtype(0)
            mean = dtype(0)
            for part in range(op.n_slots):
                mean += share * parts[place_of_number(op, part, 0, j)] * parts[place_of_number(op, part, 1, j)]
            variance = share * sum_of_parts(op, f, 2, j)
            for part in range(op.n_slots):
                distance = parts[place_of_number(op, part, 1, j)] - mean
                variance += share * parts[place_of_number(op, part, 0, j)] * distance * distance
            at = own.statistics + j
            statistics = vector(f.statistics, dtype)  # OUT (4, O): the first two
            statistics[at] = mean
            statistics[at + op.ld_out] = one_over_deviation(variance, dtype(own.epsilon))
            rows = sum_of_parts(op, f, 3, j)
            fresh = running_share(dtype(f.batches), dtype(f.chunk), dtype(min(f.batch, f.n_rows)), rows)
            at = own.weight + 2 * op.ld_out + j
            running = vector(f.params, dtype)  # OUT (4, O): the last two
            running[at] += fresh * (mean - running[at])
            at += op.ld_out
            running[at] += fresh * (variance - running[at])

    return make_kernel("batch_norm", batch_norm_statistics)


def make_finish(dtype, activation):
    """A function that writes one number of the output, of one in units of the deviation."""
    active = activation is not None
    value_and_derivative = formula(activation.formula) if active else None

    def finish(op, own, f, row, j, n):
        ended = has_ended(op, f, row)
        scale = parameter(f, own.weight + j, dtype)
        value = scale * n + parameter(f, own.weight + op.ld_out + j, dtype)
        if active:
            value, derivative = value_and_derivative(value)
            if f.training != 0 and op.dy >= 0:
                put_dy(op, f, row, j, dtype, dtype(0) if ended else derivative)
        put(f, own.normalized, op.ld_out, row, j, dtype, n)
        put_y(op, f, row, j, dtype, dtype(0) if ended else value)

    return register(finish), digest_of(activation.formula) if active else DIGEST


@layer_kernel("batch_norm", "forward", registry=ACTIVATIONS)
def make_batch_norm_forward(dtype, activation):
    """Normalise rows, in training with the statistics of the batch, else with the running ones."""
    finish, digest = make_finish(dtype, activation)

    def work(op, own, f, row, j):
        if f.training != 0:
            statistics = vector(f.statistics, dtype)
            mean = statistics[own.statistics + j]
            factor = statistics[own.statistics + op.ld_out + j]
        else:
            running = own.weight + 2 * op.ld_out + j
            mean = parameter(f, running, dtype)
            factor = one_over_deviation(parameter(f, running + op.ld_out, dtype), dtype(own.epsilon))
        finish(op, own, f, row, j, normalize(get_x(op, f, row, j, dtype), mean, factor))

    return make_each_number("batch_norm", work, digest=digest)


def make_norm_gradient_parts(dtype, batch):
    """Of columns of a part of the rows: ``sum(dy * n)`` and ``sum(dy)``, and with `batch` the weight."""
    lanes = LANES
    sum_lanes = make_sum_lanes(dtype)

    def norm_gradient_parts(op, own, f, step):
        shared = cuda.shared.array(0, dtype)
        lane, j = lane_and_column()
        first, end = rows_of_part(op, f)
        inside = j < op.n_out
        weight = dtype(0)
        by_scale = dtype(0)
        by_shift = dtype(0)
        for row in range(first + lane, end if inside else 0, lanes):
            if not has_ended(op, f, row):
                dy = get_dy(op, f, row, j, dtype)
                by_scale += dy * get(f, own.normalized, op.ld_out, row, j, dtype)
                by_shift += dy
                if batch:
                    weight += weight_at(op, f, row, dtype)
        weight = sum_lanes(shared, weight)
        by_scale = sum_lanes(shared, by_scale)
        by_shift = sum_lanes(shared, by_shift)
        if inside and lane == 0:
            parts = vector(f.scratch, dtype)  # OUT (parts, 4, O): the first three
            part = cuda.blockIdx.y
            parts[place_of_number(op, part, 0, j)] = weight
            parts[place_of_number(op, part, 1, j)] = by_scale
            parts[place_of_number(op, part, 2, j)] = by_shift

    return make_kernel("batch_norm", norm_gradient_parts)


def make_norm_gradient(dtype, batch):
    """Gradients by scale and shift, ``sum(dy * n)`` and ``sum(dy)``.

    With `batch` the way back needs them as well, times one over the sum of the weights.
    """
    sum_of_parts = make_sum_of_parts(dtype)

    def norm_gradient(op, own, f, step):
        j = cuda.grid(1)
        if j < op.n_out:
            by_scale = sum_of_parts(op, f, 1, j)
            by_shift = sum_of_parts(op, f, 2, j)
            if batch:
                weight = sum_of_parts(op, f, 0, j)
                share = dtype(1) / weight if weight > dtype(0) else dtype(0)
                at = own.statistics + 2 * op.ld_out + j
                statistics = vector(f.statistics, dtype)  # OUT (4, O): the last two
                statistics[at] = share * by_scale
                statistics[at + op.ld_out] = share * by_shift
            at = own.weight + j
            gradient = vector(f.gradient, dtype)  # OUT (2, O)
            if f.done > 0:
                by_scale += gradient[at]
                by_shift += gradient[at + op.ld_out]
            gradient[at] = by_scale
            gradient[at + op.ld_out] = by_shift

    return make_kernel("batch_norm", norm_gradient)


@layer_kernel("batch_norm", "backward")
def make_batch_norm_backward(dtype):
    """``dx = scale / deviation * (dy - share * (sum(dy) + n * sum(dy * n)))``, share the row's part of the weights."""

    def work(op, own, f, row, j):
        ld = op.ld_out
        gradient = dtype(0)
        if not has_ended(op, f, row):
            at = own.statistics + j
            statistics = vector(f.statistics, dtype)
            factor = statistics[at + ld]
            by_scale = statistics[at + 2 * ld]
            by_shift = statistics[at + 3 * ld]
            scale = parameter(f, own.weight + j, dtype)
            n = get(f, own.normalized, ld, row, j, dtype)
            dy = get_dy(op, f, row, j, dtype)
            weight = weight_of(f, row % f.chunk, dtype)  # one over the sum of all weights is in both sums already
            gradient = batch_norm_gradient(dy, n, factor, scale, weight, by_scale, by_shift)
        send_x(op, f, row, j, dtype, gradient)

    return make_each_number("batch_norm", work)


# -- of every row by itself --------------------------------------------------------------------------------------------


def make_layer_norm_forward(dtype, activation):
    """Normalise every row by its own mean and deviation: a block has a row."""
    size = dtype().itemsize
    line = LINE // size
    sum_block = make_sum_block(dtype)
    finish, digest = make_finish(dtype, activation)

    def layer_norm_forward(op, own, f, step):
        shared = cuda.shared.array(0, dtype)
        row = cuda.blockIdx.x
        thread = cuda.threadIdx.x
        width = cuda.blockDim.x
        if row >= op.steps * f.chunk:
            return
        x = vector(row_of(f, op.x, op.ld_out, row, size), dtype)  # (T, B, O)
        share = dtype(1) / dtype(op.n_out)
        total = dtype(0)
        for j in range(thread, op.n_out, width):
            total += x[j]
        mean = share * sum_block(shared, total)
        squares = dtype(0)
        for j in range(thread, op.n_out, width):
            squares += (x[j] - mean) * (x[j] - mean)
        factor = one_over_deviation(share * sum_block(shared, squares), dtype(own.epsilon))
        for j in range(thread, op.n_out, width):
            finish(op, own, f, row, j, normalize(x[j], mean, factor))
        if thread == 0:
            put(f, own.deviations, line, row, 0, dtype, factor)

    return make_kernel("layer_norm", layer_norm_forward, digest)


def make_layer_norm_backward(dtype):
    """``dx = (g - mean(g) - n * mean(g * n)) / deviation`` with ``g = scale * dy``."""
    size = dtype().itemsize
    line = LINE // size
    sum_block = make_sum_block(dtype)

    def layer_norm_backward(op, own, f, step):
        shared = cuda.shared.array(0, dtype)
        row = cuda.blockIdx.x
        thread = cuda.threadIdx.x
        width = cuda.blockDim.x
        if row >= op.steps * f.chunk:
            return
        scale = vector(f.params + own.weight * size, dtype)
        n = vector(row_of(f, own.normalized, op.ld_out, row, size), dtype)  # (T, B, O)
        dy = vector(row_of(f, op.dy, op.ld_out, row, size), dtype)  # (T, B, O)
        factor = get(f, own.deviations, line, row, 0, dtype)
        share = dtype(1) / dtype(op.n_out)
        total = dtype(0)
        products = dtype(0)
        for j in range(thread, op.n_out, width):
            total += scale[j] * dy[j]
            products += scale[j] * dy[j] * n[j]
        mean = share * sum_block(shared, total)
        mean_of_products = share * sum_block(shared, products)
        for j in range(thread, op.n_out, width):
            gradient = layer_norm_gradient(scale[j] * dy[j], n[j], factor, mean, mean_of_products)
            send_x(op, f, row, j, dtype, gradient)

    return make_kernel("layer_norm", layer_norm_backward)
