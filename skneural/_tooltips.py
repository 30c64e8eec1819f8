"""Descriptions of parameters and fitted attributes in notebooks."""

from __future__ import annotations

import re

#: Stands for the address of a documentation, without which scikit-learn shows no description.
NOWHERE = "about:blank"
#: How scikit-learn makes that a link.
LINK = re.compile(rf'\s+rel="noreferrer" target="_blank" href="{NOWHERE}[^"]*"')


class Tooltips:
    """Mixin: the tables that notebooks show of an estimator describe each name where the mouse rests on it.

    scikit-learn takes the descriptions from the docstring, but shows them only in links to a documentation on the web.
    Here they are shown without a link, unless a class says by ``_doc_link_template`` where its documentation is.
    """

    def _get_params_html(self, deep=True, doc_link=None):
        if doc_link is None:  # scikit-learn before 1.8 describes nothing
            return super()._get_params_html(deep)
        table = super()._get_params_html(deep, doc_link=doc_link or NOWHERE)
        return table if doc_link else _without_links(table)

    def _get_fitted_attr_html(self, doc_link=""):
        table = super()._get_fitted_attr_html(doc_link=doc_link or NOWHERE)
        return table if doc_link else _without_links(table)


def _without_links(table):
    """A table whose HTML has no links."""
    render = table._html_repr
    table._html_repr = lambda: LINK.sub("", render())
    return table
