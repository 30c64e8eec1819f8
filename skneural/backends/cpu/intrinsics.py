"""What Numba does not offer: typed views of addresses, calls through addresses, atomics, prefetching.

Everything a kernel needs beyond arithmetic on arrays is here; each part emits a few LLVM instructions.
"""

import sys

from llvmlite import ir
from numba import from_dtype, types
from numba.core import cgutils
from numba.core.typing import signature
from numba.extending import intrinsic

from skneural.backends import compiling
from skneural.backends.cpu.simd import INSTRUCTION_SET
from skneural.backends.records import FRAME, PASS, SPECTRUM
from skneural.network.operations import KINDS, OP

_I64 = ir.IntType(64)
_I32 = ir.IntType(32)
_I8 = ir.IntType(8)
_UNBOUNDED = 1 << 50  # more numbers than there are; their bytes still fit 64 bits

# Symbols of the C library, found by name when cached code is loaded (a ctypes pointer would prevent caching).
if sys.platform == "win32":
    give_up_slice = types.ExternalFunction("SwitchToThread", signature(types.intc))
    _sleep = types.ExternalFunction("Sleep", signature(types.void, types.uint32))
    SLEEP_UNIT = 1000  # microseconds
else:
    give_up_slice = types.ExternalFunction("sched_yield", signature(types.intc))
    _sleep = types.ExternalFunction("usleep", signature(types.intc, types.uint32))
    SLEEP_UNIT = 1
sleep_units = _sleep
# The clock of time.perf_counter.
HAS_CLOCK = sys.platform != "win32"
MONOTONIC = 8 if sys.platform == "darwin" else 1
clock_gettime = types.ExternalFunction("clock_gettime", signature(types.intc, types.intc, types.int64))


def _use_whole_vectors(builder):
    """Let the loops of a function use the whole width of the vectors. LLVM itself uses half of Intel's 64 bytes."""
    # llvmlite's `add` knows no attributes with values; they are strings in a set all the same.
    set.add(builder.function.attributes, f'"prefer-vector-width"="{8 * INSTRUCTION_SET.vector_bytes}"')


def _array_at(context, builder, kind, address, *shape):
    """The Numba array of that shape at an address that is an integer."""
    _use_whole_vectors(builder)
    array = cgutils.create_struct_proxy(kind)(context, builder)
    element = context.get_data_type(kind.dtype)
    size = _I64(context.get_abi_sizeof(element))
    strides = [size] if len(shape) == 1 else [builder.mul(size, shape[1]), size]
    context.populate_array(
        array,
        data=builder.inttoptr(address, element.as_pointer()),
        shape=cgutils.pack_array(builder, shape),
        strides=cgutils.pack_array(builder, strides),
        itemsize=size,
        meminfo=None,
    )
    return array._getvalue()


@intrinsic
def vector(typingctx, address, dtype):
    """1-D array of `dtype` that starts at `address`. It does not know where it ends."""
    kind = types.Array(dtype.instance_type, 1, "C")

    def codegen(context, builder, sig, args):
        return _array_at(context, builder, kind, args[0], _I64(_UNBOUNDED))

    return kind(types.int64, dtype), codegen


@intrinsic
def row(typingctx, address, dtype, length):
    """1-D array of `length` numbers of `dtype` at `address`: cheaper to compile than a slice of `vector`."""
    kind = types.Array(dtype.instance_type, 1, "C")

    def codegen(context, builder, sig, args):
        return _array_at(context, builder, kind, args[0], args[2])

    return kind(types.int64, dtype, types.int64), codegen


@intrinsic
def rows(typingctx, address, dtype, count, length):
    """2-D array of `count` rows of `length` numbers of `dtype` at `address`."""
    kind = types.Array(dtype.instance_type, 2, "C")

    def codegen(context, builder, sig, args):
        return _array_at(context, builder, kind, args[0], args[2], args[3])

    return kind(types.int64, dtype, types.int64, types.int64), codegen


def _record_view(dtype, offset=0):
    """An intrinsic that reads the record so many bytes behind an address."""
    record = from_dtype(dtype)

    @intrinsic
    def view(typingctx, address):
        def codegen(context, builder, sig, args):
            return builder.inttoptr(builder.add(args[0], _I64(offset)), context.get_value_type(record))

        return record(types.int64), codegen

    return view


op_at = _record_view(OP)
frame_at = _record_view(FRAME)
pass_at = _record_view(PASS)
spectrum_at = _record_view(SPECTRUM)


def details_view(kind):
    """An intrinsic that reads the details of an operation of some kind: they stand behind its head."""
    view = _record_view(KINDS[kind].details, OP.fields["details"][1])
    view._set_uuid(f"{__name__}.details_of_{kind}")  # as `compiling.name_intrinsics` does
    return view


def _caller(returns, *kinds):
    """An intrinsic that calls the C function at an address: ``call(address, *arguments)``."""

    @intrinsic
    def call(typingctx, address, arguments):
        def codegen(context, builder, sig, args):
            kind = ir.FunctionType(context.get_value_type(returns), [context.get_value_type(k) for k in kinds])
            function = builder.inttoptr(args[0], kind.as_pointer())
            values = values_of(context, builder, arguments, args[1], kinds)
            result = builder.call(function, values)
            return context.get_dummy_value() if returns is types.void else result

        return returns(types.int64, arguments), codegen

    return call


def values_of(context, builder, given, packed, wanted):
    """The numbers in a tuple, as the types that are wanted."""
    values = cgutils.unpack_tuple(builder, packed)
    kinds = zip(values, given.types, wanted, strict=True)
    return [context.cast(builder, value, kind, other) for value, kind, other in kinds]


_A = types.int64
LAYER_KERNEL = (_A,) * 4  # op, frame, first row, last row
ACTIVATION_KERNEL = (_A,) * 3  # values (in place), derivatives or 0, how many
OPTIMIZER_KERNEL = (_A,) * 7  # parameters, s, v, gradient, how many, whether they are weights, frame
PRODUCT_KERNEL = (_A,) * 15  # see make_product
WINDOW_KERNEL = (_A,) * 26  # see make_window_product

call_layer = _caller(types.void, *LAYER_KERNEL)
call_activation = _caller(types.void, *ACTIVATION_KERNEL)
call_optimizer = _caller(types.float64, *OPTIMIZER_KERNEL)
call_product = _caller(types.void, *PRODUCT_KERNEL)
call_window = _caller(types.void, *WINDOW_KERNEL)
call_job = _caller(types.void, _A)  # frame


@intrinsic
def float_bits(typingctx, x):
    """The bits of a float as an integer of the same size."""
    result = types.int32 if x == types.float32 else types.int64

    def codegen(context, builder, sig, args):
        return builder.bitcast(args[0], context.get_value_type(result))

    return result(x), codegen


@intrinsic
def float_from_bits(typingctx, bits):
    """The float whose bits an integer of the same size holds."""
    result = types.float32 if bits == types.int32 else types.float64

    def codegen(context, builder, sig, args):
        return builder.bitcast(args[0], context.get_value_type(result))

    return result(bits), codegen


@intrinsic
def stir_word(typingctx, x, shift, factor):
    """``(x ^ (x >> shift)) * factor`` of 32 bits held in 64. LLVM by itself would use half as many lanes for it."""
    if not (isinstance(x, types.Integer) and x.bitwidth == 64):
        return None

    def codegen(context, builder, sig, args):
        x, shift, factor = (builder.trunc(number, _I32) for number in args)
        folded = builder.xor(x, builder.lshr(x, shift))
        return builder.zext(builder.mul(folded, factor), _I64)

    return x(x, types.int64, types.int64), codegen


@intrinsic
def atomic_add(typingctx, address, value):
    """Add to the int64 at `address`; return what it was."""

    def codegen(context, builder, sig, args):
        address, value = args
        pointer = builder.inttoptr(address, _I64.as_pointer())
        return builder.atomic_rmw("add", pointer, value, "seq_cst")

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def atomic_load(typingctx, address):
    """The int64 at `address`, with everything that was written before it was."""

    def codegen(context, builder, sig, args):
        pointer = builder.inttoptr(args[0], _I64.as_pointer())
        return builder.load_atomic(pointer, "acquire", 8)

    return types.int64(types.int64), codegen


def emit_prefetch(builder, pointer):
    """Ask for the cache line that a pointer points to."""
    pointer = builder.bitcast(pointer, _I8.as_pointer())
    kind = ir.FunctionType(ir.VoidType(), [pointer.type, _I32, _I32, _I32])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(function, [pointer, _I32(0), _I32(3), _I32(1)])  # to read, keep, data


@intrinsic
def prefetch(typingctx, address):
    """Ask for the cache line at `address`, without waiting for it."""

    def codegen(context, builder, sig, args):
        emit_prefetch(builder, builder.inttoptr(args[0], _I8.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@intrinsic
def clear(typingctx, address, size):
    """Set `size` bytes at `address` to 0."""

    def codegen(context, builder, sig, args):
        address, count = args
        pointer = builder.inttoptr(address, _I8.as_pointer())
        cgutils.memset(builder, pointer, count, 0)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


compiling.name_intrinsics(globals())
