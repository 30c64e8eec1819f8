"""Fully connected layers."""

from dataclasses import dataclass

from skneural.layers.normalization import add_normalization
from skneural.network.builder import Transposed
from skneural.network.layer import Layer
from skneural.network.operations import operation

DETAILS = ("weight", "bias", "transposed")
operation("dense", DETAILS, derivative="function", multiplies_gradient=True)
operation("sparse_dense", DETAILS, derivative="function")


@dataclass(frozen=True, repr=False)
class Dense(Layer):
    """Fully connected layer, ``activation(normalization(x @ weight + bias))``. It reads rows.

    Parameters
    ----------
    units : int
        Width of the output.
    activation : str or None, default=None
        Name of the function that follows, as estimators have it: ``"relu"``, ``"tanh"``, ... None: none.
    normalization : {'batch', 'layer'} or None, default=None
        What stands between product and activation. The bias comes after that of the batch, which would remove it. That
        of the layer needs one before: without it, it would see no more than the direction of x.

    Examples
    --------
    >>> from skneural.layers import Dense
    >>> hidden = [Dense(64, "relu"), Dense(32, "tanh", normalization="layer")]
    """

    units: int
    activation: str | None = None
    normalization: str | None = None

    def build(self, net, x):
        """See `Layer.build`."""
        (n_in,) = net.rows(x)
        net.new_layer()
        ld = net.padded(self.units)
        function = None if self.activation == "identity" else self.activation
        weight = net.parameter("coefs_", (n_in, self.units), penalised=True, initial="weights")
        bias = -1
        if self.normalization != "batch":
            bias = net.parameter("intercepts_", (self.units,), initial="bias")
        y = net.add(
            "sparse_dense" if x.is_sparse else "dense",
            x,
            shape=(self.units,),
            function=None if self.normalization else function,
            products=n_in * self.units,
            flops=2 * n_in * ld,
            weight=weight,
            bias=bias,
            transposed=Transposed(weight, x.ld, x),
        )
        if self.normalization is None:
            return y
        shift = "intercepts_" if self.normalization == "batch" else "norms_"
        return add_normalization(net, y, self.normalization, function, shift)
