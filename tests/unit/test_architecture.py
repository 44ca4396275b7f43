"""Which modules may import what, and how long they may be."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

import pytest_annmodal

PACKAGE = Path(pytest_annmodal.__file__).parent
IMPLEMENTATIONS = PACKAGE / "implementations"
MODULES = sorted(
    path
    for path in PACKAGE.rglob("*.py")
    if IMPLEMENTATIONS not in path.parents and PACKAGE / "data" not in path.parents
)
# What pytest loads on every run on the machine, whoever's tests they are.
EAGER = {"tolerances", "errors", "plugin", "settings", "strangers"}
TABLES = {"settings/config", "datasets/catalog"}  # a row for each thing, and no logic
HEAVY = (
    *("numpy", "h5py", "modal", "requests", "rich", "yaml", "psutil", "filelock", "packaging"),
    *("jinja2", "msgspec"),
)


@functools.cache
def imported(path: Path) -> tuple[str, ...]:
    """The modules that a file imports anywhere in it, but not for types only."""
    found: list[str] = []
    stack: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            stack.extend(node.orelse)
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.module and not node.level:
                found.append(node.module)
                found += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.stmt | ast.Module | ast.excepthandler | ast.match_case):
            stack.extend(ast.iter_child_nodes(node))
    return tuple(found)


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").as_posix()


def importers(package: str) -> set[str]:
    return {
        name_of(path)
        for path in MODULES
        if any(name.split(".")[0] == package for name in imported(path))
    }


def worker_side() -> set[Path]:
    """Every module of ours that ``worker`` comes to import."""
    seen: set[Path] = set()
    todo = [PACKAGE / "worker" / "worker.py"]
    while todo:
        path = todo.pop()
        if path in seen or not path.exists():
            continue
        seen.add(path)
        for name in imported(path):
            parts = name.split(".")
            if parts[0] == "pytest_annmodal" and len(parts) > 1:
                place = PACKAGE.joinpath(*parts[1:])
                todo += [place.with_suffix(".py"), place / "__init__.py"]
    return seen


@pytest.mark.parametrize("package", ["pickle", "cloudpickle", "marshal", "shelve"])
def test_nothing_that_executes_what_it_reads(package: str) -> None:
    """No module imports pickle or a similar library."""
    assert importers(package) == set()


def test_modal() -> None:
    """``modal`` is imported in ``executors/modal/`` and ``modal_app.py`` only."""
    found = importers("modal")
    assert all(name.startswith("executors/modal/") for name in found - {"modal_app"}), found
    assert "executors/modal/plan" not in found


def test_h5py() -> None:
    """``h5py`` is imported in ``datasets/hdf5/`` only."""
    assert {name.rpartition("/")[0] for name in importers("h5py")} == {"datasets/hdf5"}


def test_pytest() -> None:
    """``pytest`` is imported on the plugin's side only."""
    found = {name for name in importers("pytest") if not name.startswith("plugin/")}
    assert found <= {
        *("reports/terminal", "reports/repeated"),
        *("strangers/doors", "strangers/named", "grading/plugin"),
    }


def test_worker_side() -> None:
    """The worker's modules import neither datasets, pytest nor modal."""
    seen = worker_side()
    assert len(seen) > 1
    for path in seen:
        roots = {name.split(".")[0] for name in imported(path)}
        assert not roots & {"h5py", "pytest", "modal", "requests", "rich"}, name_of(path)
        assert not {"pytest_annmodal.datasets.hdf5", "pytest_annmodal.distances.exact"} & set(
            imported(path)
        )


def test_implementations_are_not_imported() -> None:
    """Outside of a worker no module imports a built-in implementation."""
    for path in MODULES:
        names = set(imported(path))
        assert not any("pytest_annmodal.implementations" in name for name in names), name_of(path)


def test_no_test_imports_a_test() -> None:
    """Tests share code through modules that are no tests."""
    for path in Path(__file__).parents[1].rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.startswith("test_")], path


def test_sizes() -> None:
    """No module is longer than 400 lines, but for tables, and no function longer than 50."""
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") <= 400 or name_of(path) in TABLES, name_of(path)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                length = (node.end_lineno or 0) - node.lineno + 1
                assert length <= 50, f"{name_of(path)}: {node.name} has {length} lines"


def test_loading_is_light(tmp_path: Path) -> None:
    """A run without ANN tests imports nothing heavy, and of this package only what it needs."""
    (tmp_path / "test_other.py").write_text("def test_other(): pass\n")
    (tmp_path / "conftest.py").write_text(
        "import sys\n"
        "def pytest_unconfigure():\n"
        "    print('\\nLOADED', *sorted(sys.modules), file=sys.__stdout__)\n"
    )
    blocked = ["hypothesispytest", "anyio", "platformdirs", "xdist", "benchmark", "cacheprovider"]
    command = [sys.executable, "-m", "pytest", "-q", *(f"-pno:{name}" for name in blocked)]
    done = subprocess.run(
        [*command, str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("LOADED ")]
    loaded = set(line.split()[1:])
    assert loaded.isdisjoint(HEAVY)
    own = {name.split(".")[1] for name in loaded if name.startswith("pytest_annmodal.")}
    assert "plugin" in own
    assert own <= EAGER
    of_strangers = {name for name in loaded if name.startswith("pytest_annmodal.strangers.")}
    assert of_strangers == {"pytest_annmodal.strangers.named"}
