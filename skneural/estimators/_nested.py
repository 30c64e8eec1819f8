"""Settings of layers as parameters of the estimator that holds them: ``layers__0__units``, ``augmentation__zoom``."""

from __future__ import annotations

from typing import Any, Self

from skneural.estimators._layers import children_of, nested_of, replaced


class NestedLayers:
    """Mixin of estimators with a parameter that holds layers.

    scikit-learn's own way would need layers that are estimators, which `set_params` changes in place. Layers are
    frozen: here the estimator is given others.
    """

    #: Name of the parameter.
    _holder: str

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters of the estimator, and with `deep` the settings of the layers that one of them holds.

        Parameters
        ----------
        deep : bool, default=True
            Whether to return the settings of layers, too: ``augmentation__rotation``; of layers in a list
            ``layers__0``, ``layers__0__units``, and of those within others ``layers__1__layers__0__units``.

        Returns
        -------
        params : dict
            Values by name.
        """
        params = super().get_params(deep=deep)
        if deep:
            held = nested_of(getattr(self, self._holder))
            params |= {f"{self._holder}__{name}": value for name, value in held.items()}
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters of the estimator and settings of the layers that one of them holds.

        Layers, and a list of them, are replaced by others: those that the user has stay as they are.

        Parameters
        ----------
        **params : dict
            Values by name: see :meth:`get_params`. A list of layers is set first, then a layer in its place, then
            settings of layers.

        Returns
        -------
        self : object
            The estimator.
        """
        prefix = f"{self._holder}__"
        nested = {name: value for name, value in params.items() if name.startswith(prefix)}
        super().set_params(**{name: value for name, value in params.items() if name not in nested})
        if nested:
            held = getattr(self, self._holder)
            self._check_names(held, nested)
            changes = {name.removeprefix(prefix): value for name, value in nested.items()}
            setattr(self, self._holder, replaced(held, changes))
        return self

    def _check_names(self, held, nested):
        """Raise unless the names of nested parameters begin as there are layers or settings."""
        known = [f"{self._holder}__{name}" for name in children_of(held)]
        for name in nested:
            first = "__".join(name.split("__")[:2])
            if first not in known:
                raise ValueError(
                    f"Invalid parameter {first!r} for estimator {type(self).__name__} with {self._holder}={held!r}. "
                    f"Valid parameters are: {known or [self._holder]!r}."
                )
