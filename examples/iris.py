"""Iris: classification report and confusion matrix.

The classic: three species of iris, told apart by the length and width of sepals and petals. A pipeline scales the
features, as a network needs it, and trains one hidden layer of 16 units; report and confusion matrix are
scikit-learn's.

To see: *setosa* is never mistaken; the few errors are between *versicolor* and *virginica*, which overlap.
"""

import matplotlib.pyplot as plt
from _pictures import picture_folder
from sklearn.datasets import load_iris
from sklearn.metrics import ConfusionMatrixDisplay, classification_report
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skneural import MLPClassifier

folder = picture_folder(__doc__)

# %%
# Fit and report
# --------------

iris = load_iris()
X_train, X_test, y_train, y_test = train_test_split(
    iris.data, iris.target, test_size=0.4, stratify=iris.target, random_state=0
)
clf = make_pipeline(StandardScaler(), MLPClassifier((16,), learning_rate_init=0.01, max_iter=500, random_state=0))
clf.fit(X_train, y_train)
print(classification_report(y_test, clf.predict(X_test), target_names=iris.target_names))

scores = cross_val_score(clf, iris.data, iris.target, cv=5)
print(f"accuracy in 5-fold cross-validation: {scores.mean():.3f} ± {scores.std():.3f}")

# %%
# Confusion matrix
# ----------------

figure, ax = plt.subplots(figsize=(5, 4.2), layout="constrained")
ConfusionMatrixDisplay.from_estimator(
    clf, X_test, y_test, display_labels=iris.target_names, cmap="Blues", colorbar=False, ax=ax
)
ax.set_title(f"Iris, {len(y_test)} rows held out")
figure.savefig(folder / "iris.png", dpi=100)
