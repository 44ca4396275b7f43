"""The options of comparing with a baseline: rows of the table in ``options.py``."""

from __future__ import annotations

from pytest_annmodal.settings.option import Option, positive_float, proportion

COMPARE = "ANN benchmarks: comparing with a baseline"
SESSIONS = (1, 5, 8, 11)


def session_count(text: str) -> int:
    """One of the numbers after which a comparison is looked at."""
    if not text.isdecimal() or int(text) not in SESSIONS:
        raise ValueError(f"expected {', '.join(map(str, SESSIONS))}")
    return int(text)


COMPARISON: tuple[Option, ...] = (
    Option(
        name="baseline",
        flag="--ann-baseline",
        metavar="NAME",
        group=COMPARE,
        help="Compare everything with this implementation, side by side in the same job: 'annoy' "
        "(its first build, with all search settings), or settings as --impl has them: "
        "'hnswlib[ef=30]'.",
    ),
    Option(
        name="sessions",
        flag="--ann-sessions",
        metavar="N",
        kind=session_count,
        default=SESSIONS[-1],
        group=COMPARE,
        help="Fresh builds of all for a verdict, at most: one looks after 5, 8 and 11 (default) "
        "and stops when it is decided; 1 gives the ratio without a verdict.",
    ),
    Option(
        name="difference",
        flag="--ann-difference",
        metavar="PERCENT",
        kind=positive_float,
        default=5.0,
        group=COMPARE,
        help="Smallest difference from the baseline that matters, in per cent (default: 5).",
    ),
    Option(
        name="at_recall",
        flag="--ann-at-recall",
        metavar="R",
        kind=proportion,
        group=COMPARE,
        help="Also give the queries per second at this recall, between the search settings of a "
        "build that bracket it.",
    ),
)
