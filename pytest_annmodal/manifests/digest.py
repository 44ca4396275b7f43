"""Computes a digest of a submission's files, equal for equal content at any path."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from pytest_annmodal.manifests.contents import UNREAD, TooLargeError, walk
from pytest_annmodal.model import Implementation

MAX_BYTES = 50_000_000


def digest_of(implementation: Implementation) -> str | None:
    """Returns the sha256 over its file and its folder; None if they cannot be read fully."""
    try:
        own = hash_files(Path(implementation.path), max_bytes=MAX_BYTES)
        if implementation.folder is None:
            return own
        around = hash_files(Path(implementation.folder), max_bytes=MAX_BYTES)
    except (TooLargeError, OSError):
        return None
    return hashlib.sha256(f"{own} {around}".encode()).hexdigest()


def hash_files(path: Path, *, max_bytes: int) -> str:
    """Returns the sha256 over the names and bytes of a file, or of all files of a folder.

    A link inside counts by its target's path, a device or pipe by its type; neither is opened.

    Raises:
        TooLargeError: more than ``max_bytes``, or too many files and folders.
        OSError: something cannot be read.
    """
    left = max_bytes
    total = hashlib.sha256()
    limit = f"{max_bytes / 1e6:g} MB"
    files = (Path(entry.path) for entry in walk(path)) if path.is_dir() else [path]
    for file in files:
        content, size = _content(file, left, top=file == path)
        if size > left:
            raise TooLargeError(f"is larger than {limit}, the limit for a submission")
        left -= size
        name = os.fsencode(file.relative_to(path)) if file != path else b"."
        if UNREAD not in file.relative_to(path).parts:
            total.update(b"%d:%s%s" % (len(name), name, content))
    return total.hexdigest()


def _content(file: Path, max_bytes: int, *, top: bool) -> tuple[bytes, int]:
    """Returns a hash of the file and its size; a file beyond ``max_bytes`` is not read."""
    if file.is_symlink() and not top:
        return hashlib.sha256(b"link" + os.fsencode(file.readlink())).digest(), 0
    # O_NONBLOCK: opening a pipe must not wait for a writer.
    fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | (0 if top else os.O_NOFOLLOW))
    try:
        mode = os.fstat(fd)
        if not stat.S_ISREG(mode.st_mode):
            return hashlib.sha256(b"special %o" % stat.S_IFMT(mode.st_mode)).digest(), 0
        if mode.st_size > max_bytes:
            return b"", mode.st_size
        with os.fdopen(os.dup(fd), "rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest(), mode.st_size
    finally:
        os.close(fd)
