"""The rings: a room imports only from rooms below it, and no imports form a circle."""

from __future__ import annotations

import ast
import functools
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import pytest_annmodal

PACKAGE = Path(pytest_annmodal.__file__).parent
ARCHITECTURE = Path(__file__).parents[2] / "docs" / "architecture.md"
# From the ground up. docs/architecture.md says what each holds.
ROOMS = (
    "errors",
    "levels",
    "queries",
    "model",
    "tolerances",
    "finding",
    "outcome",
    "protocols",
    "figures",
    "surprises",
    "durable",
    "settings",
    "distances",
    "manifests",
    "datasets",
    "environments",
    "scoring",
    "results",
    "reports",
    "page",
    "channel",
    "worker",
    "sandbox",
    "jobs",
    "comparison",
    "gate",
    "execution",
    "executors",
    "doctor",
    "session",
    "grading",
    "strangers",
    "command",
    "plugin",
    "cli",
    "__main__",
)
NOT_OURS = {"implementations", "data"}  # they run in a worker, or are no modules of ours
EXCEPTIONS: frozenset[tuple[str, str]] = frozenset()  # (module, what it imports): only ever fewer


def modules(package: Path) -> dict[str, Path]:
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        if parts[0] not in NOT_OURS:
            found[".".join(part for part in parts if part != "__init__")] = path
    return found


@functools.cache
def statements(text: str) -> list[tuple[ast.Import | ast.ImportFrom, bool]]:
    """The imports anywhere in a module's text, each with whether it is for types only."""
    found: list[tuple[ast.Import | ast.ImportFrom, bool]] = []
    stack: list[tuple[ast.AST, bool]] = [(ast.parse(text), False)]
    while stack:
        node, types = stack.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.append((node, types))
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            stack += [(child, True) for child in node.body]
            stack += [(child, types) for child in node.orelse]
        elif isinstance(node, ast.stmt | ast.Module | ast.excepthandler | ast.match_case):
            stack += [(child, types) for child in ast.iter_child_nodes(node)]
    return found


def imports(path: Path, names: dict[str, Path], *, types: bool) -> Iterator[str]:
    """Modules of ours that a file imports anywhere in it, those for types only if asked."""
    for node, for_types in statements(path.read_text(encoding="utf-8")):
        if for_types and not types:
            continue
        found = []
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif node.module and not node.level:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            is_module = [name.partition(".")[2] in names for name in inner]
            found = [name for name, here in zip(inner, is_module, strict=True) if here]
            found += [] if all(is_module) else [node.module]
        for name in found:
            package, _, rest = name.partition(".")
            if package == "pytest_annmodal" and rest in names:
                yield rest


def upward(package: Path) -> set[tuple[str, str]]:
    """Every import, lazy ones and those for types too, that does not lead down or stay in its room."""
    names = modules(package)
    level = {room: number for number, room in enumerate(ROOMS)}
    return {
        (name, target)
        for name, path in names.items()
        for target in imports(path, names, types=True)
        if name and target and level[target.split(".")[0]] > level[name.split(".")[0]]
    }


def circles(package: Path) -> list[list[str]]:
    """Modules that import each other in a circle; imports for types only do not count."""
    names = modules(package)
    graph = {name: set(imports(path, names, types=False)) - {name} for name, path in names.items()}
    while True:
        imported = set().union(*graph.values()) if graph else set()
        ends = {name for name, targets in graph.items() if not targets & graph.keys()}
        ends |= graph.keys() - imported
        if not ends:
            break
        graph = {name: targets - ends for name, targets in graph.items() if name not in ends}
    return [sorted(graph)] if graph else []


def test_every_room_is_in_the_list() -> None:
    """Each file and folder of the package is a room of the list, and each room exists."""
    assert {name.split(".")[0] for name in modules(PACKAGE) if name} == set(ROOMS)


def test_imports_lead_down() -> None:
    """No module imports from a room above its own; the exceptions are named, and all still needed."""
    assert upward(PACKAGE) == EXCEPTIONS


def test_imports_form_no_circle() -> None:
    """No two modules import each other, directly or by way of others."""
    assert circles(PACKAGE) == []


def test_the_page_draws_the_same_list() -> None:
    """The table of rooms in docs/architecture.md has the same rooms, from the top down."""
    text = ARCHITECTURE.read_text(encoding="utf-8")
    table = text.partition("| room | holds |")[2].partition("\n\n")[0]
    drawn = re.findall(r"^\| `(\w+)", table, flags=re.MULTILINE)
    assert drawn == list(reversed(ROOMS))


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("jobs/runner.py", "from pytest_annmodal.comparison import compare\n"),
        ("model.py", "def late():\n    import pytest_annmodal.session.state\n"),
        ("reports/tables.py", "from pytest_annmodal.plugin.hooks import pytest_addoption\n"),
        ("datasets/catalog.py", "if TYPE_CHECKING:\n    from pytest_annmodal.jobs import trial\n"),
        ("worker/measure.py", "def late():\n    from pytest_annmodal import grading\n"),
    ],
)
def test_a_planted_import_is_found(tmp_path: Path, place: str, line: str) -> None:
    """An upward import is found anywhere in a file."""
    copy = shutil.copytree(PACKAGE, tmp_path / "copy", ignore=shutil.ignore_patterns("*.hdf5"))
    with (copy / place).open("a", encoding="utf-8") as file:
        file.write(line)
    (found,) = upward(copy) - EXCEPTIONS
    assert found[0] == place.removesuffix(".py").replace("/", ".")


def test_a_planted_circle_is_found(tmp_path: Path) -> None:
    """Two modules of one room that import each other are seen."""
    copy = shutil.copytree(PACKAGE, tmp_path / "copy", ignore=shutil.ignore_patterns("*.hdf5"))
    for one, other in (("memory", "limits"), ("limits", "memory")):
        with (copy / "sandbox" / f"{one}.py").open("a", encoding="utf-8") as file:
            file.write(f"def late():\n    from pytest_annmodal.sandbox import {other}\n")
    (found,) = circles(copy)
    assert {"sandbox.memory", "sandbox.limits"} <= set(found)
