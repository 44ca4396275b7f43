"""Lists, hashes and copies the files of a project's folder that git would include."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_annmodal.errors import EnvironmentBuildError

MAX_BYTES = 2**30
# Left out even without a .gitignore: files that tools create, and our own results.
LEFT_OUT = frozenset({".git", ".annmodal", "__pycache__", ".pytest_cache", ".benchmarks", ".tox"})
SUFFIXES_LEFT_OUT = (".pyc", ".egg-info")


def files_of(folder: Path) -> list[str]:
    """Returns relative paths of a project's files, sorted, without those in ``.gitignore``.

    Links are not followed. If git is missing or refuses the folder, all files except ``LEFT_OUT``.
    """
    found = _by_git(folder)
    names = _walk(folder) if found is None else _with_submodules(folder, found)
    return sorted(name for name in set(names) if not _is_left_out(name))


def digest(folder: Path) -> str:
    """Returns the sha256 over the names and contents of a project's files.

    Raises:
        EnvironmentBuildError: it is too large, or a file cannot be read.
    """
    total, size = hashlib.sha256(), 0
    try:
        for name in files_of(folder):
            path = folder / name
            if path.is_symlink():
                content = os.fsencode(path.readlink())
            elif path.is_file():
                size += path.stat().st_size
                _refuse_large(folder, size)
                with path.open("rb") as stream:
                    content = hashlib.file_digest(stream, "sha256").digest()
            else:  # deleted, but git still has it; or a pipe
                continue
            total.update(b"%d:%s:%s" % (len(name), os.fsencode(name), content))
    except OSError as error:
        raise EnvironmentBuildError(f"{folder} cannot be read: {error}") from error
    return total.hexdigest()


def _refuse_large(folder: Path, size: int) -> None:
    if size > MAX_BYTES:
        raise EnvironmentBuildError(
            f"{folder} has more than {MAX_BYTES / 1e9:.1f} GB of files; add those that do not "
            "belong to the project to its .gitignore"
        )


def copy(folder: Path, target: Path) -> None:
    """Copies a project's files, so that building does not write to its folder."""
    for name in files_of(folder):
        source, place = folder / name, target / name
        if source.is_symlink() or source.is_file():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, place, follow_symlinks=False)
    if (folder / ".git").exists():  # the build may take the version from its tags
        (target / ".git").symlink_to(folder / ".git")


def _is_left_out(name: str) -> bool:
    parts = name.split("/")
    return not LEFT_OUT.isdisjoint(parts) or any(p.endswith(SUFFIXES_LEFT_OUT) for p in parts)


def _by_git(folder: Path, repository: Sequence[str] = ()) -> list[str] | None:
    """Returns the files that git lists below a folder; None if git fails."""
    command = ["git", "-C", str(folder), *repository]
    command += ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError:  # there is no git
        return None
    if done.returncode == 0:
        return [os.fsdecode(name) for name in done.stdout.split(b"\0") if name]
    return None if repository else _by_empty_repository(folder)


def _by_empty_repository(folder: Path) -> list[str] | None:
    """Lists a folder outside a repository by its ``.gitignore``, with an empty repository."""
    with tempfile.TemporaryDirectory(prefix="annmodal-git-") as empty:
        made = subprocess.run(
            ["git", "init", "--quiet", "--bare", empty], capture_output=True, check=False
        )
        if made.returncode != 0:
            return None
        return _by_git(folder, (f"--git-dir={empty}", f"--work-tree={folder}"))


def _with_submodules(folder: Path, names: Sequence[str]) -> Iterator[str]:
    """Yields the names, with the files of submodules, of which git lists only the folder."""
    for name in names:
        place = folder / name
        if place.is_dir() and not place.is_symlink():
            yield from (f"{name.rstrip('/')}/{inner}" for inner in files_of(place))
        else:
            yield name


def _walk(folder: Path) -> Iterator[str]:
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in LEFT_OUT]
        yield from (os.path.relpath(os.path.join(place, name), folder) for name in files)  # noqa: PTH118
