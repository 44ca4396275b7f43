"""Explains failures so that a student can act on them. The texts remain untrusted data."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from pytest_annmodal.grading.submissions import Submission
from pytest_annmodal.outcome import Failure

MAX_TEXT = 20_000  # characters of a traceback or log that are read
TRACEBACK_LINES, LOG_LINES = 60, 20  # shown to a student
_FRAME = re.compile(r'^\s*File "(?P<file>.*)", line (?P<line>\d{1,9})(?:, in (?P<where>.*))?$')
_IN_MESSAGE = re.compile(r"\bline (\d{1,9})\b")

KINDS = {
    "compile": "the compiler refuses your code",
    "raised": "your code raised an exception",
    "crashed": "the process that ran your code ended by itself",
    "timeout": "your code took longer than allowed",
    "limit": "your code used more memory or wrote more output than allowed",
    "protocol": "your code sent the harness an unexpected message",
    "smuggling": "your code worked outside the timed queries",
    "invalid-result": "query did not return k different row numbers",
    "unusable": "your file cannot be run",
    "metric": "your header says that the index does not serve this metric",
    "requirements": "your submission needs a library that is not offered",
    "too-large": "your submission is too large",
    "too-many-settings": "your header asks for too many settings",
    "unreadable": "your submission cannot be read",
}
HINTS = {
    "timeout": "Time your build and a single query on your own machine.",
    "crashed": "Look for exit() calls, and for memory errors in native code.",
    "invalid-result": "query(v, k) returns k distinct numbers from 0 to len(X) - 1.",
    "limit": "Print less, and keep one copy of the vectors.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The line of the student's file where a failure happened."""

    file: str
    line: int
    where: str = ""
    code: str = ""

    def words(self) -> str:
        inside = f" in {self.where}" if self.where and self.where != "<module>" else ""
        code = f": {self.code}" if self.code else ""
        return f"{self.file}, line {self.line}{inside}{code}"


def kind_words(failure: Failure) -> str:
    """Returns what happened, without any text of the submission."""
    what = KINDS.get(failure.kind, f"failed ({failure.kind})")
    return f"{what} (during {failure.phase})" if failure.phase else what


def message(failure: Failure, submission: Submission) -> str:
    return submission.tidy(failure.message)


def traceback(failure: Failure, submission: Submission) -> str:
    return submission.tidy(str(failure.evidence.get("traceback", "")).strip("\n")[-MAX_TEXT:])


def log_tail(failure: Failure) -> str:
    return str(failure.evidence.get("log_tail", "")).strip("\n")[-MAX_TEXT:]


def place(failure: Failure, submission: Submission) -> Place | None:
    """Returns the last frame in the student's own files, or the line that the message names.

    The submission may have forged the traceback, so no file that it names is opened.
    """
    own = {Path(item.path).name for item in submission.implementations}
    if submission.path.is_dir():
        own.add(f"{submission.path.name}{os.sep}")
    found: Place | None = None
    lines = str(failure.evidence.get("traceback", ""))[-MAX_TEXT:].splitlines()
    for number, text in enumerate(lines):
        frame = _FRAME.match(text)
        if frame and any(name in frame["file"] for name in own):
            code = lines[number + 1].strip() if number + 1 < len(lines) else ""
            found = Place(
                file=frame["file"].rsplit("/", 1)[-1],
                line=int(frame["line"]),
                where=frame["where"] or "",
                code="" if _FRAME.match(code) else code,
            )
    if found is None and failure.kind in ("unusable", "raised"):
        named = _IN_MESSAGE.search(failure.message)
        if named and len(submission.implementations) == 1:
            file = Path(submission.implementations[0].path).name
            found = Place(file=file, line=int(named[1]))
    return found


def explain(failure: Failure, submission: Submission, *, feedback: str) -> str:
    """Returns one line: the failure's message if the rules show it, else its kind."""
    said = " ".join(message(failure, submission).split()) if feedback == "full" else ""
    return said or kind_words(failure)
