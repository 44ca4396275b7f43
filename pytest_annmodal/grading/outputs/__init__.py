"""The output files of a grading: one module per format, all made from a ``gradebook.Book``."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from pytest_annmodal.durable import write_text
from pytest_annmodal.grading.outputs import document, gradescope, markdown, page, spreadsheet
from pytest_annmodal.grading.outputs.gradebook import Book
from pytest_annmodal.reports import escape

GRADES, PAGES, GRADESCOPE = "grades.json", "pages", "gradescope"
NAMES = (GRADES, "grades.csv", "summary.md", PAGES, GRADESCOPE)  # in the folder of grades
MAX_STEP_SUMMARY_BYTES = 900_000  # GitHub refuses more than 1 MiB


def write_grades(folder: Path, book: Book) -> None:
    """Replaces ``grades.json`` in one step; called after each case.

    It is not flushed to the disk: the journal is what survives a power cut.
    """
    near = folder / f".{GRADES}.{os.getpid()}.incoming"
    near.write_text(document.text(book), encoding="utf-8")
    near.replace(folder / GRADES)


def write_all(folder: Path, book: Book, environ: Mapping[str, str]) -> list[str]:
    """Writes every output; returns the problems, each of which affects one file only."""
    problems: list[str] = []

    def attempt(path: Path, make: Callable[[], str]) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, make())
        except (OSError, ValueError) as error:
            problems.append(f"{path}: could not be written: {error}")

    attempt(folder / GRADES, lambda: document.text(book))
    attempt(folder / "grades.csv", lambda: spreadsheet.text(book))
    attempt(folder / "summary.md", lambda: markdown.text(book))
    names = escape.file_names(entry.grade.name for entry in book.entries)
    classes = page.classes_of(book)
    for entry in book.entries:
        name = names[entry.grade.name]
        attempt(
            folder / PAGES / f"{name}.html",
            lambda entry=entry: page.text(book, entry, classes),  # type: ignore[misc]
        )
        attempt(
            folder / GRADESCOPE / f"{name}.json",
            lambda entry=entry: gradescope.text(book, entry),  # type: ignore[misc]
        )
    for subfolder, suffix in ((PAGES, ".html"), (GRADESCOPE, ".json")):
        _remove_stale(folder / subfolder, {f"{name}{suffix}" for name in names.values()}, suffix)
    _append_step_summary(book, environ.get("GITHUB_STEP_SUMMARY", ""), problems)
    return problems


def _remove_stale(folder: Path, wanted: set[str], suffix: str) -> None:
    """Removes pages of an earlier session, which could be mistaken for this one's."""
    with contextlib.suppress(OSError):
        for file in folder.glob(f"*{suffix}"):
            if file.name not in wanted:
                file.unlink()


def _append_step_summary(book: Book, path: str, problems: list[str]) -> None:
    if not path:
        return
    text = markdown.text(book)
    if len(text.encode("utf-8")) > MAX_STEP_SUMMARY_BYTES:
        text = markdown.text(book, max_rows=500)
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{text}{os.linesep}")
    except OSError as error:
        problems.append(f"$GITHUB_STEP_SUMMARY: could not be written: {error}")
