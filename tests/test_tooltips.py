"""Notebooks describe every parameter of every estimator."""

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

import skneural
from skneural.timeseries import Forecaster

ESTIMATORS = [cls for name in skneural.__all__ if hasattr(cls := getattr(skneural, name), "get_params")]
DESCRIPTION = 'class="param-doc-description"'


@pytest.mark.parametrize("cls", [*ESTIMATORS, Forecaster])
def test_every_parameter_has_its_description(cls):
    est = cls()
    names = est.get_params(deep=False)
    html = est._repr_html_()
    assert html.count(DESCRIPTION) == len(names) > 0
    for name in names:
        assert f"{name}: " in html
    assert "href" not in html.split("</style>")[-1], "there is no documentation on the web to link to"


def test_fitted_attributes_are_described_too():
    est = skneural.MLPRegressor(hidden_layer_sizes=(3,), solver="lbfgs", tol=1.0).fit(
        np.arange(6.0).reshape(3, 2), [0.0, 1.0, 2.0]
    )
    html = est._repr_html_()
    assert html.count(DESCRIPTION) > len(est.get_params())
    assert "Loss of every epoch." in html
    assert "about:blank" not in html


def test_links_of_others_stay():
    html = make_pipeline(skneural.MLPClassifier())._repr_html_()
    assert "about:blank" not in html
    assert "sklearn.pipeline.Pipeline.html" in html


def test_classes_with_a_documentation_link_to_it():
    class Documented(skneural.MLPRegressor):
        _doc_link_module = __name__.split(".")[0]
        _doc_link_template = "https://example.org/{estimator_name}.html"

    Documented.__doc__ = skneural.MLPRegressor.__doc__
    assert 'href="https://example.org/Documented.html#' in Documented()._repr_html_()
