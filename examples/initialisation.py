"""Initialisation: gradients that vanish and gradients that explode in a network of 20 layers.

On its way back through a layer the gradient is multiplied by the weights and by the slopes of the activation. Twenty
layers multiply twenty times: what is a little too small at every layer is nothing at the end.
``monitor_gradients=True`` writes the mean norm of the gradient of each layer's weights down, epoch by epoch, and
`GradientNormDisplay` draws it; the axis is logarithmic, so that a straight slope is a constant factor from layer to
layer.

To see: *logistic* loses its gradient with any rule, since its slope is a quarter at most; there are better
activations for deep networks. *tanh* keeps it level with the rule of Glorot and Bengio (2010), *relu* with that of He
et al. (2015), whose weights are wider since half of the units are off; these learn. With weights that are too small
nothing arrives at the first layers and nothing is learnt: the accuracy is that of guessing. With weights that are too
large *relu* explodes, a loss in the thousands, and the units of *tanh* are stuck at -1 and 1.
"""

import warnings

import matplotlib.pyplot as plt
from _pictures import picture_folder
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from skneural import MLPClassifier
from skneural.plotting import GradientNormDisplay

folder = picture_folder(__doc__)

# %%
# Twenty layers
# -------------
# Handwritten digits, 19 hidden layers of 32 units, 15 epochs of Adam. A rule of one's own is a function of the two
# widths and a generator.

warnings.filterwarnings("ignore", category=ConvergenceWarning)

X, y = load_digits(return_X_y=True)
X = (X - X.mean()) / X.std()


def tiny(n_in, n_out, rng):
    """Normal numbers of standard deviation 0.05, whatever the width."""
    return 0.05 * rng.standard_normal((n_in, n_out))


def huge(n_in, n_out, rng):
    """Normal numbers of standard deviation 0.5, whatever the width."""
    return 0.5 * rng.standard_normal((n_in, n_out))


def train(activation, weight_init):
    """Fit a deep network, and write the norms of its gradients down."""
    clf = MLPClassifier(
        (32,) * 19,
        activation,
        weight_init=weight_init,
        monitor_gradients=True,
        learning_rate_init=0.0005,
        batch_size=64,
        max_iter=15,
        n_iter_no_change=15,
        random_state=0,
    )
    return clf.fit(X, y)


rules = {"std 0.05": tiny, "glorot_uniform": "glorot_uniform", "he_normal": "he_normal", "std 0.5": huge}
activations = ("logistic", "tanh", "relu")
networks = {(name, rule): train(name, rules[rule]) for name in activations for rule in rules}

print(f"{'':24} gradient in epoch 1: first layer  last layer  loss at the end  accuracy")
for (name, rule), clf in networks.items():
    first, *_, last = clf.history_["gradient_norm"][0]
    print(f"{name:9} {rule:14} {first:33.1e} {last:11.1e} {clf.loss_:16.3f} {clf.score(X, y):9.3f}")

# %%
# Profiles: gradients from layer to layer
# ---------------------------------------
# What is smaller than 1e-18 leaves the picture.

figure, axes = plt.subplots(3, 4, figsize=(11, 7), sharex=True, sharey=True, layout="constrained")
for ax, ((name, rule), clf) in zip(axes.flat, networks.items(), strict=True):
    GradientNormDisplay.from_estimator(clf, ax=ax, kind="profile", line_kw={"marker": None})
    ax.set(title=f"{name}, {rule}: accuracy {clf.score(X, y):.2f}", ylim=(1e-18, 1e9))
    ax.title.set_fontsize("small")
    ax.get_legend().remove()
    ax.label_outer()
    ax.grid(alpha=0.3)
figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3)
figure.savefig(folder / "initialisation_profiles.png", dpi=100)

# %%
# Gradients over the epochs
# -------------------------

figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), sharey=True, layout="constrained")
for ax, network in zip(axes, (("logistic", "glorot_uniform"), ("relu", "he_normal")), strict=True):
    GradientNormDisplay.from_estimator(networks[network], ax=ax)
    ax.set_title(", ".join(network))
figure.savefig(folder / "initialisation_epochs.png", dpi=100)
