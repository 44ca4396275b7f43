"""``annmodal report`` and ``annmodal plot``."""

from __future__ import annotations

from pathlib import Path

import pytest
from stored_cases import failed, measured, stored

from pytest_annmodal.cli.main import main
from pytest_annmodal.page import files, page

MAGIC = {"svg": b"<svg", "png": b"\x89PNG", "pdf": b"%PDF"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Results of two datasets, here."""
    monkeypatch.chdir(tmp_path)
    cases = [measured(number) for number in range(4)]
    stored(tmp_path / "results", *cases, measured(1, key="o", dataset="other-8-dot"), failed())
    return tmp_path


def test_a_report_says_what_it_holds(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``annmodal report`` prints one line and writes the page to the given path."""
    assert main(["report", "results", "-o", "page.html"]) == 0
    assert capsys.readouterr().out == "page.html: 5 settings of 1 implementation\n"
    assert (folder / "page.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_the_charts_library_is_made_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The charts' library is cached in a folder; without the folder the page is the same."""
    pages = []
    for cache in (folder / "cache", folder / "cache", folder / "results" / "no-folder"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
        page._library.cache_clear()
        assert main(["report", "results"]) == 0
        pages.append((folder / "report.html").read_bytes())
        cache.with_name("no-folder").touch()
    assert pages[0] == pages[1] == pages[2]
    (kept,) = (folder / "cache" / "annmodal" / "page").iterdir()
    assert kept.suffix == ".js"


def test_pictures_in_each_format(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The format follows the file's suffix or the option; the default name follows the chart."""
    for ending, start in MAGIC.items():
        assert main(["plot", "results", "--dataset=other-8-dot", "-o", f"one.{ending}"]) == 0
        assert (folder / f"one.{ending}").read_bytes().startswith(start)
    assert main(["plot", "results", "--dataset=digits-64-euclidean", "--kind=tail"]) == 0
    name = capsys.readouterr().out.splitlines()[-1]
    assert name == "digits-64-euclidean-k10-tail.svg"
    assert b"hnswlib" in (folder / name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["plot", "results"], "name one with --dataset and --k. There are: digits-64-euclidean"),
        (["plot", "results", "--dataset=typo"], "matches --session, --dataset and --impl"),
        (
            ["plot", "results", "--dataset=other-8-dot", "--kind=compare"],
            "needs a comparison with a baseline",
        ),
        (["plot", "results", "--dataset=other-8-dot", "-o", "a.bmp"], "expected a suffix of svg"),
        (["report", "results", "-o", "no/such/page.html"], "no/such/page.html: cannot be written"),
    ],
)
def test_without_results_nothing_is_drawn(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    """If nothing can be drawn, one line says what to do; the exit status is 2."""
    assert main(arguments) == 2
    assert words in capsys.readouterr().err


def test_without_the_extra_it_says_what_to_install(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the extra the error says what to install, and no file is written."""
    monkeypatch.setattr(files, "find_spec", lambda name: None)
    for command in ("report", "plot"):
        assert (
            main([command, "results", *(["--dataset=other-8-dot"] if command == "plot" else [])])
            == 2
        )
        assert "pip install 'pytest-annmodal[report]'" in capsys.readouterr().err
    assert not (folder / "report.html").exists()
