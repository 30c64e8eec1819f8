"""Daily minimum temperatures: a week ahead, with intervals, beside forecasts that need no network.

The lowest temperature of each day in Melbourne, 1981 to 1990. From 28 days, a GRU layer of 32 units forecasts five
quantiles of each of the next seven; the median is the forecast. The last two years are the test. Beside it, a ridge
regression on the same windows, and what any forecast has to beat: the last value, the value 365 rows before, and the
season alone, one sine wave of a year fitted to the first eight years. Network and ridge regression are trained twice:
on temperatures alone, and with the sine and cosine of the day of the year as further columns, which tell the season.

To see: the value 365 rows before is the worst forecast of all, since it repeats the weather of one day a year ago; the
season alone leaves that out, and is a third better. Weather lasts a day or two: tomorrow is forecast by the network,
and by ridge regression, about a seventh better than by the season alone; from the third day on nothing beats that by
more than two in a hundred. On temperatures alone, both are over the whole week only about as good as the season alone;
the network guesses the season from 28 days a little better. With the calendar both gain, and the difference between
them is less than one in a hundred: the errors need no network. What it adds are the intervals, of which both kinds hold
a little more than they promise, and which widen from the first day to the second, but hardly after that.
"""

import pathlib
import warnings

import matplotlib.pyplot as plt
import numpy as np
from _pictures import picture_folder
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skneural import GRURegressor
from skneural.plotting import ForecastDisplay
from skneural.timeseries import Forecaster

folder = picture_folder(__doc__)

# %%
# Data
# ----
# The file, where it lies beside the checkout; else a series of the same kind, with which the numbers are others. In
# the file, every year has 365 days: 31 December of leap years is missing. A time index with such gaps is refused, so
# what is forecast has none, and a row is taken for a day.

dates = np.arange("1981-01-01", "1991-01-01", dtype="datetime64[D]")
dates = dates[~np.isin(dates, np.array(["1984-12-31", "1988-12-31"], dtype="datetime64[D]"))]
angle = 2 * np.pi * np.arange(len(dates)) / 365
calendar = np.column_stack([np.sin(angle), np.cos(angle)])
file = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data" / "timeseries" / "daily_min_temperatures.csv"
if file.exists():
    temperatures = np.loadtxt(file, delimiter=",", skiprows=1, usecols=1, quotechar='"')
    print(f"Minimum temperatures in Melbourne, {len(dates)} days, in °C\n")
else:
    weather = np.random.default_rng(0).normal(0, 2.2, len(dates))
    for i in range(1, len(dates)):
        weather[i] += 0.55 * weather[i - 1]
    temperatures = np.round(11.2 + calendar @ [1.5, 4.1] + weather, 1)
    print(f"A generated series (there is no {file.name}): a sine wave of a year, and weather that lasts for days\n")
with_calendar = np.column_stack([temperatures, calendar])

# %%
# Forecasts
# ---------
# From each day of the two years that has a week after it. 15 epochs, converged or not; three random states.

warnings.filterwarnings("ignore", category=ConvergenceWarning)

n_test, lookback, horizon, season = 730, 28, 7, 365
levels = (0.05, 0.25, 0.5, 0.75, 0.95)
flatten = FunctionTransformer(lambda X: X.reshape(len(X), -1))


def backtest(estimator, series):
    """Forecast the first column of a series."""
    return Forecaster(estimator, lookback, horizon, target=0).backtest(series, n_test, season=season)


def network(seed):
    """GRU network that predicts quantiles."""
    return GRURegressor(
        (32,),
        loss="quantile",
        quantiles=levels,
        batch_size=64,
        learning_rate="one_cycle",
        learning_rate_init=0.005,
        max_iter=15,
        n_iter_no_change=15,
        random_state=seed,
    )


series = {"": temperatures[:, None], ", calendar": with_calendar}
tests = {f"ridge{name}": [backtest(make_pipeline(flatten, Ridge()), columns)] for name, columns in series.items()}
tests |= {f"GRU{name}": [backtest(network(seed), columns) for seed in range(3)] for name, columns in series.items()}

origins, actual = tests["GRU"][0].origins, tests["GRU"][0].actual
wave = LinearRegression().fit(calendar[:-n_test], temperatures[:-n_test]).predict(calendar)
forecasts = {
    "last value": [np.repeat(temperatures[origins - 1, None], horizon, axis=1)],
    "365 rows before": [tests["GRU"][0].naive],
    "season alone": [wave[origins[:, None] + np.arange(horizon)]],
    **{name: [test.forecasts for test in several] for name, several in tests.items()},
}

# %%
# Errors and intervals
# --------------------
# Of the network, the mean over the random states, with the deviation of its MAE below.

print(f"{'in °C':20}{'MAE':>8}{'RMSE':>8}    MAE of day 1  2     3     4     5     6     7")
by_day = {}
for name, several in forecasts.items():
    errors = np.array(several) - actual  # of shape (n_fits, n_origins, horizon)
    rmse = np.sqrt(np.square(errors).mean(axis=(1, 2))).mean()
    by_day[name] = np.abs(errors).mean(axis=(0, 1))
    steps = "".join(f"{error:6.2f}" for error in by_day[name])
    print(f"{name:20}{np.abs(errors).mean():8.3f}{rmse:8.3f}       {steps}")
for name in ("GRU", "GRU, calendar"):
    inner = [np.mean((t.quantiles[..., 1] <= actual) & (actual <= t.quantiles[..., 3])) for t in tests[name]]
    outer = [test.coverage for test in tests[name]]
    spread = np.std([test.mae for test in tests[name]])
    print(
        f"\n{name}: MAE ± {spread:.3f}; 50 % intervals hold {np.mean(inner):.1%}, 90 % intervals {np.mean(outer):.1%}"
    )

# %%
# Pictures
# --------
# Above, the last 120 forecasts of the day ahead; below, the errors of each day ahead, and the last forecast.

best = tests["GRU, calendar"][0]
unit = "Minimum, in °C"
figure, axes = plt.subplot_mosaic([["time", "time"], ["errors", "fan"]], figsize=(9.6, 6.6), layout="constrained")
ForecastDisplay.from_predictions(
    actual[-120:, 0],
    best.forecasts[-120:, 0],
    index=dates[origins[-120:]],
    quantiles=best.quantiles[-120:, 0],
    levels=levels,
    target_name=unit,
    ax=axes["time"],
)
axes["time"].set_title("GRU with calendar, one day ahead")

styles = {
    "last value": "C7:",
    "365 rows before": "C5-.",
    "season alone": "C2--",
    "ridge": "C0:",
    "ridge, calendar": "C0-",
}
styles |= {"GRU": "C1:", "GRU, calendar": "C1-"}
for name, style in styles.items():
    axes["errors"].plot(range(1, horizon + 1), by_day[name], style, marker=".", label=name)
axes["errors"].legend(ncols=2, fontsize="small", loc="upper left")
axes["errors"].set(xlabel="Days ahead", ylabel="MAE, in °C", title="Two years of forecasts", ylim=(1.6, 3.8))

ForecastDisplay.from_backtest(
    best,
    index=dates[-horizon:],
    history_index=dates[-n_test:-horizon],
    target_name=unit,
    kind="fan",
    ax=axes["fan"],
)
axes["fan"].set_title("GRU with calendar, the last week")
figure.savefig(folder / "daily_temperatures.png", dpi=88)
