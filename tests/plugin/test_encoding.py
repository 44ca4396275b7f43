"""Output to terminals and files that are not UTF-8, in real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from http_server import FaultyServer
from plugin_project import DEADLINE_S, EXACT, UNRELATED, Project

from pytest_annmodal.reports import nearest

ASCII = {
    "LANG=C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
}
OWN = ("--ann-implementations=mine", "--impl=exact", "--ann-rounds=1")
DATA = "--dataset=small-8-euclidean.hdf5"


def run(project: Project, env: dict[str, str], *arguments: str) -> bytes:
    """All that pytest writes, as bytes."""
    blocked = (f"-pno:{name}" for name in UNRELATED)
    # tox sets this variable, and it would win over the locale.
    inherited = {name: text for name, text in os.environ.items() if name != "PYTHONIOENCODING"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-mpytest", *blocked, *arguments],
        cwd=project.path,
        env={**inherited, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=DEADLINE_S,
        check=False,
    )
    return done.stdout


@pytest.mark.parametrize("env", ASCII.values(), ids=ASCII)
def test_tables_and_failures(project: Project, env: dict[str, str]) -> None:
    """Lines stay whole, in ASCII; output of libraries does not fail; files are UTF-8."""
    project.write("mine/exact.py", EXACT + "\nprint('µ… 📦')\n")
    line = "        self.X = np.array(X)"
    wrong = '        raise ValueError("größer als 5 µm\\n– ok │")'
    project.write("subs/wrong.py", EXACT.replace(line, wrong))
    output = run(
        project, env, *OWN, DATA, "--submission=subs/wrong.py", "--junitxml=out.xml", "-rA"
    )
    lines = output.decode("ascii").splitlines()
    assert any(
        item.startswith("small-8-euclidean | 300 x 8 | euclidean | k=10 |") for item in lines
    )
    assert any(item.startswith("-" * 60) and not item.strip("-") for item in lines)
    (row,) = [item for item in lines if item[2:].startswith("exact[extra=0]") and "1.0000" in item]
    assert " us " in row
    assert "| u... *" in lines
    assert any(
        item.startswith("build raised ValueError: gr\\xf6\\xdfer als 5 um") for item in lines
    )
    assert any(item.startswith("| - ok |") for item in lines)
    assert "UnicodeEncodeError" not in output.decode()
    text = "".join(ET.parse(project.path / "out.xml").getroot().itertext())
    assert "größer als 5 µm" in text


@pytest.mark.parametrize("env", ASCII.values(), ids=ASCII)
def test_paths(project: Project, env: dict[str, str]) -> None:
    """Folders with names beyond ASCII hold datasets and submissions as others do."""
    project.write("ü x/mine.py", EXACT)
    project.dataset("ü x/own-8-euclidean")
    output = run(project, env, "--submission=ü x/mine.py", "--dataset=ü x/own-8-euclidean.hdf5")
    assert b"\nown-8-euclidean | 300 x 8 | euclidean" in output
    assert b"2 passed" in output


def test_latin_1(project: Project) -> None:
    """Characters of Latin-1 are written, and only the others are replaced."""
    output = run(project, {"PYTHONIOENCODING": "latin-1"}, *OWN, DATA).decode("latin-1")
    assert "small-8-euclidean · 300 × 8 · euclidean · k=10 ·" in output
    assert "─" not in output
    assert "\n" + "-" * 60 in output
    assert "\\u2500" not in output


@pytest.mark.parametrize("env", ASCII.values(), ids=ASCII)
def test_download_lines(project: Project, http_server: FaultyServer, env: dict[str, str]) -> None:
    """The log's marks are words or plain characters."""
    content = project.dataset("mine-8-euclidean").read_bytes()
    url = http_server.serve("mine-8-euclidean.hdf5", content)
    output = run(project, env, *OWN, f"--dataset={url}", "--download-only").decode("ascii")
    for line in (
        "* Checking for dataset in volume 'ann-datasets'...",
        "   + Reloaded volume to check for latest changes",
        "[!]  Dataset 'mine-8-euclidean' not found in volume 'ann-datasets'",
        "[ok] Dataset 'mine-8-euclidean' persisted to volume!",
    ):
        assert f"\n{line}\n" in output


def test_grades(project: Project) -> None:
    """The table of grades is ASCII; the summary and the pages are UTF-8."""
    project.write("subs/mine.py", EXACT)
    project.write(
        "grading.toml",
        """
        title = "Übung – drei"
        datasets = ["small-8-euclidean.hdf5"]
        fresh_queries = false
        [[parts]]
        name = "Größe"
        points = 1
        min_recall = 0.5
        """,
    )
    arguments = ("--submission=subs/mine.py", "--ann-grade=grading.toml")
    output = run(project, ASCII["LANG=C"], *arguments).decode("ascii")
    assert " grades: \\xdcbung - drei " in output
    assert "Übung – drei" in (project.path / "grades/summary.md").read_text(encoding="utf-8")
    assert "Größe" in (project.path / "grades/pages/mine.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("option", ["--help", "--markers", "--fixtures"])
def test_help(project: Project, option: str) -> None:
    """Texts of this plugin that pytest prints before a session are always ASCII."""
    output = run(project, ASCII["LANG=C"], option).decode("ascii")
    assert output.count("\n") > 10  # not one line, with its ends escaped
    assert not {"\\u", "\\x"} & {output[at : at + 2] for at in range(len(output))}


def test_modal_run() -> None:
    """The command without pytest prints its lines where there is only ASCII, too."""
    code = (
        "from pytest_annmodal.command.command import Command\n"
        "from pytest_annmodal.settings.config import Settings\n"
        "Command(Settings(executor='modal'))._say('❌ 5 µs – näher')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **ASCII["ascii"]},
        stdout=subprocess.PIPE,
        timeout=DEADLINE_S,
        check=True,
    )
    assert done.stdout == b"[failed] 5 us - n\\xe4her\n"


def test_other_handlers_stay() -> None:
    """A stream with an error handler of its own keeps it."""

    class Stream:
        errors = "xmlcharrefreplace"

        def reconfigure(self, **_options: str) -> None:
            raise AssertionError

    nearest.install([Stream(), object(), None])
