"""Training curves: loss and accuracy over the epochs, with dropout and without.

A network with hidden layers of 64 and 32 units learns 800 rows of 20 features with Adam, for 50 epochs; another 200
rows are held out, and after every epoch loss and accuracy on both are written down. Once 30 % of the hidden units are
dropped at every step, once none.

To see: without dropout the training loss goes to 0, while the validation loss turns after some epochs and then
doubles: the network learns its rows by heart, and is ever surer of its errors. Accuracy does not tell, since it does
not ask how sure a network is; who needs probabilities stops by ``scoring="loss"``. With dropout the validation loss
stays low. At first it is even below the training loss, which is measured while units are missing. The dotted line
marks the epoch with the best validation accuracy, whose weights are kept.
"""

import warnings

import matplotlib.pyplot as plt
from _pictures import picture_folder
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning

from skneural import MLPClassifier
from skneural.plotting import TrainingCurveDisplay

folder = picture_folder(__doc__)

# %%
# Data and networks
# -----------------
# 50 epochs are asked for, whether the curves are flat by then or not: that is worth no warning here.

warnings.filterwarnings("ignore", category=ConvergenceWarning)

X, y = make_classification(
    n_samples=1000, n_features=20, n_informative=10, n_clusters_per_class=3, flip_y=0.05, random_state=0
)
networks = {
    f"dropout={rate}": MLPClassifier(
        (64, 32),
        solver="adam",
        learning_rate_init=0.003,
        batch_size=32,
        dropout=rate,
        max_iter=50,
        early_stopping=True,
        validation_fraction=0.2,
        n_iter_no_change=50,
        score_training=True,
        random_state=0,
    ).fit(X, y)
    for rate in (0.3, 0.0)
}

print(networks["dropout=0.3"].summary(), "\n")

# %%
# Curves
# ------

figure, axes = plt.subplots(2, 2, figsize=(9, 6.5), layout="constrained")
for row, (name, clf) in zip(axes, networks.items(), strict=True):
    display = TrainingCurveDisplay.from_estimator(clf, ax=row)
    for ax in row:
        ax.set_title(name)
    row[1].legend(loc="lower center", fontsize="small")
    history = clf.history_
    print(
        f"{name}: best epoch {display.best_epoch_} with validation accuracy {clf.best_validation_score_:.3f}; "
        f"at the end training loss {history['loss'][-1]:.3f}, validation loss {history['validation_loss'][-1]:.3f}"
    )
for column in axes.T:  # the same range for both networks
    limits = [ax.get_ylim() for ax in column]
    for ax in column:
        ax.set_ylim(min(bottom for bottom, _ in limits), max(top for _, top in limits))
figure.savefig(folder / "training_curves.png", dpi=100)
