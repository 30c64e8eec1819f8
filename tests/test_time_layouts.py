"""Time indexes of all kinds: a forecast goes on with the next labels of the pattern, or the index is refused."""

import numpy as np
import pytest
from sklearn.dummy import DummyRegressor

from skneural.timeseries import Forecaster, make_windows

pd = pytest.importorskip("pandas")

HORIZON = 5
#: Calendars of pandas, most of which are found again without being told.
ALIASES = [
    "D", "B", "W", "W-WED", "h", "min", "s", "ms", "MS", "ME", "BMS", "BME", "QS", "QE", "QS-NOV", "QE-FEB", "BQS",
    "BQE", "BQE-JAN", "YS", "YE", "YS-APR", "YE-JUN", "BYS", "BYE", "WOM-1TUE", "WOM-2WED", "WOM-3FRI", "WOM-4MON",
    "SMS", "SME", "bh", "C", "cbh", "CBMS", "CBME",
]  # fmt: skip
ZONES = [None, None, None, "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]


def offsets(rng):
    """An offset of pandas, now and then one that has no alias."""
    number = int(rng.choice([1, 1, 2, 3, 4, 6, 12]))
    day = int(rng.integers(0, 7))
    kind = rng.integers(0, 12)
    if kind == 0:
        return pd.offsets.LastWeekOfMonth(number, weekday=day)
    if kind == 1:
        return pd.offsets.WeekOfMonth(number, week=int(rng.integers(0, 4)), weekday=day)
    if kind == 2:
        return pd.DateOffset(**{str(rng.choice(["days", "weeks", "months", "years"])): number})
    if kind == 3:
        mask = np.where(rng.permutation(7) < rng.integers(2, 7), "1", "0")
        return pd.offsets.CustomBusinessDay(number, weekmask="".join(mask))
    if kind == 4:
        start = int(rng.integers(0, 24))
        end = (start + int(rng.integers(2, 20))) % 24
        return pd.offsets.CustomBusinessHour(number, start=f"{start:02}:00", end=f"{end:02}:00", weekmask="1111111")
    alias = pd.tseries.frequencies.to_offset(str(rng.choice(ALIASES)))
    return alias * number


def layout(rng):
    """Labels of a calendar, as they are and as they come from a file, with those to come."""
    start = pd.Timestamp("1995-01-01") + pd.Timedelta(days=int(rng.integers(0, 9000)))
    if rng.random() < 0.3:
        start += pd.Timedelta(minutes=int(rng.integers(0, 1440)))
    offset, count = offsets(rng), int(rng.choice([8, 13, 30, 80]))
    zone, unit = str(rng.choice(ZONES)), str(rng.choice(["s", "ms", "us", "ns"]))
    unit = "ns" if offset.base == pd.offsets.Milli() else unit
    made = pd.date_range(start, periods=count + HORIZON, freq=offset, unit=unit, tz=None if zone == "None" else zone)
    return offset, made


def forecast_labels(known):
    model = Forecaster(DummyRegressor(), 3, HORIZON, scaler=None)
    return model.fit(pd.Series(np.arange(float(len(known))), known)).predict().index


def outcome(known, coming):
    """Whether labels are continued 'right' or 'wrong', or 'refused'."""
    try:
        found = forecast_labels(known)
    except ValueError:
        return "refused"
    return "right" if found.equals(coming) and found.dtype == coming.dtype else "wrong"


@pytest.mark.parametrize("seed", range(60))
def test_labels_of_calendars(seed):
    offset, made = layout(np.random.default_rng(seed))
    known, coming = made[:-HORIZON], made[-HORIZON:]
    assert outcome(known, coming) == "right", offset
    assert outcome(known[np.arange(len(known))], coming) != "wrong", offset  # as from a file, without its frequency
    if len(known) > 8:
        with pytest.raises(ValueError, match="irregular"):
            forecast_labels(known.delete(len(known) // 2))


def opening_hours(days, begin, count):
    return pd.DatetimeIndex([day + pd.Timedelta(hours=begin + hour) for day in days for hour in range(count)])


def last_fridays(count):
    ends = pd.date_range("2010-01-31", periods=count, freq="ME")
    return pd.DatetimeIndex([day - pd.Timedelta(days=(day.weekday() - 4) % 7) for day in ends])


@pytest.mark.parametrize("index", [
    pd.date_range("2005-01-01", periods=180, freq="WOM-1TUE")[::3],
    last_fridays(60),
    pd.date_range("2010-01-01", periods=60, freq="SME"),
    pd.date_range("2010-01-01", periods=60, freq=pd.offsets.CustomBusinessDay(weekmask="1111001")),
    pd.date_range("2010-01-01", periods=60, freq="12BME"),
    pd.date_range("2012-02-29", periods=20, freq="YE-FEB"),
    pd.date_range("2020-10-20 02:00", periods=60, freq="D", tz="Africa/Johannesburg"),
])  # fmt: skip
def test_patterns_that_pandas_does_not_infer(index):
    untold = index[np.arange(len(index))]
    assert outcome(untold[:-HORIZON], untold[-HORIZON:]) == "right"


@pytest.mark.parametrize("index", [
    opening_hours(pd.bdate_range("2024-02-01", periods=20), 8, 8),
    opening_hours(pd.date_range("2024-02-01", periods=20), 20, 8),
    pd.date_range("2010-01-01", periods=70, freq="WOM-3FRI").delete([31, 32]),
    pd.DatetimeIndex(["2021-01-22", "2021-02-26", "2021-03-26", "2021-05-28"]),
    pd.bdate_range("2024-01-01", periods=30).delete([3]),
])  # fmt: skip
def test_patterns_that_are_refused(index):
    with pytest.raises(ValueError, match=r"irregular: .* is followed by .*, where .* was expected.*reset_index"):
        make_windows(pd.Series(np.arange(float(len(index))), index), 2)


def test_fourth_or_last_friday():
    fridays = pd.date_range("2021-01-01", periods=4, freq="WOM-4FRI").delete(0)  # the last ones, too
    for index in (fridays, pd.date_range("2008-04-19", periods=13, freq="13W-SAT")):  # the third of a quarter, too
        with pytest.raises(ValueError, match=r"in several ways: the frequencies .* and .* make the same labels"):
            make_windows(pd.Series(np.arange(float(len(index))), index[np.arange(len(index))]), 2)
        told = pd.DatetimeIndex(index, freq=index.freq or "WOM-4FRI")
        assert len(make_windows(pd.Series(np.arange(float(len(index))), told), 2)[0]) == len(index) - 2


def test_frequency_that_an_index_has_wrongly():
    times = pd.date_range("2024-01-01", periods=20).delete([7])
    times._data._freq = pd.offsets.Day()  # as some concatenations leave it
    with pytest.raises(ValueError, match=r"irregular: 2024-01-07.* is followed by 2024-01-09"):
        make_windows(pd.Series(np.arange(19.0), times), 5)


def test_a_day_without_its_hour():
    # 02:30 does not exist on the last Sunday of March, and twice on that of October.
    for start, expected in [
        ("2024-03-16 02:30", "2024-03-31 03:00+02:00"),
        ("2024-10-12 02:30", "2024-10-27 02:30+02:00"),
    ]:
        times = pd.date_range(start, periods=15, tz="Europe/Berlin")
        assert forecast_labels(times)[0] == pd.Timestamp(expected).tz_convert("Europe/Berlin")


def test_series_of_other_spans():
    index = pd.date_range("2000-01-31", periods=60, freq="BME")
    series = pd.Series(np.arange(60.0), index[np.arange(60)])
    model = Forecaster(DummyRegressor(), 3, HORIZON, scaler=None).fit(series[:30])
    for stop in (20, 40, 50):
        assert model.predict(series[stop - 3 : stop]).index.equals(index[stop : stop + HORIZON])
    assert np.isfinite(model.score(series[30:]))
    with pytest.raises(ValueError, match="steps of"):
        model.predict(series[::2])
    with pytest.raises(ValueError, match="irregular"):
        model.predict(series.drop(series.index[50]))


@pytest.mark.parametrize(("dtype", "given"), [
    ("timestamp[us][pyarrow]", pd.date_range("2024-05-01", periods=30, freq="h")),
    ("timestamp[ns, tz=Europe/Berlin][pyarrow]", pd.date_range("2024-03-20", periods=30, tz="Europe/Berlin")),
    ("timestamp[s][pyarrow]", pd.date_range("2024-03-20", periods=30, freq="ME")),
    ("date32[pyarrow]", pd.date_range("2024-05-01", periods=30)),
    ("duration[ms][pyarrow]", pd.timedelta_range("1h", periods=30, freq="15min")),
    ("int64[pyarrow]", pd.RangeIndex(30)),
    ("Int32", pd.RangeIndex(30)),
    ("Float32", pd.Index(np.arange(30) / 4)),
])  # fmt: skip
def test_indexes_of_other_types(dtype, given):
    if "pyarrow" in dtype:
        pytest.importorskip("pyarrow")
    index = pd.Index(pd.Series(given).astype(dtype), name="when")
    assert outcome(index[:-HORIZON], index[-HORIZON:]) == "right"
    assert forecast_labels(index[:-HORIZON]).name == "when"
    with pytest.raises(ValueError, match="irregular"):
        forecast_labels(index.delete(9))
    with pytest.raises(ValueError, match="missing label in row 9"):
        forecast_labels(index.insert(9, None))
    if given.dtype.kind in "Mm":  # of which the training series may have the type of NumPy
        model = Forecaster(DummyRegressor(), 3, HORIZON, scaler=None).fit(pd.Series(np.arange(15.0), given[:15]))
        assert model.predict(pd.Series(np.arange(10.0), index[15:25])).index.equals(index[25:])


def test_times_of_arrow_in_a_column():
    pytest.importorskip("pyarrow")
    when = pd.Series(pd.date_range("2024-05-01", periods=9)).astype("timestamp[us][pyarrow]")
    with pytest.raises(TypeError, match=r"'when'.*set_index"):
        make_windows(pd.DataFrame({"when": when, "load": np.arange(9.0)}), 3)


def test_a_gap_in_a_million_labels():
    minutes = pd.date_range("2000-01-01", periods=500_000, freq="min", unit="s")[np.arange(500_000)]
    assert len(make_windows(pd.Series(np.zeros(500_000), minutes), 3)[0]) == 499_997
    with pytest.raises(ValueError, match="1 of 499998 steps"):
        make_windows(pd.Series(np.zeros(499_999), minutes.delete(5000)), 3)
