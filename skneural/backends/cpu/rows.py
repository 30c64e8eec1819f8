"""What kernels of layers have in common: where rows stand, how long they are, and how gradients are sent on.

Sizes: T steps, B rows, I in, O out; ``ld_in`` and ``ld_out`` are I and O padded.
"""

import numpy as np
from numba.extending import register_jitable

from skneural.backends.cpu import elementary  # noqa: F401  (teaches the compiler exp, random numbers and their kin)
from skneural.backends.cpu.compiler import HELPER, formula
from skneural.backends.cpu.intrinsics import call_activation, call_product, clear, vector
from skneural.backends.cpu.layout import PANELS_FROM, STRIP
from skneural.maths.augmentation import drawn, mixed_share
from skneural.maths.gradients import sent

for _function in (drawn, mixed_share):
    register_jitable(**HELPER)(_function)


@register_jitable(**HELPER)
def row_at(f, buffer, ld, t, r, size):
    """Address of row r of time step t in a buffer; rows have the one step 0."""
    number = buffer * f.capacity + (t * f.chunk + r) * ld
    return f.work + number * size


@register_jitable(**HELPER)
def own_steps(f, steps):
    """Of so many time steps or pixels this thread's share: the first, and one after the last."""
    return f.step_begin * steps // f.step_pieces, f.step_end * steps // f.step_pieces


@register_jitable(**HELPER)
def sample_of(f, r):
    """Which sample of the data row r of the chunk is."""
    number = f.start + r
    if f.order == 0:
        return number
    return vector(f.order, np.int64)[number]


@register_jitable(**HELPER)
def partner_of(f, r):
    """Which sample of the data row r of the chunk is mixed with: the next one in the order of the epoch."""
    number = (f.start + r + 1) % f.n_rows
    if f.order == 0:
        return number
    return vector(f.order, np.int64)[number]


@register_jitable(**HELPER)
def share_of(f, r):
    """Share of row r of the chunk in what it is mixed to."""
    return mixed_share(f.seed, f.step, f.start + r, vector(f.mixup, np.float64))


@register_jitable(**HELPER)
def mixed_weight(f, number, dtype):
    """Weight of what is mixed of the row at a place in the order of the epoch and the next one."""
    partner = (number + 1) % f.n_rows
    if f.order != 0:
        order = vector(f.order, np.int64)
        own = order[number]
        partner = order[partner]
    else:
        own = number
    weights = vector(f.weights, dtype)
    share = mixed_share(f.seed, f.step, number, vector(f.mixup, np.float64))
    return share * weights[own] + (1.0 - share) * weights[partner]


@register_jitable(**HELPER)
def loss_weight(f, r, dtype):
    """Weight of row r of the chunk in the loss: of what is mixed, that of both."""
    if f.weights == 0:
        return dtype(1)
    if f.mixup != 0:
        return dtype(mixed_weight(f, f.start + r, dtype))
    return vector(f.weights, dtype)[sample_of(f, r)]


@register_jitable(**HELPER)
def length_of(f, every, steps, r):
    """Number of steps of row r, each of which stands for `every` of the data; 0: all rows have all steps."""
    if f.lengths == 0 or every == 0:
        return steps
    return length_of_sample(f, every, steps, sample_of(f, r))


@register_jitable(**HELPER)
def length_of_sample(f, every, steps, sample):
    """The same of a sample of the data."""
    if f.lengths == 0 or every == 0:
        return steps
    length = vector(f.lengths, np.int64)[sample]
    there = (length + every - 1) // every
    return min(there, steps)


@register_jitable(**HELPER)
def copy_numbers(target, source, count, dtype):
    """``target = source`` at two addresses."""
    a = vector(target, dtype)
    b = vector(source, dtype)
    for j in range(count):
        a[j] = b[j]


@register_jitable(**HELPER)
def add_numbers(target, source, count, dtype):
    """``target += source`` at two addresses."""
    a = vector(target, dtype)
    b = vector(source, dtype)
    for j in range(count):
        a[j] += b[j]


@register_jitable(**HELPER)
def multiply_numbers(target, x, y, count, dtype):
    """``target = x * y`` at three addresses."""
    a = vector(target, dtype)
    b = vector(x, dtype)
    c = vector(y, dtype)
    for j in range(count):
        a[j] = b[j] * c[j]


@register_jitable(**HELPER)
def weights_at(f, weights, rows, ld, size):
    """Weights as `multiply` takes them: in panels where they are laid out. Their address, and their row stride."""
    if f.panels != 0 and ld * size >= PANELS_FROM:
        return f.panels + weights * size, -rows
    return f.params + weights * size, ld


@register_jitable(**HELPER)
def multiply(f, a, a_row, b, ld_b, c, ld_c, n_rows, n_columns, width, depth, begin, ld_begin, scale):
    """``C = begin + A B``, times what C held if `scale`: see `product.make_product`."""
    shape = (n_rows, n_columns, width, depth)
    call_product(f.product, (a, a_row, 1, STRIP * a_row, b, ld_b, c, ld_c, *shape, begin, ld_begin, scale))


@register_jitable(**HELPER)
def sum_rows(f, target, source, ld, n_rows, dtype):
    """Sum `n_rows` rows of `ld` numbers, one after the other: their product with a row of ones, sums in registers.

    The one stands in the room for strips, which this product does not need.
    """
    vector(f.strips, dtype)[0] = dtype(1)
    call_product(f.product, (f.strips, 0, 0, 0, source, ld, target, ld, 1, ld, ld, n_rows, 0, 0, 0))


@register_jitable(**HELPER)
def bring(op, f, target, t, first, last, size, dtype):
    """Let rows of x at one step stand in another buffer of that width, unless they do already."""
    if target != op.x:
        goal = row_at(f, target, op.ld_in, t, first, size)
        source = row_at(f, op.x, op.ld_in, t, first, size)
        count = (last - first) * op.ld_in
        copy_numbers(goal, source, count, dtype)


@register_jitable(**HELPER)
def activate(op, f, t, first, last, size):
    """Apply the activation to rows of y at one step; in training its derivative goes into dy."""
    if op.function != 0:
        y = row_at(f, op.y, op.ld_out, t, first, size)  # OUT (B, O)
        derivative = row_at(f, op.dy, op.ld_out, t, first, size) if op.dy >= 0 else 0  # OUT (B, O)
        count = (last - first) * op.ld_out
        call_activation(op.function, (y, derivative, count))


@register_jitable(**HELPER)
def clear_ended(op, f, t, first, last, size):
    """After the end of a row its values are 0; a derivative of 0 keeps gradients away."""
    if op.every != 0 and f.lengths != 0:
        count = op.ld_out * size
        leaves_derivative = op.dy >= 0 and op.function != 0
        for r in range(first, last):
            if t >= length_of(f, op.every, op.steps, r):
                y = row_at(f, op.y, op.ld_out, t, r, size)
                clear(y, count)
                if leaves_derivative:
                    derivative = row_at(f, op.dy, op.ld_out, t, r, size)
                    clear(derivative, count)


@register_jitable(**HELPER)
def clear_padding(at, width, ld, size):
    """The padding of a gradient is 0: a derivative that waited there is not."""
    clear(at + width * size, (ld - width) * size)


formula(sent)


@register_jitable(**HELPER)
def is_plain(begin, scale):
    """Whether a gradient goes on as it is: nobody has sent anything before, and no derivative waits."""
    return begin < 0 and scale == 0


@register_jitable(**HELPER)
def send_numbers(target, begin, scale, gradient, count, dtype):
    """Send `count` numbers of a gradient on, from one address to another; `begin` is an address, or 0."""
    dx = vector(target, dtype)  # OUT
    d = vector(gradient, dtype)
    if begin == 0 and scale == 0:
        copy_numbers(target, gradient, count, dtype)
    elif begin == 0:
        for j in range(count):
            dx[j] = sent(d[j], d[j], False, dx[j], True)
    elif begin == target:
        add_numbers(target, gradient, count, dtype)
    else:
        before = vector(begin, dtype)
        if scale != 0:
            for j in range(count):
                dx[j] = sent(d[j], before[j], True, dx[j], True)
        else:
            for j in range(count):
                dx[j] = sent(d[j], before[j], True, dx[j], False)


@register_jitable(**HELPER)
def send_row(op, f, t, r, gradient, size, dtype):
    """Send the gradient by one row of x on, from a room of the thread's own; its padding is 0."""
    ld = op.ld_in
    target = row_at(f, op.dx, ld, t, r, size)
    if gradient != target:
        begin = row_at(f, op.begin, ld, t, r, size) if op.begin >= 0 else 0
        send_numbers(target, begin, op.scale, gradient, op.n_in, dtype)
    if ld > op.n_in:
        clear_padding(target, op.n_in, ld, size)


@register_jitable(**HELPER)
def room_for_gradient(op, f, t, r, size):
    """Where to put the gradient by one row of x: its place, if it goes on as it is, else room of the thread's own."""
    return row_at(f, op.dx, op.ld_in, t, r, size) if is_plain(op.begin, op.scale) else f.scratch


@register_jitable(**HELPER)
def send_rows(f, target, begin, scale, source, ld, steps, first, last, size, dtype):
    """Send the gradient by an output on, as it is, as that by an input: rows of width `ld` of all steps."""
    t_begin, t_end = own_steps(f, steps)
    for t in range(t_begin, t_end):
        before = row_at(f, begin, ld, t, first, size) if begin >= 0 else 0
        dx = row_at(f, target, ld, t, first, size)  # OUT (T, B, I)
        dy = row_at(f, source, ld, t, first, size)  # (T, B, O)
        send_numbers(dx, before, scale, dy, (last - first) * ld, dtype)
