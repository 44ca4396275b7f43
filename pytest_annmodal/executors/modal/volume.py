"""The volume inside a container: reload, commit, and wait for commits of other containers."""

from __future__ import annotations

import contextlib
import tempfile
import time
from pathlib import Path
from typing import Any

from pytest_annmodal.errors import CommitError, ReloadError

SCRATCH = Path(tempfile.gettempdir()) / "annmodal"  # the container's own disk


COMMIT_PAUSES_S = (0.0, 0.2, 0.5, 1.0, 2.0, 4.0)  # between checks for another's commit


class MountedVolume:
    """The ``Volume`` protocol over a Modal volume mounted in this container."""

    def __init__(self, name: str, mount: str) -> None:
        self._name, self._path = name, Path(mount)

    @property
    def name(self) -> str:
        return self._name

    @property
    def path(self) -> Path:
        return self._path

    @property
    def lock_dir(self) -> Path:
        """A folder outside the mount, since an open lock file would prevent the commit.

        Within a session at most one container downloads; of two sessions the last commit wins,
        with the same content.
        """
        return SCRATCH

    @property
    def keeps_times(self) -> bool:
        """False: a mount may not keep the times of files."""
        return False

    def _volume(self) -> Any:
        import modal

        return modal.Volume.from_name(self._name)

    def reload(self) -> None:
        """Makes commits of other containers visible. Raises ReloadError (files open, or busy)."""
        try:
            self._volume().reload()
        except Exception as error:
            raise ReloadError(str(error) or type(error).__name__) from error

    def commit(self) -> None:
        """Publishes the written files. Raises CommitError."""
        try:
            self._volume().commit()
        except Exception as error:
            if self._is_committed():  # only the client's reload after the commit failed
                say(f"Note: Volume reload skipped after the commit ({error})")
                return
            raise CommitError(
                f"Modal did not commit volume '{self._name}': {error}. "
                "Other containers see no incomplete file; the next run downloads again."
            ) from error

    def _is_committed(self) -> bool:
        """Whether the volume's listing, which other containers see, has all files here."""
        try:
            entries = self._volume().listdir("/", recursive=True)
            listed = {entry.path.strip("/"): entry.size for entry in entries}
            here = [path for path in self._path.rglob("*") if path.is_file()]
            sizes = {path.relative_to(self._path).as_posix(): path.stat().st_size for path in here}
        except Exception:  # noqa: BLE001 -- unknown counts as not committed
            return False
        return bool(sizes) and all(listed.get(name) == size for name, size in sizes.items())


def say(line: str) -> None:
    print(line, flush=True)


def reload(volume: MountedVolume) -> None:
    try:
        volume.reload()
    except ReloadError as error:
        say(f"Note: Volume reload skipped ({error})")


def await_commit(volume: MountedVolume, *paths: Path) -> None:
    """Waits until one of the files is visible, which another container committed."""
    for pause_s in COMMIT_PAUSES_S:
        time.sleep(pause_s)
        with contextlib.suppress(ReloadError):  # the mount may be up to date by itself
            volume.reload()
        if any(path.exists() for path in paths):
            return
