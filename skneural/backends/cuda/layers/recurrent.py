"""How recurrent layers are launched: products with all steps at once, and between them the steps.

Of wide layers a step is a launch or two (see `recurrent_steps`), of narrow ones one launch takes them all (see
`recurrent_loops`).
"""

from skneural.backends.cuda.launches import Launch, layer_launches, over
from skneural.backends.cuda.layers.recurrent_loops import (
    choose_rows,
    loop_launch,
    make_recurrent_backward,
    make_recurrent_forward,
    uses_loops,
)
from skneural.backends.cuda.layers.recurrent_steps import (
    make_cell_backward,
    make_cell_forward,
    make_recurrent_inputs,
    make_recurrent_inputs_backward,
    make_recurrent_step_backward,
    make_recurrent_step_forward,
)
from skneural.backends.cuda.layers.recurrent_updates import (
    COLUMNS,
    LINES,
    make_recurrent_bias,
    make_recurrent_gradient,
    make_recurrent_sum_parts,
    n_parameters,
)
from skneural.maths.cells import CELLS, weighted_gates


def cell_of(net, i):
    """The cell of a layer."""
    return CELLS[net.operation(i).function]


def width_of(net, i):
    """Numbers of a row of the gates that have weights."""
    return weighted_gates(cell_of(net, i)) * int(net.own(i).pitch)


def loop(net, i, make, *, backward):
    """Launch of all steps of a narrow layer."""
    entry = cell_of(net, i)
    rows = choose_rows(net.capacity, 1, net.n_processors)
    op = net.op(i)
    own = net.own(i)
    how = loop_launch(op, own, entry, net.dtype, rows, net.capacity, net.shared, backward=backward)
    return Launch((make, net.dtype, entry, rows), i, (how.blocks, 1, 1), how.threads, how.shared, how.step)


def cell(net, i, make, step):
    """Launch of the cells of one step of a wide layer."""
    grid = over(net.capacity * int(net.op(i).n_out))
    return Launch((make, net.dtype, cell_of(net, i)), i, grid, step=step)


@layer_launches("recurrent", "forward")
def forward_launches(net, i):
    """The products with the input, then the steps."""
    op = net.op(i)
    entry = cell_of(net, i)
    width = width_of(net, i)
    steps = int(op.steps)
    launches = [net.product(i, make_recurrent_inputs, entry, sizes=(steps * net.capacity, width, op.n_in))]
    if uses_loops(op):
        return [*launches, loop(net, i, make_recurrent_forward, backward=False)]
    for s in range(steps):
        if s > 0:
            sizes = (net.capacity, width, op.n_out)
            launches.append(net.product(i, make_recurrent_step_forward, entry, sizes=sizes, step=s))
        launches.append(cell(net, i, make_cell_forward, s))
    return launches


@layer_launches("recurrent", "backward")
def backward_launches(net, i):
    """The steps, from the last to the first, then the products that make the gradient by the input."""
    op = net.op(i)
    entry = cell_of(net, i)
    width = width_of(net, i)
    steps = int(op.steps)
    launches = []
    if uses_loops(op):
        launches.append(loop(net, i, make_recurrent_backward, backward=True))
    else:
        for s in range(steps - 1, -1, -1):
            launches.append(cell(net, i, make_cell_backward, s))
            if s > 0:
                sizes = (net.capacity, op.n_out, width)
                launches.append(net.product(i, make_recurrent_step_backward, entry, sizes=sizes, step=s))
    if op.dx >= 0:
        sizes = (steps * net.capacity, op.n_in, width)
        launches.append(net.product(i, make_recurrent_inputs_backward, entry, sizes=sizes))
    return launches


@layer_launches("recurrent", "gradient")
def gradient_launches(net, i):
    """Gradients by both matrices of weights and by the biases; their depth may be divided."""
    op = net.op(i)
    own = net.own(i)
    entry = cell_of(net, i)
    width = width_of(net, i)
    depth = int(op.steps) * net.capacity
    tile, parts = net.tile(max(op.n_in, op.n_out), width, depth, split=True)
    count = int(n_parameters(op, own))
    op.n_slots = parts
    op.slot = net.scratch(parts * count if parts > 1 else 0)
    launches = []
    for of_state, rows in ((False, op.n_in), (True, op.n_out)):
        sizes = (rows, width, depth)
        launches.append(net.product(i, make_recurrent_gradient, entry, of_state, sizes=sizes, tile=tile, parts=parts))
    columns = len(entry.gates) * int(own.pitch)
    threads = COLUMNS * LINES
    bias = (make_recurrent_bias, net.dtype, entry)
    launches.append(Launch(bias, i, (-(-columns // COLUMNS), 1, parts), threads, threads * net.size))
    if parts > 1:
        launches.append(Launch((make_recurrent_sum_parts, net.dtype, entry), i, over(count)))
    return launches
