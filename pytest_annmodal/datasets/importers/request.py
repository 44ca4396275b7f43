"""The request of an import, as plain data for the importing process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

HOLDOUT = 1000
HOLDOUT_SHARE = 10  # by default at most every tenth row


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One import.

    Attributes:
        train: absolute paths, in the order of their rows; empty to write only ``test``, as an
            array.
        metric: its name in :mod:`pytest_annmodal.distances.metrics`.
        test: absolute path of the queries; None: rows of train are held out.
        holdout: how many; None: ``HOLDOUT``, or fewer for a small file.
        truth: absolute path of the true neighbours; None: they are computed.
        ids_from: the truth's number of the first row.
        keys: see :class:`~pytest_annmodal.datasets.importers.matrix.Asked`.
        ids: column of train with the ids that the truth uses.
        rows: the wanted rows of train, [first, end).
        called: names to show instead of the paths, for fetched files.
        truth_k: how many neighbours are computed if no truth is given.
    """

    train: tuple[str, ...]
    metric: str
    test: str | None = None
    holdout: int | None = None
    truth: str | None = None
    ids_from: int = 0
    keys: Mapping[str, str] = field(default_factory=dict)
    ids: str | None = None
    rows: tuple[int, int] | None = None
    called: tuple[str, ...] = ()
    truth_k: int = 100

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that is read, once."""
        given = (*self.train, self.test, self.truth)
        return tuple(dict.fromkeys(path for path in given if path is not None))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the files to show."""
        return self.called or self.files
