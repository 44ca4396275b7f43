"""The table of options, and how text becomes a value."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pytest_annmodal
from pytest_annmodal.settings.config import OPTIONS
from pytest_annmodal.settings.option import is_dataset_file, positive_float, positive_int

PACKAGE = Path(pytest_annmodal.__file__).parent
ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
DUMMY = """\
    dummies: int = option(
        7, "--ann-dummies", MODAL, "How many dummies (default: {default}).", metavar="N"
    )
"""
# pytest's help and modal run's, then the value: from the ini file, the environment, the command
# line, and nowhere; then one that cannot be used.
SHOWS_THE_DUMMY = """
import contextlib, os, pytest
from pytest_annmodal.command import arguments
from pytest_annmodal.plugin.collecting import SETTINGS

found = []

class Keeps:
    def pytest_collection_finish(self, session):
        found.append(session.config.stash[SETTINGS].dummies)

def run(*options):
    pytest.main(["-pno:cacheprovider", *options], plugins=[Keeps()])

run("--help")
with contextlib.suppress(SystemExit):
    arguments.parse(["--help"])
run()
os.environ["ANNMODAL_DUMMIES"] = "4"
run()
run("--ann-dummies=5")
del os.environ["ANNMODAL_DUMMIES"]
run("-c", os.devnull, "--rootdir=.")
print("VALUES", *found)
run("--ann-dummies=0")
"""


def test_names_are_distinct() -> None:
    """No two options share a name, a flag, a variable or an ini key."""
    for attribute in ("name", "flag", "env", "ini"):
        values = [getattr(option, attribute) for option in OPTIONS]
        assert len(set(values)) == len(values), attribute


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_help_reads_well(option) -> None:
    """Each help text is a sentence, says whether it repeats, and names its default and unit."""
    assert option.help[0].isupper()
    assert option.help.endswith(".")
    assert ("repeatable" in option.help) == option.many
    if option.default not in (None, False, ()):
        shown = option.default
        assert "default" in option.help
        assert (f"{shown:g}" if isinstance(shown, float) else str(shown)) in option.help
    assert "{" not in option.help
    if option.kind is not None:
        assert option.metavar or option.choices
    assert option.group.startswith("ANN benchmarks: ")


def test_numbers() -> None:
    """Whole numbers start at 1; others are finite and above 0."""
    assert positive_int("12") == 12
    assert positive_float("0.5") == 0.5
    for text in ("0", "-1", "1.5", "", " 1", "1e3", "x"):
        with pytest.raises(ValueError, match="whole number"):
            positive_int(text)
    for text in ("0", "-1", "inf", "nan", "", "x"):
        with pytest.raises(ValueError, match="number above 0"):
            positive_float(text)


def test_dataset_files() -> None:
    """A dataset is a file by its ending, unless it is a URL."""
    assert [is_dataset_file(text) for text in ("a.hdf5", "b/c.H5", "http://h/a.hdf5", "gist*")] == [
        True,
        True,
        False,
        False,
    ]


def test_an_option_is_added_in_one_place(tmp_path: Path) -> None:
    """A new field of Settings appears in --help, the ini file, the environment and modal run."""
    copy = shutil.copytree(
        PACKAGE, tmp_path / PACKAGE.name, ignore=shutil.ignore_patterns("*.hdf5")
    )
    table = copy / "settings" / "config.py"
    text = table.read_text(encoding="utf-8")
    table.write_text(
        text.replace("    rootdir: Path", f"{DUMMY}    rootdir: Path"), encoding="utf-8"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\nannmodal_dummies = 3\n", encoding="utf-8")
    (tmp_path / "test_nothing.py").touch()
    done = subprocess.run(
        [sys.executable, "-c", SHOWS_THE_DUMMY],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    said = " ".join(done.stdout.split())
    assert "--ann-dummies=N How many dummies (default: 7)." in said
    assert "annmodal_dummies (string): Default of --ann-dummies (or $ANNMODAL_DUMMIES)." in said
    assert "ANNMODAL_DUMMIES How many dummies (default: 7)." in said
    assert "VALUES 3 4 5 7" in said
    assert "--ann-dummies '0': expected a whole number of at least 1" in done.stderr


def test_the_documentation_names_options_that_exist() -> None:
    """Every option, ini key and variable in the documentation exists, and all are named."""
    known = {name for option in OPTIONS for name in (*option.flags, option.ini, option.env)}
    known |= {option.modal_run for option in OPTIONS if option.modal_run}
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    found = set(
        re.findall(
            r"--(?:ann|modal)[a-z0-9-]*[a-z]|annmodal_[a-z0-9_]*[a-z]|ANNMODAL_[A-Z0-9_]*[A-Z]",
            text,
        )
    )
    hooks = {name for name in found if f"pytest_{name}" in text}
    assert found - known - hooks == set()
    assert [flag for option in OPTIONS for flag in option.flags if flag not in text] == []
