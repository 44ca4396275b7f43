"""Imports one implementation's file in the worker, with any file name.

Worker side; stdlib and numpy only. The file becomes ``ann_benchmarks.algorithms.NAME.FILE``, a
module of a package made at run time. So ann-benchmarks' relative imports
(``from ..base.module import BaseANN``), a folder's own modules (``from .helper import f``) and, by
``sys.path``, sibling files (``import helper``) all work.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from pytest_annmodal.worker import base_ann

FILE_VARIABLE = "ANNMODAL_IMPLEMENTATION"
ROOT = "ann_benchmarks"
# Modules that algorithms import: package, module, contents.
STAND_INS = (
    (f"{ROOT}.algorithms.base", "module", ("BaseANN",)),
    (ROOT, "constants", ("INDEX_DIR",)),
    (ROOT, "distance", ("Metric", "compute_distance", "dataset_transform", "metrics")),
    (ROOT, "util", ("get_bool_env_var",)),
)
STAND_IN = Path(__file__).parent / "stand_in"
BUILTINS = Path(__file__).parents[1] / "implementations"


class LibraryFinder(MetaPathFinder):
    """Makes ``import hnswlib`` in a file ``hnswlib.py`` find the library and not the file."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder.resolve()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.name or path is not None:
            return None
        # The empty entry is the current directory, which may be the same folder.
        elsewhere = [entry for entry in sys.path if Path(entry or ".").resolve() != self.folder]
        for finder in sys.meta_path:
            if finder is self:
                continue
            # Python puts the class itself on sys.meta_path, so it is compared with the class.
            spec = (
                PathFinder.find_spec(fullname, elsewhere, target)
                if finder is PathFinder
                else finder.find_spec(fullname, path, target)
            )
            if spec is not None:
                return spec
        raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


class FileFinder(MetaPathFinder):
    """Finds an implementation's file by its module name, with any file name."""

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self.path = path

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 -- a finder's signature
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path)


def load_module(path: str) -> ModuleType:
    """Imports the file at ``path`` anew; its exceptions are passed on unchanged."""
    name = make_importable(path)
    __import__(name)  # importlib.import_module would add a line to each traceback
    return sys.modules[name]


def make_importable(path: str) -> str:
    """Prepares this process to import the file at ``path``; returns the module's name."""
    file = Path(path).absolute()
    folder = file.parent
    _make_reachable(file)
    package = f"{ROOT}.algorithms.{_module_name(folder.name)}"
    for name in [name for name in sys.modules if f"{name}.".startswith(f"{package}.")]:
        del sys.modules[name]
    install_ann_benchmarks(folder.parent)
    _run_when_asked(_package(package, folder), folder / "__init__.py")
    name = f"{package}.{_module_name(file.stem)}"
    sys.meta_path.insert(0, FileFinder(name, path))
    return name


def settle(path: str, work_folder: str | None) -> None:
    """Prepares this process and its children to run the file at ``path``.

    A child that is not forked finds a function by its module's name, so it must be able to
    import the module: multiprocessing and joblib pass on this process's ``sys.path``.
    """
    if work_folder:
        os.chdir(work_folder)
    os.environ[FILE_VARIABLE] = path
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:  # a sandbox's user has no name, so getpass.getuser() would fail
        os.environ.setdefault("LOGNAME", "worker")
    sys.path.insert(0, str(STAND_IN))


def _module_name(text: str) -> str:
    """Turns ``text`` into one part of a dotted module name."""
    return re.sub(r"\W", "_", text) or "_"


def _make_reachable(file: Path) -> None:
    """Lets the file import its siblings, but not itself in place of a library."""
    ours = (LibraryFinder, FileFinder)
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, ours)]
    if file.parent.resolve() == BUILTINS.resolve():
        return  # built-ins import no siblings, only the libraries that they are named after
    folder = str(file.parent)
    if folder in sys.path:
        sys.path.remove(folder)
    sys.path.insert(0, folder)
    sys.meta_path.insert(0, LibraryFinder(file.stem, file.parent))


def _package(name: str, *folders: Path) -> ModuleType:
    """Makes an empty package whose modules are searched in ``folders``."""
    package = ModuleType(name)
    package.__path__ = [str(folder) for folder in folders]
    package.__spec__ = ModuleSpec(name, None, is_package=True)
    package.__spec__.submodule_search_locations = package.__path__
    for init in [folder / "__init__.py" for folder in folders]:  # importlib.resources asks these
        package.__loader__ = package.__spec__.loader = SourceFileLoader(name, str(init))
    sys.modules[name] = package
    return package


def _run_when_asked(package: ModuleType, init: Path) -> None:
    """Runs ``init`` in the package when a name is asked of it that is neither there nor a module.

    It is not run at once: where one file of a folder is an implementation, the folder's
    ``__init__.py`` may belong to something else.
    """

    def missing(name: str) -> Any:
        vars(package).pop("__getattr__", None)  # it may import itself, and is run once
        text = init.read_bytes() if init.is_file() else b""
        # Python itself asks modules for such names.
        of_python = name.startswith("__") and name.encode() not in text
        if of_python or importlib.util.find_spec(f"{package.__name__}.{name}"):
            vars(package)["__getattr__"] = missing
        elif text:
            package.__file__ = str(init)
            exec(compile(text, str(init), "exec"), vars(package))  # noqa: S102
            return getattr(package, name)
        raise AttributeError(f"module {package.__name__!r} has no attribute {name!r}", name=name)

    vars(package)["__getattr__"] = missing


def install_ann_benchmarks(algorithms: Path) -> None:
    """Puts the replacement for ann-benchmarks into ``sys.modules``.

    Args:
        algorithms: the folder whose subfolders are the other algorithms, for imports like
            ``from ..faiss.module import Faiss``.
    """
    root = _package(ROOT)
    _package(f"{ROOT}.algorithms", algorithms)
    base = _package(f"{ROOT}.algorithms.base")
    # The older layout has BaseANN in algorithms/base.py, so it is in ``base`` as well.
    vars(base).update(BaseANN=base_ann.BaseANN)
    for package, name, contents in STAND_INS:
        module = ModuleType(f"{package}.{name}")
        vars(module).update({item: getattr(base_ann, item) for item in contents})
        sys.modules[module.__name__] = module
        setattr(base if package.endswith(".base") else root, name, module)
