"""Loops over runs of numbers: what all rows of a batch have at a pixel stands side by side.

A loop reads and writes different pixels, so its arrays do not overlap (see `loops.for_each`). `count` is a multiple of
the padded width of a row.
"""

from numba.extending import register_jitable

from skneural.backends.cpu.compiler import HELPER, formula
from skneural.backends.cpu.intrinsics import vector
from skneural.backends.cpu.layout import CHUNK_ROWS
from skneural.backends.cpu.loops import for_each
from skneural.maths.pooling import is_new_maximum
from skneural.network.memory import ALIGNMENT

#: Bytes of a run that meet all pixels of a window before the next ones do: they stay in the first-level cache, and
#: there is room for them in what a thread has of its own, however narrow the rows.
RUN_BYTES = CHUNK_ROWS * ALIGNMENT
#: Ways in which a gradient meets what is there.
WRITE = 0
ADD = 1
MULTIPLY = 2

formula(is_new_maximum)


@formula
def each(unit, count, dtype, arguments):
    """Call ``unit(j, *arguments)`` for every j below `count`; arrays among the arguments do not overlap."""
    for_each(unit, count, dtype, arguments)


@formula
def _larger(best, a, b, c, d):
    """The maximum of five numbers."""
    best = a if is_new_maximum(a, best) else best
    best = b if is_new_maximum(b, best) else best
    best = c if is_new_maximum(c, best) else best
    return d if is_new_maximum(d, best) else best


@formula
def _largest(j, y, a, b, c, d):
    y[j] = _larger(a[j], a[j], b[j], c[j], d[j])


@formula
def _larger_still(j, y, a, b, c, d):
    y[j] = _larger(y[j], a[j], b[j], c[j], d[j])


@formula
def _larger_kept(best, who, numbers, pixels):
    """The maximum of five numbers, and which pixel holds it."""
    for k in range(4):
        is_new = is_new_maximum(numbers[k], best)
        best = numbers[k] if is_new else best
        who = pixels[k] if is_new else who
    return best, who


@formula
def _largest_kept(j, y, winner, a, b, c, d, of_a, of_b, of_c, of_d):
    y[j], winner[j] = _larger_kept(a[j], of_a, (a[j], b[j], c[j], d[j]), (of_a, of_b, of_c, of_d))


@formula
def _larger_still_kept(j, y, winner, a, b, c, d, of_a, of_b, of_c, of_d):
    y[j], winner[j] = _larger_kept(y[j], winner[j], (a[j], b[j], c[j], d[j]), (of_a, of_b, of_c, of_d))


@formula
def _sum(j, y, a, b, c, d, factor):
    y[j] = (a[j] + b[j] + c[j] + d[j]) * factor


@formula
def _scale(j, y, factor):
    y[j] *= factor


@formula
def _scaled(j, y, x, factor):
    y[j] = x[j] * factor


@formula
def _add_scaled(j, y, x, factor):
    y[j] += x[j] * factor


@formula
def _multiply_scaled(j, y, x, factor):
    y[j] *= x[j] * factor


@formula
def _number_won(number, winner, pixel):
    return number if winner == pixel else type(number)(0)


@formula
def _won(j, y, x, winner, pixel):
    y[j] = _number_won(x[j], winner[j], pixel)


@formula
def _add_won(j, y, x, winner, pixel):
    y[j] += _number_won(x[j], winner[j], pixel)


@formula
def _multiply_won(j, y, x, winner, pixel):
    y[j] *= _number_won(x[j], winner[j], pixel)


@register_jitable(**HELPER)
def largest_of_window(target, winners, corner, pitch_y, pitch_x, size_y, size_x, count, dtype, step):
    """The maximum over a window of pixels, number by number, and which pixel holds it: the first where several do.

    Parameters
    ----------
    target, winners : int
        Addresses; 0 where nobody asks for the winners. They count the pixels of the window row after row.
    corner : int
        Address of the first pixel.
    pitch_y, pitch_x : int
        Bytes from a row of pixels to the next one, and from pixel to pixel.
    size_y, size_x : int
        Pixels of the window.
    count : int
        Numbers of a pixel.
    dtype, step : type
        Of the numbers, and of those of the winners.
    """
    last = size_y * size_x - 1
    y = vector(target, dtype)  # OUT
    winner = vector(winners, step)  # OUT
    for first in range(0, last + 1, 4):  # where there are no four any more, the last one again
        k = (first, min(first + 1, last), min(first + 2, last), min(first + 3, last))
        a = vector(corner + k[0] // size_x * pitch_y + k[0] % size_x * pitch_x, dtype)
        b = vector(corner + k[1] // size_x * pitch_y + k[1] % size_x * pitch_x, dtype)
        c = vector(corner + k[2] // size_x * pitch_y + k[2] % size_x * pitch_x, dtype)
        d = vector(corner + k[3] // size_x * pitch_y + k[3] % size_x * pitch_x, dtype)
        pixels = (step(k[0]), step(k[1]), step(k[2]), step(k[3]))
        if winners == 0:
            if first == 0:
                each(_largest, count, dtype, (y, a, b, c, d))
            else:
                each(_larger_still, count, dtype, (y, a, b, c, d))
        elif first == 0:
            each(_largest_kept, count, dtype, (y, winner, a, b, c, d, *pixels))
        else:
            each(_larger_still_kept, count, dtype, (y, winner, a, b, c, d, *pixels))


@register_jitable(**HELPER)
def sum_of_window(target, corner, pitch_y, pitch_x, size_y, size_x, factor, count, dtype):
    """The sum over a window of pixels, one after the other, times a factor: see `largest_of_window`."""
    n_pixels = size_y * size_x
    y = vector(target, dtype)  # OUT
    a = vector(corner, dtype)
    one = dtype(1)
    done = 1
    if n_pixels < 4:
        each(_scaled, count, dtype, (y, a, one))
    else:
        b = vector(corner + 1 // size_x * pitch_y + 1 % size_x * pitch_x, dtype)
        c = vector(corner + 2 // size_x * pitch_y + 2 % size_x * pitch_x, dtype)
        d = vector(corner + 3 // size_x * pitch_y + 3 % size_x * pitch_x, dtype)
        each(_sum, count, dtype, (y, a, b, c, d, factor if n_pixels == 4 else one))
        done = 4
    for k in range(done, n_pixels):
        x = vector(corner + k // size_x * pitch_y + k % size_x * pitch_x, dtype)
        each(_add_scaled, count, dtype, (y, x, one))
    if n_pixels != 4:
        each(_scale, count, dtype, (y, factor))


@register_jitable(**HELPER)
def send_share(target, gradient, factor, way, count, dtype):
    """A gradient times a factor: written, added to what is there, or multiplied by it, as `way` says."""
    y = vector(target, dtype)  # OUT
    x = vector(gradient, dtype)
    if way == WRITE:
        each(_scaled, count, dtype, (y, x, factor))
    elif way == ADD:
        each(_add_scaled, count, dtype, (y, x, factor))
    else:
        each(_multiply_scaled, count, dtype, (y, x, factor))


@register_jitable(**HELPER)
def send_won(target, gradient, winners, pixel, way, count, dtype, step):
    """The same of a gradient where the winner is that pixel of the window, and of 0 elsewhere."""
    y = vector(target, dtype)  # OUT
    x = vector(gradient, dtype)
    winner = vector(winners, step)
    if way == WRITE:
        each(_won, count, dtype, (y, x, winner, step(pixel)))
    elif way == ADD:
        each(_add_won, count, dtype, (y, x, winner, step(pixel)))
    else:
        each(_multiply_won, count, dtype, (y, x, winner, step(pixel)))
