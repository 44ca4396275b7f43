"""Stream a URL to a file: resumed after a cut, retried, verified, and never half there.

The unfinished bytes lie in ``{target}.part`` with a note of where they come from in
``{target}.part.json``, so that the next run goes on where a killed one stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_annmodal import __version__
from pytest_annmodal.datasets.lines import Log
from pytest_annmodal.datasets.sources.http_errors import (
    InterruptedTransferError,
    LocalDiskError,
    identity,
    without_secrets,
)
from pytest_annmodal.datasets.sources.transfer import Transfer
from pytest_annmodal.errors import ChecksumError, DatasetFormatError, DownloadError

if TYPE_CHECKING:
    import requests

__all__ = ["Fetched", "fetch", "identity", "without_secrets"]

USER_AGENT = f"pytest-annmodal/{__version__}"  # the default of Python clients gets 403 from some
LONGEST_WAIT_S = 60.0
UNKNOWN_HOST_RETRIES = 2  # nothing came and the name has no address: more waiting helps nobody
SILENT = Log()
PROGRESS_BYTES = 2**20  # an attempt that brought this much does not count as a failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A complete, verified file; ``url`` is the one that served it."""

    sha256: str
    size_bytes: int
    url: str


def fetch(
    urls: Sequence[str],
    target: Path,
    *,
    sha256: str | None = None,
    size_bytes: int | None = None,
    log: Log = SILENT,
    check: Callable[[Path], object] | None = None,
    is_hdf5: bool = True,
    auth: Any = None,
    retries: int = 5,
    backoff_s: float = 1.0,
) -> Fetched:
    """Download the first of ``urls`` that serves the right file to ``target``.

    Args:
        urls: the same file in several places, tried in this order.
        sha256: hex digest that the file must have, if it is known.
        size_bytes: length that the file must have, if it is known.
        log: is told each URL before it is tried, each retry and each change of URL, and how many
            bytes are there.
        check: looks at the complete file before it gets its name; a DatasetFormatError
            makes the URL a wrong one.
        is_hdf5: what begins otherwise is refused at once.
        auth: as requests takes it; without it, what a netrc file has.
        retries: failures in a row, each with little progress, after which a URL is given up.
        backoff_s: wait after the first of them; doubled after each further one.

    Raises:
        ChecksumError, DatasetFormatError: the only URL served something else.
        DownloadError: nothing usable came; each URL is named with its reason.
    """
    reasons: list[tuple[str, Exception]] = []
    with _session(auth) as session:
        for url in urls:
            log.tell("downloading", url=without_secrets(url))
            log.tell("saving")
            told = log.reporter.progress
            transfer = Transfer(session, url, target, sha256, size_bytes, told, is_hdf5=is_hdf5)
            try:
                return _one_url(transfer, check, log, retries, backoff_s)
            except LocalDiskError:
                raise
            except (DownloadError, ChecksumError, DatasetFormatError) as error:
                reasons.append((url, error))
                if url != urls[-1]:
                    _pass_over(url, error, log)
    raise _verdict(target, reasons) from reasons[-1][1]


def _session(auth: Any) -> requests.Session:
    import requests

    session = requests.Session()
    session.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})
    session.auth = auth
    return session


def _pass_over(url: str, error: Exception, log: Log) -> None:
    why = str(error).rstrip(".")
    log.tell("event", text=f"{without_secrets(url)} cannot be used ({why})")


def _one_url(
    transfer: Transfer,
    check: Callable[[Path], object] | None,
    log: Log,
    retries: int,
    backoff_s: float,
) -> Fetched:
    """Everything that one URL gets: attempts, a second chance after a resume, checks."""
    digest, size_bytes = _persist(transfer, log, retries, backoff_s)
    if transfer.wanted_sha256 not in (None, digest) and transfer.resumed:
        # What was there before may be damaged; this URL is judged by its own bytes alone.
        log.tell("event", text="The resumed file has the wrong sha256: starting again")
        transfer.part.discard()
        digest, size_bytes = _persist(transfer, log, retries, backoff_s)
    shown = without_secrets(transfer.url)
    try:
        if transfer.wanted_sha256 not in (None, digest):
            raise ChecksumError(
                name=transfer.target.name,
                url=shown,
                expected=str(transfer.wanted_sha256),
                actual=digest,
            )
        if check is not None:
            check(transfer.part.path)
    except (ChecksumError, DatasetFormatError):
        transfer.part.discard()
        raise
    transfer.finish()
    return Fetched(sha256=digest, size_bytes=size_bytes, url=shown)


def _persist(transfer: Transfer, log: Log, retries: int, backoff_s: float) -> tuple[str, int]:
    """Attempts until the last byte is there; sha256 and length."""
    failures = 0
    while True:
        before = transfer.part.size()
        try:
            return transfer.attempt()
        except InterruptedTransferError as error:
            progressed = transfer.part.size() - before >= PROGRESS_BYTES
            failures = 1 if progressed else failures + 1
            hopeless = error.unknown_host and before == 0
            limit = min(retries, UNKNOWN_HOST_RETRIES) if hopeless else retries
            if failures > limit:
                raise DownloadError(f"{error} Given up after {failures} attempts.") from error
            wait_s = min(LONGEST_WAIT_S, max(error.wait_s, backoff_s * 2 ** (failures - 1)))
            again = f"{error} Trying again in {wait_s:.0f} s ({failures} of {limit})"
            log.tell("event", text=again)
            time.sleep(wait_s)


def _verdict(target: Path, reasons: Sequence[tuple[str, Exception]]) -> Exception:
    if len(reasons) == 1:
        return _with_advice(*reasons[0])
    listed = "".join(f"\n  {without_secrets(url)}: {error}" for url, error in reasons)
    retryable = any(isinstance(error, DownloadError) and error.retryable for _, error in reasons)
    return DownloadError(
        f"{target.name}: none of its {len(reasons)} URLs could be used:{listed}",
        retryable=retryable,
    )


def _with_advice(url: str, error: Exception) -> Exception:
    if isinstance(error, DatasetFormatError) and not isinstance(error, ChecksumError):
        return DatasetFormatError(f"{without_secrets(url)} sent a file that is no use: {error}")
    if not isinstance(error, DownloadError):
        return error
    advice = (
        "Check the network, or name a mirror with --ann-base-url. "
        "Run it again: it goes on where it stopped."
        if error.retryable
        else "Check the URL, or name a mirror with --ann-base-url."
    )
    return DownloadError(f"{error} {advice}", retryable=error.retryable)
