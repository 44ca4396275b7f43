"""One attempt to download a file or its rest over HTTP, and the part file that it leaves."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_annmodal import durable
from pytest_annmodal.datasets.lines import OnProgress
from pytest_annmodal.datasets.sources.http_errors import (
    InterruptedTransferError,
    LocalDiskError,
    disk_errors,
    http_errors,
    identity,
    without_secrets,
)
from pytest_annmodal.errors import DownloadError

if TYPE_CHECKING:
    import requests

CONNECT_S, READ_S = 10.0, 60.0
CHUNK_BYTES = 2**16
SIGNATURE = b"\x89HDF\r\n\x1a\n"
SPARE_BYTES = 2**16  # for names, stamps and the file system's own needs
NOT_NOW = (408, 425, 429)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The origin of a part's bytes.

    Attributes:
        url: as :func:`~pytest_annmodal.datasets.sources.http_errors.identity` returns it.
        validator: a strong ETag or a Last-Modified date, for ``If-Range``.
        total: length of the whole file, if the server gave it.
    """

    url: str
    validator: str | None
    total: int | None


class Part:
    """The unfinished file and the note of its origin."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(target.name + ".part")
        self.note = target.with_name(target.name + ".part.json")

    def size(self) -> int:
        """Returns the number of bytes so far."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def origin(self) -> Origin | None:
        try:
            return Origin(**json.loads(self.note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def begin(self, origin: Origin) -> None:
        """Empties the part and notes the origin of the bytes to come."""
        self.path.unlink(missing_ok=True)
        self.note.write_text(
            json.dumps({"url": origin.url, "validator": origin.validator, "total": origin.total}),
            encoding="utf-8",
        )

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


class Transfer:
    """The download of one URL into one part file; repeat :meth:`attempt` until it succeeds."""

    def __init__(  # noqa: PLR0917 - one caller, which passes on its own arguments
        self,
        session: requests.Session,
        url: str,
        target: Path,
        sha256: str | None,
        size_bytes: int | None,
        on_progress: OnProgress,
        *,
        is_hdf5: bool = True,
    ) -> None:
        self.is_hdf5 = is_hdf5
        self.session = session
        self.url = url
        self.target = target
        self.part = Part(target)
        self.wanted_sha256 = sha256
        self.wanted_bytes = size_bytes
        self.on_progress = on_progress
        self.resumed = False

    def attempt(self) -> tuple[str, int]:
        """Downloads the missing bytes; returns sha256 (hex) and length of the complete part.

        Raises:
            InterruptedTransferError: the attempt should be repeated.
            LocalDiskError: the disk cannot be written.
            DownloadError: this URL does not serve the file.
        """
        with disk_errors(self.part.path):
            start, origin = self._resume_point()
            if origin is not None and start and start == origin.total:
                self.resumed = True
                return self._hash_prefix(start).hexdigest(), start
            with self._ask(start, origin) as response:
                if response.status_code == 206:
                    total = self._continued(response, start, origin)
                else:
                    start, total = 0, self._started(response)
                self._require_space(start, total)
                return self._receive(response, start, total)

    def finish(self) -> None:
        """Renames the complete part to its final name."""
        with disk_errors(self.part.path):
            durable.publish(self.part.path, self.target)
            self.part.discard()

    def _resume_point(self) -> tuple[int, Origin | None]:
        """Returns how many bytes of this file can be kept, and their origin."""
        origin, size = self.part.origin(), self.part.size()
        if origin is None or origin.url != identity(self.url):
            return 0, None
        if origin.total is not None and size > origin.total:
            return 0, None
        # Without a validator only the digest shows whether two parts are of the same file.
        if origin.validator is None and self.wanted_sha256 is None:
            return 0, None
        return size, origin

    @contextmanager
    def _ask(self, start: int, origin: Origin | None) -> Iterator[requests.Response]:
        headers = {}
        if start:
            headers["Range"] = f"bytes={start}-"
            if origin is not None and origin.validator is not None:
                headers["If-Range"] = origin.validator
        with http_errors(self.url):
            response = self.session.get(
                self.url, headers=headers, stream=True, timeout=(CONNECT_S, READ_S)
            )
        with response:
            self._require_success(response, start)
            yield response

    def _require_success(self, response: requests.Response, start: int) -> None:
        status = response.status_code
        if status == 200 or (status == 206 and start):
            return
        said = f"{without_secrets(self.url)} answered {status} {response.reason or ''}".rstrip()
        if status == 416 and start:  # the file became shorter, or the part is too long
            self.part.discard()
            raise InterruptedTransferError(f"{said} to a resumed download; starting again.")
        if status >= 500 or status in NOT_NOW:
            wait = response.headers.get("Retry-After", "")
            raise InterruptedTransferError(
                f"{said}.", wait_s=float(wait) if wait.isdigit() else 0.0
            )
        raise DownloadError(f"{said}.", retryable=False)

    def _continued(
        self, response: requests.Response, start: int, origin: Origin | None
    ) -> int | None:
        """Checks that a 206 response continues the part; returns the total length."""
        said = response.headers.get("Content-Range", "")
        match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", said.strip())
        total = int(match[3]) if match and match[3] != "*" else None
        known = origin.validator if origin else None
        same = (
            known is None or known in (_validator(response), None) or _validator(response) is None
        )
        if (
            match is None
            or int(match[1]) != start
            or not same
            or (origin is not None and None not in (total, origin.total) and total != origin.total)
        ):
            self.part.discard()
            raise InterruptedTransferError(
                f"{without_secrets(self.url)} changed since the download began; starting again."
            )
        self.resumed = True
        return self._require_length(total)

    def _started(self, response: requests.Response) -> int | None:
        """Prepares for a file from its first byte; returns the total length."""
        said = response.headers.get("Content-Length", "")
        encoded = response.headers.get("Content-Encoding", "identity") != "identity"
        total = self._require_length(None if encoded or not said.isdigit() else int(said))
        validator = None if encoded else _validator(response)
        self.part.begin(Origin(url=identity(self.url), validator=validator, total=total))
        self.resumed = False
        return total

    def _require_length(self, total: int | None) -> int | None:
        if total is not None and self.wanted_bytes not in (None, total):
            raise DownloadError(
                f"{without_secrets(self.url)} offers {total:,} bytes, expected "
                f"{self.wanted_bytes:,}: it is another file.",
                retryable=False,
            )
        return total if total is not None else self.wanted_bytes

    def _require_space(self, start: int, total: int | None) -> None:
        if total is None:
            return
        free = shutil.disk_usage(self.part.path.parent).free
        if total - start + SPARE_BYTES > free:
            raise LocalDiskError(
                f"{self.target.name} needs {total - start:,} more bytes, but "
                f"{self.part.path.parent} has {free:,} free. Free some space, or use "
                "another directory (--ann-volume-dir)."
            )

    def _receive(
        self, response: requests.Response, start: int, total: int | None
    ) -> tuple[str, int]:
        digest, done, head = self._hash_prefix(start), start, b""
        with self.part.path.open("r+b" if start else "wb") as stream:
            stream.seek(start)
            stream.truncate()
            try:
                for chunk in self._chunks(response):
                    if done < len(SIGNATURE):
                        head += chunk[: len(SIGNATURE)]
                        self._require_signature(head, response)
                    stream.write(chunk)
                    digest.update(chunk)
                    done += len(chunk)
                    self.on_progress(done, total)
            finally:
                stream.flush()
        durable.sync_file(self.part.path)
        self._require_all(done, total)
        return digest.hexdigest(), done

    def _require_all(self, done: int, total: int | None) -> None:
        if done < len(SIGNATURE) and not total:
            self.part.discard()
            raise DownloadError(f"{without_secrets(self.url)} sent {done} bytes.", retryable=False)
        if total is None or done == total:
            return
        said = f"{without_secrets(self.url)} sent {done:,} bytes of {total:,}."
        if done > total:
            self.part.discard()
            raise DownloadError(said, retryable=False)
        raise InterruptedTransferError(said)

    def _require_signature(self, head: bytes, response: requests.Response) -> None:
        kind = response.headers.get("Content-Type", "unknown type")
        tag = head.lstrip().lower()[:5]  # in other files a first byte "<" may be a number
        web = "html" in kind or tag in {b"<html", b"<!doc"} or (self.is_hdf5 and tag[:1] == b"<")
        if SIGNATURE.startswith(head[: len(SIGNATURE)]) or not (self.is_hdf5 or web):
            return
        self.part.discard()
        what = "a web page" if web else "something else"
        wanted = "an HDF5 file" if self.is_hdf5 else "the file"
        raise DownloadError(
            f"{without_secrets(self.url)} sent {what} ({kind}, beginning with "
            f"{head!r}) instead of {wanted}: is it a login or error page, or a proxy's?",
            retryable=False,
        )

    def _hash_prefix(self, length: int) -> hashlib._Hash:
        digest = hashlib.sha256()
        if length:
            with self.part.path.open("rb") as stream:
                while block := stream.read(CHUNK_BYTES):
                    digest.update(block)
        return digest

    def _chunks(self, response: requests.Response) -> Iterator[bytes]:
        with http_errors(self.url):
            yield from response.iter_content(CHUNK_BYTES)


def _validator(response: requests.Response) -> str | None:
    """Returns the value for ``If-Range``: by RFC 9110 a strong ETag or a date."""
    tag = response.headers.get("ETag")
    if tag and not tag.startswith("W/"):
        return tag
    return response.headers.get("Last-Modified")
