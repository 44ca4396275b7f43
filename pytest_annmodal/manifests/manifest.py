"""Reads implementations from their text (headers, classes, folders), without importing them.

An error in a *submission* is stored in ``Implementation.error``, so that only it fails; an error
in a built-in or in the user's own file raises ConfigurationError.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.manifests import ann_benchmarks, cpp, header, shape, source
from pytest_annmodal.manifests.contents import read_text, refuse_link, refuse_odd_files
from pytest_annmodal.manifests.requirements import missing_requirements
from pytest_annmodal.model import Implementation
from pytest_annmodal.settings.names import plain

__all__ = [
    "builtin",
    "missing_requirements",
    "read_directory",
    "read_file",
    "read_submission",
    "sanitise",
    "says_nothing",
    "stem",
]

BUILTINS = Path(__file__).parents[1] / "implementations"
MAX_NAME_CHARS = 64
MAX_ERROR_CHARS = 800
MAX_CANDIDATES = 20  # each is parsed
# In a folder with several files, the first of these is the submission.
ENTRY_FILES = ("submission.py", "student.py", "algorithm.py")
PACKAGE_FILE = "__init__.py"  # most often empty
# Generic names: such a file is named after its folder.
NAMELESS = ("submission", "algorithm", "module", "__init__")
NOT_IMPLEMENTATIONS = re.compile(r"_.*|\..*|conftest|setup|test_.*|.*_test")


def sanitise(name: str) -> str:
    """Returns the name with only characters safe in ids and file names: ``A-Za-z0-9._-``."""
    safe = plain(name)[:MAX_NAME_CHARS].strip("-.")
    return safe or "unnamed"


def read_file(path: str | Path, *, name: str | None = None, trusted: bool = True) -> Implementation:
    """Reads one file: its header, or its one class with ``fit`` and ``query`` (Python).

    Args:
        name: its name; by default the header's ``name`` (if trusted) or the file's.

    Raises:
        ConfigurationError: a trusted file cannot be used.
    """
    file = Path(path).absolute()
    called = name or _name_of(file)
    try:
        if not trusted:
            refuse_link(file)
        shape.refuse_wrong_shape(file)
        text = read_text(file)
        if cpp.is_source(file):
            return cpp.read_text(file, text, called, trusted=trusted)
        return _read_text(file, text, called, trusted=trusted, named=name is not None)
    except ConfigurationError as error:
        return _reject(file, called, error, trusted=trusted)


def _read_text(file: Path, text: str, called: str, *, trusted: bool, named: bool) -> Implementation:
    if file.suffix != ".py":
        raise ConfigurationError(
            "does not have the suffix of Python or C++; rename it to end in .py or .cpp"
        )
    tree = source.parse(text)
    head = header.parse(text)
    try:
        class_name = (head and head.class_name) or source.find_class(tree, file)
        modules = source.imported_modules(tree, file)
    except RecursionError as error:
        raise ConfigurationError("is nested too deeply to be read") from error
    head = head or header.Header()
    if trusted and head.name and not named:  # a submission cannot choose its name
        called = sanitise(head.name)
    return head.implementation(
        name=called,
        file=file,
        class_name=class_name,
        trusted=trusted,
        requirements=head.dependencies or (),
        modules=modules if head.dependencies is None else (),
    )


def stem(path: Path) -> str:
    """Returns a source file's name without its suffix; other names are unchanged."""
    return path.stem if path.suffix in (".py", cpp.SUFFIX) else path.name


def says_nothing(path: Path) -> bool:
    """Returns whether it is a file with a generic name, which is named after its folder."""
    return stem(path) in NAMELESS and not _is_directory(path)


def _name_of(file: Path) -> str:
    return sanitise(file.parent.name if stem(file) in NAMELESS else stem(file))


def _reject(path: Path, called: str, error: ConfigurationError, *, trusted: bool) -> Implementation:
    """Raises for a trusted file; returns a submission with its error."""
    if trusted:
        raise ConfigurationError(f"{path}: {error}") from error
    words = str(error)  # may quote a long text
    if len(words) > MAX_ERROR_CHARS:
        words = f"{words[: MAX_ERROR_CHARS // 2]} … {words[-MAX_ERROR_CHARS // 2 :]}"
    return Implementation(
        name=called, path=str(path), class_name="", trusted=False, error=f"{path}: {words}"
    )


def read_submission(path: str | Path, *, called: str | None = None) -> list[Implementation]:
    """Reads a submission; never raises, so that an error in one does not stop the others.

    It is a ``.py`` or ``.cpp`` file, an ann-benchmarks folder (``module.py`` and
    ``config.yml``), or a folder with the file to run and the files that it needs. The file to run
    is ``algorithm.cpp``, ``submission.py``, ``student.py``, ``algorithm.py``, one named like
    the folder, or ``__init__.py`` if it has a class; else the only public ``.py`` file, or the
    only one with an index class. If only one subfolder holds such files, that is read.

    Args:
        called: its name; by default the folder's, also for a file with a generic name
            (``submission.py``), else the file's.
    """
    place = Path(path).absolute()
    is_folder = _is_directory(place)
    name = called or (sanitise(place.name) if is_folder else _name_of(place))
    try:
        if is_folder:
            return _read_folder(place, name)
        return [read_file(place, name=name, trusted=False)]
    except Exception as error:  # noqa: BLE001 -- parsers may raise anything for untrusted text
        reason = ConfigurationError(f"cannot be read: {type(error).__name__}: {error}")
        return [_reject(place, name, reason, trusted=False)]


def _read_folder(place: Path, called: str) -> list[Implementation]:
    try:
        refuse_link(place)
        refuse_odd_files(place)
        if not _offers_package(place):
            place = shape.root_of(place)
        if ann_benchmarks.is_folder(place):
            return _read_ann_benchmarks(place, called, trusted=False)
        entry = read_file(_entry(place), name=called, trusted=False)
        error = entry.error and entry.error + ann_benchmarks.half(place)
        return [dataclasses.replace(entry, folder=str(place), error=error)]
    except (ConfigurationError, OSError) as error:
        reason = error if isinstance(error, ConfigurationError) else _unreadable(error)
        half = ConfigurationError(f"{reason}{ann_benchmarks.half(place)}")
        return [_reject(place, called, half, trusted=False)]


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name too long, or with a null byte
        return False


def _unreadable(error: OSError) -> ConfigurationError:
    return ConfigurationError(f"cannot be read: {error.strerror or error}")


def _entry(folder: Path) -> Path:
    """Returns the file to run in a submission's folder."""
    if (folder / cpp.ENTRY).exists():
        return folder / cpp.ENTRY
    files = sorted(file for file in folder.iterdir() if file.suffix == ".py" and file.is_file())
    files = [file for file in files if not shape.is_left_behind(file.name)]
    if not files:
        raise shape.nothing_to_run(folder)
    names = [file.name for file in files]
    for wanted in (*ENTRY_FILES, f"{folder.name}.py"):
        if wanted in names:
            return folder / wanted
    if _offers_package(folder):
        return folder / PACKAGE_FILE
    public = [file for file in files if not NOT_IMPLEMENTATIONS.fullmatch(file.stem)] or files
    if 1 < len(public) <= MAX_CANDIDATES:
        public = [file for file in public if _offers_class(file)] or public
    if len(public) == 1:
        return public[0]
    raise ConfigurationError(
        "has several files that could be the submission: "
        f"{', '.join(file.name for file in public[:MAX_CANDIDATES])}; "
        "call the one to run submission.py"
    )


def _offers_package(folder: Path) -> bool:
    file = folder / PACKAGE_FILE
    return file.is_file() and read_file(file, trusted=False).error is None


def _offers_class(file: Path) -> bool:
    try:
        text = read_text(file)
        return header.extract(text) is not None or bool(source.candidates(source.parse(text)))
    except (ConfigurationError, RecursionError):
        return False


def read_directory(path: str | Path) -> list[Implementation]:
    """Reads a folder of the user's own implementations, all trusted.

    It holds public ``.py`` files (files without header and class are left out) and ann-benchmarks
    folders, or is a clone of ann-benchmarks, or one ann-benchmarks folder itself. An unusable one
    is returned with its ``error``. A definition that is disabled in config.yml runs only if it is
    named, or if its folder is named and all of it is disabled.

    Raises:
        ConfigurationError: the folder does not exist, or nothing in it can be used.
    """
    folder = Path(path).absolute()
    if not folder.is_dir():
        raise ConfigurationError(f"{folder}: there is no such directory of implementations")
    if ann_benchmarks.is_folder(folder):
        return _read_ann_benchmarks(folder, None, trusted=True)
    clones = [folder.joinpath(*parts) for parts in ann_benchmarks.CLONES]
    folder = next((clone for clone in clones if clone.is_dir()), folder)
    found = [one for item in sorted(folder.iterdir()) for one in _read_among_others(item)]
    if not found:
        raise ConfigurationError(
            f"{folder}: no implementations here; expected .py files with a class with fit and "
            "query, or ann-benchmarks folders (module.py and config.yml)"
        )
    errors = [item.error for item in found if item.error]
    if len(errors) == len(found):
        raise ConfigurationError(errors[0])
    return found


def _read_among_others(item: Path) -> list[Implementation]:
    try:
        if ann_benchmarks.is_algorithm(item):
            found = _read_ann_benchmarks(item, None, trusted=True)
            return [dataclasses.replace(one, on_request=one.disabled) for one in found]
        if item.suffix == ".py" and not NOT_IMPLEMENTATIONS.fullmatch(item.stem):
            return _read_if_implementation(item)
    except ConfigurationError as error:
        name = _name_of(item)
        return [Implementation(name=name, path=str(item), class_name="", error=str(error))]
    return []


def _read_if_implementation(file: Path) -> list[Implementation]:
    def offers(check: Callable[[str], object]) -> bool:
        try:
            return bool(check(read_text(file)))
        except (ConfigurationError, RecursionError):
            return True  # read_file gives the error

    has_header = offers(header.extract)
    has_class = offers(lambda text: source.candidates(source.parse(text)))
    if not (has_header or has_class):
        return []
    return [dataclasses.replace(read_file(file), folder=str(file.parent))]


def _read_ann_benchmarks(
    folder: Path, called: str | None, *, trusted: bool
) -> list[Implementation]:
    """Reads a folder's definitions; those of a submission are named after it."""
    try:
        if not trusted:
            refuse_link(folder / "module.py")
            refuse_link(folder / "config.yml")
        modules = _modules_of(folder / "module.py")
        config = read_text(folder / "config.yml")
        found = ann_benchmarks.read_config(config, folder, modules=modules, trusted=trusted)
        if not found and not trusted:
            raise ConfigurationError("config.yml defines nothing for a supported metric")
    except ConfigurationError as error:
        return [_reject(folder, called or sanitise(folder.name), error, trusted=trusted)]
    if any(not item.disabled for item in found):  # naming the folder means the enabled ones
        found = [dataclasses.replace(item, on_request=item.disabled) for item in found]
    named = _named_as_if_alone(found, called)
    reach = str(ann_benchmarks.readable_folder(folder))
    return [_with_parameter_names(dataclasses.replace(item, folder=reach)) for item in named]


def _named_as_if_alone(found: list[Implementation], called: str | None) -> list[Implementation]:
    """Names those that run as if the others, which run only by ``--impl``, did not exist."""
    run = [item for item in found if not item.on_request]
    names = {
        id(old): new.name
        for old, new in zip(run, ann_benchmarks.rename(run, sanitise, called), strict=True)
    }
    for old, new in zip(found, ann_benchmarks.rename(found, sanitise, called), strict=True):
        name = new.name if new.name not in names.values() else f"{new.name}-{sanitise(old.name)}"
        names.setdefault(id(old), name)
    return [dataclasses.replace(item, name=names[id(item)]) for item in found]


def _with_parameter_names(item: Implementation) -> Implementation:
    """Adds the class's names of the arguments that a ``config.yml`` gives by position."""
    try:
        tree = source.parse(read_text(Path(item.path)))
    except ConfigurationError:  # a neighbour's module; the worker reports its error
        return item
    return dataclasses.replace(
        item,
        build_names=source.parameters(tree, item.class_name, "__init__"),
        search_names=source.parameters(tree, item.class_name, "set_query_arguments"),
    )


def _modules_of(file: Path) -> tuple[str, ...]:
    try:
        return source.imported_modules(source.parse(read_text(file)), file)
    except ConfigurationError as error:
        raise ConfigurationError(f"{file.name}: {error}") from error


def builtin() -> list[Implementation]:
    """Returns the implementations of this package; ``faiss_hnsw.py`` is ``faiss-hnsw``."""
    return [
        read_file(file, name=file.stem.replace("_", "-"))
        for file in sorted(BUILTINS.glob("*.py"))
        if not file.name.startswith("_")
    ]
