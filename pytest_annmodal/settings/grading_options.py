"""The options of grading: rows of the table in ``options.py``."""

from __future__ import annotations

from pytest_annmodal.settings.option import Option, always

GRADE = "ANN benchmarks: grading"

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
