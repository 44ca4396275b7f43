"""Ships an implementation's files: collected here, unpacked in a container."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from pytest_annmodal.manifests.builtin_paths import is_builtin, is_portable, located, portable
from pytest_annmodal.model import Implementation


def ship(
    implementation: Implementation, limit_bytes: int
) -> tuple[Implementation, dict[str, bytes]]:
    """Returns an implementation's files as relative name → content, for :func:`unpack`.

    Raises:
        OSError, ValueError: a file cannot be read, or together they exceed the limit.
    """
    if is_builtin(implementation):
        return portable(implementation), {}
    path = Path(implementation.path)
    root = Path(implementation.folder) if implementation.folder else path.parent
    chosen = _regular_files(root) if implementation.folder else [path]
    files, total = {}, 0
    for file in chosen:
        total += file.stat().st_size
        if total > limit_bytes:
            raise ValueError(f"{root} holds more than {limit_bytes / 1e6:.0f} MB")
        files[file.relative_to(root).as_posix()] = file.read_bytes()
    shipped = dataclasses.replace(
        implementation, path=path.relative_to(root).as_posix(), folder=None
    )
    return shipped, files


def _regular_files(root: Path) -> list[Path]:
    """Returns the regular files below a folder, without links."""
    found = []
    for folder, names, leaves in os.walk(root, followlinks=False):
        names[:] = sorted(n for n in names if n not in {"__pycache__", ".git"})
        paths = (Path(folder) / leaf for leaf in sorted(leaves))
        found += [p for p in paths if p.is_file() and not p.is_symlink()]
    return found


def unpack(
    implementation: Implementation, files: Mapping[str, bytes], folder: Path
) -> Implementation:
    """Writes the shipped files; returns the implementation with its new path."""
    if is_portable(implementation):
        return located(implementation)
    for name, content in files.items():
        relative = PurePosixPath(name)
        if relative.is_absolute() or ".." in relative.parts:
            raise ValueError(f"a shipped file is called {name!r}")
        target = folder / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    path = folder / implementation.path
    return dataclasses.replace(implementation, path=str(path), folder=str(folder))
