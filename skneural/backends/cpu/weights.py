"""Weights as products read them: in panels, and transposed."""

from skneural.backends.cpu.catalogue import function
from skneural.backends.cpu.layout import PANELS_FROM
from skneural.backends.passes import limited_matrices


def in_panels(block, itemsize):
    """Whether products read weights in panels: where these are wide, and in convolutions."""
    return block.parts > 0 or block.ld * itemsize >= PANELS_FROM


def panels_of(program):
    """Weights that products read in panels, and operations of a sample on them.

    Both by the field of the frame that says where the panels are: those of windows stand by themselves.
    """
    itemsize = program.dtype.itemsize
    starts = {block.start for block in program.matrices if in_panels(block, itemsize)}
    blocks = {"panels": [], "window_panels": []}
    flops = dict.fromkeys(blocks, 0)
    for operation in program.operations:
        own = [block for block in operation.blocks if block.start in starts]
        if own:
            field = "window_panels" if own[0].parts else "panels"
            blocks[field] += own
            flops[field] += operation.flops
    return {field: (blocks[field], flops[field]) for field in blocks}


def lay_out_weights(program, frame, blocks):
    """Lay out weights of a frame for products, and transposed where there is room for that."""
    places = {}
    if frame.transposed:
        places = {block.start: place for block, *place in program.transposed}
    for block in blocks:
        place = places.get(block.start)
        _lay_out(program, frame, block, place)


def _lay_out(program, frame, block, place):
    """Lay out the weights of a block; `place` is None, or where they stand transposed: see `Program.transposed`."""
    lay_out = function(10, "lay_out", program.dtype.type)
    is_wide = in_panels(block, program.dtype.itemsize)
    start, ld, rows = place or (-1, 0, 0)
    parts = max(block.parts, 1)
    n_rows = block.n_rows // parts
    width = block.ld if block.groups == 1 else block.shape[1] // block.groups
    for part in range(parts):
        lay_out(
            frame.address,
            block.start + part * n_rows * block.ld,
            start + part * rows * ld if place else -1,
            n_rows,
            block.ld,
            block.groups,
            width,
            rows // block.groups,
            ld,
            int(is_wide),
        )


def spectra_of(program):
    """Records of the matrices whose spectral norms passes limit."""
    matrices, records = limited_matrices(program)
    places = {block.start: place for block, *place in program.transposed}
    for record, block in zip(records, matrices, strict=True):
        record["parts"] = max(block.parts, 1)
        record["is_wide"] = in_panels(block, program.dtype.itemsize)
        place = places.get(block.start, (-1, 0, 0))
        for field, value in zip(("transposed", "ld_transposed", "depth"), place, strict=True):
            record[field] = value
    return records
