"""Digits of 8 x 8 pixels: a convolutional network in a pipeline, and a grid search over its shape.

A pipeline hands over rows, so each row of 64 numbers is an image: as 64 is a square, the network takes it for 8 x 8
pixels without being told (`image_shape` says so for others). The grid turns the number of filters in each block,
normalisation, and what goes before: nothing, or scikit-learn's `StandardScaler`, which gives each pixel a scale of its
own, where the network by itself has one for all pixels.

To see: a scale for each pixel does not help but costs about one per cent, since pixels in the corners, which are nearly
always empty, become as loud as those in the middle. In the ten epochs that this takes by default, one block does as
well as two or better, and normalisation makes no difference; differences below half a per cent are noise, as large as
the deviation over the folds. (With ``--full``, two blocks of more filters with normalisation are first.) On test
images the best network misses about one in a hundred, at some of which people would hesitate, too; logistic regression
misses three. The filters of its first block are edges in several directions.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from _pictures import options
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skneural import CNNClassifier
from skneural.plotting import FilterDisplay, ImagePredictionDisplay

folder, full = options(__doc__, full="five folds, 40 epochs and more filters (minutes)")

# %%
# Search
# ------
# Each fit runs for all its epochs, converged or not.

warnings.filterwarnings("ignore", category=ConvergenceWarning)

digits = load_digits()
X_train, X_test, y_train, y_test = train_test_split(
    digits.data.astype("float32"), digits.target, stratify=digits.target, random_state=0
)
n_epochs = 40 if full else 10
network = CNNClassifier(
    batch_size=32,
    learning_rate="one_cycle",
    learning_rate_init=0.005,
    max_iter=n_epochs,
    n_iter_no_change=n_epochs,
    random_state=0,
)
pipeline = Pipeline([("scale", "passthrough"), ("cnn", network)])
grid = {
    "scale": ["passthrough", StandardScaler()],
    "cnn__filters": [(16,), (16, 32), (32, 64)] if full else [(16,), (16, 32)],
    "cnn__normalization": [None, "batch"],
}
search = GridSearchCV(pipeline, grid, cv=5 if full else 3, n_jobs=1).fit(X_train, y_train)
results = search.cv_results_
order = np.argsort(-results["mean_test_score"])


def words(parameters):
    """One candidate in short, in two parts."""
    scaled = "rows as they are" if parameters["scale"] == "passthrough" else "pixels scaled"
    return f"filters {parameters['cnn__filters']}", f"normalization {parameters['cnn__normalization']}, {scaled}"


for i in order:
    mean = results["mean_test_score"][i]
    print(f"{', '.join(words(results['params'][i])):60} {mean:.4f} +- {results['std_test_score'][i]:.4f}")
baseline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(X_train, y_train)
print(f"\nlogistic regression: {baseline.score(X_test, y_test):.4f} of the test images")
print(f"{', '.join(words(search.best_params_))}: {search.score(X_test, y_test):.4f}\n")
print(search.best_estimator_[-1].summary())

# %%
# What was found
# --------------
# Candidates, the confusion matrix of the best one, and its filters.

figure = plt.figure(figsize=(14, 4.6), layout="constrained")
left, right = figure.subfigures(1, 2, width_ratios=[2.2, 1])
scores, matrix = left.subplots(1, 2)
places = np.arange(len(order))
scores.errorbar(
    results["mean_test_score"][order], places, xerr=results["std_test_score"][order], fmt="o", capsize=3, color="C0"
)
scores.set_yticks(places, ["\n".join(words(results["params"][i])) for i in order], fontsize="x-small")
scores.invert_yaxis()
scores.set(xlabel="accuracy, mean and deviation over the folds", title="candidates")
ConfusionMatrixDisplay.from_estimator(search, X_test, y_test, ax=matrix, cmap="Blues", colorbar=False)
matrix.set_title(f"best one: {search.score(X_test, y_test):.4f} of the test images")
right.suptitle("filters of its first block")
FilterDisplay.from_estimator(search.best_estimator_[-1], ax=right.subplots(4, 4))
figure.savefig(folder / "digits_cnn_grid_search.png", dpi=80)

# %%
# Errors
# ------

display = ImagePredictionDisplay.from_estimator(search, X_test, y_test, only_wrong=True, n_images=16)
display.figure_.suptitle("test images that the network gets wrong, the surest first", fontsize="medium")
display.figure_.set_size_inches(7, 4)
display.figure_.savefig(folder / "digits_cnn_errors.png", dpi=100)
