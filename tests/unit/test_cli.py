"""The command ``annmodal``."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from stored_cases import failed, measured, stored

from pytest_annmodal import __version__
from pytest_annmodal.cli.main import SUBCOMMANDS, main

RESULTS = Path(".annmodal") / "results"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with results of two sessions, one of them in a subfolder."""
    stored(tmp_path / RESULTS, measured(1), failed())
    stored(tmp_path / RESULTS, measured(2, implementation="\x1b[31mred"), session="fedc" * 4)
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    return tmp_path


def test_results(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``annmodal results`` prints one line per session, from any folder, without control characters."""
    assert main(["results"]) == 0
    out = capsys.readouterr().out
    head, *lines = out.splitlines()
    assert head.split()[0] == "session"
    one, two = sorted(lines)
    assert one.split("  ")[0] == "01234567"
    assert "digits-64-euclidean" in one
    assert "broken, hnswlib" in one
    assert two.startswith("fedcfedc")
    assert "\x1b" not in out


def test_a_damaged_line_is_reported(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A damaged line is reported on standard error, and all others are used."""
    (path, *_) = sorted((project / RESULTS).glob("*.jsonl"))
    path.write_bytes(b"half a li\n" + path.read_bytes())
    assert main(["results"]) == 0
    said = capsys.readouterr()
    assert "line 1 is damaged and skipped" in said.err
    assert len(said.out.splitlines()) == 3


def test_one_name_for_two_contents(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """If one dataset name has several contents, a line says so once."""
    stored(tmp_path, measured(1), measured(2), measured(1, dataset_sha256="cd" * 32))
    assert main(["results", str(tmp_path)]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "digits-64-euclidean is the name of 2 datasets with different content" in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no folder .annmodal/results here or above"),
        (["nowhere"], "nowhere: there is no such file or folder"),
        (["."], "there are no results in it"),
    ],
)
def test_no_results(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without results the status is 2, and one sentence says what was looked for."""
    monkeypatch.chdir(tmp_path)
    assert main(["results", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert words in said.err


@pytest.mark.parametrize("name", [row.name for row in SUBCOMMANDS])
def test_every_subcommand_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """``annmodal NAME --help`` says what it does."""
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"usage: annmodal {name}" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """``--version`` names the plugin and the versions that a bug report needs."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert not ended.value.code
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [
        *("pytest-annmodal", "pytest", "pytest-benchmark", "modal")
    ]
    assert lines[0].split()[1] == __version__
    assert lines[1].split()[1] == pytest.__version__


def test_hash(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The hash is equal for equal results, in any files and order, and different for others."""

    def hash_of(*files: Path) -> str:
        assert main(["results", "--hash", *map(str, files)]) == 0
        return capsys.readouterr().out.strip()

    folder = project / RESULTS
    whole = hash_of()
    assert re.fullmatch("[0-9a-f]{64}", whole)
    lines = b"".join(path.read_bytes() for path in sorted(folder.glob("*.jsonl"), reverse=True))
    (tmp_path / "one.jsonl").write_bytes(lines)
    assert hash_of(tmp_path / "one.jsonl") == whole
    (tmp_path / "less.jsonl").write_bytes(lines.splitlines(keepends=True)[0])
    assert hash_of(tmp_path / "less.jsonl") != whole


def test_as_a_module(project: Path) -> None:
    """``python -m pytest_annmodal`` is the same command; a closed pipe is not an error."""
    done = subprocess.run(
        f"{sys.executable} -m pytest_annmodal results | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.startswith("session")
    assert done.stderr == ""
