r"""Two moons: what momentum, an L2 penalty and dropout do to a small network.

A network with two inputs, hidden layers of 10 and 8 units and one output learns two interleaved half moons by batch
gradient descent: 1000 steps with learning rate 0.1, each on all 100 rows. Four times: plain; with momentum 0.9; with
an L2 penalty of 0.01 beside it; and with dropout of 0.5 as well.

What is "an L2 penalty of 0.01"? The solvers minimise

.. math:: \frac{1}{n} \sum_i L_i + \frac{\alpha}{2 n} \|w\|^2

where n is the number of rows of the batch, as in scikit-learn. Elsewhere the factor :math:`\lambda` often stands
beside the *mean* loss, :math:`\frac{1}{n} \sum_i L_i + \frac{\lambda}{2} \|w\|^2`; the same penalty is then
:math:`\alpha = \lambda n`. That is meant here, ``alpha=0.01 * n``: with ``alpha=0.01`` there would be nothing to see.

To see: plain gradient descent is slow, and after 1000 steps the boundary is still smooth. Momentum is several times
as fast, and so in 1000 steps gets further than is good: it fences single rows in, and as the training loss falls, so
does the accuracy on fresh rows. The penalty brings it back: probabilities change slowly, and the accuracy on fresh
rows is that of the plain network, reached in a fraction of the steps. Dropout makes the loss jitter, since every step
trains another part of the network; and of ten units half is a lot to drop: the boundary is all but straight, too
simple for moons.
"""

import warnings

import matplotlib.pyplot as plt
from _pictures import picture_folder
from sklearn.datasets import make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.inspection import DecisionBoundaryDisplay

from skneural import MLPClassifier
from skneural.plotting import TrainingCurveDisplay

folder = picture_folder(__doc__)

# %%
# Data and networks
# -----------------
# 1000 steps, converged or not.

warnings.filterwarnings("ignore", category=ConvergenceWarning)

X, y = make_moons(100, noise=0.3, random_state=0)
X_fresh, y_fresh = make_moons(2000, noise=0.3, random_state=1)
n = len(X)


def train(**settings):
    """Fit by batch gradient descent."""
    clf = MLPClassifier(
        (10, 8),
        solver="sgd",
        batch_size=n,
        learning_rate_init=0.1,
        nesterovs_momentum=False,
        max_iter=1000,
        n_iter_no_change=1000,
        random_state=0,
        **settings,
    )
    return clf.fit(X, y)


networks = {
    "plain": train(momentum=0, alpha=0),
    "momentum 0.9": train(momentum=0.9, alpha=0),
    "momentum, L2 0.01": train(momentum=0.9, alpha=0.01 * n),
    "momentum, L2, dropout 0.5": train(momentum=0.9, alpha=0.01 * n, dropout=0.5),
}
for name, clf in networks.items():
    fresh = clf.score(X_fresh, y_fresh)
    print(f"{name:25}  loss {clf.loss_:.3f}, accuracy {clf.score(X, y):.2f}, on fresh rows {fresh:.3f}")

# %%
# Loss and decision boundary
# --------------------------

figure, axes = plt.subplots(2, 4, figsize=(13, 6), layout="constrained")
for (name, clf), (upper, lower) in zip(networks.items(), axes.T, strict=True):
    TrainingCurveDisplay.from_estimator(clf, ax=upper)
    upper.set(title=name, ylim=(0, 0.75))
    DecisionBoundaryDisplay.from_estimator(
        clf, X, response_method="predict_proba", levels=10, cmap="RdBu", alpha=0.7, vmin=0, vmax=1, eps=0.5, ax=lower
    )
    DecisionBoundaryDisplay.from_estimator(
        clf, X, response_method="predict_proba", plot_method="contour", levels=[0.5], colors="black", eps=0.5, ax=lower
    )
    for label, marker, color in ((0, "o", "tab:red"), (1, "^", "tab:blue")):
        rows = X[y == label]
        lower.scatter(*rows.T, c=color, marker=marker, edgecolors="white", linewidths=0.7, s=36, label=f"class {label}")
    lower.set(xlabel="first feature", ylabel="second feature")
    lower.set_title(
        f"accuracy {clf.score(X, y):.2f}, on fresh rows {clf.score(X_fresh, y_fresh):.3f}", fontsize="medium"
    )
    lower.legend(loc="lower left", fontsize="small")
figure.savefig(folder / "two_moons.png", dpi=100)
