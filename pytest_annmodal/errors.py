"""Every exception that pytest-annmodal raises on purpose.

::

    AnnModalError
    ├── ConfigurationError          shown as pytest.UsageError
    ├── DatasetError
    │   ├── DownloadError           retryable
    │   ├── ChecksumError
    │   ├── DamagedCopyError        copying the file there again helps
    │   └── DatasetFormatError
    ├── VolumeError
    │   ├── ReloadError
    │   └── CommitError
    ├── ExecutorError               blame: infrastructure
    │   └── BaselineError           the baseline failed, not the submission
    └── SubmissionError             blame: submission
        ├── CompileError            the compiler refuses the C++
        ├── EnvironmentBuildError   the packages of NAME@SPEC cannot be installed
        ├── BuildError              import, constructor, fit or query raised
        ├── CrashedError            exit, signal
        ├── TimeoutExceededError
        ├── LimitExceededError      memory, output
        ├── ProtocolViolationError  an unexpected frame
        ├── SmugglingError          work outside the timed windows
        └── InvalidResultError      an answer other than k neighbour ids

A message says what happened, to what, what was expected and what to do next.
"""

from __future__ import annotations

from typing import Any


class AnnModalError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigurationError(AnnModalError):
    """An option, ini key, environment variable or file name that cannot be used."""


def large_k(k: str, n_train: int, dataset: str) -> str:
    """Returns the message for ``k`` (as it was given) above a dataset's number of vectors."""
    rows = f"{n_train:,} training vector{'s' if n_train != 1 else ''}"
    return f"{k} is more than the {rows} of {dataset}; use a smaller k"


class DatasetError(AnnModalError):
    """A dataset that cannot be fetched, read or used."""


class DownloadError(DatasetError):
    """A download that failed; if ``retryable``, trying again may help."""

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class ChecksumError(DatasetError):
    """A downloaded file whose sha256 differs from the pinned one."""

    def __init__(self, *, name: str, url: str, expected: str, actual: str) -> None:
        super().__init__(
            f"{name}: the file at {url} has sha256 {actual}, expected {expected}. "
            "It was discarded. Try again, or name another mirror with --ann-base-url."
        )
        self.url = url
        self.expected = expected
        self.actual = actual


class DamagedCopyError(DatasetError):
    """A copy of a user's file that differs from that file."""


class DatasetFormatError(DatasetError):
    """A file that is not a usable ann-benchmarks HDF5 dataset."""


class VolumeError(AnnModalError):
    """A volume that cannot be read or written."""


class ReloadError(VolumeError):
    """The volume's latest state could not be fetched (files are open, or it is busy)."""


class CommitError(VolumeError):
    """Written files could not be made durable and visible to others."""


class ExecutorError(AnnModalError):
    """The machine or service that runs jobs failed; no submission is to blame."""


class BaselineError(ExecutorError):
    """The baseline of a comparison failed; the submission is not to blame."""


class SubmissionError(AnnModalError):
    """An implementation failed. It becomes a ``Failure`` and never ends the session.

    Attributes:
        kind: a short, stable name for reports.
        evidence: e.g. ``traceback``, ``log_tail``, ``exit_signal``.
    """

    kind = "submission"

    def __init__(self, message: str, *, kind: str | None = None, **evidence: Any) -> None:
        super().__init__(message)
        if kind is not None:
            self.kind = kind
        self.evidence = evidence


class CompileError(SubmissionError):
    """The compiler refused the implementation, or exceeded its limits."""

    kind = "compile"


class EnvironmentBuildError(SubmissionError):
    """The packages of a ``NAME@SPEC`` cannot be installed, or cannot be used."""

    kind = "environment"


class BuildError(SubmissionError):
    """The implementation raised while it was imported, constructed, fitted or queried."""

    kind = "raised"


class CrashedError(SubmissionError):
    """The worker process ended before it answered."""

    kind = "crashed"


class TimeoutExceededError(SubmissionError):
    """A phase exceeded its time limit."""

    kind = "timeout"


class LimitExceededError(SubmissionError):
    """Memory or output exceeded its limit."""

    kind = "limit"


class ProtocolViolationError(SubmissionError):
    """The worker sent an unexpected message."""

    kind = "protocol"


class SmugglingError(SubmissionError):
    """Work was done outside the timed windows, by other threads or processes."""

    kind = "smuggling"


class InvalidResultError(SubmissionError):
    """An answer that is not k distinct row numbers of ``train``."""

    kind = "invalid-result"
