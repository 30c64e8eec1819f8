"""What stands on the device: arrays by name, and the data that a program reads."""

import numpy as np

from skneural.backends.cuda import hub
from skneural.backends.inputs import Sequences
from skneural.network.memory import padded

#: Share of the free memory that may be used.
SHARE = 0.9
#: Bytes that are copied to the device at a time where rows have to be padded first.
CHUNK = 1 << 26


class Arena:
    """Arrays on one device, freed together.

    Parameters
    ----------
    stream : stream
    """

    def __init__(self, stream):
        self.stream = stream
        self.arrays = {}

    def zeros(self, name, count, dtype):
        """A new array of zeros on the device; its address."""
        self.arrays[name] = hub.zeros(max(int(count), 1), dtype, self.stream)
        return hub.address(self.arrays[name])

    def empty(self, name, count, dtype):
        """An array on the device, the one of that name if it is long enough; its address."""
        known = self.arrays.get(name)
        if known is None or len(known) < count or known.dtype != dtype:
            known = self.arrays.pop(name, None)
            if known is not None:  # both at a time may not fit
                known = None
                hub.give_back_memory()
            self.arrays[name] = hub.empty(max(int(count), 1), dtype, self.stream)
        return hub.address(self.arrays[name])

    def put(self, name, host):
        """Copy a contiguous array to the device; its address, 0 for None."""
        if host is None:
            return 0
        self.empty(name, host.size, host.dtype)
        hub.copy_in(self.arrays[name], host, self.stream)
        return hub.address(self.arrays[name])

    def get(self, name, host):
        """Copy an array from the device."""
        hub.copy_out(self.arrays[name], host, self.stream)

    def close(self):
        """Free everything, once nothing uses it any more."""
        try:
            hub.wait(self.stream)
        finally:
            self.arrays.clear()
        hub.give_back_memory()


def n_rows_of(X):
    """Number of rows of data as estimators hand it over."""
    return len(X[2]) - 1 if isinstance(X, tuple) else len(X.values if isinstance(X, Sequences) else X)


def span_of(values):
    """The memory that an array with any strides looks at, as a flat array, and where its first number stands in it.

    Windows of a series overlap: their memory is the series.
    """
    offset = 0
    lowest = values
    for axis, (stride, length) in enumerate(zip(values.strides, values.shape, strict=True)):
        if stride < 0:
            offset -= stride * (length - 1)
            lowest = np.flip(lowest, axis)
    reach = sum((length - 1) * stride for stride, length in zip(lowest.strides, lowest.shape, strict=True))
    size = values.itemsize
    flat = np.lib.stride_tricks.as_strided(lowest, (reach // size + 1,), (size,), writeable=False)
    return flat, offset // size


def data_bytes(X, dtype):
    """Bytes that data takes on the device."""
    size = np.dtype(dtype).itemsize
    if isinstance(X, tuple):
        return X[0].nbytes + X[1].nbytes + X[2].nbytes
    if isinstance(X, Sequences):
        lengths = 0 if X.lengths is None else X.lengths.nbytes
        return min(span_of(X.values)[0].size, X.values.size) * X.values.itemsize + lengths
    return len(X) * padded(X.shape[1], dtype) * size


def put_data(arena, X, dtype):
    """Copy data to the device; the fields of a frame that say where it stands."""
    if isinstance(X, tuple):
        return dict(zip(("inputs", "indices", "indptr"), map(arena.put, ("x", "indices", "indptr"), X), strict=True))
    if isinstance(X, Sequences):
        return _put_sequences(arena, X)
    ld = padded(X.shape[1], dtype)
    if ld == X.shape[1]:
        return {"inputs": arena.put("x", np.ascontiguousarray(X)), "ld_inputs": ld}
    inputs = arena.empty("x", len(X) * ld, dtype)
    rows = max(1, CHUNK // (ld * np.dtype(dtype).itemsize))
    chunk = np.zeros((min(rows, len(X)), ld), dtype)
    for begin in range(0, len(X), rows):
        part = X[begin : begin + rows]
        chunk[: len(part), : X.shape[1]] = part
        hub.copy_in(arena.arrays["x"][begin * ld :], chunk[: len(part)], arena.stream)
    return {"inputs": inputs, "ld_inputs": ld}


def size_of_integers(values):
    """Bytes of each number where they are integers: the field of a frame."""
    return 0 if values.dtype.kind == "f" else values.itemsize


def _put_sequences(arena, X):
    values = X.values
    size = values.itemsize
    offset = 0
    flat, offset = span_of(values)
    if flat.size > values.size:
        flat = np.ascontiguousarray(values).reshape(-1)
        offset = 0
        values = np.ascontiguousarray(values)
    by_sample, by_step, by_feature = (stride // size for stride in values.strides)
    return {
        "inputs": arena.put("x", flat) + offset * size,
        "lengths": arena.put("lengths", X.lengths),
        "integers": size_of_integers(values),
        "ld_inputs": by_sample,
        "ld_steps": by_step,
        "ld_features": by_feature,
    }


def fits(needed):
    """Whether so many bytes are free on the device, with some left over."""
    return needed <= SHARE * hub.memory_info()[0]


def refuse(needed, knobs):
    """Raise: this does not fit."""
    free, total = hub.memory_info()
    raise MemoryError(
        f"The GPU has {free / 1e9:.2f} of {total / 1e9:.2f} GB free, and this needs {needed / 1e9:.2f} GB. {knobs}"
    )
