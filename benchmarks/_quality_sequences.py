"""The part of `quality.py` on networks for sequences: classes of sequences, and forecasts of series.

Nothing to run by itself. A part yields the name of a file that the data folder lacks, or a :class:`Case`.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

#: Chosen by five-fold cross-validation on the training part.
CLASSES = {
    "PenDigits": {
        "estimator": "LSTMClassifier", "hidden_layer_sizes": (64,), "bidirectional": True, "dropout": 0.3,
        "batch_size": 64, "max_iter": 30, "learning_rate": "cosine", "learning_rate_init": 5e-3,
    },
    "BasicMotions": {
        "estimator": "GRUClassifier", "hidden_layer_sizes": (32,), "pooling": "max",
        "batch_size": 16, "max_iter": 60, "learning_rate": "cosine", "learning_rate_init": 1e-2,
    },
    "ItalyPowerDemand": {
        "estimator": "GRUClassifier", "hidden_layer_sizes": (32,), "pooling": "mean", "input_noise": 0.3,
        "label_smoothing": 0.1, "batch_size": 16, "max_iter": 100, "learning_rate": "cosine",
        "learning_rate_init": 1e-2,
    },
    "SyntheticControl": {
        "estimator": "GRUClassifier", "hidden_layer_sizes": (64,), "bidirectional": True, "pooling": "mean",
        "input_noise": 0.3, "batch_size": 16, "max_iter": 60, "learning_rate": "cosine", "learning_rate_init": 1e-2,
    },
}  # fmt: skip
#: Test accuracy of others, in percent, and what is to be reached.
CLASS_REFERENCES = {
    "PenDigits": ("ResNet 99.6, DTW_D 99.3, 1-NN 97.7", 98.0),
    "BasicMotions": ("ResNet 100, DTW_D 95.3, 1-NN 60.0", 97.5),
    "ItalyPowerDemand": ("ResNet 96.3, FCN 96.1, MLP 95.4, 1-NN 95.5", 95.0),
    "SyntheticControl": ("ResNet 99.8, FCN 98.5, MLP 97.6, 1-NN 88.0", 98.0),
}

#: The network of the paper, on its batches, with the schedule of the others here and a quarter of its epochs. With 100
#: of them the training loss on ArrowHead ended far from 0.
FCN = {"estimator": "FCNClassifier", "batch_size": 16, "learning_rate": "cosine", "max_iter": 500}
CONVOLUTIONS = ("ItalyPowerDemand", "ECG200", "ArrowHead", "SyntheticControl")
CONVOLUTION_REFERENCES = {
    "ItalyPowerDemand": ("FCN 96.1, ResNet 96.3, MLP 95.4, 1-NN 95.5", 96.1),
    "ECG200": ("FCN 88.9, ResNet 87.4, MLP 91.6, 1-NN 88.0", 88.9),
    "ArrowHead": ("FCN 84.3, ResNet 84.5, MLP 77.8, 1-NN 80.0", 84.3),
    "SyntheticControl": ("FCN 98.5, ResNet 99.8, MLP 97.6, 1-NN 88.0", 98.5),
}

#: Chosen on the validation rows.
ETTH1 = {
    "estimator": "GRURegressor", "lookback": 96, "window_normalization": "last", "loss": "huber", "huber_delta": 0.5,
    "hidden_layer_sizes": (128,), "recurrent_dropout": 0.3, "batch_size": 128, "max_iter": 16, "solver": "adamw",
    "alpha": 0.0, "weight_decay": 1.0, "scoring": "loss", "learning_rate": "cosine", "learning_rate_init": 5e-3,
}  # fmt: skip
ETTH1_GOAL = 0.405

#: Chosen on the third and the last quarter of the training year, each after training on the quarters before it.
BEIJING = {
    "estimator": "GRURegressor", "lookback": 24, "window_normalization": "last", "loss": "huber",
    "hidden_layer_sizes": (64,), "batch_size": 64, "max_iter": 10, "learning_rate": "cosine",
    "learning_rate_init": 3e-3,
}  # fmt: skip
HOURS_OF_A_YEAR = 365 * 24
WINDS = ("NE", "NW", "SE", "cv")

#: Chosen on months 49 to 72 and 73 to 96 of the training part, each after training on the months before.
AIRLINE = {
    "estimator": "LSTMRegressor", "lookback": 12, "scaler": "log", "window_normalization": "instance",
    "hidden_layer_sizes": (32,), "batch_size": 16, "max_iter": 100, "learning_rate": "cosine",
    "learning_rate_init": 1e-2,
}  # fmt: skip

NOTE = (
    "Sequences: the official splits, seeds 0 to 4, inputs standardised by the training part. 1-NN (Euclidean) was "
    "computed on these files; MLP, FCN and ResNet are of Ismail Fawaz et al. (2019), arXiv:1809.04356, 10 runs, but "
    "ResNet and DTW_D on PenDigits and BasicMotions are means over 30 resamples of both parts, of Ruiz et al. (2021). "
    "ETTh1: the first 8640 hours train, 2880 validate (the weights of the epoch with the best loss on them stay), 2880 "
    "test; 96 hours behind, 24 ahead; errors over all 2857 windows, the first of which look back into the rows before, "
    "and all 7 columns, in standard deviations of the training rows; Informer and LSTMa are of Zhou et al. (2021), "
    "arXiv:2012.07436. PM2.5: the first 24 hours, all missing, left out, other missing values 0; the first 8760 hours "
    "train, the other 35,040 test but for the first, which is input alone; one hour ahead, from all 8 columns, the "
    "direction of the wind a number. Airline: the first 96 of 144 months train, the other 48 test but for the first; "
    "one month ahead, with all months before known. That is how the tutorials (machinelearningmastery.com) split them; "
    "naive forecasts were computed on the same rows. Settings were chosen without looking at a test result, the best "
    "of 3 (PenDigits) to about 30 (ETTh1, PM2.5) that were tried: by five-fold cross-validation on the training part; "
    "on the validation rows of ETTh1; on the third and the last quarter of the training year, and on months 49 to 72 "
    "and 73 to 96, each after training on all that comes before. Those of the FCN are the paper's (Wang et al., 2017), "
    "but for the cosine and a quarter of the epochs."
)


@dataclass
class Case:
    """A row of the table.

    Parameters
    ----------
    name : str
    fit : callable
        ``fit(seed)`` is the result of one fit.
    settings : dict
    reference : str
    goal : float
    at_least : bool, default=False
        Whether larger results are better.
    seeds : int, default=5
        How many fits: with seeds from 0 on.
    others : dict of str to list of float
        What else the fits measured; they append to it.
    """

    name: str
    fit: Callable
    settings: dict
    reference: str
    goal: float
    at_least: bool = False
    seeds: int = 5
    others: dict = field(default_factory=dict)

    def beside(self):
        """Words on the other measures."""
        return "".join(f" ({name} {statistics.mean(values):.4g})" for name, values in self.others.items())


def build(settings, seed):
    """The estimator of some settings."""
    import skneural

    settings = dict(settings)
    return getattr(skneural, settings.pop("estimator"))(random_state=seed, **settings)


def build_forecaster(settings, horizon, target, seed):
    """A forecaster; of the settings, those that it has not are the regressor's."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    from skneural.timeseries import Forecaster

    settings = dict(settings)
    own = {name: settings.pop(name) for name in ("lookback", "scaler", "window_normalization") if name in settings}
    if own.get("scaler") == "log":
        own["scaler"] = make_pipeline(FunctionTransformer(np.log, np.exp), StandardScaler())
    return Forecaster(build(settings, seed), horizon=horizon, target=target, **own)


def read_csv(options, name, rows, **how):
    """Numbers of a file of the folder `timeseries`, or `rows` of a random walk in smoke runs; None without a file."""
    if options.smoke:
        return 500 + np.random.default_rng(0).normal(size=(rows, len(how["usecols"]))).cumsum(axis=0)
    path = options.data / "timeseries" / name
    return np.loadtxt(path, delimiter=",", encoding="utf-8", ndmin=2, **how) if path.exists() else None


def classes_of_sequences(kind, settings_by_name, references, options, load, settings_of):
    """Test accuracy on the official splits, in percent; `kind` stands in the names of the rows."""

    def synthetic(random):
        X, y = random.normal(size=(60, 12, 2)), np.arange(60) % 3
        return {"X_train": X[:40], "y_train": y[:40], "X_test": X[40:], "y_test": y[40:]}

    for name, settings in settings_by_name.items():
        data = load(options, f"sequence/{name}", synthetic)
        if data is None:
            yield f"sequence/{name}.npz"
            continue

        def fit(seed, data=data, settings=settings):
            est = build(settings_of(options, settings), seed).fit(data["X_train"], data["y_train"])
            return 100 * est.score(data["X_test"], data["y_test"])

        reference, goal = references[name]
        yield Case(f"{name}, {kind}test accuracy in %", fit, settings, reference, goal, at_least=True)


def sequences(*given):
    """Classes of sequences by recurrent networks."""
    return classes_of_sequences("", CLASSES, CLASS_REFERENCES, *given)


def convolutions(*given):
    """Classes of sequences by fully convolutional networks."""
    return classes_of_sequences("FCN, ", dict.fromkeys(CONVOLUTIONS, FCN), CONVOLUTION_REFERENCES, *given)


def ridge(train, validation):
    """Ridge regression on the windows of ETTh1, with the penalty that is best on the validation rows."""
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    from skneural.timeseries import Forecaster

    def fitted(alpha):
        linear = make_pipeline(FunctionTransformer(lambda X: X.reshape(len(X), -1)), Ridge(alpha))
        return Forecaster(linear, ETTH1["lookback"], 24, window_normalization="last").fit(train)

    return max(map(fitted, 10.0 ** np.arange(1, 6)), key=lambda forecaster: forecaster.score(validation))


def etth1(options, load, settings_of):
    """Loads and temperature of a transformer, one day ahead."""
    series = read_csv(options, "etth1.csv.gz", 600, skiprows=1, usecols=range(1, 8))
    if series is None:
        yield "timeseries/etth1.csv.gz"
        return
    series = series[:14400].astype(np.float32)
    train, validation, _ = np.split(series, [len(series) * 6 // 10, len(series) * 8 // 10])
    known, others = len(train) + len(validation), {"MAE": []}
    origins = np.arange(known, len(series) - 24 + 1)
    actual = series[origins[:, None] + np.arange(24)]

    def errors(forecasts):
        return (forecasts - actual) / train.std(axis=0, dtype=np.float64)

    def errors_of(forecaster):
        return errors([forecaster.predict(series[i - ETTH1["lookback"] : i]) for i in origins])

    def fit(seed):
        each = errors_of(
            build_forecaster(settings_of(options, ETTH1), 24, None, seed).fit(train, series_val=validation)
        )
        others["MAE"].append(float(np.abs(each).mean()))
        return np.mean(each**2)

    naive, linear = errors(series[origins[:, None] - 24 + np.arange(24)]), errors_of(ridge(train, validation))
    reference = (
        f"24 hours before {np.mean(naive**2):.3f} (MAE {np.abs(naive).mean():.3f}), Informer 0.577 (0.549), "
        f"LSTMa 0.650 (0.624), ridge regression on the same windows {np.mean(linear**2):.3f} "
        f"({np.abs(linear).mean():.3f})"
    )
    yield Case("ETTh1, 24 hours ahead, test MSE", fit, ETTH1, reference, ETTH1_GOAL, others=others)


def one_ahead(name, series, cut, skip, settings, options, settings_of, words, share=1.0):
    """Root mean squared error of the first column one step ahead, of the rows from ``cut + skip`` on.

    The goal is `share` of that of the last value.
    """
    differences = np.diff(series[:, 0].astype(np.float64))[cut + skip - 1 :]
    naive = float(np.sqrt(np.mean(differences**2)))

    def fit(seed):
        forecaster = build_forecaster(settings_of(options, settings), 1, 0, seed)
        found = forecaster.backtest(series, len(series) - cut)
        return np.sqrt(np.mean((found.forecasts - found.actual)[skip:] ** 2))

    return Case(name, fit, settings, f"last value {naive:.2f}, {words}", share * naive)


def beijing(options, load, settings_of):
    """Fine dust in the air of Beijing, one hour ahead."""
    convert = {5: lambda word: 0.0 if word == "NA" else float(word), 9: WINDS.index}
    series = read_csv(options, "beijing_pm25.csv.gz", 300, skiprows=25, usecols=range(5, 13), converters=convert)
    if series is None:
        yield "timeseries/beijing_pm25.csv.gz"
        return
    cut = min(HOURS_OF_A_YEAR, len(series) // 2)
    yield one_ahead(
        "Beijing PM2.5, 1 hour ahead, test RMSE", series.astype(np.float32), cut, 1, BEIJING, options, settings_of,
        "LSTM of the tutorial 26.496",
    )  # fmt: skip


def airline(options, load, settings_of):
    """Passengers of an airline, one month ahead."""
    series = read_csv(options, "airline_passengers.csv", 144, skiprows=1, usecols=[1])
    if series is None:
        yield "timeseries/airline_passengers.csv"
        return
    yield one_ahead(
        "Airline passengers, 1 month ahead, test RMSE", series, int(0.67 * len(series)), 1, AIRLINE, options,
        settings_of, "LSTM of the tutorial 49.34", share=2 / 3,
    )  # fmt: skip


PARTS = (sequences, convolutions, etth1, beijing, airline)
