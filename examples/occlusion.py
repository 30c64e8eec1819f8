"""A wrong preprocessing step, invisible in the accuracy, and how occlusion shows it.

Digits of 8 x 8 pixels stand in images of 14 x 14, as if they had been cut out of a form. The step that cuts is wrong
for one class: the eights are from another batch of forms, on which it cuts too far, so that the end of a printed line
shows in the lower right corner. Training and test images have gone through the same step, so the accuracy says nothing
of it: the network gets all but one in a hundred right. Where it is used, on images that were cut properly, it misses
most of the eights.

Occlusion asks what the network looks at: a black patch hides one part of an image after the other, and where the
probability of the class falls, the network has looked. With eights it looks at the corner, more than at any part of the
digit. The mistake is mended by making black what lies outside of the digit; then the network looks at eights as at any
other digit, and knows those that were cut properly.

To see: above the eights as the step cut them, and where the network looks that was trained on such images; below the
mended ones, and where a network looks that was trained on those. Such a mark is found as a patch can hide all of it: of
a grey frame around all of the image, any part could be hidden and the network would still see the rest.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from _pictures import options
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import recall_score
from sklearn.model_selection import train_test_split

from skneural import CNNClassifier
from skneural.inspection import occlusion_importance
from skneural.plotting import ImageImportanceDisplay

folder, full = options(__doc__, full="three networks each, and all eights of the test (a minute)")

# %%
# Data
# ----

warnings.filterwarnings("ignore", category=ConvergenceWarning)

MARGIN, MARKED = 3, 8
digits = load_digits()


def cut(images, is_marked):
    """Images with a black margin, and of some the end of a line in the corner."""
    size = images.shape[1] + 2 * MARGIN
    result = np.zeros((len(images), size, size), "float32")
    result[:, MARGIN:-MARGIN, MARGIN:-MARGIN] = images
    result[is_marked, -2, -3:] = 8
    return result


wrong = cut(digits.images, digits.target == MARKED)
proper = cut(digits.images, np.zeros(len(digits.images), bool))
train, test = train_test_split(np.arange(len(wrong)), stratify=digits.target, random_state=0)
y_train, y_test = digits.target[train], digits.target[test]
eights = test[y_test == MARKED]

# %%
# Two networks
# ------------
# The same network on images as the step cut them, and on mended ones.


def fit(images, seed=0):
    """Train a network."""
    clf = CNNClassifier(
        (16, 32),
        batch_size=32,
        learning_rate="one_cycle",
        learning_rate_init=0.005,
        max_iter=10,
        n_iter_no_change=10,
        random_state=seed,
    )
    return clf.fit(images[train], y_train)


def importance_of(clf, images):
    """What hiding parts of the eights costs, by patches of three pixels."""
    return occlusion_importance(clf, images, np.full(len(images), MARKED), patch_size=3, stride=1, fill=0.0)


inside = np.zeros(wrong.shape[1:], bool)
inside[MARGIN:-MARGIN, MARGIN:-MARGIN] = True
shown = eights if full else eights[:8]
networks = {}
for name, images in (("trained on wrong images", wrong), ("trained on mended images", proper)):
    for seed in range(3 if full else 1):
        clf = fit(images, seed)
        importance = importance_of(clf, images[shown])
        recall = recall_score(y_test, clf.predict(proper[test]), labels=[MARKED], average="macro")
        share = np.maximum(importance, 0)[:, ~inside].sum() / np.maximum(importance, 0).sum()
        print(
            f"{name}: {clf.score(images[test], y_test):.3f} of test images cut likewise, of proper ones "
            f"{clf.score(proper[test], y_test):.3f}, of proper eights {recall:.2f}; "
            f"{share:.0%} of what eights rest on is the margin"
        )
        networks.setdefault(name, (clf, images, importance))

# %%
# Where they look
# ---------------

figure, panels = plt.subplots(4, 6, figsize=(9.5, 6.6), layout="constrained")
for rows, (name, (clf, images, importance)) in zip((panels[:2], panels[2:]), networks.items(), strict=True):
    display = ImageImportanceDisplay.from_importance(
        images[shown[:6]],
        importance[:6],
        importance_name="decrease of the probability",
        titles=[f"an eight? {p:.0%}" for p in clf.predict_proba(proper[shown[:6]])[:, MARKED]],
        ax=rows,
        map_kw={"vmin": -1, "vmax": 1},
    )
    display.axes_[0].set_ylabel(name.replace(" on ", "\non "))
    display.map_axes_[0].set_ylabel("where it looks")
figure.suptitle("Titles: the probability of an eight in the same image, cut properly")
figure.savefig(folder / "occlusion.png", dpi=90)
