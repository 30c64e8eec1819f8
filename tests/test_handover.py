"""How sequences and targets are handed over: columns, nested tables, frames and lists; what is refused, and how."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.model_selection import GridSearchCV, cross_val_score

from skneural import GRUClassifier, GRURegressor, MLPRegressor
from skneural.estimators._handover import read_listed, rectangular
from skneural.estimators._targets import without_last_axis
from skneural.inspection import timestep_importance

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
LENGTHS = [3, 1, 4, 2, 4]
#: Sequences of one feature, and of two.
ONE = [RNG.normal(size=n) for n in LENGTHS]
TWO = [RNG.normal(size=(n, 2)) for n in LENGTHS]
Y = np.array([0, 1, 1, 0, 1])


def small(cls=GRUClassifier, **settings):
    return cls((3,), **{"max_iter": 2, "random_state": 0, **settings})


def lists(arrays):
    return [x.tolist() for x in arrays]


def objects(arrays):
    column = np.empty(len(arrays), object)
    column[:] = arrays
    return column


def nested(cell):
    """A table with a column for each feature and a cell for each sequence."""
    return pandas.DataFrame({name: [cell(x[:, j]) for x in TWO] for j, name in enumerate("ab")})


#: Forms of `ONE`.
OF_ONE = {
    "tuple": tuple(ONE),
    "lists": lists(ONE),
    "tuples": tuple(map(tuple, lists(ONE))),
    "lists of lists": [x[:, None].tolist() for x in ONE],
    "arrays and lists": [x if i % 2 else x.tolist() for i, x in enumerate(ONE)],
    "array of objects": objects(ONE),
    "column of objects": objects(ONE)[:, None],
    "arrays of objects": [x.astype(object) for x in ONE],
    "Series of arrays": pandas.Series(ONE, index=list("vwxyz")),
    "Series of lists": pandas.Series(lists(ONE)),
    "Series of Series": pandas.Series([pandas.Series(x) for x in ONE]),
    "frame with one column": pandas.DataFrame({"pulse": [pandas.Series(x) for x in ONE]}),
    "list of Series": [pandas.Series(x, dtype="Float64") for x in ONE],
    "list of frames": [pandas.DataFrame({"pulse": x}) for x in ONE],
    "polars Series of lists": polars.Series(lists(ONE)),
    "polars Series of objects": polars.Series(ONE, dtype=polars.Object),
    "polars frame": polars.DataFrame({"pulse": lists(ONE)}),
    "list of polars Series": [polars.Series(x) for x in ONE],
    "padded with NA": [pandas.array([*x, *[pandas.NA] * (4 - len(x))], dtype=object) for x in ONE],
    "padded nullable frames": [
        pandas.DataFrame({"pulse": pandas.array([*x, *[pandas.NA] * (4 - len(x))], "Float64")}) for x in ONE
    ],
}
#: Forms of `TWO`.
OF_TWO = {
    "lists of lists": lists(TWO),
    "lists of arrays": [list(x) for x in TWO],
    "Series of arrays": pandas.Series(TWO),
    "Series of lists": pandas.Series(lists(TWO)),
    "Series of frames": pandas.Series([pandas.DataFrame(x) for x in TWO]),
    "frame of arrays with two axes": pandas.DataFrame({"both": TWO}),
    "nested frame of Series": nested(pandas.Series),
    "nested frame of lists": nested(list),
    "nested frame with one name twice": nested(np.array).set_axis(["a", "a"], axis=1),
    "nested array": nested(np.array).to_numpy(),
    "list of frames": [pandas.DataFrame(x) for x in TWO],
    "list of mixed frames": [pandas.DataFrame({"a": x[:, 0], "b": pandas.array(x[:, 1], "Float64")}) for x in TWO],
    "list of polars frames": [polars.DataFrame(x) for x in TWO],
    "polars Series": polars.Series(lists(TWO)),
    "polars Series of arrays": polars.Series(lists(TWO), dtype=polars.List(polars.Array(polars.Float64, 2))),
    "nested polars frame": polars.DataFrame({n: [x[:, j].tolist() for x in TWO] for j, n in enumerate("ab")}),
}


def read(X, channels_first=False):
    return read_listed(rectangular(X), channels_first)[0]


@pytest.mark.parametrize("form", OF_ONE)
def test_sequences_of_one_feature(form):
    found = read(OF_ONE[form])
    for x, expected in zip(found, ONE, strict=True):
        assert_array_equal(x[: len(expected), 0], expected)
        assert np.isnan(x[len(expected) :]).all()  # padding


@pytest.mark.parametrize("channels_first", [False, True])
@pytest.mark.parametrize("form", OF_TWO)
def test_sequences_of_two_features(form, channels_first):
    # Columns of a nested table are features, however arrays are laid out.
    turned = channels_first and not form.startswith("nested")
    for x, expected in zip(read(OF_TWO[form], channels_first), TWO, strict=True):
        assert_array_equal(x.T if turned else x, expected)


@pytest.mark.parametrize(("forms", "arrays"), [(OF_ONE, ONE), (OF_TWO, TWO)])
def test_models_are_those_of_a_list_of_arrays(forms, arrays):
    est = small().fit(arrays, Y)
    expected = est.predict_proba(arrays)
    for form, X in forms.items():
        assert_array_equal(est.predict_proba(X), expected, err_msg=form)
    X = forms["Series of lists"]
    assert est.score(X, Y) == est.score(arrays, Y)
    again = small().fit(X, Y, X_val=X, y_val=Y).partial_fit(X, Y)
    expected = small().fit(arrays, Y, X_val=arrays, y_val=Y).partial_fit(arrays, Y)
    assert_array_equal(again.predict_proba(X), expected.predict_proba(arrays))


def test_forms_of_pyarrow():
    pyarrow = pytest.importorskip("pyarrow")
    one, two = pyarrow.array(lists(ONE)), pyarrow.array(lists(TWO))
    forms = [
        one,
        pyarrow.chunked_array([one]),
        pyarrow.table({"pulse": one}),
        pyarrow.array(lists(ONE), pyarrow.large_list(pyarrow.float64())),
    ]
    forms += [pandas.Series(lists(ONE), dtype=pandas.ArrowDtype(pyarrow.list_(pyarrow.float64())))]
    forms += [[pandas.DataFrame({"pulse": pandas.array(x, pandas.ArrowDtype(pyarrow.float64()))}) for x in ONE]]
    for form in forms:
        for x, expected in zip(read(form), ONE, strict=True):
            assert_array_equal(x[:, 0], expected)
    features = [pyarrow.array([x[:, j].tolist() for x in TWO]) for j in range(2)]
    for form in (
        two,
        pyarrow.table(features, names=["a", "b"]),
        [pyarrow.table({"a": x[:, 0], "b": x[:, 1]}) for x in TWO],
    ):
        for x, expected in zip(read(form), TWO, strict=True):
            assert_array_equal(x, expected)


@pytest.mark.parametrize(
    "X",
    [
        pandas.Series([x.astype(np.float32) for x in ONE]),
        polars.Series(lists(ONE), dtype=polars.List(polars.Float32)),
        [pandas.DataFrame(x.astype(np.float32)) for x in TWO],
        nested(np.float32),
    ],
    ids=["Series", "polars", "frames", "nested"],
)
def test_float32_stays(X):
    assert {x.dtype for x in read(X)} == {np.dtype(np.float32)}
    assert small().fit(X, Y).coefs_[0].dtype == np.float32


def test_searches_take_columns():
    X, y = pandas.Series(TWO * 3), np.tile(Y, 3)
    expected = cross_val_score(small(), TWO * 3, y, cv=2)
    assert_array_equal(cross_val_score(small(), X, y, cv=2), expected)
    frame = pandas.concat([nested(pandas.Series)] * 3, ignore_index=True)
    search = GridSearchCV(small(), {"max_iter": [1, 2]}, cv=2, error_score="raise").fit(frame, y)
    assert search.cv_results_["mean_test_score"][1] == expected.mean()


def test_tables_of_numbers_keep_their_meaning():
    table = RNG.normal(size=(5, 4))
    est = small().fit(table, Y)
    assert est.n_features_in_ == 4
    names = list("abcd")
    mixed = pandas.DataFrame(table, columns=names).astype({"a": "Float64", "b": object})
    for form in (table.tolist(), table.astype(object), polars.DataFrame(table, schema=names), mixed):
        assert read(form) is None
        same = small().fit(form, Y)
        assert same.n_features_in_ == 4
        assert_array_equal(same.predict_proba(form), est.predict_proba(table))
    assert_array_equal(small().fit(mixed, Y).feature_names_in_, names)
    cube = RNG.normal(size=(5, 4, 2))
    expected = small().fit(cube, Y).predict_proba(cube)
    for form in (cube.tolist(), cube.astype(object), list(cube), list(cube.astype(object))):
        assert_array_equal(small().fit(form, Y).predict_proba(form), expected)


WANTED = r"Expected X of shape .* or a list of arrays of shape \(n_timesteps, n_features\), got "
#: X that cannot be read, and words about it.
REFUSED = {
    "a generator": ((x for x in TWO), WANTED + "generator"),
    "a mapping": (dict(enumerate(TWO)), WANTED + "dict"),
    "nothing in a cell": (pandas.Series([*TWO[:4], None]), WANTED + "None in place of sequence 4"),
    "NaN in a cell": (pandas.Series([*TWO[:4], np.nan]), WANTED + "nan in place of sequence 4"),
    "nothing in a list": ([TWO[0], None, *TWO[2:]], WANTED + "None in place of sequence 1"),
    "a null of polars": (polars.Series([*lists(ONE)[:4], None]), WANTED + "None in place of sequence 4"),
    "a number in a list": ([TWO[0], 3.0, *TWO[2:]], WANTED + "3.0 in place of sequence 1"),
    "text in a cell": (pandas.Series([*TWO[:4], "1, 2"]), WANTED + "'1, 2' in place of sequence 4"),
    "text in a sequence": ([["a", "b"], *lists(ONE)[1:]], "Sequence 0 holds <U1, numbers are required"),
    "text in a frame": (
        [pandas.DataFrame({"a": ["x", 1]}), *map(pandas.DataFrame, ONE[1:])],
        WANTED + "something else as sequence 0: could not convert string to float: 'x'",
    ),
    "dates in a frame": (
        [pandas.DataFrame({"a": [1.0], "t": pandas.to_datetime(["2020-01-01"])}), *TWO[1:]],
        WANTED + "something else as sequence 0",
    ),
    "steps of different width": ([[[1.0, 2.0], [3.0]], *lists(TWO)[1:]], WANTED + "something else as sequence 0"),
    "sequences of different width": ([*TWO[:4], TWO[4][:, :1]], r"the same number of features, got \[1, 2\]"),
    "one axis and two": ([*TWO[:4], ONE[4]], WANTED + "sequences with one axis and others with two"),
    "three axes each": ([x[None] for x in TWO], WANTED + "an array with 3 dimensions as sequence 0"),
    "an empty sequence": (pandas.Series([*lists(TWO)[:4], np.empty((0, 2))]), "Sequence 4 has no time steps"),
    "an empty list": ([*lists(ONE)[:4], []], "Sequence 4 has no time steps"),
    "an empty cell": (nested(list).assign(a=[[]] * 5, b=[[]] * 5), "Sequence 0 has no time steps"),
    "features of different length": (
        nested(list).assign(b=[[1.0]] * 5), r"The features of sequence 0 have different lengths: \[1, 3\]",
    ),
    "a column of numbers beside": (nested(list).assign(age=30), "column 'age' holds no sequences, and others do"),
    "two axes in several columns": (
        pandas.DataFrame({"a": TWO, "b": TWO}), WANTED + "cells with two axes in several columns: first in sequence 0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case):
    X, words = REFUSED[case]
    est = small()
    with pytest.raises(ValueError, match=words):
        est.fit(X, Y)
    assert vars(est) == est.get_params()
    est.fit(TWO, Y)
    if case != "a generator":  # which is empty by now
        with pytest.raises(ValueError, match=f"{words}|Expected X with three axes"):
            est.predict(X)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.lists(st.floats(-9, 9), min_size=1, max_size=4), min_size=1, max_size=5),
    st.sampled_from(["list", "series", "polars"]),
)
def test_lists_of_numbers_are_read_as_they_stand(X, form):
    given = {"list": lambda x: x, "series": pandas.Series, "polars": polars.Series}[form](X)
    found = read(given)
    if found is None:  # an array
        assert len({len(x) for x in X}) == 1
        assert form == "list"
    else:
        assert [x[:, 0].tolist() for x in found] == X


# -- one sequence ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_features", [1, 3])
@pytest.mark.parametrize("form", [np.array, np.ndarray.tolist, pandas.DataFrame, polars.DataFrame], ids=str)
def test_one_sequence_after_a_fit_on_three_axes(n_features, form):
    X = RNG.normal(size=(12, 7, n_features))
    y = X.sum(axis=(1, 2))
    alone, targets = form(X[0]), y[:7]
    words = r"three axes, \(n_samples, n_timesteps, n_features\).*X\[None\]"
    est = small(GRURegressor).fit(X, y)
    expected = est.predict(X)
    for call in (
        est.predict,
        lambda x: est.score(x, targets),
        lambda x: est.partial_fit(x, targets),
        lambda x: est.fit(X, y, X_val=x, y_val=targets),
        lambda x: small(GRURegressor).fit(X, y, X_val=x, y_val=targets),
    ):
        with pytest.raises(ValueError, match=words):
            call(alone)
    with pytest.raises(ValueError, match=words):
        small(GRUClassifier).fit(X, y > 0).predict_proba(alone)
    with pytest.raises(ValueError, match=words):
        timestep_importance(est, X[0])
    assert_array_equal(est.predict(X), expected)  # nothing has been trained
    np.testing.assert_allclose(est.predict(X[0][None]), expected[:1])
    assert_array_equal(est.predict([X[0]]), est.predict(X[:1]))


def test_one_sequence_in_other_forms():
    X = RNG.normal(size=(8, 5, 2))
    y = X.sum(axis=(1, 2))
    est = small(GRURegressor).fit(X, y)
    with pytest.raises(ValueError, match=r"got a list of 5 sequences with one axis each: .*X\[None\]"):
        est.predict(list(X[0]))
    with pytest.raises(ValueError, match=r"got shape \(5,\): .*X\[None\]"):
        est.predict(X[0, :, 0])
    first = small(GRURegressor, input_format="channels_first").fit(X.swapaxes(1, 2), y)
    with pytest.raises(ValueError, match=r"three axes, \(n_samples, n_features, n_timesteps\).* X\[:, None\]"):
        first.predict(X[0].T)


def test_what_two_axes_mean_is_decided_by_the_fit():
    rows = RNG.normal(size=(6, 5))
    y = rows.sum(axis=1)
    ragged = [row[: 2 + i % 3] for i, row in enumerate(rows)]
    for X in (rows, rows.tolist(), ragged, lists(ragged)):  # sequences of one feature, without an axis for it
        est = small(GRURegressor).fit(X, y)
        assert_array_equal(est.predict(rows[:2]), est.predict(rows[:2, :, None]))
        assert_array_equal(est.predict(rows[:1].tolist()), est.predict(rows[:1, :, None]))
    cubes = small(GRURegressor).fit(rows[:, :, None], y)
    assert_array_equal(cubes.predict(ragged), cubes.predict([x[:, None] for x in ragged]))


# -- targets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [GRURegressor, MLPRegressor])
def test_targets_with_a_last_axis_of_one(cls):
    X = RNG.normal(size=(12, 3, 2)) if cls is GRURegressor else RNG.normal(size=(12, 3))
    y = RNG.normal(size=(12, 4, 1))
    make = lambda: cls(hidden_layer_sizes=(3,), max_iter=2, random_state=0)  # noqa: E731
    est = make().fit(X, y, X_val=X, y_val=y)
    expected = make().fit(X, y[:, :, 0], X_val=X, y_val=y[:, :, 0])
    assert est.predict(X).shape == (12, 4)
    assert_array_equal(est.predict(X), expected.predict(X))
    assert est.score(X, y) == expected.score(X, y[:, :, 0])
    assert_array_equal(est.partial_fit(X, y.tolist()).predict(X), expected.partial_fit(X, y[:, :, 0]).predict(X))
    with pytest.warns(UserWarning, match="A column-vector y was passed"):
        assert make().fit(X, y[:, :1]).predict(X).shape == (12,)


def test_labels_with_a_last_axis_of_one():
    X, y = RNG.normal(size=(12, 3, 2)), np.tile([[[0], [1], [1]], [[1], [0], [1]]], (6, 1, 1))
    est = small().fit(X, y)
    assert est.predict(X).shape == (12, 3)
    assert est.score(X, y) == est.score(X, y[:, :, 0])


def test_targets_that_have_too_many_axes():
    X, two = RNG.normal(size=(12, 3, 2)), RNG.normal(size=(12, 4, 2))
    est = small(GRURegressor).fit(X, two[:, 0])
    words = r"y must have shape \(n_samples,\), .* got shape \(12, 4, 2\): .*y.reshape\(len\(y\), -1\)"
    for call in (
        lambda y: small(GRURegressor).fit(X, y),
        lambda y: est.fit(X, two[:, 0], X_val=X, y_val=y),
        lambda y: est.partial_fit(X, y),
        lambda y: est.score(X, y),
        lambda y: small().fit(X, y),
        lambda y: MLPRegressor().fit(X[:, :, 0], y),
    ):
        with pytest.raises(ValueError, match=words):
            call(two)
    with pytest.raises(ValueError, match=r"y must have shape .* got no array"):
        est.fit(X, [[1.0]] * 11 + [[1.0, 2.0]])
    with pytest.raises(ValueError, match=r"got shape \(2, 1, 1, 1\)"):
        without_last_axis(np.zeros((2, 1, 1, 1)))


# -- numbers that are too large ----------------------------------------------------------------------------------------


def test_numbers_that_are_too_large():
    X = RNG.normal(size=(8, 3, 2))
    y = X.sum(axis=(1, 2))
    with pytest.raises(ValueError, match="too large to be standardized: those of feature 1"):
        small(GRURegressor).fit(X * [1, 1e200], y)
    with pytest.raises(ValueError, match="infinity or a value too large for dtype"):
        small(GRURegressor, dtype="float32").fit(X * 1e200, y)
    with pytest.raises(ValueError, match="infinity or a value too large for dtype"):
        small(GRURegressor, dtype="float32").fit(X, y).predict(X * 1e200)
