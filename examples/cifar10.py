"""CIFAR-10: small colour photographs, three blocks of two convolutions, augmentation, early stopping.

The network of many tutorials: blocks of 32, 64 and 128 filters, each of two convolutions with batch normalisation after
their activations, pooling and dropout of 0.25; then a dense layer of 512 units with dropout of 0.5. Images are turned,
shifted, zoomed and mirrored at random every time that they are seen. Training stops after ten epochs without a better
validation score, and the weights of the best epoch stay; the learning rate is multiplied by 0.2 after five epochs
without a better validation loss, down to 1e-7.

By default a smaller network learns from a few coloured shapes, drawn here, which takes seconds. With ``--full`` it is
the network above on the 20,000 photographs that lie beside the checkout, if they do: an hour on two cores, after
which 84.5 % of the test images are right (60 epochs, the 58th was the best).

To see: what augmentation makes of images; loss and accuracy of training (in prediction, so without dropout and
augmentation) and validation; which classes are taken for which; and predictions of test images.
"""

import pathlib
import warnings

import matplotlib.pyplot as plt
import numpy as np
from _pictures import options
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import ConfusionMatrixDisplay, classification_report
from sklearn.model_selection import train_test_split

from skneural import CNNClassifier
from skneural.layers import Augmentation
from skneural.plotting import ImagePredictionDisplay, TrainingCurveDisplay

folder, full = options(__doc__, full="the photographs of CIFAR-10, where they lie beside the checkout (hours)")

# %%
# Data
# ----


def coloured_shapes(n_images, rng, side=32):
    """Discs, rings, squares, crosses and triangles of any colour on a ground of any other: bytes, and their names."""
    names = np.array(["disc", "ring", "square", "cross", "triangle"])
    y = rng.integers(0, len(names), n_images)
    rows, columns = np.mgrid[:side, :side]
    images = np.empty((n_images, side, side, 3))
    for i, kind in enumerate(y):
        radius = rng.uniform(6, 10)
        down = rows - rng.uniform(12, 20)
        right = columns - rng.uniform(12, 20)
        distance = np.hypot(down, right)
        square = np.maximum(abs(down), abs(right)) < radius
        shape = [
            distance < radius,
            abs(distance - radius + 2) < 2,
            square,
            square & (np.minimum(abs(down), abs(right)) < 2.5),
            (down < radius) & (down > 2 * abs(right) - radius),
        ][kind]
        ground, colour = rng.uniform(0, 255, (2, 3))
        images[i] = np.where(shape[..., None], colour, ground)
    images += rng.normal(0, 2, images.shape)
    return np.clip(images, 0, 255).astype("uint8"), y, names


warnings.filterwarnings("ignore", category=ConvergenceWarning)

data = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data"
files = [data / "cifar10_train20k.npz", data / "cifar10_test.npz"]
has_photographs = full and all(file.exists() for file in files)
if has_photographs:
    train, test = (np.load(file) for file in files)
    X, y, names = train["x_train"], train["y_train"], train["classes"]
    X_test, y_test = test["x_test"], test["y_test"]
    print("CIFAR-10:", end=" ")
else:
    rng = np.random.default_rng(0)
    X, y, names = coloured_shapes(2000, rng)
    X_test, y_test, _ = coloured_shapes(500, rng)
    print("Coloured shapes:", end=" ")
X_train, X_val, y_train, y_val = train_test_split(X, y, test_size=0.1, stratify=y, random_state=0)
print(f"{len(X_train)} images for training, {len(X_val)} for validation, {len(X_test)} for the test\n")

augmentation = Augmentation(
    rotation=15,
    width_shift=0.1,
    height_shift=0.1,
    zoom=0.1,
    horizontal_flip=True,
)
display = augmentation.preview(X_train[:4], 5)
display.figure_.suptitle("images, and what training sees in their place", fontsize="medium")
display.figure_.savefig(folder / "cifar10_augmentation.png", dpi=60)

# %%
# Training
# --------

clf = CNNClassifier(
    filters=(32, 64, 128) if has_photographs else (8, 16, 16),
    convs_per_block=2,
    normalization="batch_after",
    dropout=(0.25, 0.25, 0.25, 0.5) if has_photographs else 0.05,
    hidden_layer_sizes=(512,) if has_photographs else (32,),
    augmentation=augmentation,
    batch_size=32,
    max_iter=60 if has_photographs else 8,
    n_iter_no_change=10,
    learning_rate="plateau",
    learning_rate_init=0.001 if has_photographs else 0.005,
    decay_epochs=5,
    decay_factor=0.2,
    min_learning_rate=1e-7,
    score_training=True,
    random_state=0,
    verbose=full,
)
clf.fit(X_train, y_train, X_val=X_val, y_val=y_val)
print(clf.summary())
print(f"\n{clf.history_['time'][-1]:.0f} s for {len(clf.history_['time'])} epochs")
print(f"{100 * clf.score(X_test, y_test):.1f} % of the test images right\n")
y_pred = clf.predict(X_test)
print(classification_report(y_test, y_pred, target_names=names, digits=3, zero_division=0))

figure, panels = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
TrainingCurveDisplay.from_estimator(clf, ax=panels)
figure.savefig(folder / "cifar10_training.png", dpi=90)

# %%
# What is taken for what
# ----------------------

figure, panel = plt.subplots(figsize=(6, 5.4), layout="constrained")
ConfusionMatrixDisplay.from_predictions(
    y_test,
    y_pred,
    display_labels=names,
    normalize="true",
    values_format=".2f",
    xticks_rotation=45,
    colorbar=False,
    ax=panel,
    text_kw={"fontsize": "small"},
)
figure.savefig(folder / "cifar10_confusion.png", dpi=80)

display = ImagePredictionDisplay.from_estimator(
    clf, X_test[:18], y_test[:18], n_images=18, n_columns=6, display_labels=names
)
display.figure_.savefig(folder / "cifar10_predictions.png", dpi=70)
