"""What is to be imported, as plain data that another process is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

HOLDOUT = 1000
HOLDOUT_SHARE = 10  # unless told, at most every tenth row


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One import.

    Attributes:
        train: absolute paths, in the order of their rows; none where only the rows of ``test``
            are wanted, as an array of their own.
        metric: its name in our table.
        test: absolute path of the queries; None: rows of train are held out.
        holdout: how many; None: as many as suit.
        truth: absolute path of the true neighbours; None: they are computed.
        ids_from: which number the truth gives to the first row.
        keys: see :class:`~pytest_annmodal.datasets.importers.matrix.Asked`.
        ids: column that says what the truth calls each row of train.
        rows: only these rows of train, [first, end).
        called: what the files are called instead, where they were fetched.
        truth_k: how many neighbours are computed where none are given.
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
        """What a person calls them."""
        return self.called or self.files
