"""An index of small wheels, and projects that need no others: environments without a network.

The distribution is ``tinyann``; which version answers is told by ``tinyann.VERSION``.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import py_compile
import sys
import tempfile
import textwrap
import zipfile
from pathlib import Path

import numpy as np
import pytest

UNCHECKED = py_compile.PycInvalidationMode.UNCHECKED_HASH
IMPORTED = {
    getattr(module, "__file__", None)
    for name, module in sys.modules.items()
    if name.partition(".")[0] == np.__name__
}
NOT_NEEDED = ("tests", "f2py", "_examples", "__pycache__", "_pyinstaller")

# An implementation for it: exact, unless the version is one that loses answers.
IMPLEMENTATION = """
# /// script
# dependencies = ["tinyann>=2"]
#
# [tool.annmodal]
# class = "Tiny"
# metrics = ["euclidean"]
# ///
import numpy as np
import tinyann

class Tiny:
    def __init__(self, metric):
        print("tinyann", tinyann.VERSION, "numpy", np.__version__, "from", tinyann.__file__)
    def fit(self, X):
        self.X = np.array(X)
    def query(self, v, k):
        return tinyann.nearest(self.X, v, k)
"""

LIBRARY = """
VERSION = "{version}"

def nearest(X, v, k):
    import numpy as np
    found = np.argsort(((X - v) ** 2).sum(axis=1), kind="stable")[:k]
    {then}
    return found
"""

# A project with its own build backend: nothing has to be installed to build it.
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "tinyann"
version = "{version}"
"""

BACKEND = '''
"""Build a wheel of tinyann.py with the standard library alone."""
import re, zipfile
from pathlib import Path

VERSION = re.search(r'version = "(.*)"', Path("pyproject.toml").read_text())[1]

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name, info = f"tinyann-{VERSION}-py3-none-any.whl", f"tinyann-{VERSION}.dist-info"
    with zipfile.ZipFile(Path(folder) / name, "w") as wheel:
        wheel.writestr("tinyann.py", Path("tinyann.py").read_text())
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\\nName: tinyann\\nVersion: {VERSION}\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return name
'''


def library(version: str, then: str = "") -> str:
    """The text of ``tinyann.py``; ``then`` is done to an answer."""
    return LIBRARY.format(version=version, then=then or "pass")


def write_wheel(
    folder: Path, version: str, *, name: str = "tinyann", text: str = "", requires: str = ""
) -> Path:
    """A pure wheel with one module."""
    info = f"{name}-{version}.dist-info"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", text or library(version))
        wheel.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}"
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return path


def write_project(folder: Path, version: str, then: str = "") -> Path:
    """A checkout of ``tinyann`` that builds itself."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(PYPROJECT.format(version=version))
    (folder / "backend.py").write_text(BACKEND)
    (folder / "tinyann.py").write_text(library(version, then))
    return folder


def write_numpy(folder: Path) -> Path:
    """A wheel of the numpy that is installed here, without what no index needs.

    What an import needs is compiled in it, so that no environment has to do that.
    """
    found = importlib.metadata.distribution("numpy")
    words = (found.read_text("WHEEL") or "").splitlines()
    tag = next(line.removeprefix("Tag: ") for line in words if line.startswith("Tag: "))
    path = folder / f"numpy-{found.version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as wheel, tempfile.TemporaryDirectory() as compiled:
        for file in found.files or ():
            if file.parts[0] == ".." or set(NOT_NEEDED) & set(file.parts):
                continue
            if file.name == "RECORD":
                wheel.writestr(str(file), "")
                continue
            source = str(file.locate())
            wheel.write(source, str(file))
            if source in IMPORTED and source.endswith(".py"):
                made = py_compile.compile(
                    source, f"{compiled}/m.pyc", doraise=True, invalidation_mode=UNCHECKED
                )
                wheel.write(made, importlib.util.cache_from_source(str(file)))
    return path


def write_index(folder: Path) -> Path:
    """``tinyann`` 1.0, 1.1 and 2.0 (which 1.0 and 2.0 answer right), ``oldnumpy``, and numpy."""
    folder.mkdir(parents=True, exist_ok=True)
    write_wheel(folder, "1.0")
    write_wheel(
        folder, "1.1", text=library("1.1", then="found = found[::-1].copy(); found[0] = -1")
    )
    write_wheel(folder, "2.0")
    write_wheel(folder, "3.0", text="raise ImportError('made for another system')")
    write_numpy(folder)
    return folder


def offer_nothing_else(monkeypatch: pytest.MonkeyPatch, folder: Path, cache: Path) -> None:
    """Have installers know this index alone, and keep what they make below ``cache``."""
    for name in ("UV", "PIP"):
        monkeypatch.setenv(f"{name}_NO_INDEX", "1")
        monkeypatch.setenv(f"{name}_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_CACHE_DIR", str(cache / "uv"))
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))


def implementation(folder: Path, text: str = IMPLEMENTATION) -> Path:
    """A folder for ``--ann-implementations`` with ``tiny.py`` in it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny.py").write_text(textwrap.dedent(text).lstrip())
    return folder
