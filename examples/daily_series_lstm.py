"""A daily series with a trend and three seasons, and the LSTM network of the tutorials: forecasts of ten days.

1000 days of visitors: a straight trend, a year, a month and a week as seasons, and noise with a deviation of 1.5. From
60 days the next 10 are forecast by the network that tutorials like: three LSTM layers of 50 units with dropout of 0.2
after each, a dense layer of 25, ten outputs. The last 200 days are the test; of the 800 before them the last 80 tell
which epoch was best. The estimator scales X and y inside, so all errors are in units of the data.

To see: as in the tutorials, the network reads the values themselves, and fails. On the training days its errors are
about half those of the last value, but the trend leads the test days out of the range it knows, and there the forecasts
stay behind: they are far worse than to repeat the last value. The curves tell: the validation loss stays several times
as large as the training loss. When the last value of each window is taken from it, and from what follows, the errors
of the same network are less than half those of the naive forecasts, in training and test alike. Its training loss,
measured while units are missing, is at first above the validation loss. Most of the importance lies in the last four
weeks. The day before the forecast has none: it is the value that was taken out, so 0 in every window; the day
before that has little, since the two differ little.

And honestly: a linear regression on the same 60 days does better still, near what the noise allows. Trend and sines
are continued exactly by a linear rule; a series that is made so needs no network. (The noise happens to be weaker in
the test days, so that there linear regression is better than in training.)
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from _pictures import picture_folder
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression

from skneural import LSTMRegressor
from skneural.plotting import ForecastDisplay, TimestepImportanceDisplay, TrainingCurveDisplay
from skneural.timeseries import make_windows

folder = picture_folder(__doc__)

# %%
# Series and windows
# ------------------
# The windows are a view of the series. float32 is precise enough here, and faster.

lookback, horizon = 60, 10
day = np.arange(1000)
dates = np.datetime64("2023-01-01") + day
seasons = (12 * np.sin(2 * np.pi * day / 365.25), 6 * np.sin(2 * np.pi * day / 30.44), 4 * np.sin(2 * np.pi * day / 7))
noise = np.random.default_rng(0).normal(0, 1.5, len(day))
without_noise = 100 + 0.05 * day + sum(seasons)
visitors = (without_noise + noise).astype(np.float32)

X, y = make_windows(visitors, lookback, horizon)
last_value = X[:, -1]  # of each window, shape (n_windows, 1)
first = day[lookback:][: len(X)]  # the first day of each forecast
train, validation, test = first + horizon <= 720, (first >= 720) & (first + horizon <= 800), first >= 800

# %%
# Networks
# --------
# Ten epochs, converged or not: the learning rate has come down to nearly 0 by then.

warnings.filterwarnings("ignore", category=ConvergenceWarning)

network = LSTMRegressor(
    (50, 50, 50),
    head_layer_sizes=(25,),
    dropout=(0.2, 0.2, 0.2, 0.0),
    batch_size=32,
    learning_rate="one_cycle",
    learning_rate_init=0.005,
    max_iter=10,
    random_state=0,
)
as_given = network.fit(X[train], y[train], X_val=X[validation], y_val=y[validation])
print(as_given.summary(), "\n")

X_less, y_less = X - last_value[:, None], y - last_value
less_last = LSTMRegressor(**network.get_params())
less_last.fit(X_less[train], y_less[train], X_val=X_less[validation], y_val=y_less[validation])

linear = LinearRegression().fit(X_less[train, :, 0], y_less[train])

# %%
# Errors
# ------
# In visitors, over all ten steps.

forecasts = {
    "last value": np.repeat(last_value, horizon, axis=1),
    "value one week before": X[:, -7 + np.arange(horizon) % 7, 0],
    "LSTM, as in tutorials": as_given.predict(X),
    "LSTM, last value out": less_last.predict(X_less) + last_value,
    "linear, last value out": linear.predict(X_less[:, :, 0]) + last_value,
    "the series without noise": make_windows(without_noise, lookback, horizon)[1],
}
print(f"{'':24}     training            test\n{'':24}   MAE    RMSE      MAE    RMSE")
for name, forecast in forecasts.items():
    numbers = [
        error
        for part in (train, test)
        for error in (np.abs(forecast - y)[part].mean(), np.sqrt(np.square(forecast - y)[part].mean()))
    ]
    print("{:24}{:6.2f}  {:6.2f}   {:6.2f}  {:6.2f}".format(name, *numbers))

# %%
# Forecasts
# ---------
# Above, what was forecast ten days before for every day of the test; below, one forecast of ten days, and the
# residuals of all forecasts at their tenth day.

tenth = dates[first + horizon - 1][test]
figure, axes = plt.subplot_mosaic([["time", "time"], ["fan", "residuals"]], figsize=(10, 6.6), layout="constrained")
display = ForecastDisplay.from_predictions(
    y[test, -1],
    forecasts["LSTM, last value out"][test, -1],
    index=tenth,
    target_name="Visitors",
    ax=axes["time"],
)
axes["time"].plot(tenth, forecasts["LSTM, as in tutorials"][test, -1], color="0.5", linewidth=1.2)
axes["time"].legend(
    [*display.lines_, axes["time"].lines[-1]],
    ["Actual", "LSTM, last value out", "LSTM, as in tutorials"],
    loc="upper left",
    ncols=3,
    fontsize="small",
)
axes["time"].set_title("Test days, forecast ten days ahead")

one = np.flatnonzero(test)[100]
ForecastDisplay.from_predictions(
    y[one],
    forecasts["LSTM, last value out"][one],
    index=dates[first[one] :][:horizon],
    history=visitors[: first[one]],
    history_index=dates[: first[one]],
    target_name="Visitors",
    kind="fan",
    ax=axes["fan"],
)
axes["fan"].set_title(f"The ten days from {dates[first[one]]}")
ForecastDisplay.from_predictions(
    y[test, -1], forecasts["LSTM, last value out"][test, -1], index=tenth, kind="residuals", ax=axes["residuals"]
)
axes["residuals"].set(title="Residuals, ten days ahead", ylabel="Residual, in visitors")
figure.savefig(folder / "daily_series_lstm.png", dpi=90)

# %%
# Training and importance of the time steps
# -----------------------------------------

figure, axes = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained", width_ratios=(1, 1, 1.6))
for ax, (name, reg) in zip(axes, {"As in tutorials": as_given, "Last value out": less_last}.items(), strict=False):
    history = {part: reg.history_[part] for part in ("loss", "validation_loss")}
    TrainingCurveDisplay.from_history(history, plot_best_epoch=False, ax=ax)
    ax.set(title=name, ylim=(0, None))
TimestepImportanceDisplay.from_estimator(less_last, X_less[test], timesteps=range(-lookback, 0), ax=axes[2])
axes[2].set(title="Importance (last value out)", xlabel="Days before the forecast begins")
figure.savefig(folder / "daily_series_lstm_training.png", dpi=100)
