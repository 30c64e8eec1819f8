"""Matrix products: the one loop that all kernels with products are made of.

A block computes a tile of C = A B. It walks along the depth in steps of a few numbers: while one step is multiplied
from shared memory, the next is on its way from global memory to registers. Every thread multiplies a square of the
tile; where there are too few tiles to keep the device busy, the depth is divided among the `slices` of a block, and
among blocks (`n_slots` of the operation). Partial sums are added in a fixed order, so that results do not vary.

What the factors are, and what becomes of a number of C, is up to three functions of the kernel: the addresses of the
lines of A and B, and `finish`, which is called once for each number. A factor need not be a matrix in memory (see
`factors`).

All lines are padded with zeros to 64 bytes (see `network.program`), so vectors of 16 bytes need no mask of their own.

Sizes: M rows and N columns of C, K depth.
"""

from dataclasses import dataclass

import numpy as np

from skneural.backends.cuda.factors import Places, make_fetch
from skneural.backends.cuda.hub import IS_SIMULATED, cuda, register
from skneural.backends.cuda.intrinsics import (
    details_view,
    get_vector,
    model_frame,
    op_at,
    put_vector,
    to_tf32,
    warp_product,
)


@dataclass(frozen=True)
class Tile:
    """How a product is divided: `rows` by `columns` numbers for a block, `depth` at a time.

    Each of the `slices` of a block has a square of 16 bytes' numbers, `groups` of them one below the other and side by
    side, for every thread. With `tensor` it is the product of warps instead: `groups` by twice as many of them for
    each of the two by four warps.
    """

    name: str
    rows: int
    columns: int
    depth: int
    groups: int = 1
    slices: int = 1
    tensor: bool = False
    warps: tuple = (2, 4)

    def threads(self, vector):
        """Threads of a slice, where vectors have so many numbers."""
        if self.tensor:
            return 32 * self.warps[0] * self.warps[1]
        return self.rows * self.columns // (self.groups * vector) ** 2

    @property
    def pad(self):
        """Numbers between the lines of a tile in shared memory: they keep banks apart, and vectors aligned."""
        return 8 if self.tensor else 4

    def shared(self, size):
        """Numbers of shared memory of a block."""
        stages = 2 * self.slices * self.depth * (self.rows + self.columns + 2 * self.pad)
        return max(stages, self.slices * self.rows // self.groups_of_rows * self.columns)

    @property
    def groups_of_rows(self):
        """Parts in which a tile of C goes through shared memory."""
        return self.warps[0] if self.tensor else self.groups


#: For each precision tiles for large matrices, from the widest on, for those with few columns; the last one is for
#: small matrices, of which there are then enough.
REAL_TILES = {
    "float32": (
        Tile("large", 128, 128, 8, groups=2),
        Tile("large_64", 128, 64, 8, groups=2),
        Tile("large_32", 128, 32, 8, groups=2),
        Tile("small", 32, 16, 8, slices=8),
    ),
    "float64": (
        Tile("large", 64, 64, 8, groups=2),
        Tile("large_32", 64, 32, 8, groups=2),
        Tile("small", 32, 16, 16, slices=2),
    ),
    "tf32": (
        Tile("tensor", 128, 128, 16, tensor=True),
        Tile("tensor_64", 128, 64, 16, tensor=True, warps=(4, 2)),
        Tile("tensor_32", 128, 32, 16, tensor=True, warps=(4, 1)),
        Tile("small", 32, 16, 8, slices=8),
    ),
}
#: The same with few threads: the simulator takes long for each.
TINY_TILES = {
    "float32": (
        Tile("large", 16, 16, 4, groups=2),
        Tile("large_8", 16, 8, 4, groups=2),
        Tile("small", 8, 8, 4, slices=2),
    ),
    "float64": (
        Tile("large", 8, 8, 4, groups=2),
        Tile("large_4", 8, 4, 4, groups=2),
        Tile("small", 4, 4, 4, slices=2),
    ),
    "tf32": (Tile("tensor", 16, 16, 8, tensor=True, warps=(1, 1)), Tile("small", 8, 8, 4, slices=2)),
}
TILES = TINY_TILES if IS_SIMULATED else REAL_TILES
#: Parts that a product's depth is divided into, at the most, and the depth of each at the least.
MOST_PARTS = 64
LEAST_DEPTH = 4 if IS_SIMULATED else 256
#: Registers of a thread, at the most, where a multiprocessor shall have room for two blocks of large tiles.
MOST_REGISTERS = 128


def make_stage(dtype, along, tile, lines, threads):
    """A function that puts what was taken into shared memory, a line for each step of depth."""
    vector = 16 // dtype().itemsize
    depth = tile.depth
    tensor = tile.tensor
    count = lines * depth // vector // threads
    across = (depth if along else lines) // vector
    pitch = lines + tile.pad

    def stage(shared, offset, taken, thread):
        if tensor:
            for i in range(count * vector):
                taken[i] = to_tf32(taken[i])
        for i in range(count):
            e = thread + i * threads
            if along:
                line = e // across
                k = e % across * vector
                for j in range(vector):
                    shared[offset + (k + j) * pitch + line] = taken[i * vector + j]
            else:
                k = e // across
                line = e % across * vector
                put_vector(shared, offset + k * pitch + line, taken, i * vector)

    return register(stage)


def make_multiply(dtype, tile):
    """A function that adds the product of a staged step to this thread's sums, and how many there are."""
    vector = 16 // dtype().itemsize
    depth = tile.depth
    groups = tile.groups
    width = groups * vector
    across = tile.columns // (groups * vector)
    pitch_a = tile.rows + tile.pad
    pitch_b = tile.columns + tile.pad
    apart_a = tile.rows // groups
    apart_b = tile.columns // groups
    lines = 4 if groups == 1 else 2

    def multiply_line(shared, a_at, b_at, a, b, sums):
        for g in range(groups):
            get_vector(a, g * vector, shared, a_at + g * apart_a)
            get_vector(b, g * vector, shared, b_at + g * apart_b)
        for i in range(width):
            for j in range(width):
                sums[i * width + j] += a[i] * b[j]

    register(multiply_line)

    def multiply(shared, a_place, b_place, sums, thread):
        a = cuda.local.array(width, dtype)
        b = cuda.local.array(width, dtype)
        a_at = a_place + thread // across * vector
        b_at = b_place + thread % across * vector
        # Lines written out: the compiler counts too much for one at a time. More than two of large tiles would need so
        # many registers that a multiprocessor has room for one block only.
        for _ in range(0, depth, lines):
            multiply_line(shared, a_at, b_at, a, b, sums)
            multiply_line(shared, a_at + pitch_a, b_at + pitch_b, a, b, sums)
            if lines == 4:
                multiply_line(shared, a_at + 2 * pitch_a, b_at + 2 * pitch_b, a, b, sums)
                multiply_line(shared, a_at + 3 * pitch_a, b_at + 3 * pitch_b, a, b, sums)
            a_at += lines * pitch_a
            b_at += lines * pitch_b

    return multiply, width * width


def make_hand_over(dtype, tile):
    """A function that puts one group of this thread's rows of the tile of C into shared memory."""
    vector = 16 // dtype().itemsize
    groups = tile.groups
    width = groups * vector
    across = tile.columns // (groups * vector)
    columns = tile.columns
    apart = columns // groups
    rows = tile.rows // groups

    def hand_over(shared, sums, group, slice_, thread):
        row = thread // across * vector
        column = thread % across * vector
        for i in range(vector):
            for g in range(groups):
                at = (slice_ * rows + row + i) * columns + g * apart + column
                put_vector(shared, at, sums, (group * vector + i) * width + g * vector)

    return hand_over


def make_tensor_multiply(tile):
    """`make_multiply` on tensor cores: every warp has ``wide`` by ``high`` products of 16 by 8 numbers."""
    depth = tile.depth
    pitch_a = tile.rows + tile.pad
    pitch_b = tile.columns + tile.pad
    height = tile.rows // tile.warps[0]
    width = tile.columns // tile.warps[1]
    high = height // 16
    wide = width // 8
    beside = tile.warps[1]
    number = np.float32
    a_count = 4 * high
    b_count = 2 * wide

    def multiply(shared, a_place, b_place, sums, thread):
        a = cuda.local.array(a_count, number)
        b = cuda.local.array(b_count, number)
        lane = thread % 32
        warp = thread // 32
        line = lane // 4
        inner = lane % 4
        row = warp // beside * height + line
        column = warp % beside * width + line
        for k in range(0, depth, 8):
            for i in range(high):
                at = a_place + (k + inner) * pitch_a + row + 16 * i
                a[4 * i] = shared[at]
                a[4 * i + 1] = shared[at + 8]
                a[4 * i + 2] = shared[at + 4 * pitch_a]
                a[4 * i + 3] = shared[at + 4 * pitch_a + 8]
            for j in range(wide):
                at = b_place + (k + inner) * pitch_b + column + 8 * j
                b[2 * j] = shared[at]
                b[2 * j + 1] = shared[at + 4 * pitch_b]
            for i in range(high):
                for j in range(wide):
                    warp_product(sums, 4 * (i * wide + j), a, b, 4 * i, 2 * j)

    return multiply, 4 * high * wide


def make_tensor_hand_over(tile):
    """`make_hand_over` for the numbers that a lane has of its warp's products."""
    height = tile.rows // tile.warps[0]
    width = tile.columns // tile.warps[1]
    columns = tile.columns
    high = height // 16
    wide = width // 8
    beside = tile.warps[1]

    def hand_over(shared, sums, group, slice_, thread):
        lane = thread % 32
        warp = thread // 32
        if warp // beside == group:
            for i in range(high):
                for j in range(wide):
                    at = (16 * i + lane // 4) * columns + warp % beside * width + 8 * j + lane % 4 * 2
                    c = 4 * (i * wide + j)
                    shared[at] = sums[c]
                    shared[at + 1] = sums[c + 1]
                    shared[at + 8 * columns] = sums[c + 2]
                    shared[at + 8 * columns + 1] = sums[c + 3]

    return hand_over


def nothing(op_address, f):
    """For products that need nothing beforehand."""
    return 0


@register
def group_of(own):
    """Which of several products, one for each group of weights, this block takes part in."""
    return cuda.blockIdx.z % own.groups


def make_walk(dtype, tile, layout, lines_of_a, lines_of_b, **facts):
    """A function that adds up a tile of C along the depth, or a part of it, and how many sums a thread has."""
    slices = tile.slices
    rows = tile.rows
    columns = tile.columns
    depth = tile.depth
    threads = tile.threads(16 // dtype().itemsize)
    a_along = layout[0] == "N"
    b_along = layout[1] == "T"
    find_a, fetch_a, n_noted_a, a_count = make_fetch(dtype, a_along, rows, depth, threads, lines_of_a, **facts)
    find_b, fetch_b, n_noted_b, b_count = make_fetch(dtype, b_along, columns, depth, threads, lines_of_b)
    stage_a = make_stage(dtype, a_along, tile, rows, threads)
    stage_b = make_stage(dtype, b_along, tile, columns, threads)
    multiply, n_sums = make_tensor_multiply(tile) if tile.tensor else make_multiply(dtype, tile)
    register(multiply)
    a_stage = depth * (rows + tile.pad)
    both = a_stage + depth * (columns + tile.pad)
    whole = np.int64

    def walk(op, own, f, step, shared, sums, top, left, n_rows, n_columns, n_depth, part, parts):
        slice_ = cuda.threadIdx.x // threads
        thread = cuda.threadIdx.x % threads
        a = cuda.local.array(a_count, dtype)
        b = cuda.local.array(b_count, dtype)
        offset = slice_ * 2 * both
        at_a = cuda.local.array(n_noted_a, whole)
        at_b = cuda.local.array(n_noted_b, whole)
        find_a(op, own, f, step, at_a, thread, top, n_rows)
        find_b(op, own, f, step, at_b, thread, left, n_columns)
        steps = (n_depth + depth - 1) // depth
        each = (steps + parts * slices - 1) // (parts * slices)
        k = (part * slices + slice_) * each * depth
        end = min(n_depth, k + each * depth)
        fetch_a(op, own, f, step, at_a, a, thread, top, n_rows, k, end)
        fetch_b(op, own, f, step, at_b, b, thread, left, n_columns, k, end)
        stage_a(shared, offset, a, thread)
        stage_b(shared, offset + a_stage, b, thread)
        cuda.syncthreads()
        for s in range(each):
            now = offset + s % 2 * both
            after = offset + (s + 1) % 2 * both
            if s + 1 < each:
                fetch_a(op, own, f, step, at_a, a, thread, top, n_rows, k + (s + 1) * depth, end)
                fetch_b(op, own, f, step, at_b, b, thread, left, n_columns, k + (s + 1) * depth, end)
            multiply(shared, now, now + a_stage, sums, thread)
            if s + 1 < each:
                stage_a(shared, after, a, thread)
                stage_b(shared, after + a_stage, b, thread)
            cuda.syncthreads()

    return register(walk), n_sums


def make_product(
    dtype,
    tile,
    layout,
    kind,
    sizes,
    lines_of_a,
    lines_of_b,
    finish,
    digest,
    prepare=nothing,
    split=False,
    grouped=False,
    **facts,
):
    """Kernel of a product.

    Parameters
    ----------
    dtype : type
    tile : Tile
    layout : {'NN', 'NT', 'TN'}
        Whether A and B are as they stand in memory, or transposed.
    kind : str
        Of the operation: `own` are its details.
    sizes : callable
        ``sizes(op, own, f, step)`` returns M, N, K.
    lines_of_a, lines_of_b : callable or Places
        ``line(op, own, f, step, number)`` is the address of a line in memory: of a row of the factor as it stands.
    finish : callable
        ``finish(op, own, f, step, ready, part, m, n, total)`` gets a number of C, or a part of it where the depth is
        divided.
    digest : str
        What the kernel closes over, so that the cache knows it from others.
    prepare : callable
        ``prepare(op_address, f)`` is called once; what it returns, `finish` gets as `ready`.
    split : bool
        Whether the depth is divided among ``op.n_slots`` blocks.
    grouped : bool
        Whether there are ``own.groups`` products of these sizes; which one is a block's own, says `group_of`.
    **facts : bool
        `ones`: the last line of A is not in memory, but ones. `gathered`: lines of A stand anywhere.
    """
    zero = dtype(0)
    details_at = details_view(kind)
    slices = tile.slices
    columns = tile.columns
    groups = tile.groups_of_rows
    rows = tile.rows
    threads = tile.threads(16 // dtype().itemsize)
    part_rows = tile.rows // groups
    walk, n_sums = make_walk(dtype, tile, layout, lines_of_a, lines_of_b, **facts)
    hand_over = register(make_tensor_hand_over(tile) if tile.tensor else make_hand_over(dtype, tile))
    for function in (sizes, finish, prepare):
        register(function)

    def product(op_address, frames, step):
        digest  # part of the cache key
        op = op_at(op_address)
        own = details_at(op_address)
        parts = op.n_slots if split else 1
        groups_there = own.groups if grouped else 1
        f = model_frame(frames, parts * groups_there)
        part = cuda.blockIdx.z // groups_there % parts
        n_rows, n_columns, n_depth = sizes(op, own, f, step)
        top = cuda.blockIdx.x * rows
        left = cuda.blockIdx.y * columns
        if top >= n_rows or left >= n_columns:
            return
        sums = cuda.local.array(n_sums, dtype)
        shared = cuda.shared.array(0, dtype)
        for i in range(n_sums):
            sums[i] = zero
        walk(op, own, f, step, shared, sums, top, left, n_rows, n_columns, n_depth, part, parts)
        op = op_at(op_address)  # again: registers are for the loop
        own = details_at(op_address)
        f = model_frame(frames, parts * groups_there)
        ready = prepare(op_address, f)
        slice_ = cuda.threadIdx.x // threads
        thread = cuda.threadIdx.x % threads
        for group in range(groups):
            hand_over(shared, sums, group, slice_, thread)
            cuda.syncthreads()
            for e in range(cuda.threadIdx.x, part_rows * columns, threads * slices):
                m = top + group * part_rows + e // columns
                n = left + e % columns
                if m < n_rows and n < n_columns:
                    total = shared[e]
                    for s in range(1, slices):
                        total += shared[s * part_rows * columns + e]
                    finish(op, own, f, step, ready, part, m, n, total)
            cuda.syncthreads()

    # Others would not do with so few: gradients, narrower tiles, and factors whose places have to be computed.
    is_plain = layout != "TN" and not isinstance(lines_of_a, Places)
    if is_plain and dtype is np.float32 and tile.groups == 2 and tile.rows == tile.columns:
        product.most_registers = MOST_REGISTERS
    return product


def choose_tile(precision, n_rows, n_columns, n_depth, n_processors, split=False, products=1):
    """The tile for a product, and the parts of its depth: large ones if they keep half of the device busy.

    Of these the widest that is not twice as wide as the product.

    Parameters
    ----------
    precision : {'float32', 'float64', 'tf32'}
    n_rows, n_columns, n_depth : int
    n_processors : int
        Of the device: as many blocks can run at a time.
    split : bool, default=False
        Whether the depth may be divided.
    products : int, default=1
        How many of them there are at a time.
    """
    *large, small = TILES[precision]
    widest = large[0].columns
    fitting = [tile for tile in large if tile.columns < 2 * n_columns] or large[-1:]
    for tile in (fitting[0], small):
        blocks = n_processors if tile is small else n_processors * widest // tile.columns  # with as many threads
        tiles = products * -(-n_rows // tile.rows) * -(-n_columns // tile.columns)
        parts = max(1, min(2 * blocks // tiles, n_depth // LEAST_DEPTH, MOST_PARTS)) if split else 1
        if 2 * tiles * parts >= blocks:
            break
    return tile, parts
