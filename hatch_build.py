"""What a wheel holds besides the sources: libraries of compiled kernels, where they are asked for.

    SKNEURAL_BUILD_FOR=all python -m build --wheel

or names of instruction sets, ``avx2,avx512``. Without the variable a wheel holds none: `pip install .` in a checkout
would take minutes, and kernels are compiled when they are needed.
"""

import importlib
import os
import pathlib
import shutil
import sys
import tempfile
import tomllib

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

HERE = pathlib.Path(__file__).parent
#: The libraries' only needs are functions of glibc 2.17 and older.
TAG = "py3-none-manylinux_2_17_x86_64"


class LibraryHook(BuildHookInterface):
    """Compiles the kernels into libraries before a wheel is made."""

    _folder = None

    @property
    def _names(self):
        """Instruction sets that are asked for; "all" for all."""
        asked = os.environ.get("SKNEURAL_BUILD_FOR", "") if self.target_name == "wheel" else ""
        return [name.strip() for name in asked.split(",") if name.strip()]

    def dependencies(self):
        """What compiling takes: whatever the package needs, Numba above all."""
        if not self._names:
            return []
        return tomllib.loads((HERE / "pyproject.toml").read_text())["project"]["dependencies"]

    def initialize(self, version, build_data):
        """Compile, and let the wheel carry what comes out."""
        if not self._names or version == "editable":
            return
        sys.path.insert(0, str(HERE))
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
        build = importlib.import_module("skneural.backends.cpu.build")
        names = list(build.PROCESSORS) if self._names == ["all"] else self._names
        unknown = sorted(set(names) - set(build.PROCESSORS))
        if unknown:
            raise ValueError(f"SKNEURAL_BUILD_FOR must be 'all' or names among {sorted(build.PROCESSORS)}: {unknown}.")
        self._folder = tempfile.mkdtemp()
        build.main([self._folder, *names])
        for name in names:
            for file in (f"{name}.so", f"{name}.json"):
                build_data["force_include"][f"{self._folder}/{file}"] = f"skneural/backends/cpu/libraries/{file}"
        build_data["pure_python"] = False
        build_data["tag"] = TAG

    def finalize(self, version, build_data, artifact_path):
        """Leave nothing behind."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
