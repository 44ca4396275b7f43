"""Exceptions of libraries become one of our errors, with the cause chained."""

from __future__ import annotations

import errno
import ssl

import pytest
import requests

from pytest_annmodal.datasets.sources.http_errors import LocalDiskError, disk_errors, http_errors
from pytest_annmodal.errors import DownloadError


@pytest.mark.parametrize(
    ("error", "cause", "retryable"),
    [
        (requests.ConnectionError, ConnectionResetError("reset by peer"), True),
        (requests.exceptions.ChunkedEncodingError, EOFError(), True),
        (requests.exceptions.SSLError, ssl.SSLError("bad record mac"), True),
        (requests.exceptions.SSLError, ssl.SSLCertVerificationError("self-signed"), False),
        (requests.exceptions.ProxyError, OSError("no route"), True),
        (requests.ReadTimeout, TimeoutError(), True),
        (requests.exceptions.InvalidURL, ValueError("no host"), False),
        (requests.TooManyRedirects, ValueError("30"), False),
    ],
)
def test_what_requests_raises_says_whether_to_try_again(error, cause, retryable):
    with (
        pytest.raises(DownloadError, match=r"https://x\.org/y\.hdf5") as caught,
        http_errors("https://me:secret@x.org/y.hdf5"),
    ):
        raise error("outer words") from cause
    assert caught.value.retryable is retryable
    assert isinstance(caught.value.__cause__, error)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "is full"),
        (errno.EDQUOT, "is full"),
        (errno.EROFS, "Use another directory"),
        (errno.EACCES, "Use another directory"),
        (errno.EIO, "cannot be written"),
    ],
)
def test_what_the_disk_raises_names_the_place_and_the_way_out(tmp_path, number, words):
    with pytest.raises(LocalDiskError, match=words) as caught, disk_errors(tmp_path / "x.part"):
        raise OSError(number, "words of the system")
    assert str(tmp_path) in str(caught.value)
    assert "--ann-volume-dir" in str(caught.value)
