"""Class imbalance: class weights, focal loss, drawing rows again, and moving the threshold.

One row in twenty belongs to the class that is looked for. A network that minimises the log loss says "yes" where the
probability is above one half, and so rarely. Five ways to deal with it: nothing; weights that make both classes count
the same (``class_weight="balanced"``); the focal loss of Lin et al. (2017), which heeds rows that are hard; drawing
the rare rows again until both classes are as many; and another threshold, found by cross-validation for the greatest
F1.

To see: doing nothing finds fewer than half of the rows, with few false alarms. Weights and drawing again do the same
thing, one on paper and one on the rows: they find seven in ten or more, and most of the alarms are false. All of this
is another place on nearly the same curve, as the right picture and the ROC AUC tell: no way makes the network rank
rows better, balanced ones are even a little worse. So the threshold, which costs no more than the choice of a number
and leaves probabilities as they are, serves best where F1 is what counts. Focal loss comes next.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from _pictures import picture_folder
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import PrecisionRecallDisplay, f1_score, precision_score, recall_score, roc_auc_score
from sklearn.model_selection import TunedThresholdClassifierCV, train_test_split
from sklearn.utils import resample

from skneural import MLPClassifier

folder = picture_folder(__doc__)

# %%
# Data
# ----
# 10,000 rows to learn from, 10,000 to judge by; one in twenty belongs to the class that is looked for.

X, y = make_classification(
    n_samples=20_000,
    n_features=20,
    n_informative=8,
    n_clusters_per_class=3,
    weights=[0.95],
    class_sep=0.8,
    random_state=0,
)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)
print(f"{y_train.sum()} of {len(y_train)} rows to learn from belong to the class looked for")

# %%
# What can be done
# ----------------
# All networks are the same but for what is named.

warnings.filterwarnings("ignore", category=ConvergenceWarning)

plain = MLPClassifier((32,), alpha=0.3, learning_rate_init=0.003, max_iter=40, random_state=0)
rows = np.arange(len(y_train))
rare = rows[y_train == 1]
drawn = np.concatenate([rows, resample(rare, n_samples=len(rows) - 2 * len(rare), random_state=0)])
ways = {
    "nothing": clone(plain).fit(X_train, y_train),
    "class_weight='balanced'": clone(plain).set_params(class_weight="balanced").fit(X_train, y_train),
    "loss='focal'": clone(plain).set_params(loss="focal", focal_gamma=2.0, focal_alpha=0.75).fit(X_train, y_train),
    "rare rows drawn again": clone(plain).fit(X_train[drawn], y_train[drawn]),
    "threshold tuned for F1": TunedThresholdClassifierCV(plain, scoring="f1", random_state=0).fit(X_train, y_train),
}

# %%
# Table
# -----

measures = {"precision": precision_score, "recall": recall_score, "F1": f1_score}
table = {}
print(f"\n{'':25}" + "".join(f"{name:>10}" for name in (*measures, "ROC AUC")))
for name, clf in ways.items():
    predicted, probability = clf.predict(X_test), clf.predict_proba(X_test)[:, 1]
    table[name] = [measure(y_test, predicted) for measure in measures.values()]
    print(f"{name:25}" + "".join(f"{v:10.3f}" for v in (*table[name], roc_auc_score(y_test, probability))))
print(f"\nthe threshold that is best for F1: {ways['threshold tuned for F1'].best_threshold_:.2f}")

# %%
# Picture
# -------
# Left, what a threshold of 0.5 makes of it, or the tuned one. Right, what all thresholds could make of it; the marks
# are those on the left.

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.8), layout="constrained")
places = np.arange(len(table))
for i, (measure, shade) in enumerate(zip(measures, ("0.8", "0.55", "0.25"), strict=True)):
    values = [row[i] for row in table.values()]
    bars = left.barh(places + (i - 1) * 0.27, values, height=0.25, color=shade, label=measure)
    left.bar_label(bars, fmt="%.2f", padding=2, fontsize="small")
left.set_yticks(places, table)
left.invert_yaxis()
left.set(xlim=(0, 1), xlabel="on rows held out")
left.legend(loc="lower right", fontsize="small")

for name, clf, style, marker in zip(ways, ways.values(), ("-", "--", "-.", ":", "-"), "osD^*", strict=True):
    tuned = name.startswith("threshold")
    if not tuned:  # the tuned network is the first one with another threshold
        PrecisionRecallDisplay.from_estimator(
            clf, X_test, y_test, ax=right, name=name, drop_intermediate=True, curve_kwargs={"linestyle": style}
        )
    color = right.lines[0 if tuned else -1].get_color()
    right.plot(
        table[name][1], table[name][0], marker, color=color, markersize=14 if tuned else 8, markeredgecolor="black",
        label="nothing, but " + name if tuned else None,
    )  # fmt: skip
right.legend(loc="lower left", fontsize="small")
right.set(xlabel="recall", ylabel="precision", title="")
figure.savefig(folder / "imbalance.png", dpi=100)
