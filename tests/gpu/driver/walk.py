"""The host's side of fits and predictions on a GPU, with the driver of `driver.c`, which runs no kernels.

Run by `test_driver.py` in a process of its own. Results mean nothing here: what counts is that every call is right.
"""

import collections
import concurrent.futures
import contextlib
import ctypes
import gc
import itertools
import os
import pathlib
import sys
import time
import unittest.mock
import warnings

import numpy as np
import pytest

from skneural import GAN, CNNClassifier, LSTMRegressor, MLPClassifier
from skneural.backends.cuda import compiler, engine, hub, memory, streaming
from skneural.layers import Augmentation

warnings.simplefilter("ignore")
engine.CALL_SECONDS = 0
FOLDER = pathlib.Path(__file__).parents[1]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 20)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)
SEQUENCES = RNG.normal(size=(60, 5, 3)).astype(np.float32)


GET_FRAME = engine.Run.pull


def pull(self, frame, before=GET_FRAME):
    """The frame as it is after an epoch, which no kernel has moved on."""
    before(self, frame)
    frame.update(
        epoch=frame["epoch"] + 1, epochs_done=frame["epochs_done"] + 1, epochs_left=frame["epochs_left"] - 1,
        sum_loss=1.0, no_improvement=0,
    )  # fmt: skip


engine.Run.pull = pull


def classifier(**changed):
    """A network that needs every kind of memory."""
    facts = {"hidden_layer_sizes": (32,), "max_iter": 4, "batch_size": 64, "random_state": 0, "dropout": 0.2}
    return MLPClassifier(**facts | {"device": "cuda", "early_stopping": True} | changed)


def free():
    """Bytes that are free on the device."""
    gc.collect()
    with hub.on_device(0):
        hub.give_back_memory()
        return hub.memory_info()[0]


@contextlib.contextmanager
def setting(**variables):
    """Environment variables that tell the driver what to do."""
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]


def fails(kind, words, work):
    """Assert that something raises what it should."""
    with pytest.raises(kind, match=words):
        work()


def idle(op, frames, step):
    """In the place of every kernel: of what is launched, this driver runs nothing."""


def adversarial():
    """Two networks in turn: steps that are not all the same, so graphs of several kinds; and both alone."""
    facts = {"batch_size": 4, "n_critic": 2, "generator_averaging": 0.9, "max_iter": 4, "random_state": 0}
    gan = GAN((8,), 4, device="cuda", spectral_norm=1.0, **facts).fit(X[:12], Y[:12])
    assert gan.sample(3).shape == (3, 20)
    assert gan.discriminate(X[:5], Y[:5]).shape == (5,)


def brief():
    """A fit and a prediction with one kernel for all, which is compiled at once: real ones take a minute."""
    only = hub.compile_function(idle, cached=False)
    with unittest.mock.patch.object(compiler, "kernel", return_value=only):
        clf = classifier()
        clf.fit(X, Y).predict(X)
        before = free()
        clf.fit(X, Y).predict(X)
        images = X[:, :16].reshape(-1, 4, 4)
        CNNClassifier((4,), normalization="batch", device="cuda", max_iter=2).fit(images, Y).predict(images)
        in_bytes = np.abs(100 * images).astype(np.uint8)
        clf = CNNClassifier((4,), augmentation=Augmentation(), mixup=0.2, device="cuda", max_iter=2, batch_size=32)
        clf.fit(in_bytes, Y).predict(in_bytes)
        answers = itertools.chain([False, False], itertools.repeat(True))
        with unittest.mock.patch.object(memory, "fits", side_effect=answers):
            clf.set_params(batch_size=8).fit(in_bytes, Y)  # streamed
        adversarial()
        assert free() == before


def ordinary():
    """Fits and predictions, of which nothing is left on the device."""
    classifier().fit(X, Y).predict(X)
    before = free()
    classifier().fit(X, Y).predict_proba(X)
    classifier(normalization="batch", clip_norm=1.0, max_norm=1.0, early_stopping=False).fit(X, Y)
    adversarial()
    assert free() == before


def layers_of_two_widths():
    """They share kernels, not what these need of shared memory."""
    LSTMRegressor((128, 100), device="cuda", max_iter=3, batch_size=32).fit(SEQUENCES, SEQUENCES[:, 0, 0])
    before = free()
    LSTMRegressor((100, 128), device="cuda", max_iter=3, batch_size=32).fit(SEQUENCES, SEQUENCES[:, 0, 0])
    assert free() == before


def streamed():
    """Data that does not fit."""
    window, streaming.WINDOW, fits = streaming.WINDOW, 4000, memory.fits
    answers = iter([False, False])
    memory.fits = lambda needed: next(answers, True)
    classifier(early_stopping=False).fit(X, Y)
    streaming.WINDOW, memory.fits = window, fits
    pinned = ctypes.CDLL(os.environ["DRIVER_LIBRARY"]).driver_pinned
    assert pinned() == 0, "memory of the host is still held"


class Hesitant(collections.deque):
    """What is to be freed, where others come in between whoever looks whether there is anything, and takes it."""

    def __len__(self):
        found = super().__len__()
        time.sleep(0.0005)
        return found

    def __bool__(self):
        return len(self) > 0


def large():
    """The host's side of `test_large.py`: which tiles wide layers have, and what the driver says of them."""
    sys.path[:0] = [str(FOLDER), str(FOLDER.parent)]
    from large import WIDE, epoch, gradient, lstm, rows, sequences
    from twins import tiles_of

    X_wide, y_wide = rows(5000, 250)
    for precision, tile in (("full", "large"), ("tf32", "tensor")):
        _, trainer = gradient(engine.Trainer, WIDE, X_wide, y_wide, times=2, precision=precision)
        assert tile in tiles_of(trainer), tiles_of(trainer)
    _, _, trainer = epoch(engine.Trainer, WIDE, X_wide, y_wide, batch=1000)
    assert trainer.execution == "graph", trainer.capture_error
    gradient(engine.Trainer, lstm(128), *sequences(300, 96, 7))


def threads():
    """Fits in several threads, whose arrays are freed at once by whichever thread it is."""
    from numba.core import config

    classifier().fit(X, Y)  # loads the kernels
    before = free()
    with hub.on_device(0):
        pending = hub.pending_memory()
        pending._cons = Hesitant(pending._cons)
    most, config.CUDA_DEALLOCS_COUNT = config.CUDA_DEALLOCS_COUNT, 0
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        fits = [pool.submit(classifier(random_state=seed).fit, X, Y) for seed in range(4)]
        for fit in fits:
            fit.result()
    config.CUDA_DEALLOCS_COUNT = most
    del fits, fit
    assert free() == before


def stuck():
    """A device whose kernels run to no effect ends a fit, and not after an eternity."""
    engine.Run.pull = GET_FRAME
    try:
        fails(RuntimeError, "does not go on", lambda: classifier().fit(X, Y))
    finally:
        engine.Run.pull = pull


def faults():
    """Errors are readable, the estimator stays as it was, and memory comes back."""
    clf, before = classifier(early_stopping=False).fit(X, Y), free()
    weights = clf.coefs_[0].copy()
    with setting(DRIVER_LIMIT="100000"):
        fails(MemoryError, "ran out of memory", lambda: clf.fit(X, Y))
    np.testing.assert_array_equal(clf.coefs_[0], weights)
    assert free() == before
    with setting(DRIVER_NO_GRAPHS="1"):
        clf.fit(X, Y)
    with setting(DRIVER_LOST="3"):
        fails(RuntimeError, "The GPU failed while training: ", lambda: clf.fit(X, Y))
    assert np.isfinite(clf.coefs_[0]).all()
    assert free() == before


def exclusive():
    """Another process holds the GPU."""
    fails(RuntimeError, "Another process holds the GPU", lambda: classifier().fit(X, Y))


if __name__ == "__main__":
    lost = []
    sys.unraisablehook = lambda fault: lost.append(repr(fault.exc_value))  # of whatever frees memory
    for name in sys.argv[1:]:
        globals()[name]()
        gc.collect()
        assert not lost, lost
        print(name, "done")
