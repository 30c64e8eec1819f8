"""Generative adversarial networks of tables: draws of categories against a twin in NumPy, tables in and out, names."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from test_gan import N_FEATURES, latent_of, start

from skneural import GAN, load, save, warmup
from skneural.backends.cpu import catalogue, compiler
from skneural.backends.frame import data
from skneural.callbacks import Checkpoint
from skneural.estimators._tables import _rounded
from skneural.layers import Dense, MixedRow, Reshape
from skneural.layers.categorical import MOST
from skneural.maths.categorical import TEMPERATURE, gumbel
from skneural.maths.dropout import row_position
from skneural.maths.random import CATEGORIES, layer_key

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

BATCH = 16
SMALL = {"hidden_layer_sizes": (6, 5), "n_components": 3, "batch_size": 16, "max_iter": 3, "random_state": 0}
COLOURS = ["blue", "green", "never", "red"]


def columns(n_rows=80, seed=0):
    """Columns of a table: integers, text that belongs to them, real numbers and booleans."""
    rng = np.random.default_rng(seed)
    group = rng.integers(3, size=n_rows)
    return {
        "age": 20 + 20 * group + rng.integers(5, size=n_rows),
        "colour": np.array(["red", "green", "blue"])[group],
        "height": rng.normal(size=n_rows),
        "is_new": group == 1,
    }


def pandas_table(n_rows=80, seed=0):
    table = pd.DataFrame(columns(n_rows, seed))
    table["colour"] = pd.Categorical(table["colour"], categories=COLOURS, ordered=True)
    table["age"] = table["age"].astype("int16")
    return table.astype({"height": "float32"})


def polars_table(n_rows=80, seed=0):
    table = pl.DataFrame(columns(n_rows, seed))
    return table.with_columns(
        pl.col("colour").cast(pl.Enum(COLOURS)), pl.col("age").cast(pl.UInt8), pl.col("is_new").cast(pl.Boolean)
    )


TABLES = {"pandas": pandas_table, "polars": polars_table}


# -- draws -------------------------------------------------------------------------------------------------------------


def test_draws_and_their_gradient_are_those_of_a_twin():
    widths = (N_FEATURES - 1,)
    trainer, program, params, X = start(layers=((MixedRow(1, widths),), (Dense(1),)), n_rows=BATCH, batch=BATCH)
    trainer.passes = np.ascontiguousarray(trainer.passes[2:])
    trainer.passes["counts"] = 1.0
    trainer.sources = trainer.sources[2:]
    trainer._name_sources()
    trainer.template.update(passes=data(trainer.passes), n_passes=1)
    trainer.pool.close()
    trainer.pool = None
    loss, gradient = trainer.loss_and_gradient()

    W, V, D = program.coefs(params)
    b, c, e = program.intercepts(params)
    seed = int(trainer.sources[0]["seed"])
    kinds = {op.kind: op for op in program.operations}
    latent = latent_of(seed, 0, 0, BATCH, kinds["latent"].details["stream"])
    latent = np.hstack([latent, X[:, N_FEATURES:]])
    drawing = kinds["categorical"]
    key = layer_key(np.uint64(seed), CATEGORIES, np.uint64(drawing.details["stream"]), np.uint64(0))
    noise = np.zeros((BATCH, widths[0]))
    for r in range(BATCH):
        position = row_position(r, drawing.output.ld)
        for j in range(widths[0]):
            noise[r, j] = gumbel(key, position + np.uint64(j), 1.0)
    logits = (latent @ V + c + noise) / TEMPERATURE
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    z = np.hstack([latent @ W + b, shares, X[:, N_FEATURES:]]) @ D + e
    assert_allclose(loss, np.logaddexp(0, -z).sum(), rtol=1e-10)
    d_row = (-1 / (1 + np.exp(z))) @ D.T
    d_shares = d_row[:, 1:N_FEATURES]
    d_logits = shares * (d_shares - (shares * d_shares).sum(axis=1, keepdims=True)) / TEMPERATURE
    found = program.coefs(gradient)
    assert_allclose(found[0], latent.T @ d_row[:, :1], rtol=1e-9, atol=1e-14)
    assert_allclose(found[1], latent.T @ d_logits, rtol=1e-9, atol=1e-14)
    assert np.abs(found[1]).max() > 0
    trainer.close()


def test_noise_draws_each_as_often_as_its_weight_says():
    key = layer_key(np.uint64(5), CATEGORIES, np.uint64(1), np.uint64(2))
    positions = np.arange(3000, dtype=np.uint64)
    noise = np.array([gumbel(key, position, np.float32(1)) for position in positions])
    assert noise.dtype == np.float32
    assert np.isfinite(noise).all()
    drawn = (noise.reshape(-1, 3) + np.log([0.6, 0.3, 0.1])).argmax(axis=1)
    assert_allclose(np.bincount(drawn) / 1000, [0.6, 0.3, 0.1], atol=0.05)


def test_many_categories_and_no_numbers_for_any_threads(crews):
    rng = np.random.default_rng(0)
    X = rng.integers(1, 4, size=(60, MOST + 2)).astype(np.float32)
    settings = {**SMALL, "categorical_features": np.ones(MOST + 2, bool), "instance_noise": 0.1}
    first, second = [GAN(n_jobs=n, **settings).fit(X) for n in (1, 2)]
    assert set(crews) == {1, 2}
    assert_array_equal(first._params, second._params)
    samples = first.sample(50, random_state=0)
    assert samples.dtype == np.float32
    assert_array_equal(np.unique(samples), [1, 2, 3])
    assert_array_equal(samples, second.sample(50, random_state=0))


# -- tables ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", TABLES)
@pytest.mark.parametrize("conditional", [False, True])
def test_tables_come_back_as_they_went_in(library, conditional):
    table = TABLES[library]()
    y = np.arange(80) % 2 if conditional else None
    gan = GAN(**SMALL).fit(table, y)
    assert [known is None for known in gan.categories_] == [True, False, True, True]
    assert_array_equal(gan.categories_[1], COLOURS)
    assert gan.n_features_in_ == 4
    assert_array_equal(gan.feature_names_in_, list(table.columns))
    samples = gan.sample(30, random_state=0)
    assert type(samples) is type(table)
    assert list(samples.columns) == list(table.columns)
    assert list(samples.dtypes) == list(table.dtypes)
    assert len(samples) == 30
    labels = gan.sample(30, 1, random_state=0) if conditional else samples
    assert gan.discriminate(labels, None if y is None else np.ones(30)).shape == (30,)
    assert 0 <= gan.coverage_ <= 1


def test_categories_belong_to_their_numbers():
    table = pandas_table(400)
    y = np.array(table["colour"].astype(str))
    gan = GAN((24, 24), 3, batch_size=50, max_iter=120, learning_rate_init=0.003, random_state=0).fit(table, y)
    for colour, age in (("red", 22), ("green", 42), ("blue", 62)):
        samples = gan.sample(200, colour, random_state=0)
        assert (samples["colour"] == colour).mean() > 0.9
        assert abs(samples["age"].median() - age) < 8
        assert abs(samples["is_new"].mean() - (colour == "green")) < 0.2


def test_plain_tables_come_back_as_tables():
    table = pandas_table()[["age", "height"]]
    gan = GAN(**SMALL).fit(table)
    assert gan.categories_ is None
    samples = gan.sample(5, random_state=0)
    assert list(samples.dtypes) == list(table.dtypes)
    numbers = GAN(**SMALL).fit(table.to_numpy())
    assert isinstance(numbers.sample(5), np.ndarray)


@pytest.mark.parametrize("features", [None, ["colour"]], ids=str)
def test_numbers_of_a_type_for_categories_may_be_numbers(features):
    table = pd.DataFrame({"size": pd.Categorical([1, 2, 3, 4] * 10), "colour": pd.Categorical([7, 8] * 20)})
    gan = GAN(**SMALL, categorical_features=features).fit(table)
    samples = gan.sample(5, random_state=0)
    assert samples["size"].dtype == np.int64
    assert samples["colour"].dtype == (np.int64 if features is None else table["colour"].dtype)
    assert gan.discriminate(table).shape == (40,)


def test_names_numbers_and_masks_are_the_same():
    table = pd.DataFrame(columns())
    wanted = [["colour", "is_new"], [1, 3], [False, True, False, True], np.array(["is_new", "colour"])]
    made = [GAN(categorical_features=features, **SMALL).fit(table).sample(9, random_state=0) for features in wanted]
    for samples in made[1:]:
        pd.testing.assert_frame_equal(samples, made[0])
    assert set(made[0]["colour"]) <= {"red", "green", "blue"}
    assert made[0]["is_new"].dtype == bool


def test_arrays_keep_their_type():
    given = columns()
    codes = np.unique(given["colour"], return_inverse=True)[1] + 5
    X = np.column_stack([given["age"], codes])
    gan = GAN(categorical_features=[1], **SMALL).fit(X)
    samples = gan.sample(40, random_state=0)
    assert samples.dtype == X.dtype
    assert set(samples[:, 1]) <= {5, 6, 7}
    objects = np.column_stack([given["age"].astype(object), given["colour"].astype(object), given["height"]])
    for rows in (objects, objects.tolist()):
        gan = GAN(categorical_features=[1], **SMALL).fit(rows)
        samples = gan.sample(10, random_state=0)
        assert [type(value) for value in samples[0]] == [int, str, float]
        assert gan.discriminate(rows).shape == (80,)


def test_numbers_are_those_that_a_type_holds():
    numbers = np.array([-1e30, -0.6, 0.6, 1e30])
    assert_array_equal(_rounded(numbers, "Int8"), [-128, -1, 1, 127])
    assert_array_equal(_rounded(numbers, "UInt16"), [0, 0, 1, 65535])
    assert _rounded(numbers, "int64[pyarrow]")[3] > 2**62
    assert_array_equal(_rounded(numbers, "boolean"), [False, False, True, True])
    assert_array_equal(_rounded(numbers, "Float32"), numbers)


def test_a_range_is_of_the_numbers_only():
    table = pandas_table()
    gan = GAN(scaling="range", **SMALL).fit(table)
    samples = gan.sample(200, random_state=0)
    numbers = table[["age", "height"]].to_numpy(float)
    assert samples["age"].max() <= numbers.max()
    assert_allclose(gan._target.center, np.full(3, (numbers.min() + numbers.max()) / 2))


# -- fits that go on, files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", TABLES)
def test_pickles_and_files_of_tables(tmp_path, library):
    gan = GAN(generator_averaging=0.9, **SMALL).fit(TABLES[library]())
    path = tmp_path / "gan.skn"
    save(gan, path)
    for same in (pickle.loads(pickle.dumps(gan)), load(path)):
        assert same.sample(20, random_state=0).equals(gan.sample(20, random_state=0))
        assert_array_equal(same.discriminate(TABLES[library]()), gan.discriminate(TABLES[library]()))
    assert clone(gan).get_params() == gan.get_params()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("categories_", None, "the categories are not those of the features"),
        ("categories_", [None] * 4, "the categories are not those of the features"),
        ("_table_form", {"library": "pandas"}, "the form of the table is none"),
        ("_table_form", {"library": "pandas", "names": ["a"], "dtypes": []}, "the names of the columns are none"),
        (
            "_table_form",
            {"library": "pandas", "names": list("abcd"), "dtypes": [("int8",)] * 4},
            "the types of the columns are none",
        ),
        ("n_features_in_", 7, "n_features_in_ is 7"),
    ],
)
def test_states_that_cannot_be(name, value, words):
    state = GAN(**SMALL).fit(pandas_table()).__getstate__()
    state[name] = value
    with pytest.raises(ValueError, match=words):
        GAN().__setstate__(state)


def test_a_fit_of_a_table_is_resumed(tmp_path):
    table = pandas_table()
    whole = GAN(**{**SMALL, "max_iter": 5}).fit(table)
    path = tmp_path / "gan.skn"
    GAN(**SMALL).set_callbacks(Checkpoint(path)).fit(table)
    resumed = GAN(**{**SMALL, "max_iter": 5}).fit(table, resume_from=path)
    assert_array_equal(whole._params, resumed._params)


def test_fits_go_on_with_the_categories_of_the_first():
    table = pandas_table()
    gan = GAN(**SMALL).partial_fit(table[:40])
    gan.partial_fit(table[40:].astype({"colour": object}))  # the same values, of another type
    assert len(gan.history_["generator_loss"]) == 2
    other = table.astype({"colour": object})
    other.loc[3, "colour"] = "violet"
    with pytest.raises(ValueError, match=r"'colour' of X has categories that are not known: violet. Known: \['blue'"):
        gan.partial_fit(other)
    warm = GAN(warm_start=True, **SMALL).fit(table).fit(table)
    assert len(warm.loss_curve_) == 6


def test_warmup_knows_of_categories(monkeypatch):
    monkeypatch.setattr(compiler, "_KERNELS", {})
    monkeypatch.setattr(catalogue, "_found", {})
    gan = GAN(categorical_features=["colour"], **SMALL)
    warmup(gan, "float32")
    known = set(catalogue._found)
    gan.fit(pandas_table()).sample(3)
    assert set(catalogue._found) == known
    assert warmup(gan) > 0


# -- bad input ---------------------------------------------------------------------------------------------------------

MISSING = pandas_table()
MISSING.loc[4, "colour"] = None
WITHOUT_NUMBER = pandas_table().assign(height=np.nan)
TEXT = pd.DataFrame(columns())
MIXED = np.array([[1, "a"], [2, 3]] * 10, object)

ERRORS = [
    (MISSING, "from_dtype", "Column 'colour' of X has missing values, which are no category"),
    (WITHOUT_NUMBER, "from_dtype", "Input X contains NaN"),
    (TEXT, ["is_new"], "Column 'colour' of X holds what is no number: name it in categorical_features"),
    (TEXT, ["colour", "size"], "names that are no columns of X: size"),
    (TEXT.to_numpy(object), ["colour"], "categorical_features has names, but X has none"),
    (TEXT, [1, 4], r"indices must be in \[0, 3\]"),
    (TEXT, [True, False], r"boolean mask should have shape \(4,\), got \(2,\)"),
    (TEXT, [0.5], "must be an array-like of bool, int or str"),
    (TEXT, "colour", "'categorical_features' parameter of GAN must be"),
    (MIXED, [1], "The categories of column 1 of X must be all text, or all numbers or booleans"),
    (np.zeros((9, 2, 2)), [1], "Found array with dim 3"),
]


@pytest.mark.parametrize(("X", "features", "words"), ERRORS, ids=[words for *_, words in ERRORS])
def test_errors_of_tables(X, features, words):
    gan = GAN(categorical_features=features, **SMALL)
    with pytest.raises(ValueError, match=words):
        gan.fit(X)
    assert not hasattr(gan, "categories_")


def test_errors_of_fitted_ones_and_generators():
    gan = GAN(**SMALL).fit(pandas_table())
    with pytest.raises(ValueError, match="feature names should match"):
        gan.discriminate(pandas_table().rename(columns={"age": "years"}))
    objects = GAN(categorical_features=[1], **SMALL).fit(pandas_table().to_numpy(object))
    with pytest.raises(ValueError, match="X has 2 features, but GAN is expecting 4"):
        objects.discriminate(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="generator must end in rows"):
        GAN(generator=[Dense(6), Reshape((6, 1, 1))], **SMALL).fit(pandas_table())


# -- nested parameters -------------------------------------------------------------------------------------------------


def test_settings_of_layers_are_nested_parameters():
    generator = [Dense(8, "relu"), Dense(4)]
    gan = GAN(generator=generator, discriminator=(Dense(5, "tanh"),))
    params = gan.get_params()
    assert params["generator__1__units"] == 4
    assert params["discriminator__0__activation"] == "tanh"
    gan.set_params(generator__0__units=16, discriminator__0__activation="relu", n_components=2)
    assert gan.generator == [Dense(16, "relu"), Dense(4)]
    assert gan.discriminator == (Dense(5, "relu"),)
    assert generator == [Dense(8, "relu"), Dense(4)]
    gan.set_params(discriminator=[Dense(3)], discriminator__0__units=7)
    assert gan.discriminator == [Dense(7)]
    assert clone(gan).get_params(deep=False) == gan.get_params(deep=False)
    with pytest.raises(ValueError, match="Invalid parameter 'generator__2'"):
        gan.set_params(generator__2__units=5)
    gan = gan.set_params(batch_size=16, max_iter=1).fit(pandas_table())
    assert gan.coefs_[0].shape == (2, 16)
