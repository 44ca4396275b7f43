"""Reads and checks the arguments of ``modal run modal_app.py`` before anything is started.

``modal run`` reads them only after it has opened the app and built images, and has no help
texts. So they are read from the command line while ``modal_app.py`` is imported.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.settings.config import MODAL, OPTIONS
from pytest_annmodal.settings.option import Option

ENTRYPOINT = "main"
# Defaults and help texts that differ from those of pytest.
DEFAULTS = {"dataset": "gist-960-euclidean", "impl": "student", "subset_size": 0}
MEASURING = ("impl", "compare", "k", "subset_size")  # only for measuring
WORDS = {
    "dataset": "A name of the catalogue or of a file in the volume, an HDF5 file here, or a URL "
    "(default: {default}).",
    "impl": "The implementation to measure, a name or a glob (default: {default}, which is "
    "benchmarks/student.py or student.py).",
    "subset": "Use a random sample of N training vectors; the true neighbours are computed again "
    "(default: {default}, which is all).",
    "download_only": "Put the dataset into the volume and measure nothing.",
}
DESCRIPTION = """\
Measure implementations on a dataset in Modal's cloud, without pytest, or only download the
dataset into the volume there. Results are printed, and written to annmodal-results/ as JSON.
"""
STATUSES = """\
exit status: 0 all was measured; 1 something failed; 2 the command is wrong, and nothing was
started; 130 Ctrl-C, and finished results are shown and written.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """The arguments of one run."""

    dataset: str
    impl: str
    compare: str
    k: int
    subset_size: int
    download_only: bool

    @property
    def names(self) -> list[str]:
        """The implementations to measure, as ``--impl`` takes them."""
        return [self.impl, *([self.compare] if self.compare else [])]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(f"{message.removeprefix('argument ')} (--help shows the options)")


def find(argv: Sequence[str], app: Path) -> list[str] | None:
    """Returns the words after the app in ``modal run``; None if it is another command."""
    if "run" not in argv:
        return None
    for position in range(argv.index("run") + 1, len(argv)):
        named, _, entry = argv[position].partition("::")
        if Path(named).name == app.name or named.rpartition(".")[2] == app.stem:
            return (
                [*argv[position + 1 :]] if entry in {"", ENTRYPOINT, f"app.{ENTRYPOINT}"} else None
            )
    return None


def parse(argv: Sequence[str], app: str = "modal_app.py") -> Arguments:
    """Reads the arguments; ``--help`` prints and exits.

    Raises:
        ConfigurationError: an unknown argument, or a bad value.
    """
    parser = _parser(app)
    given = vars(parser.parse_args(list(argv)))
    needless = [name for name in MEASURING if name in given]
    if given.get("download_only") and needless:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in needless)
        raise ConfigurationError(f"--download-only measures nothing: leave out {flags}")
    defaults = {_name(option): _default(option) for option in OPTIONS if option.modal_run}
    return Arguments(**{"compare": "", **defaults, **given})


def _parser(app: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=f"modal run {app}",
        description=DESCRIPTION,
        epilog=_variables() + STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,  # so that absent options can be told from given ones
    )
    for option in OPTIONS:
        if option.modal_run is not None:
            parser.add_argument(option.modal_run, **_how(option))
    parser.add_argument(
        "--compare",
        metavar="NAME",
        help="Another implementation to measure on the same dataset (default: none).",
    )
    return parser


def _name(option: Option) -> str:
    """Returns the option's field of Arguments."""
    assert option.modal_run is not None
    return option.modal_run.removeprefix("--").replace("-", "_")


def _default(option: Option) -> Any:
    return DEFAULTS.get(_name(option), option.default)


def _how(option: Option) -> dict[str, Any]:
    """Returns the arguments of ``add_argument`` for one of pytest's options."""
    default = _default(option)
    words = WORDS.get(option.name, option.help).replace("{default}", str(default))
    if option.kind is None:
        return {"action": argparse.BooleanOptionalAction, "help": words}
    return {"metavar": option.metavar, "type": _checked(option.kind, default), "help": words}


def _variables() -> str:
    """Lists the further options of ``pytest --modal``, as environment variables."""
    wrap = textwrap.TextWrapper(88, initial_indent=" " * 6, subsequent_indent=" " * 6)
    options = [option for option in OPTIONS if option.group == MODAL and option.name != "modal"]
    lines = [f"  {option.env}\n{wrap.fill(option.help)}" for option in options]
    return (
        "All other options of `pytest --modal` are environment variables (ANNMODAL_ROUNDS=1). "
        "About Modal:\n" + "\n".join(lines) + "\n\n"
    )


def _checked(kind: Callable[[str], Any], default: object) -> Callable[[str], Any]:
    """Returns the option's own check, which also accepts the default here, such as 0 for all."""

    def check(text: str) -> Any:
        if text == str(default):
            return default
        if not text:
            raise argparse.ArgumentTypeError("is empty: give it a value, or leave it out")
        try:
            return kind(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r}: {error}") from error

    return check
