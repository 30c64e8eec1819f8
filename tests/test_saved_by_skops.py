"""What `skneural.save` refuses goes where the error says: pipelines, searches and forecasters, into files of skops."""

import joblib
import numpy as np
import pytest
from sklearn.ensemble import BaggingRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skneural import LSTMRegressor, MLPClassifier, MLPRegressor, load, save
from skneural.timeseries import Forecaster

sio = pytest.importorskip("skops.io")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).normal(size=(40, 4))
SERIES = np.sin(np.arange(80) / 5)


def classifier():
    return make_pipeline(StandardScaler(), MLPClassifier((4,), max_iter=2, random_state=0))


def forecaster():
    return Forecaster(LSTMRegressor((3,), max_iter=2, random_state=0), lookback=8)


MAKE = {
    "pipeline": lambda: classifier().fit(X, X[:, 0] > 0),
    "search": lambda: GridSearchCV(classifier(), {"mlpclassifier__alpha": [0.1, 0.2]}, cv=2).fit(X, X[:, 0] > 0),
    "ensemble": lambda: BaggingRegressor(MLPRegressor(hidden_layer_sizes=(4,), max_iter=2), 2, random_state=0).fit(
        X, X[:, 0]
    ),
    "forecaster": lambda: forecaster().fit(SERIES),
}
#: What has to be trusted, of this package.
OURS = {
    "pipeline": {"skneural.estimators.mlp.MLPClassifier"},
    "search": {"skneural.estimators.mlp.MLPClassifier"},
    "ensemble": {"skneural.estimators.mlp.MLPRegressor"},
    "forecaster": {
        "skneural.estimators.recurrent.LSTMRegressor",
        "skneural.timeseries._forecaster.Forecaster",
        "skneural.timeseries._scaling.Scaling",
        "skneural.timeseries._series.Series",
    },
}


def predict(model):
    return model.predict() if isinstance(model, Forecaster) else model.predict(X)


@pytest.mark.parametrize("kind", MAKE)
def test_what_is_refused_goes_where_the_error_says(kind, tmp_path):
    model = MAKE[kind]()
    path = tmp_path / "model.skops"
    with pytest.raises(TypeError, match=r"got an object of type \w+\. skops\.io\.dump\(model, path\) saves") as caught:
        save(model, path)
    words = str(caught.value)
    dump = "skops.io.dump(model, path)"
    back = "skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))"
    assert dump in words
    assert back in words
    sio.dump(model, path)
    untrusted = sio.get_untrusted_types(file=path)
    assert {name for name in untrusted if name.startswith("skneural.")} == OURS[kind]
    assert all(name.startswith(("skneural.", "sklearn.")) for name in untrusted)
    np.testing.assert_array_equal(predict(sio.load(path, trusted=untrusted)), predict(model))
    with pytest.raises(ValueError, match=r"it is not a file that skneural\.save wrote"):
        load(path)


@pytest.mark.parametrize("has_dates", [True, False])
def test_forecasters_of_pandas_series_are_pickled(has_dates, tmp_path):
    pandas = pytest.importorskip("pandas")
    dates = pandas.date_range("2024-01-01", periods=len(SERIES), freq="h")
    model = forecaster().fit(pandas.Series(SERIES, dates if has_dates else None, name="x"))
    path = tmp_path / "model.joblib"
    with pytest.raises(TypeError, match=r"a forecaster of a pandas series needs joblib\.dump\.$"):
        save(model, path)
    joblib.dump(model, path)
    pandas.testing.assert_series_equal(joblib.load(path).predict(), model.predict())
