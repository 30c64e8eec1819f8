"""Kernels of batch and layer normalisation (Ioffe and Szegedy, 2015; Ba, Kiros and Hinton, 2016).

``y = activation(scale * n + shift)``, where n is x without its mean and in units of its standard deviation: down a
column of the batch, or along a row. What n is stays in a buffer, which may be that of x.

Statistics of columns are sums over all rows of the batch, and over all of their steps. Where these are many they are
looked at in parts, which threads share; of a single part every thread takes a share of the columns. Behind a barrier
the parts are put together in order: so statistics are exact and do not depend on the number of threads. Rows count by
their weights, as in the loss (where samples are mixed, by their own).

Sizes: T steps, B rows of the batch, O columns; ``ld_out`` is O padded.
"""

from numba.extending import register_jitable

from skneural.backends.cpu.compiler import DIGEST, HELPER, SUM, formula
from skneural.backends.cpu.intrinsics import LAYER_KERNEL, clear, details_view, frame_at, op_at, vector
from skneural.backends.cpu.parts import own_share, parts_of, share_of_columns
from skneural.backends.cpu.registry import layer_kernel
from skneural.backends.cpu.rows import (
    activate,
    add_numbers,
    bring,
    clear_ended,
    length_of,
    own_steps,
    room_for_gradient,
    row_at,
    sample_of,
    send_row,
)
from skneural.backends.cpu.updates import sum_of_products, use_gradient
from skneural.backends.records import APPLY, COLLECT
from skneural.maths.normalization import (
    batch_norm_gradient,
    layer_norm_gradient,
    normalize,
    one_over_deviation,
    running_share,
)

for _function in (running_share, one_over_deviation, normalize, batch_norm_gradient, layer_norm_gradient):
    formula(_function)

batch_norm_at = details_view("batch_norm")
layer_norm_at = details_view("layer_norm")


@register_jitable(**HELPER)
def weight_of(f, r, dtype):
    """Weight of row r."""
    return vector(f.weights, dtype)[sample_of(f, r)] if f.weights != 0 else dtype(1)


@register_jitable(**HELPER)
def share_of_weight(op, f, dtype):
    """One over the sum of the weights of all steps of all rows of the batch."""
    if op.steps == 1 and op.every == 0:
        return dtype(f.scale)
    total = dtype(0)
    for r in range(f.chunk):
        total += weight_of(f, r, dtype) * dtype(length_of(f, op.every, op.steps, r))
    return dtype(1) / total if total > dtype(0) else dtype(0)


@register_jitable(**HELPER)
def _part_at(op, f, own, part, size):
    """Address of what is known of a part: (3, O)."""
    return f.statistics + (own.statistics + (4 + 3 * part) * op.ld_out) * size


@register_jitable(**HELPER)
def _add_rows(op, f, share, begin, count, rows, first, last, target, size, dtype):
    """Weighted sums of `count` columns from `begin`, of some rows, those of all steps counted; the sum of weights."""
    total = vector(target, dtype)  # OUT (O,)
    weight = dtype(0)
    t = first // rows
    r = first - t * rows
    for _ in range(first, last):
        if t < length_of(f, op.every, op.steps, r):
            part = share * weight_of(f, r, dtype)
            weight += part
            x = vector(row_at(f, op.x, op.ld_out, t, r, size) + begin * size, dtype)  # (T, B, O)
            for j in range(count):
                total[j] += part * x[j]
        r += 1
        if r == rows:
            r = 0
            t += 1
    return weight


@register_jitable(**HELPER)
def _add_squares(op, f, share, begin, count, rows, first, last, centre, target, size, dtype):
    """Weighted squares of the distances from a centre, likewise."""
    middle = vector(centre, dtype)
    squares = vector(target, dtype)  # OUT (O,)
    t = first // rows
    r = first - t * rows
    for _ in range(first, last):
        if t < length_of(f, op.every, op.steps, r):
            part = share * weight_of(f, r, dtype)
            x = vector(row_at(f, op.x, op.ld_out, t, r, size) + begin * size, dtype)  # (T, B, O)
            for j in range(count):
                d = x[j] - middle[j]
                squares[j] += part * d * d
        r += 1
        if r == rows:
            r = 0
            t += 1


@layer_kernel("batch_norm", "statistics_forward")
def make_batch_norm_statistics(dtype):
    """Of every part of the rows mean, squares of the distances from it, and weight: this thread's share."""
    digest = DIGEST
    size = dtype().itemsize

    def batch_norm_statistics(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = batch_norm_at(op_address)
        f = frame_at(frame_address)
        parts = parts_of(op, last)
        p_begin, p_end, begin, count = own_share(op, f, parts, size)
        width = op.ld_out * size
        share = share_of_weight(op, f, dtype)
        rows = op.steps * last
        for p in range(p_end - 1, p_begin - 1, -1):
            centre_at = _part_at(op, f, own, p, size) + begin * size  # OUT (O,)
            centre = vector(centre_at, dtype)
            weights = vector(centre_at + 2 * width, dtype)  # OUT (O,)
            clear(centre_at, count * size)
            clear(centre_at + width, count * size)
            row_begin = p * rows // parts
            row_end = (p + 1) * rows // parts
            weight = _add_rows(op, f, share, begin, count, last, row_begin, row_end, centre_at, size, dtype)
            for j in range(count):
                weights[j] = weight
                if weight > 0:
                    centre[j] /= weight
            squares_at = centre_at + width
            _add_squares(op, f, share, begin, count, last, row_begin, row_end, centre_at, squares_at, size, dtype)

    return LAYER_KERNEL, batch_norm_statistics


@layer_kernel("batch_norm", "combine_forward")
def make_batch_norm_combine(dtype):
    """Mean and one over the deviation of this thread's columns; the running statistics follow.

    Chan, Golub and LeVeque (1983), "Algorithms for computing the sample variance", The American Statistician 37.
    """
    digest = DIGEST
    size = dtype().itemsize

    def batch_norm_combine(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = batch_norm_at(op_address)
        f = frame_at(frame_address)
        begin = share_of_columns(op, f, f.rank, size)
        count = share_of_columns(op, f, f.rank + 1, size) - begin
        width = op.ld_out * size
        statistics = f.statistics + (own.statistics + begin) * size
        mean = vector(statistics, dtype)  # OUT (O,)
        variance = vector(statistics + width, dtype)  # OUT (O,): one over the deviation at the end
        clear(statistics, count * size)
        clear(statistics + width, count * size)
        parts = parts_of(op, last)
        for p in range(parts):
            at = _part_at(op, f, own, p, size) + begin * size
            centre = vector(at, dtype)
            weights = vector(at + 2 * width, dtype)
            for j in range(count):
                mean[j] += weights[j] * centre[j]
        for p in range(parts):
            at = _part_at(op, f, own, p, size) + begin * size
            centre = vector(at, dtype)
            squares = vector(at + width, dtype)
            weights = vector(at + 2 * width, dtype)
            for j in range(count):
                distance = centre[j] - mean[j]
                variance[j] += squares[j] + weights[j] * distance * distance
        running = f.params + (own.weight + 2 * op.ld_out + begin) * size
        running_mean = vector(running, dtype)  # OUT (O,)
        running_variance = vector(running + width, dtype)  # OUT (O,)
        counted = 0
        for r in range(last):
            counted += weight_of(f, r, dtype) > 0
        full = min(f.batch, f.n_rows)
        fresh = dtype(running_share(float(f.batches), float(last), float(full), float(counted)))
        epsilon = dtype(own.epsilon)
        for j in range(min(count, op.n_out - begin)):  # what an activation makes of padding need not be 0
            running_mean[j] += fresh * (mean[j] - running_mean[j])
            running_variance[j] += fresh * (variance[j] - running_variance[j])
        for j in range(count):
            variance[j] = one_over_deviation(variance[j], epsilon)

    return LAYER_KERNEL, batch_norm_combine


@layer_kernel("batch_norm", "forward")
def make_batch_norm_forward(dtype):
    """Normalise rows, in training with the statistics of the batch, else with the running ones."""
    digest = DIGEST
    size = dtype().itemsize

    def batch_norm_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = batch_norm_at(op_address)
        f = frame_at(frame_address)
        parameters = f.params + own.weight * size
        width = op.ld_out * size
        scale = vector(parameters, dtype)
        shift = vector(parameters + width, dtype)
        if f.training != 0:
            mean = vector(f.statistics + own.statistics * size, dtype)
            factor = vector(f.statistics + own.statistics * size + width, dtype)
        else:
            mean = vector(parameters + 2 * width, dtype)
            variance = vector(parameters + 3 * width, dtype)
            factor = vector(row_at(f, own.deviations, op.ld_out, 0, 0, size), dtype)
            epsilon = dtype(own.epsilon)
            for j in range(op.ld_out):
                factor[j] = one_over_deviation(variance[j], epsilon)
        t_begin, t_end = own_steps(f, op.steps)
        for t in range(t_begin, t_end):
            bring(op, f, own.normalized, t, first, last, size, dtype)
            for r in range(first, last):
                n = vector(row_at(f, own.normalized, op.ld_out, t, r, size), dtype)  # OUT (T, B, O)
                y = vector(row_at(f, op.y, op.ld_out, t, r, size), dtype)  # OUT (T, B, O)
                for j in range(op.ld_out):
                    n[j] = normalize(n[j], mean[j], factor[j])
                    y[j] = scale[j] * n[j] + shift[j]
            activate(op, f, t, first, last, size)
            clear_ended(op, f, t, first, last, size)

    return LAYER_KERNEL, batch_norm_forward


@register_jitable(**HELPER)
def _sum_columns(op, f, normalized, target, begin, count, rows, first, last, size, dtype):
    """Sums of dy * n and of dy over some rows, for `count` columns from `begin`: the gradients of scale and shift."""
    by_scale = vector(target, dtype)  # OUT (O,)
    by_shift = vector(target + op.ld_out * size, dtype)  # OUT (O,)
    clear(target, count * size)
    clear(target + op.ld_out * size, count * size)
    t = first // rows
    r = first - t * rows
    for _ in range(first, last):
        if t < length_of(f, op.every, op.steps, r):
            n = vector(row_at(f, normalized, op.ld_out, t, r, size) + begin * size, dtype)  # (T, B, O)
            dy = vector(row_at(f, op.dy, op.ld_out, t, r, size) + begin * size, dtype)  # (T, B, O)
            for j in range(count):
                by_scale[j] += dy[j] * n[j]
                by_shift[j] += dy[j]
        r += 1
        if r == rows:
            r = 0
            t += 1


@layer_kernel("batch_norm", "statistics_backward")
def make_batch_norm_statistics_backward(dtype):
    """The two sums that the way back of every row needs, of every part of the rows: this thread's share."""
    digest = DIGEST
    size = dtype().itemsize

    def batch_norm_statistics_backward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = batch_norm_at(op_address)
        f = frame_at(frame_address)
        parts = parts_of(op, last)
        p_begin, p_end, begin, count = own_share(op, f, parts, size)
        rows = op.steps * last
        for p in range(p_end - 1, p_begin - 1, -1):
            sums = _part_at(op, f, own, p, size) + begin * size
            row_begin = p * rows // parts
            row_end = (p + 1) * rows // parts
            _sum_columns(op, f, own.normalized, sums, begin, count, last, row_begin, row_end, size, dtype)

    return LAYER_KERNEL, batch_norm_statistics_backward


@layer_kernel("batch_norm", "combine_backward")
def make_batch_norm_combine_backward(dtype):
    """The two sums over all parts, of this thread's columns."""
    digest = DIGEST
    size = dtype().itemsize

    def batch_norm_combine_backward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = batch_norm_at(op_address)
        f = frame_at(frame_address)
        begin = share_of_columns(op, f, f.rank, size)
        count = share_of_columns(op, f, f.rank + 1, size) - begin
        width = op.ld_out * size
        sums = f.statistics + (own.statistics + 2 * op.ld_out + begin) * size
        clear(sums, count * size)
        clear(sums + width, count * size)
        for p in range(parts_of(op, last)):
            at = _part_at(op, f, own, p, size) + begin * size
            add_numbers(sums, at, count, dtype)
            add_numbers(sums + width, at + width, count, dtype)

    return LAYER_KERNEL, batch_norm_combine_backward


@layer_kernel("batch_norm", "backward")
def make_batch_norm_backward(dtype):
    """``dx = scale / deviation * (dy - share * (sum(dy) + n * sum(dy * n)))``, share the row's part of the weights."""
    digest = DIGEST
    size = dtype().itemsize

    def batch_norm_backward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = batch_norm_at(op_address)
        f = frame_at(frame_address)
        ld = op.ld_out
        statistics = f.statistics + own.statistics * size
        scale = vector(f.params + own.weight * size, dtype)
        factor = vector(statistics + ld * size, dtype)
        by_scale = vector(statistics + 2 * ld * size, dtype)
        by_shift = vector(statistics + 3 * ld * size, dtype)
        share = share_of_weight(op, f, dtype)
        t_begin, t_end = own_steps(f, op.steps)
        for t in range(t_begin, t_end):
            for r in range(first, last):
                if t >= length_of(f, op.every, op.steps, r):
                    continue
                part = share * weight_of(f, r, dtype)
                n = vector(row_at(f, own.normalized, ld, t, r, size), dtype)  # (T, B, O)
                dy = vector(row_at(f, op.dy, ld, t, r, size), dtype)  # (T, B, O)
                room = room_for_gradient(op, f, t, r, size)
                d = vector(room, dtype)  # OUT (O,)
                for j in range(ld):
                    d[j] = batch_norm_gradient(dy[j], n[j], factor[j], scale[j], part, by_scale[j], by_shift[j])
                send_row(op, f, t, r, room, size, dtype)

    return LAYER_KERNEL, batch_norm_backward


# -- of every row by itself --------------------------------------------------------------------------------------------


@register_jitable(**SUM)
def _sum_of_triple_products(a, b, c, count, zero):
    """Sum of ``a * b * c``."""
    total = zero
    for j in range(count):
        total += a[j] * b[j] * c[j]
    return total


@register_jitable(**SUM)
def _sum_of_powers(a, centre, count, square, zero):
    """Sum of ``a - centre``, or of its squares."""
    total = zero
    for j in range(count):
        d = a[j] - centre
        total += d * d if square else d
    return total


@layer_kernel("layer_norm", "forward")
def make_layer_norm_forward(dtype):
    """Normalise every row by its own mean and deviation."""
    digest = DIGEST
    size = dtype().itemsize
    line = 64 // size
    zero = dtype(0)

    def layer_norm_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = layer_norm_at(op_address)
        f = frame_at(frame_address)
        parameters = f.params + own.weight * size
        scale = vector(parameters, dtype)
        shift = vector(parameters + op.ld_out * size, dtype)
        share = dtype(1) / dtype(op.n_out)
        epsilon = dtype(own.epsilon)
        for t in range(op.steps):
            bring(op, f, own.normalized, t, first, last, size, dtype)
            for r in range(first, last):
                n = vector(row_at(f, own.normalized, op.ld_out, t, r, size), dtype)  # OUT (T, B, O)
                y = vector(row_at(f, op.y, op.ld_out, t, r, size), dtype)  # OUT (T, B, O)
                mean = share * _sum_of_powers(n, zero, op.n_out, False, zero)
                factor = one_over_deviation(share * _sum_of_powers(n, mean, op.n_out, True, zero), epsilon)
                vector(row_at(f, own.deviations, line, t, r, size), dtype)[0] = factor  # OUT (T, B, 1)
                for j in range(op.n_out):
                    n[j] = normalize(n[j], mean, factor)
                for j in range(op.ld_out):
                    y[j] = scale[j] * n[j] + shift[j]
            activate(op, f, t, first, last, size)
            clear_ended(op, f, t, first, last, size)

    return LAYER_KERNEL, layer_norm_forward


@layer_kernel("layer_norm", "backward")
def make_layer_norm_backward(dtype):
    """``dx = (g - mean(g) - n * mean(g * n)) / deviation`` with ``g = scale * dy``."""
    digest = DIGEST
    size = dtype().itemsize
    line = 64 // size
    zero = dtype(0)

    def layer_norm_backward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = layer_norm_at(op_address)
        f = frame_at(frame_address)
        ld = op.ld_out
        share = dtype(1) / dtype(op.n_out)
        scale = vector(f.params + own.weight * size, dtype)
        for t in range(op.steps):
            for r in range(first, last):
                n = vector(row_at(f, own.normalized, ld, t, r, size), dtype)  # (T, B, O)
                dy = vector(row_at(f, op.dy, ld, t, r, size), dtype)  # (T, B, O)
                room = room_for_gradient(op, f, t, r, size)
                d = vector(room, dtype)  # OUT (O,)
                factor = vector(row_at(f, own.deviations, line, t, r, size), dtype)[0]
                mean = share * sum_of_products(scale, dy, op.n_out, zero)
                slope = share * _sum_of_triple_products(scale, dy, n, op.n_out, zero)
                for j in range(op.n_out):
                    d[j] = layer_norm_gradient(scale[j] * dy[j], n[j], factor, mean, slope)
                send_row(op, f, t, r, room, size, dtype)

    return LAYER_KERNEL, layer_norm_backward


# -- scale and shift ---------------------------------------------------------------------------------------------------


@layer_kernel("batch_norm", "update", True)
@layer_kernel("layer_norm", "update", False)
def make_norm_update(dtype, batch):
    """Hand the gradients of scale and shift to the optimizer. Batch normalisation has summed them up already."""
    digest = DIGEST
    size = dtype().itemsize
    collect = COLLECT
    apply = APPLY

    def norm_update(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = batch_norm_at(op_address)
        f = frame_at(frame_address)
        if f.rank == f.n_threads - 1:
            is_stored = f.phase == collect and f.done == 0
            fresh = f.gradient + own.weight * size if is_stored else f.scratch
            if batch and f.phase != apply:
                fresh = f.statistics + (own.statistics + 2 * op.ld_out) * size
            elif f.phase != apply:
                rows = op.steps * last
                _sum_columns(op, f, own.normalized, fresh, 0, op.ld_out, last, 0, rows, size, dtype)
            use_gradient(f, frame_address, own.weight, 2 * op.ld_out, fresh, op.slot, 0, size, dtype)

    return LAYER_KERNEL, norm_update
