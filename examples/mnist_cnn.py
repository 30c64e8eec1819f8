"""MNIST: the convolutional network of Keras's first example, its errors, and what its first layers see.

Two convolutions of 3 x 3 pixels, with 32 and 64 filters, a pooling, dropout, a dense layer of 128 units: the network
that mnist_cnn.py among the examples of Keras had for years, with 99.25 % of the test images right after 12 epochs. Its
convolutions have no pooling between them, as the blocks of `CNNClassifier` have, so it is a list of layers for
`NetworkClassifier`, which reads rows: the first layer makes images of them.

By default it learns from 3,000 images for three epochs, and is right for about 95 of 100; with ``--full`` from all
60,000 for 12 epochs. Where MNIST does not lie beside the checkout, it learns from scikit-learn's digits of 8 x 8
pixels. A part of the images is drawn at random: neighbours are by the same hands, so validation images from a part that
is not would look too good.

To see: loss and accuracy on images that were set aside; the errors it is surest of, which are often ill-written digits;
the filters of the first convolution; and its feature maps of one image, of which some show edges of one direction, some
the strokes, some the paper.
"""

import pathlib
import warnings

import matplotlib.pyplot as plt
import numpy as np
from _pictures import options
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import classification_report
from sklearn.model_selection import train_test_split

from skneural import NetworkClassifier
from skneural.layers import Conv2D, Dense, Dropout, Flatten, MaxPool2D, Reshape
from skneural.plotting import FilterDisplay, ImagePredictionDisplay, TrainingCurveDisplay

folder, full = options(__doc__, full="all images, 12 epochs (some minutes)")

# %%
# Data
# ----

warnings.filterwarnings("ignore", category=ConvergenceWarning)

file = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist.npz"
if file.exists():
    data = np.load(file)
    X, y, X_test, y_test = (data[name] for name in ("x_train", "y_train", "x_test", "y_test"))
    if not full:
        rng = np.random.default_rng(0)
        part, part_of_test = rng.permutation(len(X))[:3000], rng.permutation(len(X_test))[:2000]
        X, y, X_test, y_test = X[part], y[part], X_test[part_of_test], y_test[part_of_test]
    print("MNIST:", end=" ")
else:
    digits = load_digits()
    X, X_test, y, y_test = train_test_split(
        digits.images.astype("uint8"), digits.target, stratify=digits.target, random_state=0
    )
    print(f"Digits of 8 x 8 pixels (there is no {file.name}):", end=" ")
side = X.shape[1]
X, X_test = (np.asarray(images, "float32").reshape(len(images), -1) / images.max() for images in (X, X_test))
X_train, X_val, y_train, y_val = train_test_split(X, y, test_size=0.1, stratify=y, random_state=0)
print(f"{len(X_train)} images for training, {len(X_val)} for validation, {len(X_test)} for the test\n")

# %%
# Training
# --------
# Adam and a learning rate that comes down, where Keras's had Adadelta. The weights of the epoch that is best on the
# validation images stay.

n_epochs = 3 if file.exists() and not full else 12
layers = [
    Reshape((side, side, 1)),
    Conv2D(32, 3, padding="valid", activation="relu"),
    Conv2D(64, 3, padding="valid", activation="relu"),
    MaxPool2D(2),
    Dropout(0.25),
    Flatten(),
    Dense(128, "relu"),
    Dropout(0.5),
]
clf = NetworkClassifier(
    layers,
    batch_size=128 if full else 32,
    learning_rate="cosine",
    learning_rate_init=0.001 if full else 0.002,
    max_iter=n_epochs,
    n_iter_no_change=n_epochs,
    score_training=True,
    random_state=0,
)
clf.fit(X_train, y_train, X_val=X_val, y_val=y_val)
print(clf.summary())
print(f"\n{clf.history_['time'][-1]:.0f} s for {len(clf.history_['time'])} epochs")
print(f"{100 * clf.score(X_test, y_test):.2f} % of the test images right\n")
print(classification_report(y_test, clf.predict(X_test), digits=3, zero_division=0))

figure, panels = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
TrainingCurveDisplay.from_estimator(clf, ax=panels)
figure.savefig(folder / "mnist_cnn_training.png", dpi=90)

# %%
# Errors
# ------

display = ImagePredictionDisplay.from_estimator(clf, X_test, y_test, only_wrong=True, n_images=16, n_columns=8)
display.figure_.suptitle("test images that the network gets wrong, the surest first", fontsize="medium")
display.figure_.set_size_inches(10, 3.6)
display.figure_.savefig(folder / "mnist_cnn_errors.png", dpi=90)

# %%
# What the first layers see
# -------------------------

figure = plt.figure(figsize=(12, 5.2), layout="constrained")
left, middle, right = figure.subfigures(1, 3, width_ratios=[0.5, 1, 1])
left.suptitle("an image")
panel = left.subplots()
panel.imshow(X_test[0].reshape(side, side), cmap="gray")
panel.set_axis_off()
middle.suptitle("filters of the first convolution")
FilterDisplay.from_estimator(clf, ax=middle.subplots(6, 6))
right.suptitle("its feature maps of the image")
FilterDisplay.from_estimator(clf, X_test[0], ax=right.subplots(6, 6))
figure.savefig(folder / "mnist_cnn_filters.png", dpi=80)
