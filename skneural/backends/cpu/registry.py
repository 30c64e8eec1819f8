"""Kernels by the kind of operation that they carry out, and by their field in its head."""

from skneural.network.operations import KERNEL_FIELDS

#: ``{kind: {field: (maker, options, registry)}}``.
KERNELS = {}


def layer_kernel(kind, field, *options, registry=None):
    """Decorator: the function makes the kernel of a kind of operation.

    Parameters
    ----------
    kind : str
        See `network.operations.KINDS`.
    field : str
        What the kernel does: one of `network.operations.KERNEL_FIELDS`.
    *options : object
        Further arguments of the maker, after the type of numbers.
    registry : Registry, default=None
        The last argument of the maker is the row of this registry that the operation names.

    Raises
    ------
    ValueError
        If there is no such field.
    """
    if field not in KERNEL_FIELDS:
        raise ValueError(f"A kernel is one of {KERNEL_FIELDS}, got {field!r}.")

    def add(make):
        KERNELS.setdefault(kind, {})[field] = make, options, registry
        return make

    return add
