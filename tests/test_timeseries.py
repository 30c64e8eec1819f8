"""Windows of series, forecasts of them and backtests, with small regressors in place of networks."""

import pickle
import re
import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, PowerTransformer, StandardScaler

import skneural
from skneural.timeseries import Forecaster, make_windows

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")


class Flat(RegressorMixin, BaseEstimator):
    """Ridge on flattened windows, which keeps what it was given."""

    def __init__(self, alpha=1e-6, loss="squared_error", quantiles=(0.1, 0.9)):
        self.alpha, self.loss, self.quantiles = alpha, loss, quantiles

    def fit(self, X, y, **fit_params):
        self.X_, self.y_, self.fit_params_, self.asked_ = X, y, fit_params, []
        self.ridge_ = Ridge(self.alpha).fit(X.reshape(len(X), -1), y)
        return self

    def predict(self, X):
        self.asked_.append(X)
        return self.ridge_.predict(X.reshape(len(X), -1))


class Band(RegressorMixin, BaseEstimator):
    """Quantiles of the training targets, whatever the window, in the order that is asked for."""

    def __init__(self, quantiles=(0.9, 0.1, 0.6, 0.3), loss="quantile"):
        self.quantiles, self.loss = quantiles, loss

    def fit(self, X, y):
        self.row_ = np.moveaxis(np.quantile(y, self.quantiles, axis=0), 0, -1)  # (n_quantiles,) for one output
        return self

    def predict(self, X):
        return np.repeat(self.row_[None], len(X), axis=0)


def wave(n=120, n_features=None):
    """A noisy season of 12 with a trend, in odd units."""
    time = np.arange(n) if n_features is None else np.arange(n)[:, None] + 3 * np.arange(n_features)
    noise = np.random.default_rng(0).normal(scale=2, size=time.shape)
    return 500 + 40 * np.sin(time * np.pi / 6) + 0.3 * time + noise


def refuse(message, call, *args, error=ValueError, **settings):
    with pytest.raises(error, match=message):
        call(*args, **settings)


def assert_times(index, expected):
    assert (type(index), index.dtype, index.name) == (type(expected), expected.dtype, expected.name)
    assert (np.allclose if index.dtype.kind == "f" else np.array_equal)(index, expected)


@pytest.mark.parametrize("target", [None, [2, 0], 1, -1, [1]])
@pytest.mark.parametrize(("lookback", "horizon", "step"), [(1, 1, 1), (5, 1, 3), (4, 3, 1), (3, 2, 4), (15, 5, 2)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_windows_are_those_of_a_loop(target, lookback, horizon, step, order):
    series = np.asarray(wave(20, 3), order=order)
    X, y = make_windows(series, lookback, horizon, step=step, target=target)
    columns = [0, 1, 2] if target is None else np.atleast_1d(target)
    starts = range(0, 20 - lookback - horizon + 1, step)
    assert_array_equal(X, [series[s : s + lookback] for s in starts])
    expected = np.array([series[s + lookback : s + lookback + horizon][:, columns].ravel() for s in starts])
    assert_array_equal(y, expected[:, 0] if expected.shape[1] == 1 else expected)
    assert np.shares_memory(X, series)
    assert (X.flags.writeable, y.flags.writeable) == (False, False)
    if len(columns) == 1 or (target is None and order == "C"):
        assert np.shares_memory(y, series)


def test_file_is_not_read_as_a_whole(tmp_path):
    series = np.memmap(tmp_path / "series.bin", np.float32, "w+", shape=(1_000_000, 4))
    tracemalloc.start()
    X, y = make_windows(series, 500, 100, target=2)
    assert tracemalloc.get_traced_memory()[1] < series.nbytes / 8
    tracemalloc.stop()
    assert (X.shape, y.shape) == ((999_401, 500, 4), (999_401, 100))
    assert np.shares_memory(X, series)
    assert np.shares_memory(y, series)


@pytest.mark.parametrize("given", ["float32", "float64", "int64", "bool", ">f4"])
def test_types_and_frames(given):
    values = (wave(30, 2) % 2).astype(given)
    dtype = "float32" if given == "float32" else "float64"
    arrays = values, values[:, :1], values[:, 0], values.tolist()
    frames = pd.DataFrame(values, columns=["a", "b"]), pd.Series(values[:, 0]), pl.Series(values[:, 0].astype(dtype))
    for series in (*arrays, *frames, pl.DataFrame(values.astype(dtype), schema=["a", "b"])):
        X, y = make_windows(series, 4)
        assert X.dtype == y.dtype == (dtype if not isinstance(series, list) else "float64")
        assert_array_equal(X, make_windows(values.astype("float64"), 4)[0][..., : X.shape[2]])
        assert_array_equal(y, values[4:, : y.shape[1]] if y.ndim == 2 else values[4:, 0])
        if given in ("float32", "float64") and not isinstance(series, list | pl.DataFrame):
            assert np.shares_memory(X, series if series is values else np.asarray(series))
    frame = pd.DataFrame({"a": [1, 2, 3], "b": [True, False, True], "c": pd.array([1.5, 2.5, 3.5], "Float64")})
    for series in (frame, pl.DataFrame({name: frame[name].to_list() for name in frame})):
        assert_array_equal(make_windows(series, 2)[0], [[[1, 1, 1.5], [2, 0, 2.5]]])
    assert make_windows(frame[["c"]].astype("Float32"), 2)[0].dtype == np.float32


def test_targets_and_counts():
    frame = pd.DataFrame(wave(20, 3), columns=["a", "b", 0])
    for target, columns in [("b", "b"), (0, 0), (1, "b"), (["b", "a"], ["b", "a"])]:  # a name goes before a position
        assert_array_equal(make_windows(frame, 4, target=target)[1], frame[columns][4:])
    refuse("2 columns", make_windows, frame.set_axis(["a", "a", "b"], axis=1), 4, target="a")
    for target in ("z", 3, -4, True, 1.5, [0, "z"], [], [0, 0], [0, -3]):
        refuse("target", make_windows, wave(20, 3), 4, target=target)
    for name in ("lookback", "horizon", "step"):
        for value in (0, -1, 1.5, "2", None):
            refuse(f"'{name}' parameter", make_windows, wave(), **{"lookback": 3, name: value})


@pytest.mark.parametrize(("series", "error", "message"), [
    (np.arange(9.0), ValueError, "has 9 rows, lookback=8 with horizon=2 needs at least 10"),
    (np.zeros((3, 3, 3)), ValueError, r"shape \(3, 3, 3\)"),
    (np.float64(3), ValueError, r"shape \(\)"),
    (np.zeros((20, 0)), ValueError, "empty"),
    (pd.Series([], dtype=float), ValueError, "empty"),
    (pl.DataFrame({"a": []}, schema={"a": pl.Float64}), ValueError, "empty"),
    (["a"] * 20, TypeError, "dtype <U1"),
    ([None] * 20, TypeError, "dtype object"),
    (np.zeros(20, complex), TypeError, "complex128"),
    (pd.DataFrame({"a": [0.0], "b": ["x"]}), TypeError, "'b'"),
    (pd.DataFrame({"a": [0.0], "when": pd.date_range("2020", periods=1)}), TypeError, "'when'.*set_index"),
    (pl.DataFrame({"a": [0.0], "b": ["x"]}), TypeError, "'b'"),
])  # fmt: skip
def test_series_that_are_none(series, error, message):
    refuse(message, make_windows, series, 8, 2, error=error)


@pytest.mark.parametrize(("value", "name"), [(np.nan, "NaN"), (np.inf, "an infinite value"), (-np.inf, "an infinite")])
def test_values_that_are_missing(value, name):
    values = np.zeros((300_000, 2))
    values[200_000:, 1] = value
    refuse(f"{name}.* in column 1 at row 200000", make_windows, values, 3)
    frame = pd.DataFrame(values[199_000:], pd.date_range("2020", periods=101_000, freq="h"), ["a", "b"])
    refuse(r"in column 'b' at 2020-02-11 16:00:00 \(row 1000\)", make_windows, frame, 3)
    masked = np.ma.masked_invalid(values[200_000 - 1 :, 1])
    for series in (masked, pl.Series([1.0, None] * 5), pd.Series([1, None], dtype="Int64")):
        refuse(r"NaN at (row 1|1 \(row 1\))\.", make_windows, series, 1)
    with config_context(assume_finite=True):
        assert np.isnan(make_windows([1.0, np.nan, 2.0], 2)[0][0, 1, 0])


INDEXES = {
    "daily": pd.date_range("2020-02-01", periods=80, freq="D", name="day"),
    "hourly, summer time": pd.date_range("2020-03-28", periods=80, freq="h", tz="Europe/Berlin"),
    "daily, summer time": pd.date_range("2020-03-01", periods=80, freq="D", tz="Europe/Berlin"),
    "month starts": pd.date_range("2011-01-01", periods=80, freq="MS", unit="s"),
    "month ends": pd.date_range("2011-01-01", periods=80, freq="ME"),
    "each 15th": pd.date_range("2011-01-15", periods=80, freq=pd.DateOffset(months=1)),
    "business days": pd.date_range("2020-01-01", periods=80, freq="B"),
    "periods": pd.period_range("2000-01", periods=80, freq="M", name="month"),
    "quarters of periods": pd.period_range("2000Q1", periods=160, freq="Q")[::2],
    "durations": pd.timedelta_range("1h", periods=80, freq="15min"),
    "rows": pd.RangeIndex(10, 170, 2, name="row"),
    "numbers": pd.Index(np.arange(80) * 5),
    "floats": pd.Index(np.arange(80) * 0.1),
    "unsigned": pd.Index(np.arange(80, dtype="uint64")),
}


def series_of(name, told=True):
    index = INDEXES[name]
    index = index if told or not isinstance(index, pd.DatetimeIndex) else index[np.arange(80)]
    return pd.Series(wave(80), index, name="load")


@pytest.mark.parametrize("name", INDEXES)
@pytest.mark.parametrize("told", [True, False])
def test_forecasts_continue_the_index(name, told):
    series = series_of(name, told)
    model = Forecaster(Flat(), 12, 5).fit(series[:70])
    forecast = model.predict()
    assert_times(forecast.index, series.index[70:75])
    assert forecast.name == "load"
    assert_allclose(forecast, Forecaster(Flat(), 12, 5).fit(series[:70].to_numpy()).predict(), rtol=1e-9)
    for start, stop in [(20, 60), (2, 75), (63, 75)]:
        assert_times(model.predict(series[start:stop]).index, series.index[stop : stop + 5])
    assert np.isfinite(model.score(series[70:]))


@pytest.mark.parametrize("name", INDEXES)
def test_index_that_is_not_in_order(name):
    series = series_of(name)
    model = Forecaster(Flat(), 12, 5).fit(series[:70])
    refuse("does not follow on directly: the training series ends at", model.score, series[71:])
    refuse("overlaps the training series, which ends at", model.score, series[60:])
    refuse("in order.* comes after", make_windows, series[::-1], 5)
    refuse("twice", make_windows, series.iloc[[*range(20), *range(19, 40)]], 5)
    for gap in (1, 30, 78):
        before, missing, after = series.index[gap - 1 : gap + 2]
        missing = f"{missing:.6g}" if isinstance(missing, float) else missing
        message = re.escape(f"irregular: {before} is followed by {after}, where {missing} was expected, and 1 of 78")
        refuse(message, make_windows, series.drop(series.index[gap]), 5)


@pytest.mark.parametrize("name", ["month starts", "daily", "rows", "periods", "floats"])
def test_few_rows_take_the_step_of_the_training_series(name):
    series = series_of(name)
    model = Forecaster(Flat(), 1, 3).fit(series[:50])
    for rows in (1, 2, 3):
        assert_times(model.predict(series[60 - rows : 60]).index, series.index[60:63])
    refuse("steps of .*, that of the training series", model.predict, series[::2])
    untimed = Forecaster(Flat(), 1, 3).fit(series[:50].to_numpy())
    assert_times(untimed.predict(series[:20]).index, series.index[20:23])


def test_indexes_that_do_not_help():
    for index in (list("abcdefghij"), pd.MultiIndex.from_product([[0], range(10)]), [True, False] * 5):
        refuse("holds no times", make_windows, pd.Series(np.arange(10.0), index), 3, error=TypeError)
    times = pd.date_range("2020", periods=9).insert(4, pd.NaT)
    refuse("missing label in row 4", make_windows, pd.Series(np.arange(10.0), times), 3)
    frame = pl.DataFrame({"when": [*times[:4].to_pydatetime(), None], "a": np.arange(5.0)})
    refuse("missing label in row 4", make_windows, frame, 3)
    model = Forecaster(Flat(), 12, 5).fit(series_of("daily")[:70])
    for other in ("rows", "periods", "daily, summer time"):
        refuse("cannot be told", model.score, series_of(other)[70:])
    assert np.isfinite(model.score(series_of("daily")[70:].to_numpy()))
    assert_array_equal(model.predict(series_of("rows")).index, [170, 172, 174, 176, 178])


@pytest.mark.parametrize("name", [*INDEXES][:7])
def test_times_of_polars(name):
    series = series_of(name)
    times = series.index.tz_convert(None) if series.index.tz else series.index
    times = pl.Series("when", times.to_numpy().astype("datetime64[us]"))
    if series.index.tz:
        times = times.dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Berlin")
    frame = pl.DataFrame({"load": series.to_numpy(), "when": times})
    model = Forecaster(Flat(), 12, 5).fit(frame[:70])
    assert_allclose(model.predict(), Forecaster(Flat(), 12, 5).fit(series[:70].to_frame()).predict())
    assert type(model.predict(frame[20:60])) is np.ndarray
    assert np.isfinite(model.score(frame[70:]))
    refuse("does not follow on directly", model.score, frame[71:])
    refuse("overlaps", model.score, frame[60:])
    refuse("irregular", make_windows, pl.concat([frame[:30], frame[31:]]), 5)
    refuse("in order", make_windows, frame[::-1], 5)
    refuse("'when'.*'again'", make_windows, frame.with_columns(again="when"), 5, error=TypeError)
    assert_array_equal(model.backtest(frame, 10).labels, frame["when"].dt.replace_time_zone(None)[70:76].to_numpy())


@pytest.mark.parametrize("scaler", ["standard", None, MinMaxScaler(), make_pipeline(PowerTransformer())])
@pytest.mark.parametrize("normalization", [None, "last", "instance"])
def test_forecasts_are_in_units_of_the_data(scaler, normalization):
    season = 1000 + 300 * np.sin(np.arange(150) * np.pi / 6)
    series = np.column_stack([season, np.full(150, 0.1), np.roll(season, 3) / 1e6])
    model = Forecaster(Flat(1e-9), 24, 6, target=[2, 0], scaler=scaler, window_normalization=normalization)
    forecast = model.fit(series[:130]).predict()
    assert_allclose(forecast, series[130:136, [2, 0]], rtol=1e-3)
    assert_allclose(model.predict(series[:140]), series[140:146, [2, 0]], rtol=1e-3)
    assert model.score(series[130:]) > 0.999
    alone = clone(model).set_params(target=2).fit(series[:130])
    assert alone.predict().shape == (6,)
    assert_allclose(alone.predict(), forecast[:, 0], rtol=1e-3)
    assert (model.scaler_ is None) == (scaler is None)


@pytest.mark.parametrize("scaler", ["standard", None, MinMaxScaler()])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_trend_goes_on(scaler, dtype):
    trend = (3.0 * np.arange(100) - 20).astype(dtype)
    model = Forecaster(Flat(), 10, 4, scaler=scaler, window_normalization="last").fit(trend)
    assert_allclose(model.predict(), 3.0 * np.arange(100, 104) - 20, rtol=1e-5)
    assert_allclose(model.predict(trend + 5000), 3.0 * np.arange(100, 104) + 4980, rtol=1e-5)
    assert model.predict().dtype == model.estimator_.X_.dtype == dtype
    instance = clone(model).set_params(window_normalization="instance").fit(trend)
    assert_allclose(instance.predict(1000 * trend), 3000.0 * np.arange(100, 104) - 20_000, rtol=1e-3)


def test_windows_that_are_normalised():
    series = wave(60, 2)
    scaled = (series - series.mean(axis=0)) / series.std(axis=0)
    for kind in ("last", "instance"):
        model = Forecaster(Flat(), 8, 3, target=1, window_normalization=kind).fit(series)
        X, y = make_windows(scaled, 8, 3, target=1)
        offset = X[:, -1:] if kind == "last" else X.mean(axis=1, keepdims=True)
        spread = 1 if kind == "last" else np.sqrt(X.var(axis=1, keepdims=True) + 1e-5)
        assert_allclose(model.estimator_.X_, (X - offset) / spread, atol=1e-9)
        expected = (y - offset[..., 1]) / (spread if kind == "last" else spread[..., 1])
        assert_allclose(model.estimator_.y_, expected, atol=1e-9)
        for scaler in ("standard", None):  # windows that do not change
            model = Forecaster(Flat(), 5, 2, scaler=scaler, window_normalization=kind)
            assert_allclose(model.fit(np.r_[np.zeros(40), 1.0, np.zeros(39)] / 1e6).predict(), 0, atol=1e-6)
            assert_allclose(model.fit(np.full(50, 0.1)).predict(), 0.1)
            assert_allclose(model.predict(np.full(50, 7.1)), 7.1)


def test_windows_are_not_copied():
    series = wave(5000, 3)
    model = Forecaster(Flat(), 50, 1, target=0).fit(series)
    assert model.estimator_.X_.strides == (24, 24, 8)
    assert np.shares_memory(Forecaster(Flat(), 50, 1, scaler=None).fit(series).estimator_.X_, series)
    asked = model.backtest(series, 1000).forecaster.estimator_.asked_
    assert [(X.shape, X.strides) for X in asked] == [((1000, 50, 3), (24, 24, 8))]
    before = model.predict()
    series[:] = 0  # what it needs to go on is its own
    assert_array_equal(model.predict(), before)


def test_shapes_and_names_of_forecasts():
    frame = pd.DataFrame(wave(60, 3), pd.date_range("2020", periods=60), ["a", "b", "c"])
    model = Forecaster(Flat(), 10, 4).fit(frame)
    assert model.predict().columns.tolist() == model.feature_names_in_.tolist() == ["a", "b", "c"]
    assert model.n_features_in_ == 3
    assert_allclose(model.predict(frame.to_numpy()), model.predict())
    assert type(model.predict(frame.to_numpy())) is np.ndarray
    for target in (["c", "a"], ["c"]):
        assert clone(model).set_params(target=target).fit(frame).predict().columns.tolist() == target
    one = Forecaster(Flat(), 10, 4, target="c").fit(frame).predict()
    assert one.name == "c"
    arrays = Forecaster(Flat(), 10, 1).fit(frame.to_numpy())
    assert arrays.predict().shape == (1, 3)
    assert arrays.predict(frame).columns.tolist() == ["a", "b", "c"]
    assert not hasattr(model.fit(frame.to_numpy()), "feature_names_in_")


def test_series_that_does_not_fit():
    frame = pd.DataFrame(wave(60, 2), columns=["a", "b"])
    model = Forecaster(Flat(), 10, 4)
    refuse("not fitted", model.predict, error=NotFittedError)
    refuse("has 13 rows, lookback=10 with horizon=4 needs at least 14", model.fit, frame[:13])
    assert not [name for name in vars(model) if name.endswith("_")]
    model.fit(frame[:14])
    refuse(r"columns \['b', 'a'\], the training series had \['a', 'b'\]", model.predict, frame[["b", "a"]])
    refuse("has 1 columns, the training series had 2", model.predict, frame["a"])
    refuse("has 9 rows, lookback=10 needs at least 10", model.predict, frame[:9])
    refuse("has 3 rows, horizon=4 needs at least 4", model.score, frame[14:17])
    frame.loc[20, "b"] = np.nan
    refuse(r"NaN in column 'b' at 20 \(row 20\)", model.predict, frame[:25])
    assert model.predict(frame).shape == (4, 2)  # only the last rows count
    for name, value in {"lookback": 0, "horizon": 1.5, "scaler": "other", "window_normalization": "first"}.items():
        refuse(f"'{name}' parameter", clone(model).set_params(**{name: value}).fit, frame)
    narrow = FunctionTransformer(lambda X: X[:, :1])
    refuse("must keep the shape", clone(model).set_params(scaler=narrow).fit, frame[:20])
    wrong = Forecaster(Flat(), 10, 4).fit(wave())
    wrong.estimator_.predict = lambda X: X[:, :2, 0]
    refuse(r"shape \(1, 2\) for 1 windows.*\(4, 1, 1\)", wrong.predict)


def test_validation_series_and_fit_parameters():
    series = series_of("daily")
    model = Forecaster(Flat(), 10, 4).fit(series[:60], series_val=series[60:70], sample_weight=np.ones(47))
    given = model.estimator_.fit_params_
    assert sorted(given) == ["X_val", "sample_weight", "y_val"]
    scaled = (series.to_numpy() - series[:60].mean()) / series[:60].std(ddof=0)
    for name, expected in zip(("X_val", "y_val"), make_windows(scaled[50:70], 10, 4), strict=True):
        assert_allclose(given[name], expected, atol=1e-9)
    refuse("follow on directly", model.fit, series[:60], series_val=series[62:])


@pytest.mark.parametrize("normalization", [None, "last", "instance"])
@pytest.mark.parametrize("scaler", ["standard", MinMaxScaler(), None])
def test_quantiles(scaler, normalization):
    frame = pd.DataFrame(wave(60, 3), columns=["a", "b", "c"])
    settings = {"scaler": scaler, "window_normalization": normalization}
    model = Forecaster(Band(), 10, 4, target=["c", "a"], **settings).fit(frame)
    table, array = model.predict_quantiles(), model.predict_quantiles(frame.to_numpy())
    assert table.columns.names == ["target", "quantile"]
    assert array.shape == (4, 2, 4)
    for place, name in enumerate("ca"):
        single = Forecaster(Band(), 10, 4, target=name, **settings).fit(frame)
        alone = single.predict_quantiles()
        assert alone.columns.tolist() == single.levels_.tolist() == [0.1, 0.3, 0.6, 0.9]
        assert_times(alone.index, single.predict().index)
        for other in (table[name], array[:, place], single.predict_quantiles(frame.to_numpy())):
            assert_allclose(alone, other)
        assert_allclose(alone[0.6], single.predict())
        assert_allclose(alone[0.6], model.predict()[name])
        if normalization is None:
            targets = make_windows(frame, 10, 4, target=name)[1]
            assert_allclose(alone, np.quantile(targets, [0.1, 0.3, 0.6, 0.9], axis=0).T)
    assert Forecaster(Band(), 10, 1).fit(frame["a"]).predict_quantiles().shape == (1, 4)


def test_parameters_set_after_a_fit_wait_for_the_next():
    series = wave()
    model = Forecaster(Flat(), 10, 4).fit(series[:60])
    expected, score = model.predict(), model.score(series[60:])
    model.set_params(lookback=12, horizon=5)
    assert_array_equal(model.predict(), expected)
    assert model.score(series[60:]) == score
    assert model.fit(series[:60]).predict().shape == (5,)


def test_labels_outgrow_their_type():
    series = pd.Series(np.arange(20.0), np.arange(108, 128, dtype="int8"))
    assert Forecaster(Flat(), 5, 2).fit(series).predict().index.tolist() == [128, 129]


def test_indexes_that_differ_are_named():
    series = series_of("daily")
    model = Forecaster(Flat(), 10, 4).fit(series[:60])
    refuse("another time index .*UTC.* than the training series", model.score, series[60:].tz_localize("UTC"))


def test_quantiles_that_are_not_there():
    for estimator in (Flat(), Band(0.5), Band([0.1, 0.9], "squared_error"), None):
        assert not hasattr(Forecaster(estimator), "predict_quantiles")
    with pytest.raises(AttributeError, match="predict_quantiles") as caught:
        Forecaster(Flat()).predict_quantiles()
    assert "loss='quantile'" in str(caught.value.__cause__)
    assert hasattr(Forecaster(make_pipeline(StandardScaler(), Band())), "predict_quantiles")


@pytest.mark.parametrize(("test_size", "step", "season"), [(30, 1, 12), (0.25, 5, 1), (10, 3, 7), (6, 1, 24)])
@pytest.mark.parametrize("columns", [None, [1], [2, 0]])
def test_backtest_is_that_of_a_loop(test_size, step, season, columns):
    series = wave(120) if columns is None else wave(120, 3)
    model = Forecaster(Flat(), 12, 6, target=columns, window_normalization="last")
    result = model.backtest(series, test_size, step, season=season)
    assert not hasattr(model, "estimator_")
    cut = 90 if test_size == 0.25 else 120 - test_size
    origins = range(cut, 115, step)
    assert_array_equal(result.origins, origins)
    assert_array_equal(result.labels, origins)
    targets = series if columns is None else series[:, columns]
    fitted = clone(model).fit(series[:cut])
    forecasts = np.array([fitted.predict(series[:origin]) for origin in origins])
    naive = [[targets[next(t for t in range(o + h, -1, -season) if t < o)] for h in range(6)] for o in origins]
    actual = np.array([targets[origin : origin + 6] for origin in origins])
    assert_allclose(result.forecasts, forecasts, rtol=1e-9)
    assert_array_equal(result.actual, actual)
    assert_array_equal(result.naive, naive)
    scale = np.abs(targets[season:cut] - targets[: cut - season]).mean(axis=0)
    for prefix, error in (("", forecasts - actual), ("naive_", naive - actual)):
        assert getattr(result, f"{prefix}mae") == pytest.approx(np.abs(error).mean())
        assert getattr(result, f"{prefix}rmse") == pytest.approx(np.sqrt((error**2).mean()))
        assert getattr(result, f"{prefix}mase") == pytest.approx((np.abs(error) / scale).mean())
    by_step = np.moveaxis(forecasts - actual, 1, 0).reshape(6, -1)
    assert_allclose(result.mae_by_step, np.abs(by_step).mean(axis=1))
    assert_allclose(result.rmse_by_step, np.sqrt((by_step**2).mean(axis=1)))
    assert result.coverage is None
    flat = (values.reshape(-1, 1 if columns is None else len(columns)) for values in (actual, forecasts))
    assert step > 1 or fitted.score(series[cut:]) == pytest.approx(r2_score(*flat))


def test_backtest_of_dates_and_quantiles():
    series = series_of("month starts")
    result = Forecaster(Band(), 10, 4).backtest(series, 20, season=12)
    assert_times(result.labels, series.index[60:77])
    assert result.quantiles.shape == (17, 4, 4)
    assert_array_equal(result.levels, [0.1, 0.3, 0.6, 0.9])
    within = (result.quantiles[..., 0] <= result.actual) & (result.actual <= result.quantiles[..., 3])
    assert result.coverage == within.mean()
    for part in ("17 origins from 2016-01-01", "to 2017-05-01", f"{result.mase:.4g}", "0.1 to 0.9 hold", "12 rows"):
        assert part in str(result)
    frame = pd.DataFrame({"a": series, "b": -series})
    assert Forecaster(Band(), 10, 4).backtest(frame, 20).quantiles.shape == (17, 4, 2, 4)
    still = Forecaster(Flat(), 3, 2).backtest(np.r_[np.ones(20), 2, 1, 2], 3)
    assert np.isnan(still.mase)
    assert still.naive_mae > 0


@pytest.mark.parametrize(("settings", "message"), [
    ({"test_size": 3}, "has 3 rows, test_size=3 with horizon=4"),
    ({"test_size": 70}, "has 80 rows, test_size=70 after .* needs at least 84"),
    ({"test_size": 100}, "too short"),
    ({"test_size": 20, "season": 60}, "season=60 needs at least 81"),
    ({"test_size": 1.0}, "'test_size' parameter"),
    ({"test_size": 20, "step": 0}, "'step' parameter"),
    ({"test_size": 20, "season": 1.5}, "'season' parameter"),
])  # fmt: skip
def test_backtests_that_cannot_be(settings, message):
    refuse(message, Forecaster(Flat(), 10, 4).backtest, wave(80), **settings)


@pytest.mark.parametrize("kind", [np.asarray, lambda a: np.column_stack([a, a[::-1]]), pl.Series, pd.Series])
def test_searches(kind):
    series, cv = kind(wave(150)), TimeSeriesSplit(4)
    grid = {"estimator__alpha": [1e-3, 1e6], "lookback": [12, 24]}
    search = GridSearchCV(Forecaster(Flat(), 12, 3), grid, cv=cv).fit(series)
    assert search.best_params_["estimator__alpha"] == 1e-3
    assert len(search.best_estimator_.predict()) == 3
    scores = cross_val_score(search.best_estimator_, series, cv=cv)
    assert_allclose(scores, [search.cv_results_[f"split{i}_test_score"][search.best_index_] for i in range(4)])
    assert (scores > 0.5).all()


def test_parameters_clones_and_pickles():
    series = series_of("month starts")
    model = Forecaster(Flat(), 12, 3)
    assert model.get_params()["estimator__alpha"] == 1e-6
    model.set_params(estimator__alpha=2.0, window_normalization="instance", scaler=MinMaxScaler())
    assert model.estimator.alpha == clone(model).estimator.alpha == 2.0
    model.fit(series[:70])
    assert model.estimator_ is not model.estimator
    again = pickle.loads(pickle.dumps(model))
    pd.testing.assert_series_equal(again.predict(), model.predict())
    assert again.score(series[70:]) == model.score(series[70:])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_recurrent_network():
    series = wave(150).astype(np.float32)
    assert type(Forecaster(None, 12, 3).fit(series).estimator_) is skneural.LSTMRegressor
    lstm = skneural.LSTMRegressor(random_state=0, max_iter=20)
    result = Forecaster(lstm, 12, 3, window_normalization="last").backtest(series, 24, season=12)
    assert result.forecasts.dtype == np.float32
    lstm.set_params(loss="quantile", quantiles=[0.9, 0.5, 0.1])
    several = Forecaster(lstm, 12, 3).fit(wave(100, 2), series_val=wave(120, 2)[100:])
    assert several.predict_quantiles().shape == (3, 2, 3)
    assert_allclose(several.predict(), several.predict_quantiles()[..., 1])
