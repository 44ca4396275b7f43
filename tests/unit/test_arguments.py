"""The arguments of `modal run modal_app.py` are read before anything is started."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_annmodal.command import arguments
from pytest_annmodal.command.command import Command
from pytest_annmodal.errors import ConfigurationError

APP = Path("/somewhere/modal_app.py")
DIGITS = "digits-64-euclidean"


@pytest.mark.parametrize(
    ("argv", "found"),
    [
        (["modal", "run", "modal_app.py", "--k", "3"], ["--k", "3"]),
        (["modal", "run", "-q", "--env", "x", "../modal_app.py::main", "--k=3"], ["--k=3"]),
        (["modal", "run", "-m", "tools.modal_app"], []),
        (["modal", "run", "modal_app.py::run_benchmark", "--k", "3"], None),
        (["modal", "deploy", "modal_app.py"], None),
        (["python", "-c", "import modal_app"], None),
    ],
)
def test_find(argv, found):
    """The arguments after the app in a `modal run` are found, and no others."""
    assert arguments.find(argv, APP) == found


def test_parse():
    """Defaults are those of the help text."""
    plain = arguments.parse([])
    assert (plain.dataset, plain.names, plain.k) == ("gist-960-euclidean", ["student"], 10)
    both = arguments.parse(["--impl=a", "--compare", "b", "--subset-size", "0", "--k=5"])
    assert (both.names, both.subset_size, both.k) == (["a", "b"], 0, 5)
    assert arguments.parse(["--download-only"]).download_only


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--k", "0"], "--k: '0': expected a whole number of at least 1"),
        (["--k", "many"], "--k: 'many'"),
        (["--k"], "--k: expected one argument"),
        (["--subset-size", "-5"], "--subset-size: '-5': expected a whole number"),
        (["--impl", ""], "--impl: is empty"),
        (["--imp", "annoy"], "unrecognized arguments: --imp annoy"),
        (["--download-only", "--impl", "a", "--subset-size=5"], "leave out --impl, --subset-size"),
    ],
)
def test_parse_refuses(argv, said):
    """One sentence that begins with the option."""
    with pytest.raises(ConfigurationError, match=f"^{said}|{said}$"):
        arguments.parse(argv)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--impl", "annoy", "--compare", "nope", "--dataset", DIGITS), "--compare nope: no such"),
        (("--impl", "annoy", "--dataset", DIGITS, "--k", "0"), "--k: '0': expected"),
        (("--impl", "annoy", "--dataset", DIGITS, "--subset-size", "-5"), "--subset-size: '-5'"),
        (("--impl", "annoy", "--dataset", DIGITS, "--k", "1598"), "--k 1598 is more than .* 1,597"),
        (("--download-only", "--dataset", DIGITS, "--k", "3"), "leave out --k"),
    ],
)
def test_what_cannot_be_run_ends_it(argv, said, tmp_path, monkeypatch, capsys):
    """A wrong argument ends the command with one line and click's status for wrong usage."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        Command.from_command_line(["modal", "run", str(APP), *argv], APP)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(f"Error: .*{said}", line)


def test_help_says_what_each_option_does(capsys):
    """The help has a text for each option."""
    with pytest.raises(SystemExit) as ended:
        arguments.parse(["--help"])
    assert ended.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for option in ("--dataset", "--impl", "--compare", "--k", "--subset-size", "--download-only"):
        assert f"{option} " in text
    assert "ANNMODAL_MODAL_MAX_MINUTES Refuse a plan" in text
