"""Translates errors of the network and the disk during a download."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from pytest_annmodal.errors import DownloadError


class LocalDiskError(DownloadError):
    """The local disk cannot be written (full, read-only); other URLs are not tried."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retryable=False)


class InterruptedTransferError(DownloadError):
    """An attempt failed and should be repeated, after ``wait_s`` if the server asks for it.

    With ``unknown_host`` the host name has no address: most often there is no network.
    """

    def __init__(self, message: str, *, wait_s: float = 0.0, unknown_host: bool = False) -> None:
        super().__init__(message, retryable=True)
        self.wait_s, self.unknown_host = wait_s, unknown_host


def without_secrets(url: str) -> str:
    """Returns the URL without user, password and query (signatures, tokens), to show it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "the given URL"
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def identity(url: str) -> str:
    """Returns a text that identifies a URL without secrets: its query is a short digest."""
    query = url.partition("?")[2].partition("#")[0]
    mark = f"?[{hashlib.sha256(query.encode()).hexdigest()[:8]}]" if query else ""
    return without_secrets(url) + mark


@contextmanager
def http_errors(url: str) -> Iterator[None]:
    """Turns errors of requests into a DownloadError."""
    import requests

    shown = without_secrets(url)
    lasting = (
        requests.exceptions.InvalidURL,
        requests.exceptions.InvalidSchema,
        requests.exceptions.MissingSchema,
        requests.exceptions.TooManyRedirects,
        requests.exceptions.ContentDecodingError,
    )
    try:
        yield
    except lasting as error:
        raise DownloadError(f"{shown}: {_innermost(error)}.", retryable=False) from error
    except requests.exceptions.Timeout as error:
        raise InterruptedTransferError(f"{shown} did not answer in time.") from error
    except requests.exceptions.RequestException as error:
        cause = _innermost(error)
        text = f"The connection to {shown} failed ({str(cause) or type(cause).__name__})."
        # Compared by name, so that their modules need not be imported.
        if type(cause).__name__ == "SSLCertVerificationError":
            raise DownloadError(text, retryable=False) from error
        unknown_host = type(cause).__name__ == "gaierror"
        raise InterruptedTransferError(text, unknown_host=unknown_host) from error


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns an OSError of writing ``path`` into a LocalDiskError with advice."""
    try:
        yield
    except OSError as error:
        advice = "Free some space, or use another directory (--ann-volume-dir)."
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            text = f"{path.parent} is full: {path.name} holds the bytes so far. {advice}"
        elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            advice = "Use another directory (--ann-volume-dir)."
            text = f"{path.parent} cannot be written ({error.strerror}). {advice}"
        else:
            text = f"{path} cannot be written ({error.strerror or error}). {advice}"
        raise LocalDiskError(text) from error


def _innermost(error: BaseException) -> BaseException:
    """Returns the original cause: requests wraps urllib3's error, which wraps the system's."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error
