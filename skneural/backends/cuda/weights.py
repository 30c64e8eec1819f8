"""What layers have in common that multiply by one matrix of weights, below which stands the bias.

The gradient by both is one product, that by the bias its last row. Where the depth of the product is divided among
blocks, the parts are added up by a kernel of its own.

Sizes: W rows of the weights, O columns; ``ld_out`` is O padded.
"""

from skneural.backends.cuda.hub import cuda, register
from skneural.backends.cuda.intrinsics import vector
from skneural.backends.cuda.launches import Launch, over
from skneural.backends.cuda.rows import make_kernel
from skneural.maths.elementary import sqrt


def gradient_launches(net, i, make, make_sum, *options, rows, n_weights, depth, groups=1):
    """Launches of a gradient by weights and bias: its product, and the sum of its parts if there are several.

    Parameters
    ----------
    net : Binder
    i : int
        Number of the operation.
    make, make_sum : callable
        Make the kernels; `make` gets `options`.
    rows : int
        Of the product, without that of the bias.
    n_weights : int
        Rows of the weights.
    depth : int
    groups : int, default=1
        Of the columns: each has a product of its own.
    """
    op = net.op(i)
    own = net.own(i)
    with_bias = bool(own.bias >= 0)
    below = own.weight + n_weights * op.ld_out
    assert not with_bias or own.bias == below, "the bias stands below the weights"
    sizes = (rows + with_bias, op.n_out // groups, depth)
    tile, parts = net.tile(*sizes, split=True, products=groups)
    numbers = (n_weights + with_bias) * int(op.ld_out)
    op.n_slots = parts
    op.slot = net.scratch(parts * numbers if parts > 1 else 0)
    launches = [net.product(i, make, with_bias, *options, sizes=sizes, tile=tile, parts=parts, products=groups)]
    if parts > 1:
        launches.append(Launch((make_sum, net.dtype), i, over(numbers)))
    return launches


def make_put_gradient(dtype, n_weights):
    """A function that takes a number of the gradient, or of a part of it, in a row of the weights or that of the bias.

    ``n_weights(op, own)`` are the rows of the weights.
    """
    size = dtype().itemsize
    register(n_weights)

    def put_gradient(op, own, f, part, row, n, total):
        at = row * op.ld_out + n
        if op.n_slots > 1:
            each = (n_weights(op, own) + (own.bias >= 0)) * op.ld_out
            vector(f.scratch, dtype)[op.slot + part * each + at] = total
        else:
            gradient = vector(f.gradient + own.weight * size, dtype)  # OUT (W + 1, O)
            gradient[at] = gradient[at] + total if f.done > 0 else total

    return register(put_gradient)


def make_sum_of_parts(dtype, kind, n_weights):
    """Kernel that adds up the parts of a gradient whose depth was divided, in order."""
    size = dtype().itemsize
    register(n_weights)

    def sum_parts(op, own, f, step):
        parts = vector(f.scratch + op.slot * size, dtype)
        gradient = vector(f.gradient + own.weight * size, dtype)  # OUT (W + 1, O)
        count = (n_weights(op, own) + (own.bias >= 0)) * op.ld_out
        for j in range(cuda.grid(1), count, cuda.gridsize(1)):
            if j % op.ld_out < op.n_out:
                total = parts[j]
                for part in range(1, op.n_slots):
                    total += parts[part * count + j]
                gradient[j] = gradient[j] + total if f.done > 0 else total

    return make_kernel(kind, sum_parts)


def make_limit_norms(dtype, kind, n_weights):
    """Kernel that scales down the weights of every unit whose norm is too large (Srivastava et al., 2014)."""
    size = dtype().itemsize
    register(n_weights)

    def limit_norms(op, own, f, step):
        j = cuda.grid(1)
        if j < op.n_out:
            weight = vector(f.params + (own.weight + j) * size, dtype)  # OUT (W, O), from column j on
            count = n_weights(op, own)
            squares = dtype(0)
            for i in range(count):
                squares += weight[i * op.ld_out] * weight[i * op.ld_out]
            norm = sqrt(squares)
            limit = dtype(f.max_norm)
            if norm > limit:
                for i in range(count):
                    weight[i * op.ld_out] *= limit / norm

    return make_kernel(kind, limit_norms)
