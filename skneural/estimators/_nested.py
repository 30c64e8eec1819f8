"""Settings of layers as parameters of the estimator that holds them: ``layers__0__units``, ``augmentation__zoom``."""

from __future__ import annotations

from typing import Any, Self

from skneural.estimators._layers import children_of, nested_of, replaced


class NestedLayers:
    """Mixin of estimators with parameters that hold layers.

    scikit-learn's own way would need layers that are estimators, which `set_params` changes in place. Layers are
    frozen: here the estimator is given others.
    """

    #: Names of the parameters.
    _holders: tuple[str, ...]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters of the estimator, and with `deep` the settings of the layers that they hold.

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
        for holder in self._holders if deep else ():
            held = nested_of(getattr(self, holder))
            params |= {f"{holder}__{name}": value for name, value in held.items()}
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters of the estimator and settings of the layers that they hold.

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
        prefixes = tuple(f"{holder}__" for holder in self._holders)
        nested = {name: value for name, value in params.items() if name.startswith(prefixes)}
        super().set_params(**{name: value for name, value in params.items() if name not in nested})
        for holder in self._holders:
            self._change(holder, nested)
        return self

    def _change(self, holder, nested):
        """Give a parameter layers with other settings, where nested parameters name some of it."""
        prefix = f"{holder}__"
        held = getattr(self, holder)
        known = children_of(held)
        changes = {}
        for name, value in nested.items():
            if not name.startswith(prefix):
                continue
            path = name.removeprefix(prefix)
            first, _, _ = path.partition("__")
            if first not in known:
                valid = [prefix + child for child in known]
                raise ValueError(
                    f"Invalid parameter {prefix + first!r} for estimator {type(self).__name__} with {holder}={held!r}. "
                    f"Valid parameters are: {valid or [holder]!r}."
                )
            changes[path] = value
        if changes:
            setattr(self, holder, replaced(held, changes))
