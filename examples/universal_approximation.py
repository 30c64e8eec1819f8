"""Universal approximation: how wide one hidden layer must be for a function of one variable.

One hidden layer with enough units comes as close as one likes to any continuous function on an interval (Cybenko,
1989; Hornik, 1991). Here a wave that gets faster is fitted by layers of 1 to 64 units, smooth ones (tanh) and
piecewise linear ones (relu), with L-BFGS.

To see: with two units the network draws what it can, a bend or two. Relu networks are polygons: every unit is good
for one corner, and the error falls slowly. Tanh units bend, and need fewer for a smooth function. The theorem says
that good weights exist, not that a solver finds them: the error does not fall with every doubling, since from some
width on it is the solver's and no longer the network's.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from _pictures import picture_folder
from sklearn.exceptions import ConvergenceWarning

from skneural import MLPRegressor

folder = picture_folder(__doc__)

# %%
# Function and networks
# ---------------------
# Without noise and without penalty: what is left is what the network cannot say, or the solver did not find. Of three
# beginnings the best counts. 1000 iterations are enough, warning or not.

warnings.filterwarnings("ignore", category=ConvergenceWarning)


x = np.linspace(-3, 3, 200)
X, y = x[:, None], np.sin(2 * x + x**2 / 2)


def error(network):
    """Root of the mean squared error."""
    return np.sqrt(np.mean((network.predict(X) - y) ** 2))


def fit(activation, width):
    """The best of three networks with one hidden layer."""
    networks = [
        MLPRegressor(
            hidden_layer_sizes=(width,),
            activation=activation,
            solver="lbfgs",
            alpha=0,
            max_iter=1000,
            tol=1e-9,
            random_state=seed,
        ).fit(X, y)
        for seed in range(3)
    ]
    return min(networks, key=error)


widths = [1, 2, 4, 8, 16, 32, 64]
networks = {(activation, width): fit(activation, width) for activation in ("tanh", "relu") for width in widths}

# %%
# Fits, and error against width
# -----------------------------

figure = plt.figure(figsize=(12, 5.6), layout="constrained")
left, right = figure.subfigures(1, 2, width_ratios=[2, 1.1])
axes = left.subplots(2, 3, sharex=True, sharey=True)
for row, activation in zip(axes, ("tanh", "relu"), strict=True):
    for ax, width in zip(row, (2, 8, 32), strict=True):
        network = networks[activation, width]
        ax.plot(x, y, color="0.6", linewidth=3, label="function")
        ax.plot(x, network.predict(X), color="C0", linewidth=1.2, label="network")
        ax.set_title(f"{activation}, {width} units", fontsize="medium")
left.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower right", ncols=2, fontsize="small")
left.supxlabel("x", fontsize="medium")

ax = right.subplots()
for activation, style in (("tanh", "o-"), ("relu", "s--")):
    errors = [error(networks[activation, width]) for width in widths]
    print(f"{activation}: " + ", ".join(f"{width} units {e:.4f}" for width, e in zip(widths, errors, strict=True)))
    ax.plot(widths, errors, style, label=activation)
ax.set(xscale="log", yscale="log", xlabel="Hidden units", ylabel="Root of the mean squared error")
ax.set_xticks(widths, widths)
ax.minorticks_off()
ax.grid(alpha=0.3)
ax.legend()
figure.savefig(folder / "universal_approximation.png", dpi=100)
