"""Writes files that survive a crash: flushed, and complete when they get their final name."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path


def sync_file(path: Path) -> None:
    """Flushes a file's bytes to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_directory(path: Path) -> None:
    """Flushes a directory's names to the disk, if its file system can do that."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def publish(source: Path, target: Path) -> None:
    """Moves a finished file to its final name in one step, flushed.

    ``source`` may be on another file system; it is then copied beside ``target`` first.
    """
    sync_file(source)
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        near = target.with_name(f".{target.name}.{os.getpid()}.incoming")
        try:
            shutil.copyfile(source, near)
            sync_file(near)
            near.replace(target)
        finally:
            near.unlink(missing_ok=True)
        source.unlink()
    sync_directory(target.parent)


def write_text(path: Path, text: str) -> None:
    """Replaces a small file's content in one step, flushed."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, raw: bytes) -> None:
    """Replaces a small file's content in one step, flushed."""
    near = path.with_name(f".{path.name}.{os.getpid()}.incoming")
    try:
        near.write_bytes(raw)
        sync_file(near)
        near.replace(path)
    finally:
        near.unlink(missing_ok=True)
