"""Every exception that pytest-annmodal raises on purpose.

::

    AnnModalError
    ├── ConfigurationError          shown as pytest.UsageError
    ├── DatasetError
    │   ├── DownloadError           retryable
    │   ├── ChecksumError
    │   ├── DamagedCopyError        putting the file there again helps
    │   └── DatasetFormatError
    ├── VolumeError
    │   ├── ReloadError
    │   └── CommitError
    ├── ExecutorError               blame: infrastructure
    │   └── BaselineError           what a submission is compared with failed
    └── SubmissionError             blame: submission
        ├── CompileError            C++ that the compiler refuses
        ├── EnvironmentBuildError   what NAME@SPEC names cannot be installed
        ├── BuildError              import, constructor, fit or query raised
        ├── CrashedError            exit, signal
        ├── TimeoutExceededError
        ├── LimitExceededError      memory, output
        ├── ProtocolViolationError  a frame that the harness did not ask for
        ├── SmugglingError          work outside the timed windows
        └── InvalidResultError      an answer that is not k neighbour ids

A message says what happened, to what, what was expected and what to do next.
"""

from __future__ import annotations

from typing import Any


class AnnModalError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigurationError(AnnModalError):
    """An option, ini key, environment variable or file name that cannot be used."""


class DatasetError(AnnModalError):
    """A dataset that cannot be had or cannot be used."""


class DownloadError(DatasetError):
    """A download that failed; trying again may help when ``retryable`` is true."""

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class ChecksumError(DatasetError):
    """A downloaded file whose sha256 differs from the pinned one."""

    def __init__(self, *, name: str, url: str, expected: str, actual: str) -> None:
        super().__init__(
            f"{name}: the file at {url} has sha256 {actual}, expected {expected}. "
            "It was discarded; try again, or another mirror with --ann-base-url."
        )
        self.url = url
        self.expected = expected
        self.actual = actual


class DamagedCopyError(DatasetError):
    """A stored copy of somebody's file that is not that file (any more)."""


class DatasetFormatError(DatasetError):
    """A file that is not a usable ann-benchmarks HDF5 dataset."""


class VolumeError(AnnModalError):
    """A volume that cannot be read or written."""


class ReloadError(VolumeError):
    """The volume's latest state could not be fetched (files are open, or it is busy)."""


class CommitError(VolumeError):
    """What was written could not be made durable and visible to others."""


class ExecutorError(AnnModalError):
    """The place where jobs run failed; no submission is to blame."""


class BaselineError(ExecutorError):
    """The baseline of a comparison failed; the submission is not to blame."""


class SubmissionError(AnnModalError):
    """An implementation did something wrong; becomes a ``Failure``, never ends the session.

    Attributes:
        kind: the short, stable name used in reports.
        evidence: what was seen, e.g. ``traceback``, ``log_tail``, ``exit_signal``.
    """

    kind = "submission"

    def __init__(self, message: str, *, kind: str | None = None, **evidence: Any) -> None:
        super().__init__(message)
        if kind is not None:
            self.kind = kind
        self.evidence = evidence


class CompileError(SubmissionError):
    """The compiler refuses the implementation, or could not do with it in its limits."""

    kind = "compile"


class EnvironmentBuildError(SubmissionError):
    """What a ``NAME@SPEC`` names cannot be installed, or cannot be used once it is."""

    kind = "environment"


class BuildError(SubmissionError):
    """The implementation raised while it was imported, constructed, fitted or queried."""

    kind = "raised"


class CrashedError(SubmissionError):
    """The worker process ended before it answered."""

    kind = "crashed"


class TimeoutExceededError(SubmissionError):
    """A phase took longer than it may."""

    kind = "timeout"


class LimitExceededError(SubmissionError):
    """Memory or output went over its limit."""

    kind = "limit"


class ProtocolViolationError(SubmissionError):
    """The worker sent something that the harness did not ask for."""

    kind = "protocol"


class SmugglingError(SubmissionError):
    """Work was done outside the timed windows, by other threads or processes."""

    kind = "smuggling"


class InvalidResultError(SubmissionError):
    """An answer that is not k distinct row numbers of ``train``."""

    kind = "invalid-result"
