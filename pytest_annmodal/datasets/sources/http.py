"""Downloads a URL to a file: resumes, retries and verifies it before it gets its name.

Unfinished bytes lie in ``{target}.part``, and their origin in ``{target}.part.json``, so that the
next run resumes a download that was killed.
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

USER_AGENT = f"pytest-annmodal/{__version__}"  # some servers refuse Python's default with 403
LONGEST_WAIT_S = 60.0
UNKNOWN_HOST_RETRIES = 2  # more waiting seldom helps where the host name has no address
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
    """Downloads to ``target`` from the first of ``urls`` that serves the right file.

    Args:
        urls: the same file in several places, tried in this order.
        sha256: expected hex digest, if known.
        size_bytes: expected length, if known.
        log: gets each URL before it is tried, each retry, each change of URL, and the progress.
        check: checks the complete file before it gets its name; if it raises a
            DatasetFormatError, the next URL is tried.
        is_hdf5: refuse a file that does not begin as HDF5, at its first bytes.
        auth: passed to requests; without it, requests reads a netrc file.
        retries: failures in a row without progress after which a URL is given up.
        backoff_s: wait after the first failure; doubled after each further one.

    Raises:
        ChecksumError, DatasetFormatError: the only URL served another file.
        DownloadError: no URL served the file; the reason is given for each.
    """
    reasons: list[tuple[str, Exception]] = []
    with _session(auth) as session:
        for url in urls:
            log.tell("downloading", url=without_secrets(url))
            log.tell("saving")
            progress = log.reporter.progress
            transfer = Transfer(session, url, target, sha256, size_bytes, progress, is_hdf5=is_hdf5)
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
    """Downloads and checks one URL; starts again if a resumed file has the wrong digest."""
    digest, size_bytes = _persist(transfer, log, retries, backoff_s)
    if transfer.wanted_sha256 not in (None, digest) and transfer.resumed:
        # The bytes of the earlier run may be damaged, not those of this URL.
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
    """Repeats attempts until the file is complete; returns its sha256 and length."""
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
        return DatasetFormatError(f"{without_secrets(url)} sent an unusable file: {error}")
    if not isinstance(error, DownloadError):
        return error
    advice = (
        "Check the network, or name a mirror with --ann-base-url. "
        "Run it again to resume the download."
        if error.retryable
        else "Check the URL, or name a mirror with --ann-base-url."
    )
    return DownloadError(f"{error} {advice}", retryable=error.retryable)
