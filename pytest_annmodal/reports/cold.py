"""The table of first passes with a cold page cache (``--ann-cold``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_annmodal.figures import duration, rate, share, size
from pytest_annmodal.outcome import FirstPass
from pytest_annmodal.reports import aligned
from pytest_annmodal.reports.below import Measured

HEAD = ("QPS", "p50", "p95", "p99", "recall", "dataset", "own files", "still cached")
TITLE = "First pass, with its files dropped from the page cache before; in no figure above:"


def lines(measured: Sequence[Measured]) -> Iterator[str]:
    """Yields a row for each case with a first pass, in the order of the table."""
    found = [(one, one.outcome.first_pass) for one in measured if one.outcome.first_pass]
    if not found:
        return
    head, *rows = aligned.lines([HEAD, *(_cells(first) for _, first in found)], ">" * len(HEAD))
    yield TITLE
    yield f"  {head}"
    for (one, first), row in zip(found, rows, strict=True):
        yield f"  {row}  {one.label}{' (noisy)' if first.disturbed else ''}"


def _cells(first: FirstPass) -> tuple[str, ...]:
    """Returns the figures, and the dropped bytes of the dataset and of the implementation."""
    dropped = first.dropped
    return (
        rate(first.qps),
        duration(first.p50_s),
        duration(first.p95_s),
        duration(first.p99_s),
        share(first.recall),
        size(dropped.dataset_bytes),
        f"{size(dropped.file_bytes)} in {dropped.n_files}" if dropped.n_files else "none",
        size(dropped.left_bytes),
    )
