"""A loop over numbers as vector code, as of the units of a recurrent layer, and what it needs of the compiler.

The gates of a row are a tuple of arrays, one a gate: Numba makes no tuple in a loop, and knows no hint for one.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from skneural.backends import compiling
from skneural.backends.cpu.simd import INSTRUCTION_SET

#: Vectors that take turns. A formula is a chain of instructions that wait for each other, and a core looks only so far
#: ahead: on AVX2 a step of an LSTM takes 4 ns a unit with one vector at a time, and 2.8 with four. Of wide vectors two,
#: since layers have few units.
INTERLEAVED = min(4, 128 // INSTRUCTION_SET.vector_bytes)
#: What widths of gates are multiples of.
UNIT_BYTES = 32

_I64 = ir.IntType(64)
_I32 = ir.IntType(32)


@intrinsic
def for_each(typingctx, function, count, dtype, arguments):
    """Call ``function(j, *arguments)`` for every j below `count`, as vector code on numbers of `dtype`.

    Arguments are arrays, tuples of arrays, or single numbers.

    `INTERLEAVED` vectors are taken at a time while there are so many, then one. `count` numbers are a multiple of
    `UNIT_BYTES`, as gates are (`network.memory.gate_pitch`): with vectors of 32 bytes nothing is left over.

    What the function that calls this got as its arguments must not overlap (the compiler takes `noalias` from here): so
    vector code needs no checks of addresses, and no twin without vectors beside it.
    """
    called = function.get_call_type(typingctx, (types.int64, *arguments.types), {})
    size = dtype.instance_type.bitwidth // 8
    unit = UNIT_BYTES // size
    block = INTERLEAVED * INSTRUCTION_SET.vector_bytes // size

    def codegen(context, builder, sig, args):
        _promise(builder.function)
        body = context.get_function(function, called)
        context.add_linking_libs(getattr(body, "libs", ()))
        arrays = cgutils.unpack_tuple(builder, args[3])
        whole = builder.and_(args[1], _I64(-block))
        _emit_loop(builder, body, whole, INTERLEAVED, arrays)
        # The second one counts from 0, too: LLVM has to see that addresses do not wrap around.
        rest = []
        for kind, array in zip(arguments.types, arrays, strict=True):
            rest.append(_behind(context, builder, kind, array, whole))
        _emit_loop(builder, body, builder.and_(args[1], _I64(block - unit)), 1, rest)
        return context.get_dummy_value()

    return types.void(function, types.int64, dtype, arguments), codegen


@intrinsic
def no_overlaps(typingctx):
    """Promise that what the function that calls this got as its arguments does not overlap, as `for_each` does."""

    def codegen(context, builder, sig, args):
        _promise(builder.function)
        return context.get_dummy_value()

    return types.void(), codegen


def _promise(function):
    """Let the compiler know that the memory behind a function's arguments does not overlap."""
    for argument in function.args:
        if isinstance(argument.type, ir.PointerType):
            argument.add_attribute("noalias")


def _behind(context, builder, kind, array, count):
    """An array, or a tuple of arrays, without its first numbers; a single number as it is."""
    if isinstance(kind, types.BaseTuple):
        arrays = cgutils.unpack_tuple(builder, array)
        shifted = [_behind(context, builder, *pair, count) for pair in zip(kind.types, arrays, strict=True)]
        return context.make_tuple(builder, kind, shifted)
    if isinstance(kind, types.Number):
        return array
    view = context.make_array(kind)(context, builder, array)
    view.data = builder.gep(view.data, [count])
    return view._getvalue()


def _emit_loop(builder, body, count, interleaved, arrays):
    """Call ``body(j, *arrays)`` for every j below `count`."""
    entry = builder.block
    loop = builder.function.append_basic_block("each")
    done = builder.function.append_basic_block("all")
    builder.cbranch(builder.icmp_signed(">", count, _I64(0)), loop, done)
    builder.position_at_end(loop)
    j = builder.phi(_I64)
    j.add_incoming(_I64(0), entry)
    body(builder, [j, *arrays])
    j_next = builder.add(j, _I64(1), flags=("nsw",))
    j.add_incoming(j_next, builder.block)
    branch = builder.cbranch(builder.icmp_signed("<", j_next, count), loop, done)
    branch.set_metadata("llvm.loop", _hint(builder.module, interleaved))
    builder.position_at_end(done)


def _hint(module, interleaved):
    """What LLVM is told of a loop: a node of metadata whose first entry is, by convention, the node itself."""
    turns = module.add_metadata([ir.MetaDataString(module, "llvm.loop.interleave.count"), _I32(interleaved)])
    node = ir.MDValue(module, [turns], name=str(len(module.metadata)))
    node.operands = (node, turns)
    return node


@intrinsic(prefer_literal=True)
def gates_of(typingctx, first, count, pitch):
    """A tuple of `count` arrays: the one given, and those that follow it in memory, `pitch` numbers apart."""
    if not isinstance(count, types.IntegerLiteral):
        return None
    gates = types.UniTuple(first, count.literal_value)

    def codegen(context, builder, sig, args):
        array, _, apart = args
        arrays = []
        for gate in range(len(gates)):
            arrays.append(_behind(context, builder, first, array, builder.mul(_I64(gate), apart)))
        return context.make_tuple(builder, gates, arrays)

    return gates(first, count, types.int64), codegen


def _places(context, builder, gates, arrays, j):
    """Pointers to number j of each of the arrays in a tuple."""
    found = []
    for array in cgutils.unpack_tuple(builder, arrays):
        view = context.make_array(gates.dtype)(context, builder, array)
        found.append(builder.gep(view.data, [j]))
    return found


@intrinsic
def get_unit(typingctx, gates, j):
    """The numbers j of a tuple of arrays, as a tuple."""
    numbers = types.UniTuple(gates.dtype.dtype, len(gates))

    def codegen(context, builder, sig, args):
        places = _places(context, builder, gates, *args)
        return context.make_tuple(builder, numbers, [builder.load(place) for place in places])

    return numbers(gates, types.int64), codegen


@intrinsic
def set_unit(typingctx, gates, j, values):
    """Set the numbers j of a tuple of arrays."""
    number = gates.dtype.dtype

    def codegen(context, builder, sig, args):
        arrays, j, packed = args
        places = _places(context, builder, gates, arrays, j)
        numbers = cgutils.unpack_tuple(builder, packed)
        for place, value, kind in zip(places, numbers, values.types, strict=True):
            builder.store(context.cast(builder, value, kind, number), place)
        return context.get_dummy_value()

    return types.void(gates, types.int64, values), codegen


compiling.name_intrinsics(globals())
