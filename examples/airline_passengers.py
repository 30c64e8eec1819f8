"""Airline passengers: a series that outgrows its past, scaled, normalised window by window, and with intervals.

The monthly passengers of international airlines, 1949 to 1960 (Box and Jenkins): they grow nearly fourfold, and the
season with them. The first two thirds are for training, the last 48 months are the test. An LSTM layer of 16 units
reads 12 months and forecasts the next; then a GRU layer of 32 units forecasts quantiles of the next 12.

To see: trained on the values as they are, the network is about twice as bad as to repeat the last value: it has never
seen months like those of the test. To take the last value, or mean and deviation, out of every window cures that; both
beat the two naive forecasts. The logarithm as scale makes the season one of equal size, and helps where the last value
is taken out; the errors are then little more than half of those of the better naive forecast. The spread over random
states says that smaller differences mean little with 48 months.

The intervals of a year ahead were learnt from 73 windows that overlap, and are far too narrow: 90 % intervals hold
less than two thirds of the values. Dropout widens them nearly to what they promise, and costs some accuracy. Over a
whole year the network is better than the value one year before, by about a fifth, with dropout by less. Yet its MASE
is about 1: what that divides by are the changes from year to year in training, when there were fewer passengers.
"""

import pathlib
import warnings

import matplotlib.pyplot as plt
import numpy as np
from _pictures import picture_folder
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import FunctionTransformer

from skneural import GRURegressor, LSTMRegressor
from skneural.plotting import ForecastDisplay
from skneural.timeseries import Forecaster

folder = picture_folder(__doc__)

# %%
# Data
# ----
# The file, where it lies beside the checkout; else a series of the same kind, with which the numbers are others.
# With pandas, forecasts have dates; without it they have positions.

months = np.arange("1949-01", "1961-01", dtype="datetime64[M]")
file = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data" / "timeseries" / "airline_passengers.csv"
if file.exists():
    passengers = np.loadtxt(file, delimiter=",", skiprows=1, usecols=1)
    print(f"Airline passengers, {len(months)} months, in thousands\n")
else:
    season = np.array([-0.09, -0.11, 0.02, -0.01, -0.01, 0.11, 0.21, 0.21, 0.06, -0.08, -0.21, -0.1])
    level = np.linspace(4.8, 6.2, len(months)) + np.random.default_rng(0).normal(0, 0.015, len(months)).cumsum()
    passengers = np.round(np.exp(level + np.tile(season, len(months) // 12)))
    print(f"A generated series (there is no {file.name}): exponential trend, multiplicative season\n")

try:
    import pandas as pd
except ImportError:
    series = passengers
else:
    series = pd.Series(passengers, pd.PeriodIndex(months, freq="M"))

# %%
# One month ahead
# ---------------
# 100 epochs, converged or not. Each number is the mean over five random states, with its deviation.

warnings.filterwarnings("ignore", category=ConvergenceWarning)

n_test = 48
settings = {
    "batch_size": 16,
    "learning_rate": "one_cycle",
    "learning_rate_init": 0.01,
    "max_iter": 100,
    "n_iter_no_change": 100,
}
logarithm = FunctionTransformer(np.log, np.exp)
tests = {}
print("One month ahead: window_normalization     RMSE           MASE")
for scale, scaler in {"standard": "standard", "logarithm": logarithm}.items():
    for normalization in (None, "last", "instance"):
        backtests = [
            Forecaster(
                LSTMRegressor((16,), **settings, random_state=seed),
                lookback=12,
                horizon=1,
                scaler=scaler,
                window_normalization=normalization,
            ).backtest(series, n_test, season=12)
            for seed in range(5)
        ]
        tests[scale, normalization] = backtests
        rmse, mase = ([getattr(test, measure) for test in backtests] for measure in ("rmse", "mase"))
        name = f"{scale} scale, {normalization}"
        print(f"{name:36}{np.mean(rmse):6.1f} ± {np.std(rmse):4.1f}   {np.mean(mase):5.2f} ± {np.std(mase):4.2f}")
change = np.diff(passengers)[-n_test:]  # the errors of the last value
print(f"{'last value':36}{np.sqrt(np.mean(change**2)):7.2f}         {np.abs(change).mean() / backtests[0].scale:5.2f}")
print(f"{'value one year before':36}{backtests[0].naive_rmse:7.2f}         {backtests[0].naive_mase:5.2f}\n")

# %%
# Twelve months ahead, with intervals
# -----------------------------------
# From each of 37 months of the test, what will be in the next twelve.

for dropout in (0.0, 0.5):
    quantiles = GRURegressor(
        (32,), dropout=dropout, loss="quantile", quantiles=(0.05, 0.25, 0.5, 0.75, 0.95), **settings, random_state=0
    )
    forecaster = Forecaster(quantiles, lookback=12, horizon=12, scaler=logarithm, window_normalization="last")
    fan = forecaster.backtest(series, n_test, season=12)
    print(f"dropout={dropout}: {fan}\n")

# %%
# Pictures
# --------

unit = "Passengers, in thousands"
figure, axes = plt.subplot_mosaic([["time", "time"], ["errors", "fan"]], figsize=(10, 7), layout="constrained")
best, plain = tests["logarithm", "last"][0], tests["standard", None][0]
display = ForecastDisplay.from_backtest(best, target_name=unit, ax=axes["time"])
times = display.lines_[0].get_xdata()
axes["time"].plot(times, plain.forecasts[:, 0], color="0.5", linewidth=1.2)
axes["time"].legend(
    [*display.lines_, axes["time"].lines[-1]],
    ["Actual", "Logarithm, last value out", "Values as they are"],
    loc="upper left",
    ncols=3,
    fontsize="small",
)
axes["time"].set_title("The test, one month ahead")

places = np.arange(3)
for offset, scale, color in ((-0.2, "standard", "C0"), (0.2, "logarithm", "C1")):
    rmse = [[test.rmse for test in tests[scale, normalization]] for normalization in (None, "last", "instance")]
    axes["errors"].bar(places + offset, np.mean(rmse, axis=1), 0.36, color=color, alpha=0.6, label=f"{scale} scale")
    axes["errors"].plot(np.repeat(places + offset, 5), np.ravel(rmse), ".", color="0.2", markersize=5)
axes["errors"].axhline(np.sqrt(np.mean(change**2)), color="0.4", linestyle=":", label="last value")
axes["errors"].axhline(best.naive_rmse, color="0.4", linestyle="--", label="value one year before")
axes["errors"].set_xticks(places, ["None", '"last"', '"instance"'])
axes["errors"].set(xlabel="window_normalization", ylabel="RMSE, in thousands", title="One month ahead, five fits each")
axes["errors"].legend(fontsize="small")

ForecastDisplay.from_backtest(fan, kind="fan", target_name=unit, ax=axes["fan"])
axes["fan"].set_title(f"Twelve months ahead: 90 % intervals hold {fan.coverage:.0%}")
figure.savefig(folder / "airline_passengers.png", dpi=90)
