"""The options of grading: rows of the table in ``options.py``."""

from __future__ import annotations

from pytest_annmodal.settings.option import Option, always

GRADE = "ANN benchmarks: grading"
# Options that a file of rules may set. In grading nobody else does but the command line and the
# environment: an ini file only where that makes a rule stricter, see strictness.py.
OF_THE_RULES = (
    "k", "rounds", "queries", "threads", "clock", "timeout_s", "max_search_s", "memory_mb",
    "subset", "isolation", "fresh_queries", "baseline", "sessions", "difference", "at_recall",
)  # fmt: skip

GRADING: tuple[Option, ...] = (
    Option(
        name="grade",
        is_path=always,
        flag="--ann-grade",
        metavar="FILE",
        group=GRADE,
        help="Grade the submissions by the rules in this TOML file (docs/grading.md).",
    ),
    Option(
        name="grade_dir",
        is_path=always,
        flag="--ann-grade-dir",
        metavar="DIR",
        default="grades",
        group=GRADE,
        help="Folder for the grades and the journal (default: grades).",
    ),
    Option(
        name="resume",
        flag="--ann-resume",
        kind=None,
        default=False,
        group=GRADE,
        help="Go on with an interrupted grading: finished cases are not run again.",
    ),
)
