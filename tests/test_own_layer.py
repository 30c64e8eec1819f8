"""A layer of one's own, as the page on layers has it: right gradients, fits, copies, pickles in other processes."""

import importlib
import pathlib
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
from networks import assert_right_gradient, make_trainer
from numpy.testing import assert_array_equal
from sklearn.model_selection import GridSearchCV
from stacks import N_OUTPUTS, N_STEPS, data, network

from skneural import NetworkClassifier, NetworkRegressor, save
from skneural.layers import Activation, Dense, GlobalPool, Recurrent, Residual
from skneural.network.layer import LAYERS
from skneural.network.operations import KINDS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "layers.md"
BLOCKS = re.findall(r"(<!-- .*? -->\n)?```python\n(.*?)```", PAGE.read_text(), flags=re.S)
SOURCE = next(block for mark, block in BLOCKS if mark == "<!-- scale.py -->\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a module `scale` with the layer of the page."""
    path = tmp_path_factory.mktemp("own")
    (path / "scale.py").write_text(SOURCE)
    return path


@pytest.fixture(scope="module")
def scale(folder):
    """The module; afterwards nothing is left of it, so that no other test meets its layer."""
    from skneural.backends.cpu.catalogue import of_layers

    of_kernels = of_layers()
    layers, kinds, kernels = dict(LAYERS), dict(KINDS), dict(of_kernels)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield importlib.import_module("scale")
        sys.modules.pop("scale")
    for registry, before in ((LAYERS, layers), (KINDS, kinds), (of_kernels, kernels)):
        registry.clear()
        registry.update(before)


def rows(n_samples=80):
    X = np.random.default_rng(0).standard_normal((n_samples, 4))
    return X, (X[:, 0] > 0.1).astype(int)


def stacks(scale):
    """Where the layer may stand: first, after an activation whose derivative waits, and beside other readers."""
    Scale = scale.Scale
    return {
        "first": ([Scale(0.7), Dense(N_OUTPUTS)], 0),
        "after a derivative": ([Dense(6, "tanh"), Scale(0.7), Activation("relu"), Dense(N_OUTPUTS)], 0),
        "shortcut": ([Dense(6, "tanh"), Residual((Scale(0.7), Dense(6, "tanh"), Scale())), Dense(N_OUTPUTS)], 0),
        "sequences": ([Scale(0.7), Recurrent("gru", 5), Scale(), GlobalPool("mean"), Dense(N_OUTPUTS)], N_STEPS),
    }


@pytest.mark.parametrize("place", ["first", "after a derivative", "shortcut", "sequences"])
def test_gradients(scale, place):
    layers, n_steps = stacks(scale)[place]
    program, params = network(layers, n_steps)
    assert_right_gradient(program, params, *data(N_OUTPUTS, n_steps), seed=3)


def test_gradient_in_chunks(scale):
    layers, n_steps = stacks(scale)["shortcut"]
    program, params = network(layers, n_steps)
    X, y, weights = data(N_OUTPUTS, n_steps, n_rows=3000)
    trainers = [make_trainer(program, params, X, y, weights, n_threads=n_threads) for n_threads in (1, 3)]
    gradients = [trainer.loss_and_gradient()[1].copy() for trainer in trainers]
    assert_array_equal(*gradients)
    for trainer in trainers:
        trainer.close()


def test_it_is_a_layer_like_all_others(scale):
    X, y = rows()
    layers = [scale.Scale(), Dense(8, "relu"), scale.Scale(0.5)]
    est = NetworkClassifier(layers, max_iter=60, learning_rate_init=0.02, random_state=0).fit(X, y)
    assert est.score(X, y) > 0.95
    assert [factor.shape for factor in est.scales_] == [(4,), (8,)]
    assert (est.scales_[0] != 1).all()
    assert [row.parameters for row in est.summary().rows] == [0, 4, 40, 8, 9]
    probabilities = est.predict_proba(X)
    est.scales_[1] = np.zeros(8)  # as users assign to coefs_
    assert not np.array_equal(est.predict_proba(X), probabilities)
    assert_array_equal(np.unique(est.predict_proba(X)[:, 1]).shape, (1,))
    search = GridSearchCV(est, {"layers__0__initial": [0.5, 2]}, cv=2).fit(X, y)
    assert search.best_estimator_.layers[0].initial in (0.5, 2)
    with pytest.raises(ValueError, match=r"layers\[0\] of NetworkClassifier: initial of Scale must be"):
        est.set_params(layers__0__initial="large").fit(X, y)


def test_threads_float32_and_lbfgs(scale):
    X, y = rows(600)
    for settings in ({}, {"dtype": "float32"}, {"solver": "lbfgs"}, {"clip_norm": 0.1, "monitor_gradients": True}):
        fits = [
            NetworkRegressor([scale.Scale(), Dense(8, "tanh"), scale.Scale()], n_jobs=n, max_iter=3, random_state=0)
            .set_params(**settings)
            .fit(X, y)
            for n in (1, 2)
        ]
        assert_array_equal(fits[0]._params, fits[1]._params)
        assert fits[0].loss_curve_[-1] < fits[0].loss_curve_[0]


def test_refit_without_it(scale):
    X, y = rows()
    est = NetworkClassifier([scale.Scale()], max_iter=2).fit(X, y)
    assert not hasattr(est.set_params(layers=[]).fit(X, y), "scales_")


def test_pickles_import_its_module(scale, folder, tmp_path):
    X, y = rows()
    est = NetworkClassifier([scale.Scale(), Dense(8)], max_iter=3, random_state=0).fit(X, y)
    assert_array_equal(pickle.loads(pickle.dumps(est)).predict_proba(X), est.predict_proba(X))
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(est))
    np.save(tmp_path / "X.npy", X)
    code = (
        f"import sys; sys.path.insert(0, {str(folder)!r}); import pickle, numpy as np; "
        f"est = pickle.load(open({str(tmp_path / 'model.pickle')!r}, 'rb')); "
        f"print(est.layers[0], est.predict_proba(np.load({str(tmp_path / 'X.npy')!r})).tobytes().hex())"
    )
    printed = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert printed.stdout.split() == ["Scale(initial=1.0)", est.predict_proba(X).tobytes().hex()]


def test_files_need_it_imported(scale, tmp_path):
    X, y = rows()
    est = NetworkClassifier([scale.Scale(), Dense(8)], max_iter=3, random_state=0).fit(X, y)
    save(est, tmp_path / "model.skn")
    code = f"import skneural; skneural.load({str(tmp_path / 'model.skn')!r})"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ValueError" in printed.stderr
    assert "a layer of an unknown kind, 'Scale'" in printed.stderr
    assert "is it defined in a module that has to be imported first?" in printed.stderr


def test_page_on_layers_runs(scale, capsys):
    scope = {"__name__": "example"}
    try:
        for _, block in BLOCKS:
            if block is not SOURCE:
                exec(compile(block, "layers.md", "exec"), scope)
    finally:
        LAYERS.pop("Bottleneck", None)
    printed = capsys.readouterr().out
    assert "Dense needs rows, got sequences of shape (8, 16): put GlobalPool or Flatten before it." in printed
    assert "bottleneck" in printed
