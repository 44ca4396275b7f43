"""Finds a Python file's index class and its imports from its text.

The text is parsed but never run: only a worker runs an implementation.
"""

from __future__ import annotations

import ast
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeGuard

from pytest_annmodal.errors import ConfigurationError

QUERIES = (
    {"query"},
    {"batch_query"},
    {"prepare_query", "run_prepared_query", "get_prepared_query_results"},
)
OUTSIDE_BASE = "BaseANN"
ESTIMATOR = {"fit", "kneighbors"}  # scikit-learn's interface
# Top-level packages of harnesses whose classes have another interface.
OTHER_HARNESSES = {"benchmark", "neurips21", "neurips23"}
INDEX_METHODS = {"fit", "query", "set_query_arguments"}
NO_INDEX = {"object", "ABC", "Protocol", "NamedTuple", "Enum", "Exception", ""}
# For a few megabytes, Python's parser may take a gigabyte of memory or minutes of time.
MAX_CHARS = 2**17


def parse(text: str) -> ast.Module:
    """Parses without running; raises ConfigurationError, with the line of a syntax error."""
    if len(text) > MAX_CHARS:
        raise ConfigurationError(
            f"has {len(text):,} characters of Python; at most {MAX_CHARS:,} are read. Put data "
            "into a file of its own beside it"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as an invalid escape in a string
            return ast.parse(text)
    except SyntaxError as error:
        shown = (error.text or "").strip()[:200]
        if error.lineno is None:  # null bytes
            raise ConfigurationError(f"cannot be parsed as Python: {error.msg}") from error
        raise ConfigurationError(
            f"syntax error in line {error.lineno}: {error.msg}" + (f": {shown}" if shown else "")
        ) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise ConfigurationError(f"cannot be parsed as Python: {error}") from error


@dataclass(frozen=True, slots=True)
class _Class:
    name: str
    bases: tuple[str, ...]
    methods: set[str] = field(default_factory=set)


def find_class(tree: ast.Module, path: Path) -> str:
    """Returns the name of the one index class.

    It is public, top-level, not a base of another, and has ``fit`` and ``query``. If the file
    defines none, it is the one class imported from a file beside ``path``.

    Raises:
        ConfigurationError: there is none, or more than one.
    """
    found = candidates(tree) or _imported_classes(tree, path)
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigurationError(
            f"has more than one class that could be the index: {', '.join(found)}; choose one "
            f'with class = "{found[0]}" under [tool.annmodal] in the header'
        )
    classes = ", ".join(_classes(tree)) or "none"
    raise ConfigurationError(
        f"has no class with both fit(X) and query(v, k) (classes found: {classes}); write "
        'one, or name it with class = "…" under [tool.annmodal] in the header'
    )


def candidates(tree: ast.Module) -> list[str]:
    """Returns the names of the classes that could be the index, in the order of the text."""
    classes = _classes(tree)
    inner = {base for item in classes.values() for base in item.bases}
    leaves = [item for item in classes.values() if item.name not in inner]
    found = [item.name for item in leaves if _is_index(item, classes)]
    found = found or [item.name for item in leaves if _lineage(item, classes)[0] >= ESTIMATOR]
    # Else a class with an imported base, which may have the missing methods.
    heirs = [item for item in leaves if _outside_bases(item, classes)]
    found = found or [item.name for item in heirs if item.methods & INDEX_METHODS]
    found = found or [item.name for item in heirs]
    return [name for name in found if not name.startswith("_")] or found


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yields top-level statements, including those under ``if`` and ``try``."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.If):
            yield from _statements([*statement.body, *statement.orelse])
        elif isinstance(statement, ast.Try):
            handlers = [inner for handler in statement.handlers for inner in handler.body]
            yield from _statements([*statement.body, *handlers, *statement.orelse])


def _classes(tree: ast.Module) -> Mapping[str, _Class]:
    return {
        node.name: _Class(node.name, tuple(_last_name(base) for base in node.bases), _methods(node))
        for node in _statements(tree.body)
        if isinstance(node, ast.ClassDef)
    }


def parameters(tree: ast.Module, class_name: str, method: str) -> tuple[str, ...]:
    """Returns a method's positional parameters; () if the class does not define it itself."""
    for node in _statements(tree.body):
        if isinstance(node, ast.ClassDef) and node.name == class_name:
            for statement in _statements(node.body):
                if isinstance(statement, ast.FunctionDef) and statement.name == method:
                    found = [*statement.args.posonlyargs, *statement.args.args]
                    return tuple(argument.arg for argument in found[1:])
    return ()


def _last_name(node: ast.expr) -> str:
    """Returns ``BaseANN`` for ``BaseANN``, ``module.BaseANN`` and ``BaseANN[int]``."""
    if isinstance(node, ast.Subscript):
        return _last_name(node.value)
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _methods(node: ast.ClassDef) -> set[str]:
    names = set()
    for statement in _statements(node.body):
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            names.add(statement.name)
        elif isinstance(statement, ast.Assign):
            names |= {target.id for target in statement.targets if isinstance(target, ast.Name)}
    return names


def _lineage(item: _Class, classes: Mapping[str, _Class]) -> tuple[set[str], set[str]]:
    """Returns all methods defined in this file, and the names of bases defined elsewhere."""
    methods: set[str] = set()
    outside: set[str] = set()
    seen: set[str] = set()
    queue = [item.name]
    while queue:
        name = queue.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in classes:
            methods |= classes[name].methods
            queue += classes[name].bases
        else:
            outside.add(name)
    return methods, outside


def _is_index(item: _Class, classes: Mapping[str, _Class]) -> bool:
    methods, outside = _lineage(item, classes)
    if "Protocol" in outside:
        return False
    complete = "fit" in methods and any(names <= methods for names in QUERIES)
    return complete or OUTSIDE_BASE in outside


def _outside_bases(item: _Class, classes: Mapping[str, _Class]) -> set[str]:
    """Returns the imported bases that may be an index."""
    return _lineage(item, classes)[1] - NO_INDEX


def _imported_classes(tree: ast.Module, path: Path) -> list[str]:
    """Returns capitalised names that are imported from the file's own folder."""
    if path.suffix != ".py":
        return []
    return [
        alias.asname or alias.name
        for statement in _statements(tree.body)
        if isinstance(statement, ast.ImportFrom)
        and (statement.level or _is_sibling((statement.module or "").split(".")[0], path))
        for alias in statement.names
        if (alias.asname or alias.name)[0].isupper() and alias.name != OUTSIDE_BASE
    ]


def imported_modules(tree: ast.Module, path: Path) -> tuple[str, ...]:
    """Returns the third-party modules that the file at ``path`` imports at its top level.

    Leaves out the standard library and modules beside the file.

    Raises:
        ConfigurationError: it is written for another harness.
    """
    names: dict[str, None] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Import):
            names.update(dict.fromkeys(alias.name.split(".")[0] for alias in statement.names))
        elif isinstance(statement, ast.ImportFrom) and not statement.level and statement.module:
            name, _, inner = statement.module.partition(".")
            if inner and name in OTHER_HARNESSES and not _is_sibling(name, path):
                raise ConfigurationError(
                    f"imports {statement.module} of big-ann-benchmarks, whose classes have another "
                    "interface; expected a class with fit(X) and query(v, k) and without such "
                    "imports"
                )
            names[name] = None
    ours = {"ann_benchmarks", "pytest_annmodal"}
    own_paths = any(_last_name(node) == "path" for node in ast.walk(tree) if _is_of_sys(node))
    return tuple(
        name
        for name in names
        if name not in sys.stdlib_module_names
        and name not in ours
        and not _is_sibling(name, path)
        and not (own_paths and _is_below(name, path))
    )


def _is_of_sys(node: ast.AST) -> TypeGuard[ast.Attribute]:
    return isinstance(node, ast.Attribute) and _last_name(node.value) == "sys"


def _is_below(name: str, path: Path) -> bool:
    """Returns whether it is in a subfolder (``src``, ``lib``) that may be put on ``sys.path``."""
    return any(path.parent.glob(f"*/{name}")) or any(path.parent.glob(f"*/{name}.py"))


def _is_sibling(name: str, path: Path) -> bool:
    if name == path.stem:  # "import hnswlib" in hnswlib.py means the library
        return False
    return path.with_name(f"{name}.py").exists() or path.with_name(name).is_dir()
