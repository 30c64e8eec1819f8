"""What kernels need beyond Numba's dialect: typed views of addresses, vectors of 16 bytes, and the product of a warp.

Records and arrays at an address are marked as global memory, so that loads and stores need not find out.
"""

import math
from collections import namedtuple
from functools import cache

import numpy as np

from skneural.backends import compiling
from skneural.backends.cuda import hub
from skneural.backends.cuda.hub import cuda, register
from skneural.backends.records import FRAME, PASS, SPECTRUM
from skneural.maths import elementary
from skneural.network.operations import HEAD, KINDS, OP

_ALIGNED_FRAME = np.dtype(FRAME.descr, align=True)
_HEAD = np.dtype(list(HEAD))
_DETAILS = OP.fields["details"][1]
FRAME_SIZE = FRAME.itemsize
OP_SIZE = OP.itemsize

if hub.IS_SIMULATED:
    from skneural.backends.cuda.simulator import (
        divide,
        get_vector,
        load_vector,
        put_vector,
        record_view,
        row,
        to_tf32,
        vector,
        warp_product,
    )

    op_at = record_view(_HEAD)
    frame_at = record_view(FRAME)
    record_at = frame_at
    pass_at = record_view(PASS)
    spectrum_at = record_view(SPECTRUM)

    @cache
    def details_view(kind):
        """A function that returns the details of an operation of some kind: they stand behind its head."""
        return record_view(KINDS[kind].details, _DETAILS)

else:
    from llvmlite import ir

    from skneural.backends.cuda.hub import cgutils, from_dtype, intrinsic, types

    _I32 = ir.IntType(32)
    _I64 = ir.IntType(64)
    _F32 = ir.FloatType()
    _UNBOUNDED = 1 << 50
    for _type in (_I32, _I64, _F32):  # they remember what they are printed as, which would change the cache's keys
        str(_type)

    def _global_pointer(builder, address, element):
        """Pointer to an element in global memory, as a generic one: the compiler sees where it came from."""
        pointer = builder.inttoptr(address, ir.PointerType(element, 1))
        return builder.addrspacecast(pointer, element.as_pointer())

    def _array_at(context, builder, kind, address, length):
        array = context.make_array(kind)(context, builder)
        element = context.get_data_type(kind.dtype)
        size = _I64(context.get_abi_sizeof(element))
        context.populate_array(
            array,
            data=_global_pointer(builder, address, element),
            shape=cgutils.pack_array(builder, [length]),
            strides=cgutils.pack_array(builder, [size]),
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
        """1-D array of `length` numbers of `dtype` at `address`."""
        kind = types.Array(dtype.instance_type, 1, "C")

        def codegen(context, builder, sig, args):
            return _array_at(context, builder, kind, args[0], args[2])

        return kind(types.int64, dtype, types.int64), codegen

    @intrinsic
    def record_at(typingctx, address):
        """The frame at an address, to be written to."""
        record = from_dtype(_ALIGNED_FRAME)

        def codegen(context, builder, sig, args):
            pointer = _global_pointer(builder, args[0], ir.IntType(8))
            return builder.bitcast(pointer, context.get_value_type(record))

        return record(types.int64), codegen

    #: What operations and frames are read as.
    Operation = namedtuple("Operation", _HEAD.names)
    Snapshot = namedtuple("Snapshot", FRAME.names)
    Pass = namedtuple("Pass", PASS.names)
    Spectrum = namedtuple("Spectrum", SPECTRUM.names)

    def _reader(record, fields, offset=0):
        """A function that reads all fields of the record so many bytes behind an address into a tuple.

        The compiler drops those that nobody asks for. The others it need not read again after every store and every
        barrier, as it must those of a record in memory.
        """

        @intrinsic
        def read(typingctx, address):
            # Numba's types count themselves: one in the closure would make another key of the cache in every process.
            kinds = [types.int64 if record[name] == np.int64 else types.float64 for name in record.names]
            known = types.NamedTuple(kinds, fields)

            def codegen(context, builder, sig, args):
                values = []
                for name, kind in zip(record.names, kinds, strict=True):
                    start = builder.add(args[0], _I64(offset + record.fields[name][1]))
                    values.append(builder.load(_global_pointer(builder, start, context.get_value_type(kind))))
                return context.make_tuple(builder, known, values)

            return known(types.int64), codegen

        return read

    #: The head of the operation, the frame, the pass, and the matrix whose spectral norm is limited, at an address.
    op_at = _reader(_HEAD, Operation)
    frame_at = _reader(FRAME, Snapshot)
    pass_at = _reader(PASS, Pass)
    spectrum_at = _reader(SPECTRUM, Spectrum)

    @cache
    def details_view(kind):
        """A function that reads the details of an operation of some kind: they stand behind its head."""
        name = f"details_of_{kind}"
        record = KINDS[kind].details
        # Numba hashes the class by its name: it must be found under that.
        globals()[name] = namedtuple(name, record.names, module=__name__)
        view = _reader(record, globals()[name], _DETAILS)
        view._set_uuid(f"{__name__}.{name}")  # as `compiling.name_intrinsics` does
        return view

    def _element(context, builder, kind, array, index):
        return builder.gep(context.make_array(kind)(context, builder, array).data, [index])

    def _copy(context, builder, source, target, element, count, wide_source, wide_target):
        """Copy `count` numbers, 16 bytes at once on the sides that are wide."""
        wide = ir.VectorType(element, count)
        if wide_source:
            loaded = builder.load(builder.bitcast(source, wide.as_pointer(source.type.addrspace)))
            loaded.align = 16
            values = [builder.extract_element(loaded, _I32(i)) for i in range(count)]
        else:
            values = [builder.load(builder.gep(source, [_I64(i)])) for i in range(count)]
        if wide_target:
            packed = ir.Constant(wide, ir.Undefined)
            for i, value in enumerate(values):
                packed = builder.insert_element(packed, value, _I32(i))
            store = builder.store(packed, builder.bitcast(target, wide.as_pointer(target.type.addrspace)))
            store.align = 16
        else:
            for i, value in enumerate(values):
                builder.store(value, builder.gep(target, [_I64(i)]))

    @intrinsic
    def load_vector(typingctx, local, at, address):
        """Copy the 16 bytes at `address`, a multiple of 16, to ``local[at:]``."""
        n = 128 // local.dtype.bitwidth

        def codegen(context, builder, sig, args):
            element = context.get_data_type(sig.args[0].dtype)
            target = _element(context, builder, sig.args[0], args[0], args[1])
            _copy(context, builder, _global_pointer(builder, args[2], element), target, element, n, True, False)
            return context.get_dummy_value()

        return types.void(local, types.int64, types.int64), codegen

    @intrinsic
    def get_vector(typingctx, local, at, shared, index):
        """Copy 16 bytes of ``shared[index:]``, at a multiple of 16, to ``local[at:]``."""
        n = 128 // local.dtype.bitwidth

        def codegen(context, builder, sig, args):
            element = context.get_data_type(sig.args[0].dtype)
            target = _element(context, builder, sig.args[0], args[0], args[1])
            source = _element(context, builder, sig.args[2], args[2], args[3])
            _copy(context, builder, source, target, element, n, True, False)
            return context.get_dummy_value()

        return types.void(local, types.int64, shared, types.int64), codegen

    @intrinsic
    def put_vector(typingctx, shared, index, local, at):
        """Copy ``local[at:]`` to 16 bytes of ``shared[index:]``, at a multiple of 16."""
        n = 128 // local.dtype.bitwidth

        def codegen(context, builder, sig, args):
            element = context.get_data_type(sig.args[0].dtype)
            target = _element(context, builder, sig.args[0], args[0], args[1])
            source = _element(context, builder, sig.args[2], args[2], args[3])
            _copy(context, builder, source, target, element, n, False, True)
            return context.get_dummy_value()

        return types.void(shared, types.int64, local, types.int64), codegen

    @intrinsic
    def divide(typingctx, number, divisor):
        """Quotient of two integers that are not negative and have 32 bits: with 64 it takes several times as long."""

        def codegen(context, builder, sig, args):
            small = [builder.trunc(value, _I32) for value in args]
            return builder.zext(builder.udiv(*small), _I64)

        return types.int64(types.int64, types.int64), codegen

    @intrinsic
    def to_tf32(typingctx, x):
        """Round to 10 bits of mantissa, to nearest, ties away from 0."""

        def codegen(context, builder, sig, args):
            convert = ir.InlineAsm(ir.FunctionType(_I32, [_F32]), "cvt.rna.tf32.f32 $0, $1;", "=r,f")
            return builder.bitcast(builder.call(convert, args), _F32)

        return types.float32(types.float32), codegen

    @intrinsic
    def warp_product(typingctx, c, at, a, b, first, second):
        """``C += A B`` of a warp: 16 by 8 numbers, depth 8; of A every lane has four, of B two, of C four.

        The instruction mma.sync.m16n8k8 (PTX ISA, "Matrix fragments for mma.m16n8k8").
        """

        def codegen(context, builder, sig, args):
            def pointers(kind, array, begin, count):
                return [_element(context, builder, kind, array, builder.add(begin, _I64(i))) for i in range(count)]

            sums = pointers(sig.args[0], args[0], args[1], 4)
            factors = pointers(sig.args[2], args[2], args[4], 4) + pointers(sig.args[3], args[3], args[5], 2)
            bits = [builder.bitcast(builder.load(pointer), _I32) for pointer in factors]
            product = ir.InlineAsm(
                ir.FunctionType(ir.LiteralStructType([_F32] * 4), [_I32] * 6 + [_F32] * 4),
                "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
                "{$0,$1,$2,$3}, {$4,$5,$6,$7}, {$8,$9}, {$10,$11,$12,$13};",
                "=f,=f,=f,=f,r,r,r,r,r,r,f,f,f,f",
                side_effect=True,
            )
            # Convergent: all lanes take part, so no optimisation may put it where only some of them come.
            result = builder.call(product, [*bits, *map(builder.load, sums)], attrs=("convergent",))
            for i, pointer in enumerate(sums):
                builder.store(builder.extract_value(result, i), pointer)
            return context.get_dummy_value()

        return types.void(c, types.int64, a, b, types.int64, types.int64), codegen

    def _overload(function, make):
        @hub.overload(function, jit_options={"forceinline": True})
        def _implementation(x):
            return make(x)

    def _clamped(function):
        """Make a function of the device clamp its argument, as the host's does: the formulas count on it."""

        def make(kind):
            low, high = map(getattr(np, kind.name), elementary.EXP_RANGE[kind.name])

            def clamped(x):
                x = low if x < low else x
                x = high if x > high else x
                return function(x)

            return clamped

        return make

    # The device's own functions are as accurate as the host's polynomials.
    _overload(elementary.exp, _clamped(math.exp))
    _overload(elementary.expm1, _clamped(math.expm1))
    _overload(elementary.log, lambda kind: lambda x: math.log(x))
    _overload(elementary.log1p, lambda kind: lambda x: math.log1p(x))
    _overload(elementary.erfc, lambda kind: lambda x: math.erfc(x))
    _overload(elementary.sqrt, lambda kind: lambda x: math.sqrt(x))

    compiling.name_intrinsics(globals())


@register
def model_frame(frames, splits):
    """Frame of this block's model: the last axis of the grid runs over models, and within them over `splits` parts."""
    return frame_at(frames + cuda.blockIdx.z // splits * FRAME_SIZE)


@register
def model_record(frames):
    """The same to be written to, for kernels that move it on."""
    return record_at(frames + cuda.blockIdx.z * FRAME_SIZE)
