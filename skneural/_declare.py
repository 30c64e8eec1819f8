"""Hyper-parameters of estimators, one declaration each.

A row in the body of a class names a parameter, with its type, default, constraint and paragraph. The constructor, its
signature, scikit-learn's validation and the section of the docstring follow from the rows of a class and of its bases.
"""

import dataclasses
import inspect
import re
import textwrap
import typing
from numbers import Integral, Real
from typing import Any

from sklearn.utils._param_validation import Interval, Options, StrOptions

POSITIVE = Interval(Real, 0, None, closed="neither")
NOT_NEGATIVE = Interval(Real, 0, None, closed="left")
SHARE = Interval(Real, 0, 1, closed="both")
SHARE_BELOW_1 = Interval(Real, 0, 1, closed="left")
COUNT = Interval(Integral, 1, None, closed="left")

#: A section of a numpydoc docstring, from its name to the next one.
_SECTION = r"^{name}\n-+\n(.*?)(?=\n^\w[\w ]*\n-+\n|\Z)"
#: What the docstring calls some of scikit-learn's constraints.
_WORDS = {"boolean": "bool", "verbose": "bool", "random_state": "int, RandomState instance or None"}
#: Where the paragraph of the next name begins.
_NEXT_NAME = re.compile(r"\n(?=\w+ : )")

T = typing.TypeVar("T")


def options(*names):
    """The constraint that a parameter is one of some strings, in the order in which they are documented."""
    return StrOptions(dict.fromkeys(names).keys())


def parameter(
    *,
    default: Any,
    constraint: list | None = None,
    type: str | None = None,
    shape: str | None = None,
    doc: str | None = None,
    table: dict | None = None,
    stochastic: bool | None = None,
    kw_only: bool = True,
) -> Any:
    """A row in the body of a class that `declare` decorates: ``alpha: float = parameter(default=0.1, ...)``.

    A class that declares a parameter of a base again, for another default for instance, leaves out what stays.

    Parameters
    ----------
    default : object
        Anything that cannot be changed in place.
    constraint : list
        What the parameter may be, as scikit-learn's ``_parameter_constraints`` has it.
    type : str, default=None
        What the docstring calls the type; None for what follows from `constraint`.
    shape : str, default=None
        The shape that 'array-like' values have, for the docstring.
    doc : str
        The paragraph of the docstring.
    table : dict of Entry, default=None
        A registry whose entries are listed in place of the mark ``{table}`` of `doc`.
    stochastic : bool, default=None
        Whether it needs a stochastic solver: with 'lbfgs' a value that is true is an error.
    kw_only : bool, default=True
        Whether it can only be given by name.

    Returns
    -------
    dataclasses.Field
    """
    metadata = {
        "constraint": constraint,
        "type": type,
        "shape": shape,
        "doc": doc,
        "table": table,
        "stochastic": stochastic,
    }
    given = {name: value for name, value in metadata.items() if value is not None}
    return dataclasses.field(default=default, kw_only=kw_only, metadata=given)


def fixed(value: Any) -> Any:
    """A row that takes a parameter of a base away: it has this value, and the constructor does not know it."""
    return dataclasses.field(default=value, init=False, metadata={"fixed": True})


@typing.dataclass_transform(eq_default=False, kw_only_default=True, field_specifiers=(parameter,))
def declare(cls: type[T]) -> type[T]:
    """Class decorator: give a class the constructor, the constraints and the docstring that follow from its rows.

    Positional parameters come first; the others in the order of the bases, from the last to the first. A class without
    rows of its own and with one base inherits all of it: there `documented` is enough.
    """
    doc = cls.__doc__
    cls = dataclasses.dataclass(cls, eq=False, repr=False, kw_only=True, match_args=False)
    cls.__doc__ = doc  # if there is none, dataclasses makes one up
    for name in inspect.get_annotations(cls):
        if name in cls.__dataclass_fields__ and not _is_fixed(cls.__dataclass_fields__[name]):
            delattr(cls, name)  # defaults belong to the constructor: help() would list them once more
    cls._rows = _rows(cls)
    cls._parameter_constraints = {name: row["constraint"] for name, row in cls._rows.items() if "constraint" in row}
    return documented(cls)


def documented(cls: type[T]) -> type[T]:
    """Class decorator: fill the marks in the docstring of a class.

    ``{parameters}`` stands for what is declared, ``{attributes}`` for what the docstrings of the bases say of fitted
    attributes; other marks for what the class method ``_doc_sections`` returns.
    """
    if cls.__doc__ is not None:  # `python -OO` drops docstrings
        cls.__doc__ = _Documentation(cls.__doc__)
    return cls


class _Documentation:
    """The docstring of a class, filled when it is read for the first time: imports need not wait for it."""

    def __init__(self, template):
        self.template = template
        self.filled = None

    def __get__(self, instance, owner):
        if self.filled is None:
            self.filled = _filled(owner, self.template)
        return self.filled


def _rows(cls):
    """What is known of each parameter: what a class does not say stands in one of its bases."""
    rows = {field.name: {} for field in _in_order(cls)}
    for base in reversed(cls.__mro__):
        for name, field in vars(base).get("__dataclass_fields__", {}).items():
            if name in rows:
                rows[name] |= {**field.metadata, "default": field.default}
    return rows


def _is_fixed(field):
    return field.metadata.get("fixed", False)


def _in_order(cls):
    """Fields of a class, in the order of its signature."""
    shown = [field for field in dataclasses.fields(cls) if not _is_fixed(field)]
    return sorted(shown, key=lambda field: field.kw_only)


# -- the docstring -----------------------------------------------------------------------------------------------------


def _filled(cls, doc):
    """The docstring of a class, its marks filled."""
    if hasattr(cls, "_doc_sections"):
        doc = fill(doc, cls._doc_sections())
    if "{parameters}" in doc:
        doc = fill(doc, {"parameters": "\n\n".join(_paragraph(name, row) for name, row in cls._rows.items())})
    if "{attributes}" in doc:
        doc = fill(doc, {"attributes": "\n\n".join(attributes_of(cls).values())})
    return doc


def fill(text, sections):
    """Fill sections into the marks ``{name}`` of a text, indented as the marks are."""
    for name, section in sections.items():
        mark = re.compile(rf"( *)\{{{name}\}}")
        text = mark.sub(lambda found, section=section: textwrap.indent(section, found[1]), text)
    return text


def _paragraph(name, row):
    """What the docstring says of a parameter."""
    kind = row.get("type") or _type_words(row)
    doc = inspect.cleandoc(row["doc"])
    if "table" in row:
        entries = [f"- '{name}': {entry.summary}" for name, entry in row["table"].items()]
        doc = fill(doc, {"table": "\n".join(entries)})
    return f"{name} : {kind}, default={row['default']!r}\n{textwrap.indent(doc, '    ')}"


def _type_words(row):
    """The type that the constraint of a row describes: ``int, 'auto' or None``."""
    words = list(dict.fromkeys(_words_of(rule) for rule in row["constraint"]))
    if "shape" in row:
        words = [f"{word} of shape {row['shape']}" if word == "array-like" else word for word in words]
    if len(words) == 1:
        return words[0]
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _words_of(rule):
    if isinstance(rule, StrOptions):
        names = ", ".join(map(repr, rule.options))
        return f"{{{names}}}" if len(rule.options) > 1 else names
    if isinstance(rule, Options):
        return ", ".join(map(str, rule.options))
    if isinstance(rule, Interval):
        return "int" if rule.type is Integral else "float"
    if rule is callable or isinstance(rule, type):
        return rule.__name__
    return _WORDS.get(rule, str(rule))


def attributes_of(cls):
    """What the docstrings of the bases of a class say of fitted attributes, by name; the nearest base comes first."""
    found = {}
    for base in cls.__mro__[1:]:
        doc = inspect.cleandoc(base.__doc__ or "")
        section = re.search(_SECTION.format(name="Attributes"), doc, re.MULTILINE | re.DOTALL)
        if section:
            for paragraph in _NEXT_NAME.split("\n" + section[1].strip())[1:]:
                name = paragraph.partition(" : ")[0]
                found.setdefault(name, paragraph.strip())
    return found
