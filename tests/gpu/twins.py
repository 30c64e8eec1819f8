"""The same fit on both backends."""

import numpy as np
from networks import make_data, make_network

from skneural.backends.base import OptimizerState
from skneural.backends.cpu.engine import Trainer as OnCPU
from skneural.backends.cuda.engine import Trainer as OnGPU
from skneural.backends.cuda.product import Tile
from skneural.maths.optimizers import OPTIMIZERS

#: How closely two backends agree after some steps.
CLOSE = {np.float32: 1e-4, np.float64: 1e-9}
HYPER = {
    "momentum": 0.9, "nesterovs_momentum": 1.0, "beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-8, "rho": 0.9,
}  # fmt: skip


class Fit:
    """Some epochs of a trainer, and everything it leaves behind."""

    def __init__(self, backend, program, params, data, *, epochs, solver="adam", batch=4, shuffle=True, **facts):
        X, targets, weights = data
        self.params, self.losses, self.norms, self.notes = params.copy(), [], [], []
        self.state = OptimizerState.fresh(program)
        facts = {"alpha": 0.01, "l1_ratio": 0.3, "seed": 12345678901, "n_threads": 1} | facts
        self.trainer = backend(program, self.params, X, targets, weights, **facts)
        hyper = [HYPER[name] for name in OPTIMIZERS[solver].hyper]
        self.trainer.start(
            solver, hyper, self.state, batch=batch, shuffle=shuffle, tol=0.0, patience=np.inf, weight_decay=0.01
        )
        best, count = np.inf, 0
        while len(self.losses) < epochs:
            rates = np.linspace(0.02, 0.01, epochs - len(self.losses))
            found, best, count = self.trainer.run_epochs(rates[:1], best, count)
            self.losses += [loss for loss, _ in found]
            if self.trainer.monitor:
                self.norms.append(self.trainer.layer_norms[: len(found)].copy())
            if self.trainer.notes is not None:
                self.notes.append(self.trainer.notes[: len(found)].copy())
        self.best, self.improved = self.trainer.best_parameters()
        self.best = self.best.copy()
        self.trainer.close()


def assert_same(a, b, close):
    """Assert that two fits agree."""
    for name in ("params", "losses", "best"):
        np.testing.assert_allclose(getattr(b, name), getattr(a, name), rtol=close, atol=close, err_msg=name)
    for name in ("s", "v"):
        ours, theirs = getattr(b.state, name), getattr(a.state, name)
        np.testing.assert_allclose(ours, theirs, rtol=close, atol=close, err_msg=name)
    for name in ("norms", "notes"):
        found, expected = (np.array(getattr(fit, name)) for fit in (b, a))
        np.testing.assert_allclose(found, expected, rtol=close, atol=close, err_msg=name)
    counts = [(fit.state.step, fit.state.epoch, fit.state.batches, fit.improved) for fit in (a, b)]
    assert counts[0] == counts[1]


def tiles_of(trainer):
    """Names of the tiles of all products of a trainer."""
    launches = trainer.run.binder.forward + trainer.run.binder.backward
    return {part.name for launch in launches for part in launch.key if isinstance(part, Tile)}


def compare(layers, loss="log_loss", dtype=np.float64, *, n_rows=14, weighted=True, is_sparse=None, data=None, **facts):
    """Fit on both backends and assert that they agree; the fit on the GPU."""
    program, params = make_network(layers, loss, dtype=dtype, is_sparse=is_sparse is not None)
    X, targets, weights = data or make_data(loss, n_rows, dtype=dtype)
    data = is_sparse(X) if is_sparse else X, targets, weights if weighted else None
    close = facts.pop("close", CLOSE[dtype])
    own = {name: facts.pop(name) for name in ("device", "precision") if name in facts}
    fits = [Fit(OnCPU, program, params, data, **facts), Fit(OnGPU, program, params, data, **facts, **own)]
    assert_same(*fits, close)
    assert np.abs(fits[0].params - params).max() > 1e-3  # something has been learnt
    return fits[1]
