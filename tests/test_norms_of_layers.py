"""The limit on norms in networks of any layers: it holds for those that have one, and is refused with others."""

from dataclasses import dataclass

import numpy as np
import pytest

from skneural import NetworkClassifier, NetworkRegressor
from skneural.layers import Conv1D, Dense, GlobalPool, Layer, Recurrent, Residual

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

WORDS = "max_norm limits the weights of dense layers and convolutions, those of recurrent layers it does not"


@dataclass(frozen=True)
class Reader(Layer):
    """A layer that is made of a recurrent one."""

    def build(self, net, x):
        """See `Layer.build`."""
        return net.stack([Recurrent("gru", 3), GlobalPool()], x)


def sequences():
    rng = np.random.default_rng(0)
    return rng.normal(size=(20, 6, 2)), np.arange(20) % 2


STACKS = {
    "alone": [Recurrent("lstm", 3), GlobalPool()],
    "among others": [Conv1D(4), Recurrent("rnn", 3, bidirectional=True), GlobalPool(), Dense(4)],
    "within a shortcut": [Residual((Recurrent("gru", 2),)), GlobalPool()],
    "within a layer of a user": [Reader()],
}


@pytest.mark.parametrize("estimator", [NetworkClassifier, NetworkRegressor])
@pytest.mark.parametrize("case", STACKS)
def test_recurrent_layers_have_no_limit(case, estimator):
    X, y = sequences()
    est = estimator(STACKS[case], max_norm=1.0, max_iter=1, random_state=0)
    with pytest.raises(ValueError, match=WORDS):
        est.fit(X, y)
    assert vars(est) == est.get_params(deep=False)
    est.set_params(max_norm=None).fit(X, y)
    with pytest.raises(ValueError, match=WORDS):
        est.set_params(max_norm=1.0).partial_fit(X, y)


def test_it_holds_for_convolutions_and_dense_layers():
    X, y = sequences()
    layers = [Conv1D(4, activation="relu"), GlobalPool("mean"), Dense(6, "relu")]
    settings = {"max_iter": 10, "learning_rate_init": 0.1, "random_state": 0}
    free = NetworkClassifier(layers, **settings).fit(X, y)
    est = NetworkClassifier(layers, max_norm=0.5, **settings).fit(X, y)
    for before, after in zip(free.coefs_[:-1], est.coefs_[:-1], strict=True):
        assert np.linalg.norm(before, axis=0).max() > 0.5
        assert np.linalg.norm(after, axis=0).max() <= 0.5 * (1 + 1e-6)
