"""Sphinx configuration: ``python -m pip install -e ".[docs]" && sphinx-build -W docs docs/_build``."""

import skneural

project = "skneural"
author = "The skneural developers"
copyright = "2026, the skneural developers"
release = version = skneural.__version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.mathjax", "numpydoc", "myst_parser"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build"]
suppress_warnings = ["myst.xref_missing", "ref.ref"]  # links into the checkout and to scikit-learn
numpydoc_show_class_members = False
html_theme = "alabaster"
