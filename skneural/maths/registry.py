"""The one way in which named alternatives (activations, losses, optimizers) are declared."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, eq=False)
class Entry:
    """One alternative: its formula, and what else is known about it."""

    name: str
    formula: Callable
    options: dict[str, Any] = field(default_factory=dict)
    built_in: bool = field(default=False, init=False)

    def __getattr__(self, option):
        options = self.__dict__.get("options", {})
        if option in options:
            return options[option]
        raise AttributeError(f"{self.__dict__.get('name')!r} does not declare {option!r}")

    @property
    def summary(self):
        """First line of the formula's docstring; nothing where there is none, as under ``python -OO``."""
        return (self.formula.__doc__ or "").strip().split("\n")[0]


class Registry(dict):
    """Entries by name. Registering a function is all that it takes to add one.

    Parameters
    ----------
    label : str
        What the entries are, in the singular.
    **defaults : object
        Options that each entry may give, with their defaults.
    """

    def __init__(self, label, **defaults):
        super().__init__()
        self.label = label
        self.defaults = defaults
        self._is_sealed = False

    def seal(self):
        """Note that all built-in entries are there: what is registered from now on is the user's own."""
        self._is_sealed = True

    def register(self, name, **options):
        """Decorator: declare the function below as the formula called `name`.

        Raises
        ------
        TypeError
            For options that the registry does not know.
        ValueError
            For a name that is taken.
        """
        unknown = set(options) - set(self.defaults)
        if unknown:
            raise TypeError(f"{self.label} {name!r}: unknown options {sorted(unknown)}")
        if name in self:
            raise ValueError(f"The {self.label} {name!r} exists already: delete it first to replace it.")

        def add(formula):
            entry = Entry(name, formula, {**self.defaults, **options})
            object.__setattr__(entry, "built_in", not self._is_sealed)  # not copied by dataclasses.replace
            self[name] = entry
            return formula

        return add
