"""What recurrent networks share: which layers there are."""

from __future__ import annotations

from collections.abc import Callable

from skneural._declare import declare, parameter
from skneural.estimators._recurrent_docs import sections_of
from skneural.estimators._sequence_network import SequenceNetwork
from skneural.estimators._settings import recurrent_layers


@declare
class RecurrentNetwork(SequenceNetwork):
    """Mixin of the recurrent networks: which layers there are.

    Attributes
    ----------
    coefs_ : list of ndarray
        The weights of each layer's input: of a recurrent layer of shape (n_in, n_gates, units), of a dense one of shape
        (n_in, n_out). Gates: {gates}. With `bidirectional` the direction backwards in time follows the one forwards.

    recurrent_coefs_ : list of ndarray
        The weights of the state before, for each recurrent layer (and direction), of shape (units, n_gates, units).
        Gates: {recurrent_gates}.

    intercepts_ : list of ndarray
        The biases of each layer, of shape ({n_biases}, units) or (n_out,){bias_gates}. All arrays are views of one
        vector.

    norms_ : list of mappings
        With `standardize` one, of the input: the arrays ``mean`` and ``deviation``, each of shape (n_features,).

    n_layers_ : int
        Number of layers, those of inputs and outputs counted, each direction of a recurrent one by itself.
    """

    #: Name of the cell.
    _cell = None

    weight_init: str | Callable = parameter(
        default="auto",
        doc="""Initial weights of inputs, gate by gate as those of a layer, and of dense layers: see
        :class:`MLPClassifier` for the rules. 'auto' is glorot_uniform for recurrent layers. The weights of the states
        are orthogonal and biases 0, those of forget gates 1, whatever this is. A callable ``weight_init(n_in, n_out,
        rng)`` gets a :class:`numpy.random.Generator` and returns an array of shape (n_in, n_out); it is called for
        every gate.""",
    )
    clip_norm: float | None = parameter(
        default=1.0,
        stochastic=False,  # 'lbfgs', which has no use for the default, ignores it
        doc="""Scale the gradient of the loss down to this norm (over all weights and biases) where it is larger, as
        recurrent networks need it (Pascanu et al., 2013). Not used by 'lbfgs'.""",
    )

    @classmethod
    def _doc_sections(cls):
        return {} if cls._cell is None else sections_of(cls)

    def _hidden_layers(self):
        return recurrent_layers(self, self._cell)

    def _initialize(self, program, seed, train):
        return super()._initialize(program, seed, train, self.head_activation)
