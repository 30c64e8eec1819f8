"""Kernels of the layers, in files with the names of those in `skneural.layers`: importing them registers them all."""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
