"""Every option, ini key and environment variable in ONE table.

This module is imported by every pytest run on the machine, so it imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_annmodal.errors import ConfigurationError

CLOCKS = ("auto", "worker", "parent")
ISOLATION_LEVELS = ("auto", "strict", "process")


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One row of the table; ``name`` is the field of Settings and gives all other names."""

    name: str
    flag: str
    help: str
    kind: Callable[[str], Any] | None = str  # None: a switch
    default: Any = None
    many: bool = False
    choices: Sequence[str] | None = None
    metavar: str | None = None
    group: str = "annmodal"

    @property
    def ini(self) -> str:
        return f"annmodal_{self.name}"

    @property
    def env(self) -> str:
        return f"ANNMODAL_{self.name.upper()}"

    def from_cli(self, value: Any) -> Any:
        """Check what the command line gave: text, a list of texts, True or nothing."""
        if isinstance(value, list):
            return [self._one(part, self.flag) for part in value]
        return self._one(value, self.flag) if isinstance(value, str) else value

    def parse(self, text: str, source: str) -> Any:
        """Turn the text of an ini key or environment variable into a value."""
        if self.kind is None:
            return text.strip().lower() in {"1", "true", "yes", "on"}
        if self.many:
            return [self._one(part, source) for part in text.split()]
        return self._one(text.strip(), source)

    def _one(self, text: str, source: str) -> Any:
        assert self.kind is not None
        try:
            value = self.kind(text)
        except ValueError as error:
            raise ConfigurationError(f"{source} {text!r}: {error}") from error
        if self.choices is not None and value not in self.choices:
            raise ConfigurationError(f"{source} {text!r}: expected {', '.join(self.choices)}")
        return value


def positive_int(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise ValueError("expected a whole number of at least 1")
    return int(text)


def positive_float(text: str) -> float:
    """A finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ValueError("expected a number above 0")
    return value


SELECT, MEASURE, DATA, MODAL = (
    "ANN benchmarks: what to run",
    "ANN benchmarks: how to measure",
    "ANN benchmarks: datasets",
    "ANN benchmarks: on Modal",
)

OPTIONS: tuple[Option, ...] = (
    Option(
        name="impl",
        flag="--impl",
        metavar="NAME",
        many=True,
        group=SELECT,
        help="Run these implementations only; a name or a glob ('faiss-*'), repeatable.",
    ),
    Option(
        name="dataset",
        flag="--dataset",
        metavar="NAME",
        many=True,
        group=SELECT,
        help="Run on these datasets: a catalogue name or glob, an HDF5 file or a URL; repeatable.",
    ),
    Option(
        name="submission",
        flag="--submission",
        metavar="PATH",
        many=True,
        group=SELECT,
        help="Measure this file or folder (a class with fit and query, or an ann-benchmarks "
        "folder) as untrusted code; a glob works, repeatable.",
    ),
    Option(
        name="implementations",
        flag="--ann-implementations",
        metavar="DIR",
        many=True,
        group=SELECT,
        help="Also offer the implementations in this folder (files with a header, ann-benchmarks "
        "folders) as trusted code; repeatable.",
    ),
    Option(
        name="k",
        flag="--ann-k",
        metavar="K",
        kind=positive_int,
        default=10,
        group=MEASURE,
        help="Neighbours to ask for (default: 10).",
    ),
    Option(
        name="rounds",
        flag="--ann-rounds",
        metavar="N",
        kind=positive_int,
        default=3,
        group=MEASURE,
        help="Times that all queries are asked (default: 3); all rounds count.",
    ),
    Option(
        name="max_search_s",
        flag="--ann-max-time",
        metavar="SECONDS",
        kind=positive_float,
        default=60.0,
        group=MEASURE,
        help="Begin no further round of a search setting after this long (default: 60).",
    ),
    Option(
        name="queries",
        flag="--ann-queries",
        metavar="N",
        kind=positive_int,
        group=MEASURE,
        help="Ask only the first N queries of a dataset.",
    ),
    Option(
        name="threads",
        flag="--ann-threads",
        metavar="N",
        kind=positive_int,
        default=1,
        group=MEASURE,
        help="Threads an implementation may use (default: 1, pinned to a core of its own).",
    ),
    Option(
        name="clock",
        flag="--ann-clock",
        choices=CLOCKS,
        default="auto",
        group=MEASURE,
        help="Whose clock times a query: the worker's, the parent's (over shared memory), or auto "
        "(default): the parent's for submissions, the worker's for the rest.",
    ),
    Option(
        name="timeout_s",
        flag="--ann-timeout",
        metavar="SECONDS",
        kind=positive_float,
        default=3600.0,
        group=MEASURE,
        help="Longest that importing, building or one search setting may take (default: 3600).",
    ),
    Option(
        name="memory_mb",
        flag="--ann-memory-mb",
        metavar="MB",
        kind=positive_int,
        group=MEASURE,
        help="Most private memory an implementation may use beyond the training vectors.",
    ),
    Option(
        name="subset",
        flag="--ann-subset",
        metavar="N",
        kind=positive_int,
        group=DATA,
        help="Use only the first N training vectors; the true neighbours are computed anew.",
    ),
    Option(
        name="download",
        flag="--download",
        kind=None,
        default=False,
        group=DATA,
        help="Download missing datasets, then run; without it their tests are skipped.",
    ),
    Option(
        name="download_only",
        flag="--download-only",
        kind=None,
        default=False,
        group=DATA,
        help="Put the datasets of the selected tests into the volume and run nothing.",
    ),
    Option(
        name="volume_dir",
        flag="--ann-volume-dir",
        metavar="DIR",
        group=DATA,
        help="Folder of the local volume (default: $XDG_CACHE_HOME/annmodal/volumes/ann-datasets).",
    ),
    Option(
        name="base_url",
        flag="--ann-base-url",
        metavar="URL",
        many=True,
        group=DATA,
        help="Mirror to try first, as URL/NAME.hdf5; repeatable.",
    ),
    Option(
        name="modal",
        flag="--modal",
        kind=None,
        default=False,
        group=MODAL,
        help="Run on Modal: one container per build, all at once.",
    ),
    Option(
        name="modal_plan",
        flag="--modal-plan",
        kind=None,
        default=False,
        group=MODAL,
        help="Print what --modal would run and what it could cost at most, and run nothing.",
    ),
    Option(
        name="modal_max_minutes",
        flag="--modal-max-minutes",
        metavar="N",
        kind=positive_float,
        group=MODAL,
        help="Refuse a plan of more container-minutes than this.",
    ),
    Option(
        name="modal_cpu",
        flag="--modal-cpu",
        metavar="N",
        kind=positive_float,
        default=2.0,
        group=MODAL,
        help="Physical cores per container, requested and capped (default: 2).",
    ),
    Option(
        name="modal_memory_mb",
        flag="--modal-memory-mb",
        metavar="MB",
        kind=positive_int,
        default=16384,
        group=MODAL,
        help="Memory per container in MiB (default: 16384, enough for gist-960-euclidean).",
    ),
    Option(
        name="modal_timeout_s",
        flag="--modal-timeout",
        metavar="SECONDS",
        kind=positive_int,
        default=3600,
        group=MODAL,
        help="Longest that one job may take in its container (default: 3600).",
    ),
    Option(
        name="modal_volume",
        flag="--modal-volume",
        metavar="NAME",
        default="ann-datasets",
        group=MODAL,
        help="Volume that holds the datasets (default: ann-datasets).",
    ),
    Option(
        name="modal_region",
        flag="--modal-region",
        metavar="NAME",
        group=MODAL,
        help="Region to run in (default: wherever there is room).",
    ),
    Option(
        name="modal_usd_core_hour",
        flag="--modal-usd-core-hour",
        metavar="USD",
        kind=positive_float,
        default=0.0473,
        group=MODAL,
        help="Price of one physical core for an hour, for the plan (default: 0.0473).",
    ),
    Option(
        name="modal_usd_gib_hour",
        flag="--modal-usd-gib-hour",
        metavar="USD",
        kind=positive_float,
        default=0.008,
        group=MODAL,
        help="Price of one GiB of memory for an hour, for the plan (default: 0.008).",
    ),
)
