"""Vector code that Numba does not emit by itself: a tile of a matrix product, copies of vectors, a block transposed."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from skneural.backends import compiling
from skneural.backends.cpu.intrinsics import emit_prefetch, values_of
from skneural.backends.cpu.simd import INSTRUCTION_SET

_I64 = ir.IntType(64)
_I32 = ir.IntType(32)
_I1 = ir.IntType(1)

#: Arguments of a tile without those of outer loops.
_PLAIN = 11
#: Rows of A that are found from one pointer: for so many offsets there are registers.
_GROUP = 7


@intrinsic(prefer_literal=True)
def multiply_tile(typingctx, dtype, rows, vectors, arguments):
    """One tile of C in registers: ``C[rows, vectors] = begin + sum over k of A[:, k] B[k, :]``, times C if `scale`.

    The arguments are ``(a, a_row, a_col, b, ldb, c, ldc, depth, begin, ld_begin, scale)``: addresses are integers,
    strides count elements. `begin` is the address of what starts the sums, or 0: a matrix with rows `ld_begin` apart, a
    bias where that is 0. With `scale` the result is multiplied by what C held (the derivative of an activation). Each
    element is summed over k in order. A tile that is narrower than 64 bytes sets the rest of them to 0.

    Three more arguments are a loop around that over k, which adds to the same sums: how often (once at least), and how
    far A and B are from turn to turn. Of several such loops the outermost comes first.
    """
    if not (isinstance(rows, types.IntegerLiteral) and isinstance(vectors, types.IntegerLiteral)):
        return None
    number = dtype.instance_type

    def codegen(context, builder, sig, args):
        values = values_of(context, builder, arguments, args[3], [types.int64] * len(arguments))
        lanes = Vectors(builder, context.get_value_type(number), number.bitwidth // 8)
        _emit_tile(lanes, rows.literal_value, vectors.literal_value, values)
        return context.get_dummy_value()

    return types.void(dtype, rows, vectors, arguments), codegen


def _copier(count):
    """An intrinsic ``copy(dtype, source, target)`` of `count` bytes, rounded up to whole vectors.

    `count` is a function of the bytes of a number. All are read before any is written.
    """

    @intrinsic
    def copy(typingctx, dtype, source, target):
        number = dtype.instance_type

        def codegen(context, builder, sig, args):
            v = Vectors(builder, context.get_value_type(number), number.bitwidth // 8)
            origin = v.pointer(args[1])
            goal = v.pointer(args[2])
            n_vectors = -(-count(v.size) // INSTRUCTION_SET.vector_bytes)
            places = [_I64(i * v.lanes) for i in range(n_vectors)]
            loaded = [v.load(origin, place) for place in places]
            for place, value in zip(places, loaded, strict=True):
                v.store(value, v.at(goal, place))
            return context.get_dummy_value()

        return types.void(dtype, types.int64, types.int64), codegen

    return copy


copy_line = _copier(lambda size: 64)
copy_column = _copier(lambda size: INSTRUCTION_SET.rows[0] * size)  # of a strip


@intrinsic(prefer_literal=True)
def transpose_block(typingctx, dtype, source, ld_source, target, ld_target, rows):
    """Transpose a block as wide as a vector: ``target[j, k] = source[k, j]`` for k < `rows`, at most that width.

    Addresses are integers, strides count elements.
    """
    number = dtype.instance_type

    def codegen(context, builder, sig, args):
        lanes = Vectors(builder, context.get_value_type(number), number.bitwidth // 8)
        _emit_transpose(lanes, *args[1:])
        return context.get_dummy_value()

    return types.void(dtype, *(types.int64,) * 5), codegen


class Vectors:
    """Emits vector instructions on numbers of one type."""

    def __init__(self, builder, element, size):
        self.builder = builder
        self.element = element
        self.size = size
        self.lanes = INSTRUCTION_SET.vector_bytes // size
        self.kind = ir.VectorType(element, self.lanes)
        self.zero = ir.Constant(self.kind, [0.0] * self.lanes)
        self.undefined = ir.Constant(self.kind, ir.Undefined)
        self.suffix = f"v{self.lanes}f{8 * size}"  # of LLVM's functions
        self.fma = self.function(f"llvm.fma.{self.suffix}", self.kind, [self.kind] * 3)

    def function(self, name, returns, arguments):
        """A function of LLVM, by its name."""
        kind = ir.FunctionType(returns, arguments)
        return cgutils.get_or_insert_function(self.builder.module, kind, name)

    def pointer(self, address):
        """The pointer that an integer is."""
        return self.builder.inttoptr(address, self.element.as_pointer())

    def index(self, line, ld, column):
        """Index of a number in a matrix, in a line whose number is known here."""
        return self.builder.add(self.builder.mul(_I64(line), ld), column)

    def at(self, pointer, index):
        """Pointer to the vector that begins with the number at an index."""
        number = self.builder.gep(pointer, [index])
        return self.builder.bitcast(number, self.kind.as_pointer())

    def load(self, pointer, index):
        """The vector that begins there."""
        return self.builder.load(self.at(pointer, index), align=self.size)

    def load_number(self, pointer, index):
        """The number at an index."""
        return self.builder.load(self.builder.gep(pointer, [index]), align=self.size)

    def store(self, value, place):
        """Put a vector where a pointer says."""
        self.builder.store(value, place, align=self.size)

    def spread(self, pointer, index):
        """A vector of copies of one number."""
        number = self.load_number(pointer, index)
        first = self.builder.insert_element(self.undefined, number, _I32(0))
        everywhere = ir.Constant(ir.VectorType(_I32, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, self.undefined, everywhere)

    def sum_of_lanes(self, vector):
        """The sum of a vector's numbers: of its halves, of the halves of what they make, and so on."""
        half = self.lanes // 2
        while half:
            places = ir.Constant(ir.VectorType(_I32, half), [half + i for i in range(half)])
            first = ir.Constant(ir.VectorType(_I32, half), list(range(half)))
            upper = self.builder.shuffle_vector(vector, vector, places)
            vector = self.builder.fadd(self.builder.shuffle_vector(vector, vector, first), upper)
            half //= 2
        return self.builder.extract_element(vector, _I32(0))

    def multiply_add(self, x, y, z):
        """``x y + z``, of vectors or numbers."""
        if INSTRUCTION_SET.fused:
            return self.builder.call(self.fma, [x, y, z]) if x.type == self.kind else self.builder.fma(x, y, z)
        return self.builder.fadd(self.builder.fmul(x, y), z)

    def opaque(self, number):
        """The same number, of which LLVM does not know where it comes from."""
        nothing = ir.InlineAsm(ir.FunctionType(_I64, [_I64]), "", "=r,0")
        return self.builder.call(nothing, [number])

    def phi_of(self, kind, value, block):
        """What comes from a block as this value; from which others, and as what, is added later."""
        phi = self.builder.phi(kind)
        phi.add_incoming(value, block)
        return phi


def _emit_transpose(v, source, ld_source, target, ld_target, rows):
    """The body of `transpose_block`: load rows, interleave halves until they are columns, store what is wanted."""
    builder = v.builder
    origin = v.pointer(source)
    goal = v.pointer(target)
    last = builder.sub(rows, _I64(1))
    is_row = [builder.icmp_signed("<", _I64(k), rows) for k in range(v.lanes)]
    block = []
    for k in range(v.lanes):  # what is beyond the last row is not read, and not stored either
        number = builder.select(is_row[k], _I64(k), last)
        block.append(v.load(origin, builder.mul(number, ld_source)))
    half = v.lanes // 2
    masks = []
    for begin in (0, half):
        pairs = [(lane, lane + v.lanes) for lane in range(begin, begin + half)]
        masks.append(ir.Constant(ir.VectorType(_I32, v.lanes), [lane for pair in pairs for lane in pair]))
    for _ in range(v.lanes.bit_length() - 1):
        mixed = []
        for upper, lower in zip(block[:half], block[half:], strict=True):
            mixed += [builder.shuffle_vector(upper, lower, mask) for mask in masks]
        block = mixed
    if INSTRUCTION_SET.masks:
        _store_by_mask(v, block, goal, ld_target, is_row)
    else:
        _store_by_halves(v, block, goal, ld_target, rows)


def _store_by_mask(v, columns, goal, ld_target, wanted):
    """Store some lanes of columns: those whose flag in `wanted` is set."""
    builder = v.builder
    flags = ir.VectorType(_I1, v.lanes)
    mask = ir.Constant(flags, ir.Undefined)
    for k in range(v.lanes):
        mask = builder.insert_element(mask, wanted[k], _I32(k))
    pointer = v.kind.as_pointer()
    store = v.function(f"llvm.masked.store.{v.suffix}.p0", ir.VoidType(), [v.kind, pointer, _I32, flags])
    for j, column in enumerate(columns):
        place = v.at(goal, builder.mul(_I64(j), ld_target))
        builder.call(store, [column, place, _I32(v.size), mask])


def _store_by_halves(v, columns, goal, ld_target, rows):
    """Store the first `rows` lanes of columns: all, or halves, quarters and so on as `rows` is made of them."""
    builder = v.builder
    left = [cgutils.alloca_once_value(builder, column) for column in columns]
    done = cgutils.alloca_once_value(builder, _I64(0))
    count = v.lanes
    while count:
        has_part = builder.icmp_signed("!=", builder.and_(rows, _I64(count)), _I64(0))
        with builder.if_then(has_part):
            offset = builder.load(done)
            first = ir.Constant(ir.VectorType(_I32, count), list(range(count)))
            others = [(lane + count) % v.lanes for lane in range(v.lanes)]
            behind = ir.Constant(ir.VectorType(_I32, v.lanes), others)
            for j, variable in enumerate(left):
                column = builder.load(variable)
                part = builder.shuffle_vector(column, v.undefined, first)
                place = builder.gep(goal, [v.index(j, ld_target, offset)])
                builder.store(part, builder.bitcast(place, part.type.as_pointer()), align=v.size)
                builder.store(builder.shuffle_vector(column, v.undefined, behind), variable)
            builder.store(builder.add(offset, _I64(count)), done)
        count //= 2


def emit_loops(v, loops, a, b, sums, body):
    """Loops one within the other, the outermost first: of each how often, and how far A and B are from turn to turn.

    Each is run once at least. `body` is given the places in A and B, and the sums; it returns the sums.
    """
    builder = v.builder
    (count, a_step, b_step), *inner = loops
    entry = builder.block
    loop = builder.function.append_basic_block("loop")
    done = builder.function.append_basic_block("done")
    builder.branch(loop)
    builder.position_at_end(loop)
    left = v.phi_of(_I64, count, entry)
    a_here = v.phi_of(a.type, a, entry)
    b_here = v.phi_of(b.type, b, entry)
    before = [v.phi_of(v.kind, start, entry) for start in sums]
    after = emit_loops(v, inner, a_here, b_here, before, body) if inner else body(a_here, b_here, before)
    left_next = builder.sub(left, _I64(1))
    end = builder.block
    left.add_incoming(left_next, end)
    a_here.add_incoming(builder.gep(a_here, [a_step]), end)
    b_here.add_incoming(builder.gep(b_here, [b_step]), end)
    for old, new in zip(before, after, strict=True):
        old.add_incoming(new, end)
    builder.cbranch(builder.icmp_signed(">", left_next, _I64(0)), loop, done)
    builder.position_at_end(done)
    return after


def _emit_tile(v, rows, vectors, arguments):
    """The body of `multiply_tile`: start the sums, loop over k, store."""
    window = [arguments[i : i + 3] for i in range(_PLAIN, len(arguments), 3)]
    arguments = arguments[:_PLAIN]
    a, a_row, a_col, b, ldb, c, ldc, depth, begin, ld_begin, scale = arguments
    builder = v.builder
    columns = [_I64(i * v.lanes) for i in range(vectors)]
    a_pointer, b_pointer, c_pointer, begin_pointer = map(v.pointer, (a, b, c, begin))
    initial = emit_start(v, rows, columns, begin, begin_pointer, ld_begin)
    # Offsets that LLVM cannot derive from one another: it would make a chain of additions of them, one for every row
    # and k, and where a core is shared with another program there is no room for them.
    offsets = [_I64(0)] + [v.opaque(builder.mul(_I64(m), a_row)) for m in range(1, min(rows, _GROUP))]
    groups = [v.opaque(builder.mul(_I64(m), a_row)) for m in range(0, rows, _GROUP)]
    places = []
    for m in range(rows):
        row_places = [v.at(c_pointer, v.index(m, ldc, column)) for column in columns]
        for place in row_places[:: max(64 // INSTRUCTION_SET.vector_bytes, 1)]:
            emit_prefetch(builder, place)  # what is written in the end, and maybe read: by then it is here
        places += row_places

    def add_products(a_column, b_row, sums):
        b_vectors = [v.load(b_row, column) for column in columns]
        new = []
        for m in range(rows):
            if m % _GROUP == 0:
                group = builder.gep(a_column, [groups[m // _GROUP]]) if m else a_column
            x = v.spread(group, offsets[m % _GROUP])
            for i, b_vector in enumerate(b_vectors):
                new.append(v.multiply_add(x, b_vector, sums[m * vectors + i]))
        return new

    loops = [*window, (depth, a_col, ldb)]
    new = emit_loops(v, loops, a_pointer, b_pointer, initial, add_products)
    for m in range(rows):
        for i in range(vectors, -(-vectors * v.lanes * v.size // 64) * 64 // INSTRUCTION_SET.vector_bytes):
            v.store(v.zero, v.at(c_pointer, v.index(m, ldc, _I64(i * v.lanes))))
    emit_end(v, places, new, scale)


def emit_end(v, places, sums, scale):
    """Store the sums of a tile, times what stood there if `scale`."""
    builder = v.builder
    is_scaled = builder.icmp_signed("!=", scale, _I64(0))
    with builder.if_else(is_scaled) as (scaled, plain):
        with scaled:
            for place, value in zip(places, sums, strict=True):
                factor = builder.load(place, align=v.size)
                v.store(builder.fmul(value, factor), place)
        with plain:
            for place, value in zip(places, sums, strict=True):
                v.store(value, place)


def emit_start(v, rows, columns, begin, begin_pointer, ld_begin):
    """What the sums of a tile start with: what stands at `begin`, or 0."""
    builder = v.builder
    is_given = builder.icmp_signed("!=", begin, _I64(0))
    with builder.if_else(is_given) as (given, absent):
        with given:
            starts = []
            for m in range(rows):
                starts += [v.load(begin_pointer, v.index(m, ld_begin, column)) for column in columns]
            given_end = builder.block
        with absent:
            absent_end = builder.block
    initial = []
    for start in starts:
        value = v.phi_of(v.kind, start, given_end)
        value.add_incoming(v.zero, absent_end)
        initial.append(value)
    return initial


compiling.name_intrinsics(globals())
