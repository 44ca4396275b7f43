"""The text of a failed case, for a test's failure on a terminal or in a CI log."""

from __future__ import annotations

import re

from pytest_annmodal.errors import EnvironmentBuildError
from pytest_annmodal.model import Case
from pytest_annmodal.outcome import Failure
from pytest_annmodal.reports import escape

AGAIN = (
    "To run only the failed tests again, on little data, add to the same command: "
    "--lf --ann-subset 1000 --ann-queries 20"
)
LOG_LINES = 20  # of an implementation's output, under a failed test
# Beginnings of our own messages. A container that a submission took over can send any message, so
# one with another beginning is quoted behind a bar.
OURS = re.compile(
    r"(start|build|search|batch|comparison|compile) (raised|took longer than) "
    r"|(query|batch_query|warm-up) returned |the (process|worker) |an array |a frame "
    r"|printed more than |started more than |used |does not compile|ran out of memory during "
)


def infrastructure_text(failure: Failure, case: Case) -> str:
    """Returns the text of a failure that is not the submission's fault."""
    log = str(failure.evidence.get("log_tail", "")).rstrip()
    message = failure.message
    said = escape.told(message) if case.implementation.trusted else escape.quoted(message)
    return "\n".join([said, *(["", escape.quoted(log, last=True)] if log else [])])


def failure_text(failure: Failure, case: Case) -> str:
    """Returns the text of a failure for the author: what happened, where, evidence, next step."""
    path = case.implementation.path
    ours = case.implementation.trusted or OURS.match(failure.message)
    begins = ours or failure.message.startswith(path)
    parts = [escape.told(failure.message) if begins else escape.quoted(failure.message)]
    if path not in failure.message and failure.kind != EnvironmentBuildError.kind:
        name = case.implementation.class_name  # C++ has none
        parts.append(f"  in {escape.line(path)}" + (f", class {escape.line(name)}" if name else ""))
    seen = failure.evidence
    trace = str(seen.get("traceback", "")).rstrip()
    if trace:
        parts += ["", escape.quoted(trace)]
    log = str(seen.get("log_tail", "")).rstrip().splitlines()
    if log:
        left_out = f" ({len(log) - LOG_LINES} lines before)" if len(log) > LOG_LINES else ""
        parts += ["", f"Last output of the implementation{left_out}:"]
        parts += [escape.quoted("\n".join(log[-LOG_LINES:]))]
    if failure.phase and case.implementation.error is None:  # it was run
        parts += ["", AGAIN]
    return "\n".join(parts)
