"""The public names: one short list, typed, documented, loaded when used."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pytest_annmodal

ROOT = Path(__file__).parents[2]
SHOWN = [  # to users, who write what they see
    *(ROOT / "README.md", ROOT / "modal_app.py"),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "examples").rglob("*.py")),
    *sorted((ROOT / "examples").rglob("*.md")),
    *sorted((ROOT / "benchmarks").glob("test_*.py")),
]
NAMES = pytest_annmodal.__all__


def typed_names() -> set[str]:
    """The names that type checkers see."""
    tree = ast.parse(Path(pytest_annmodal.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name for node in imports for alias in node.names}


def test_the_list() -> None:
    """The list is short and sorted, and equal for type checkers and Python."""
    assert len(NAMES) <= 25
    assert sorted(NAMES) == list(NAMES)
    assert set(NAMES) == typed_names()
    assert set(NAMES) <= set(dir(pytest_annmodal))
    with pytest.raises(AttributeError, match="has no attribute 'Benchmark'"):
        _ = pytest_annmodal.Benchmark


@pytest.mark.parametrize("name", NAMES)
def test_each_is_there_and_documented(name: str) -> None:
    """Each name can be loaded, has a docstring and is in docs/api.md."""
    found = getattr(pytest_annmodal, name)
    assert name == "Outcome" or found.__doc__
    assert f"`{name}`" in (ROOT / "docs" / "api.md").read_text(encoding="utf-8")


def test_nothing_is_loaded_before_it_is_asked_for() -> None:
    """Importing the package imports none of its modules."""
    code = "import sys, pytest_annmodal; print(*(n for n in sys.modules if 'annmodal' in n))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["pytest_annmodal"]


@pytest.mark.parametrize("path", SHOWN, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_users_are_shown_these_only(path: Path) -> None:
    """Documentation and examples import only public names."""
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"(?:from|import) pytest_annmodal\.\S+", text) == []
    for names in re.findall(r"^ *from pytest_annmodal import (.+)", text, re.MULTILINE):
        assert set(re.findall(r"\w+", names)) <= set(NAMES)
