"""Reads submitted files and folders: regular files only, within limits of size and number."""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pytest_annmodal.errors import ConfigurationError

MAX_SOURCE_BYTES = 5 * 2**20
MAX_ENTRIES = 10_000
UNREAD = "__pycache__"  # not part of a submission: Python writes it


class TooLargeError(ConfigurationError):
    """There are more bytes, files or folders than are read."""


def refuse_link(path: Path) -> None:
    """Raises ConfigurationError for a link: it could lead anywhere on this machine."""
    try:
        is_link = path.is_symlink()
    except (OSError, ValueError):  # an impossible name: reading it gives the error
        return
    if is_link:
        raise ConfigurationError("is a link, which is not followed; hand in the file itself")


def read_text(file: Path) -> str:
    """Returns the text of a regular file (UTF-8, at most 5 MB), newlines as line feeds."""
    try:
        if not file.exists():
            raise ConfigurationError("there is no such file")
        raw = _read_regular(file)
    except OSError as error:
        raise ConfigurationError(f"cannot be read: {error.strerror or error}") from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(
            f"line {line} is not UTF-8 text (byte 0x{raw[error.start]:02x}); save it as UTF-8"
        ) from error
    if not text.strip():
        raise ConfigurationError("is empty; write a class with fit(X) and query(v, k) in it")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _read_regular(file: Path) -> bytes:
    if not file.is_file():
        raise ConfigurationError("is not a regular file")
    # The file may have been replaced by a pipe, which must not wait for a writer.
    with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ConfigurationError("is not a regular file")
        if status.st_size > MAX_SOURCE_BYTES:
            raise TooLargeError(f"has {status.st_size} bytes; at most {MAX_SOURCE_BYTES} are read")
        return stream.read(MAX_SOURCE_BYTES)


def walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yields everything below a folder except folders, in order; follows no links.

    Raises:
        TooLargeError: there are more than ``MAX_ENTRIES`` files and folders.
        OSError: something cannot be read.
    """
    todo, n_seen = [folder], 0
    while todo:
        with os.scandir(todo.pop()) as entries:
            some = itertools.islice(entries, MAX_ENTRIES + 1)  # one folder may have too many
            inner = sorted(some, key=lambda entry: os.fsencode(entry.name))
        n_seen += len(inner)
        if n_seen > MAX_ENTRIES:
            raise TooLargeError(f"has more than {MAX_ENTRIES:,} files and folders")
        for entry in inner:
            if entry.is_dir(follow_symlinks=False):
                todo.append(Path(entry.path))
            else:
                yield entry


def refuse_odd_files(folder: Path) -> None:
    """Raises for a folder with a link, a pipe or a device in it, or with too many files.

    Hidden folders (``.git``, ``.venv``) are not checked: they are not part of a submission, and
    their links lead nowhere in a sandbox.

    Raises:
        ConfigurationError: such a file, or too many files.
        OSError: something cannot be read.
    """
    for entry in walk(folder):
        relative = Path(entry.path).relative_to(folder)
        if any(part.startswith(".") for part in relative.parts[:-1]):
            continue
        if entry.is_symlink():
            raise ConfigurationError(
                f"{str(relative)!r} is a link, which is not followed; hand in the file itself"
            )
        if not entry.is_file(follow_symlinks=False):
            raise ConfigurationError(f"{str(relative)!r} is not a regular file")
