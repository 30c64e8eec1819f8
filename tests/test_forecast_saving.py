"""Forecasters in pickles and in files of skops: they go on as before, whatever the index of their series."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.dummy import DummyRegressor
from test_time_layouts import HORIZON, layout

import skneural
from skneural.timeseries import Forecaster

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
sio = pytest.importorskip("skops.io")

#: What skops has to be told to trust in a file of a fitted Forecaster, other than its estimator.
OURS = {
    "skneural.timeseries._forecaster.Forecaster", "skneural.timeseries._index.TimeIndex",
    "skneural.timeseries._scaling.Scaling", "skneural.timeseries._series.Series",
}  # fmt: skip
ROWS = np.arange(40.0)
DAYS = pd.date_range("2024-01-31", periods=40, name="day")
HOLIDAYS = pd.offsets.CustomBusinessDay(holidays=["2024-02-05"], weekmask="1111001")
CALENDAR = pd.offsets.CustomBusinessDay(calendar=np.busdaycalendar("1110000", ["2024-02-05"]))
INDEXES = {
    "days": DAYS,
    "days of a zone": DAYS.tz_localize("Europe/Berlin"),
    "UTC": DAYS.tz_localize("UTC").as_unit("s"),
    "each 15th": pd.date_range("2024-01-15", periods=40, freq=pd.DateOffset(months=1)),
    "holidays": pd.date_range("2024-01-31", periods=40, freq=HOLIDAYS),
    "calendar": pd.date_range("2024-01-31", periods=40, freq=CALENDAR),
    "business hours": pd.date_range("2024-01-31", periods=40, freq=pd.offsets.BusinessHour(start="11:00", end="20:30")),
    "third Fridays": pd.date_range("2024-01-31", periods=40, freq="WOM-3FRI"),
    "periods": pd.period_range("2024-01", periods=40, freq="2M", name="month"),
    "durations": pd.timedelta_range("1h", periods=40, freq="15min"),
    "rows": pd.RangeIndex(10, 90, 2),
    "one step": pd.RangeIndex(40),
    "numbers": pd.Index(np.arange(40) * 5, dtype="Int32"),
    "floats": pd.Index(np.arange(40) * 0.25, name="hour"),
}


def dumped(model):
    """A Forecaster that was dumped by skops and loaded again."""
    data = sio.dumps(model)
    assert set(sio.get_untrusted_types(data=data)) <= OURS
    return sio.loads(data, trusted=sorted(OURS))


def pickled(model):
    return pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize("kept", [pickled, dumped])
@pytest.mark.parametrize("name", INDEXES)
def test_forecasters_of_pandas(kept, name):
    series = pd.Series(ROWS, INDEXES[name], name="load")
    model = Forecaster(DummyRegressor(), 3, HORIZON, scaler=None).fit(series[:30])
    again = kept(model)
    pd.testing.assert_series_equal(again.predict(), model.predict())
    assert again.predict().index.equals(series.index[30 : 30 + HORIZON])
    pd.testing.assert_series_equal(again.predict(series[20:25]), model.predict(series[20:25]))
    assert again.score(series[30:]) == model.score(series[30:])
    with pytest.raises(ValueError, match="follow on directly"):
        again.score(series[31:])


@pytest.mark.parametrize("kept", [pickled, dumped])
def test_forecasters_of_arrays_and_polars(kept):
    frame = pl.DataFrame({"when": DAYS.to_numpy().astype("datetime64[us]"), "load": ROWS, "heat": ROWS[::-1]})
    for series in (ROWS, frame):
        model = Forecaster(DummyRegressor(), 3, HORIZON, window_normalization="instance").fit(series[:30])
        again = kept(model)
        assert_array_equal(again.predict(), model.predict())
        assert again.score(series[30:]) == model.score(series[30:])


def test_types_of_arrow():
    pytest.importorskip("pyarrow")
    for dtype in ("timestamp[ns, tz=Europe/Berlin][pyarrow]", "date32[pyarrow]", "int64[pyarrow]"):
        index = pd.Index(pd.Series(ROWS.astype(int) if dtype == "int64[pyarrow]" else DAYS).astype(dtype))
        model = Forecaster(DummyRegressor(), 3, HORIZON).fit(pd.Series(ROWS, index)[:30])
        for kept in (pickled, dumped):
            assert kept(model).predict().index.equals(index[30 : 30 + HORIZON])


@pytest.mark.parametrize("seed", range(40))
def test_calendars(seed):
    offset, made = layout(np.random.default_rng(seed))
    known = pd.Series(np.arange(len(made) - HORIZON), made[:-HORIZON])
    model = Forecaster(DummyRegressor(), 3, HORIZON).fit(known)
    assert dumped(model).predict().index.equals(made[-HORIZON:]), offset


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_networks():
    series = pd.DataFrame({"a": np.sin(ROWS), "b": ROWS}, DAYS)
    lstm = skneural.LSTMRegressor((3,), loss="quantile", quantiles=[0.1, 0.5, 0.9], max_iter=2, random_state=0)
    model = Forecaster(lstm, 6, 2, target="a").fit(series)
    trusted = OURS | {"skneural.estimators.recurrent.LSTMRegressor"}
    again = sio.loads(sio.dumps(model), trusted=sorted(trusted))
    pd.testing.assert_frame_equal(again.predict_quantiles(), model.predict_quantiles())
