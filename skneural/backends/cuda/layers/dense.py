"""Kernels of dense layers: three products.

Sizes: B rows of the batch, I in, O out; ``ld_in`` and ``ld_out`` are I and O padded.
"""

from skneural.backends.cuda import weights
from skneural.backends.cuda.compiler import DIGEST, digest_of, formula
from skneural.backends.cuda.hub import register
from skneural.backends.cuda.intrinsics import OP_SIZE, details_view
from skneural.backends.cuda.launches import Launch, layer_launches, over
from skneural.backends.cuda.product import make_product, nothing
from skneural.backends.cuda.rows import factor_of, parameter, place_of, put_dy, put_y, row_of, send_x
from skneural.maths import random
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.random import layer_key

dropout_at = details_view("dropout")


def reads_data(net, i):
    """Whether a dense layer reads its rows where the data stand: then nobody needs to copy them."""
    operation = net.operation(i)
    source = operation.inputs[0]
    is_dense = all(reader.kind == "dense" for reader, _ in source.readers)
    return is_dense and source.producer.kind == "input" and not net.sparse


def takes_dropout(net, i):
    """Whether a dense layer does what a dropout in its place, which follows, would do: a pass over memory less."""
    operation = net.operation(i)
    is_followed = net.operation(i + 1).kind == "dropout" and net.op(i + 1).y == net.op(i).y
    return net.training and operation.kind == "dense" and operation.function is not None and bool(is_followed)


@layer_launches("dense", "forward")
def forward_launches(net, i):
    """``y = activation(x @ weight + bias)``: one product."""
    op = net.op(i)
    entry = ACTIVATIONS.get(net.operation(i).function)
    sizes = (net.capacity, op.n_out, op.n_in)
    return [net.product(i, make_dense_forward, entry, reads_data(net, i), takes_dropout(net, i), sizes=sizes)]


@layer_launches("dense", "backward")
def backward_launches(net, i):
    """``dx = dy @ weight.T``: one product."""
    op = net.op(i)
    tile, _ = net.tile(net.capacity, op.n_in, op.n_out)
    return [net.product(i, make_dense_backward, sizes=(net.capacity, op.n_in, op.n_out), tile=tile)]


@layer_launches("dense", "gradient")
def gradient_launches(net, i):
    """Gradients by weights and bias: one product, whose depth may be divided."""
    rows = int(net.op(i).n_in)
    facts = {"rows": rows, "n_weights": rows, "depth": net.capacity}
    return weights.gradient_launches(net, i, make_dense_gradient, make_sum_parts, reads_data(net, i), **facts)


@layer_launches("dense", "constrain")
def constrain_launches(net, i):
    """The limit on norms."""
    return [Launch((make_constrain, net.dtype), i, over(int(net.op(i).n_out)))]


# -- lines of the factors ----------------------------------------------------------------------------------------------


def make_x_lines(dtype, from_data):
    """A function for products: the address of a row of x, or of the data."""
    size = dtype().itemsize

    if from_data:

        def line(op, own, f, step, number):
            return f.inputs + place_of(f, number) * f.ld_inputs * size

    else:

        def line(op, own, f, step, number):
            return row_of(f, op.x, op.ld_in, number, size)

    return line


def make_dy_lines(dtype):
    """A function for products: the address of a row of dy."""
    size = dtype().itemsize

    def line(op, own, f, step, number):
        return row_of(f, op.dy, op.ld_out, number, size)

    return line


def make_weight_lines(dtype):
    """A function for products: the address of a row of the weights."""
    size = dtype().itemsize

    def line(op, own, f, step, number):
        return f.params + (own.weight + number * op.ld_out) * size

    return line


# -- kernels -----------------------------------------------------------------------------------------------------------


def make_dense_forward(dtype, tile, activation, from_data, drops):
    """``y = dropout(activation(x @ weight + bias))``; at training the derivative goes into dy."""
    active = activation is not None
    value_and_derivative = formula(activation.formula) if active else None
    digest = digest_of(activation.formula) if active else DIGEST
    stream = random.DROPOUT

    def sizes(op, own, f, step):
        return f.chunk, op.n_out, op.n_in

    def dropout(op_address, f):
        own = dropout_at(op_address + OP_SIZE)  # of the next operation
        return layer_key(f.seed, stream, own.stream, f.step), own

    def finish(op, own, f, step, ready, part, m, n, total):
        if own.bias >= 0:
            total += parameter(f, own.bias + n, dtype)
        if active:
            total, derivative = value_and_derivative(total)
            if drops:
                key, dropped = ready
                factor = factor_of(op, dropped, f, key, m, n, dtype)
                total *= factor
                derivative *= factor
            if f.training != 0 and op.dy >= 0:
                put_dy(op, f, m, n, dtype, derivative)
        put_y(op, f, m, n, dtype, total)

    return make_product(
        dtype,
        tile,
        "NN",
        "dense",
        sizes,
        make_x_lines(dtype, from_data),
        make_weight_lines(dtype),
        finish,
        digest,
        prepare=dropout if drops else nothing,
        gathered=from_data,
    )


def make_dense_backward(dtype, tile):
    """``dx = (begin + dy @ weight.T) * dx``, where the derivative of what came before waits in dx if `scale`."""

    def sizes(op, own, f, step):
        return f.chunk, op.n_in, op.n_out

    def finish(op, own, f, step, ready, part, m, n, total):
        send_x(op, f, m, n, dtype, total)

    dy = make_dy_lines(dtype)
    return make_product(dtype, tile, "NT", "dense", sizes, dy, make_weight_lines(dtype), finish, DIGEST)


@register
def rows_of_weights(op, own):
    """Rows of the weights."""
    return op.n_in


def make_dense_gradient(dtype, tile, with_bias, from_data):
    """Gradients ``x.T @ dy`` and ``sum(dy)`` over the batch: the bias stands below the weights, as if x had a one."""
    put_gradient = weights.make_put_gradient(dtype, rows_of_weights)

    def sizes(op, own, f, step):
        return op.n_in + with_bias, op.n_out, f.chunk

    def finish(op, own, f, step, ready, part, m, n, total):
        put_gradient(op, own, f, part, m, n, total)

    return make_product(
        dtype,
        tile,
        "TN",
        "dense",
        sizes,
        make_x_lines(dtype, from_data),
        make_dy_lines(dtype),
        finish,
        DIGEST,
        split=True,
        ones=with_bias,
        gathered=from_data,
    )


def make_sum_parts(dtype):
    """Add up the parts of a gradient whose depth was divided, in order."""
    return weights.make_sum_of_parts(dtype, "dense", rows_of_weights)


def make_constrain(dtype):
    """Scale down the incoming weights of every unit whose norm is too large."""
    return weights.make_limit_norms(dtype, "dense", rows_of_weights)
