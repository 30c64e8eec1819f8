"""Series in tables of pyarrow, and in columns of rare types: read as those of pandas and polars are."""

import datetime
import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.dummy import DummyRegressor

from skneural.timeseries import Forecaster, make_windows

pd = pytest.importorskip("pandas")

ROWS = np.arange(12.0)


@pytest.fixture
def pyarrow():
    return pytest.importorskip("pyarrow")


def test_tables_of_pyarrow(pyarrow):
    table = pyarrow.table({"a": ROWS, "b": pyarrow.array([*range(11), None]), "c": [True, False] * 6})
    expected = np.column_stack([ROWS, ROWS, [1, 0] * 6])[:11]
    for form in (table[:11], table[:11].to_batches()[0]):
        assert_array_equal(make_windows(form, 3)[0], make_windows(expected, 3)[0])
        assert_array_equal(make_windows(form, 3, target="b")[1], ROWS[3:11])
    with pytest.raises(ValueError, match="NaN in column 'b' at row 11"):
        make_windows(table, 3)
    with pytest.raises(TypeError, match=r"'d' \(String\)"):
        make_windows(table.append_column("d", [["x"] * 12]), 3)
    single = pyarrow.table({"a": pyarrow.array(ROWS, pyarrow.float32())})
    assert make_windows(single, 3)[0].dtype == np.float32
    for column in (table["a"], table["a"].combine_chunks()):
        X, y = make_windows(column, 3)
        assert_array_equal(X[:, :, 0], make_windows(ROWS, 3)[0][:, :, 0])
        assert_array_equal(y, ROWS[3:])


def test_times_of_pyarrow(pyarrow):
    days = [datetime.date(2024, 2, 27) + datetime.timedelta(i) for i in range(12)]
    table = pyarrow.table({"load": ROWS, "day": days})
    model = Forecaster(DummyRegressor(), 3, 2).fit(table[:8])
    assert model.feature_names_in_.tolist() == ["load"]
    assert model.predict().shape == (2, 1)
    assert np.isfinite(model.score(table[8:]))
    with pytest.raises(ValueError, match="does not follow on directly"):
        model.score(table[9:])
    with pytest.raises(ValueError, match=r"irregular: 2024-03-02 is followed by 2024-03-04"):
        make_windows(pyarrow.concat_tables([table[:5], table[6:]]), 3)
    missing = pyarrow.table({"load": ROWS, "day": [*days[:4], None, *days[5:]]})
    with pytest.raises(ValueError, match="missing label in row 4"):
        make_windows(missing, 3)


@pytest.mark.parametrize("dtype", ["Sparse[float64]", "float16", "longdouble", ">f8", "Int16", "boolean"])
def test_rare_types_of_pandas(dtype):
    values = ROWS > 5 if dtype == "boolean" else ROWS
    frame = pd.DataFrame({"a": pd.Series(values).astype(dtype), "b": ROWS})
    assert_array_equal(make_windows(frame, 3)[0], make_windows(np.column_stack([values, ROWS]), 3)[0])


def test_missing_values_of_arrow_types(pyarrow):
    for dtype in ("double[pyarrow]", "int32[pyarrow]", "bool[pyarrow]"):
        column = pd.Series([1, 0, None] * 4).astype(dtype)
        with pytest.raises(ValueError, match=r"NaN in column 'a' at 2 \(row 2\)"):
            make_windows(pd.DataFrame({"a": column, "b": ROWS}), 3)
    single = pd.DataFrame({"a": pd.Series(ROWS).astype("float[pyarrow]")})
    assert make_windows(single, 3)[0].dtype == np.float32


def test_columns_of_one_name():
    frame = pd.DataFrame(np.column_stack([ROWS, -ROWS]), columns=["a", "a"])
    assert_array_equal(make_windows(frame, 3)[0], make_windows(frame.to_numpy(), 3)[0])
    with pytest.raises(TypeError, match="'a'"):
        make_windows(pd.DataFrame([[1.0, "x"]], columns=["a", "a"]), 1)


def test_series_without_a_name():
    polars = pytest.importorskip("polars")
    assert not hasattr(Forecaster(DummyRegressor(), 3, 2).fit(polars.Series(ROWS)), "feature_names_in_")


def test_arrays_need_no_narwhals(monkeypatch):
    monkeypatch.setitem(sys.modules, "narwhals.stable.v2", None)  # which makes its import an error
    assert len(make_windows(ROWS, 3)[0]) == 9
