"""The arguments of ``modal run modal_app.py``, read and checked before anything is started.

``modal run`` reads them itself only when it has opened the app, images, containers and all, and
knows no help texts. So they are looked for in the command line while ``modal_app.py`` is
imported, which is before that.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.settings.option import positive_int
from pytest_annmodal.settings.options import MODAL, OPTIONS

ENTRYPOINT = "main"
MEASURING = ("impl", "compare", "k", "subset_size")  # what only a measurement can use
DESCRIPTION = """\
Measure implementations on a dataset in Modal's cloud, without pytest, or only download the
dataset into the volume there. Results are printed, and written to annmodal-results/ as JSON.
"""
STATUSES = """\
exit status: 0 all was measured; 1 something failed; 2 the command cannot be understood, and
nothing was started; 130 Ctrl-C, and what had finished is shown and written.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """What is wanted of one run."""

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
    """What follows the app in the command line of ``modal run``; None if it is another command."""
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
    """Read the arguments; ``--help`` prints and exits.

    Raises:
        ConfigurationError: one that is unknown, or has a value that cannot be used.
    """
    parser = _parser(app)
    given = vars(parser.parse_args(list(argv)))
    needless = [name for name in MEASURING if name in given]
    if given.get("download_only") and needless:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in needless)
        raise ConfigurationError(f"--download-only measures nothing: leave out {flags}")
    defaults = {"impl": "student", "compare": "", "k": 10, "subset_size": 0}
    return Arguments(**{**defaults, **given})


def _parser(app: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=f"modal run {app}",
        description=DESCRIPTION,
        epilog=_variables() + STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,  # whether an option was given must be known
    )
    for flag, how in _options().items():
        parser.add_argument(flag, **how)
    return parser


def _options() -> dict[str, dict[str, Any]]:
    return {
        "--dataset": {
            "metavar": "NAME",
            "type": _not_empty,
            "default": "gist-960-euclidean",
            "help": "a name of the catalogue or of a file in the volume, an HDF5 file here, or a "
            "URL (default: gist-960-euclidean)",
        },
        "--impl": {
            "metavar": "NAME",
            "type": _not_empty,
            "help": "the implementation to measure, a name or a glob (default: student, which is "
            "benchmarks/student.py or student.py)",
        },
        "--compare": {
            "metavar": "NAME",
            "help": "another implementation to measure on the same dataset (default: none)",
        },
        "--k": {
            "metavar": "K",
            "type": _checked(positive_int),
            "help": "neighbours to ask for (default: 10)",
        },
        "--subset-size": {
            "metavar": "N",
            "type": _checked(_size),
            "help": "use only the first N training vectors; the true neighbours are computed anew "
            "(default: 0, which is all)",
        },
        "--download-only": {
            "action": argparse.BooleanOptionalAction,
            "default": False,
            "help": "put the dataset into the volume and measure nothing",
        },
    }


def _variables() -> str:
    """The options that ``pytest --modal`` has besides, as environment variables."""
    wrap = textwrap.TextWrapper(88, initial_indent=" " * 6, subsequent_indent=" " * 6)
    options = [option for option in OPTIONS if option.group == MODAL and option.name != "modal"]
    lines = [f"  {option.env}\n{wrap.fill(option.help)}" for option in options]
    return (
        "All other options of `pytest --modal` are environment variables (ANNMODAL_ROUNDS=1). "
        "About Modal:\n" + "\n".join(lines) + "\n\n"
    )


def _checked(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    def check(text: str) -> Any:
        try:
            return kind(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r}: {error}") from error

    return check


def _size(text: str) -> int:
    """A number of vectors, or 0 for all."""
    if not text.isdecimal():
        raise ValueError("expected a whole number of at least 1, or 0 for all")
    return int(text)


def _not_empty(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("is empty: give it a value, or leave it out")
    return text
