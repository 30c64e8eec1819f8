"""Names that pickles of version 1 look up. What they held of a network is described, and lowered anew."""


class Remains:
    """What is left of an object of an older version: its attributes."""


class Dense(Remains):
    """See `skneural.layers`."""


class Dropout(Remains):
    """See `skneural.layers`."""


class Noise(Remains):
    """See `skneural.layers`."""


class Pool(Remains):
    """See `skneural.layers.GlobalPool`."""


class Recurrent(Remains):
    """See `skneural.layers`."""


class Residual(Remains):
    """See `skneural.layers`."""


class Standardize(Remains):
    """See `skneural.layers`."""
