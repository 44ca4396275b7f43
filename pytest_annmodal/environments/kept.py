"""The cache of environments: describes, locks and removes them."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pytest_annmodal.datasets.volume.volume import cache_dir
from pytest_annmodal.errors import ExecutorError
from pytest_annmodal.model import from_plain, to_plain

ABOUT = "annmodal.json"
BUILDING, LOCKS, LOOKED_UP = ".building", ".locks", ".looked-up"
_in_use: dict[str, int] = {}  # by key, a descriptor whose lock prevents removal


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A finished environment.

    Attributes:
        name: of the first implementation that needed it: ``hnswlib@0.7.0``.
        requirements: as requested, folders by their path.
        versions: of all installed distributions, by name.
        python: its full version.
        base_prefix: where its standard library lies.
    """

    folder: str
    name: str
    requirements: tuple[str, ...]
    versions: Mapping[str, str]
    python: str
    base_prefix: str
    size_bytes: int = 0

    @property
    def interpreter(self) -> str:
        return str(Path(self.folder) / "bin" / "python")

    @property
    def key(self) -> str:
        return Path(self.folder).name

    @property
    def used_at(self) -> float:
        """Seconds since the epoch."""
        return (Path(self.folder) / ABOUT).stat().st_mtime


def place() -> Path:
    """Returns the folder of all environments.

    Raises:
        ConfigurationError: there is no cache folder.
    """
    return cache_dir(os.environ) / "environments"


def read(folder: Path) -> Made | None:
    """Returns the environment in a folder; None if there is none that works."""
    try:
        made = from_plain(Made, json.loads((folder / ABOUT).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None
    return made if os.access(folder / "bin" / "python", os.X_OK) else None


def write(made: Made, folder: Path) -> None:
    """Writes the description of an environment; its last file, which makes it complete."""
    (folder / ABOUT).write_text(json.dumps(to_plain(made), indent=1) + "\n", encoding="utf-8")


def every() -> list[Made]:
    """Returns all environments, the last used first."""
    folder = place()
    names = sorted(folder.iterdir()) if folder.is_dir() else []
    found = [made for one in names if not one.name.startswith(".") and (made := read(one))]
    return sorted(found, key=lambda made: -made.used_at)


@contextmanager
def alone(key: str, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Locks an environment against being made or removed by other processes.

    Args:
        waiting: called once if another process holds the lock.
    """
    lock = _lock(key)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def use(made: Made) -> Made | None:
    """Protects an environment from removal by others until this process ends.

    Returns None if it has just been removed.
    """
    if made.key in _in_use:
        return made
    lock = _lock(made.key)
    fcntl.flock(lock, fcntl.LOCK_SH)
    found = read(Path(made.folder))
    if found is None:
        os.close(lock)
        return None
    _in_use[made.key] = lock
    with contextlib.suppress(OSError):  # it belongs to another user
        os.utime(Path(made.folder) / ABOUT)
    return found


def _lock(key: str) -> int:
    folder = place() / LOCKS
    folder.mkdir(parents=True, exist_ok=True)
    return os.open(folder / key, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def prune(older_than_s: float = 0.0) -> tuple[list[Made], list[Made]]:
    """Removes environments that are not in use and were last used ``older_than_s`` ago.

    Also removes unfinished ones of interrupted sessions. Returns those removed, and those in use.
    """
    removed: list[Made] = []
    used: list[Made] = []
    for made in every():
        if time.time() - made.used_at < older_than_s:
            continue
        (removed if _remove(made.key) else used).append(made)
    folder = place() / BUILDING
    for left in sorted(folder.iterdir()) if folder.is_dir() else []:
        _remove(left.name)
    return removed, used


def _remove(key: str) -> bool:
    """Removes an environment unless it is in use; returns whether it was removed."""
    lock = _lock(key)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        folder = place() / key
        with contextlib.suppress(OSError):
            (folder / ABOUT).unlink()  # first, so that a partly removed one is not used
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(place() / BUILDING / key, ignore_errors=True)
        return True
    finally:
        os.close(lock)


def remembered(
    question: str, ask: Callable[[], str], what: str, *, for_s: float = 0.0, asked_of: str = ""
) -> str:
    """Returns the cached answer while it is fresh or without a network; otherwise asks.

    Args:
        for_s: how long an answer is fresh.
        asked_of: identifies who answers; an answer by another is not fresh.

    Raises:
        ExecutorError: there is no network and no cached answer.
    """
    file = place() / LOOKED_UP / _digest(question)
    with contextlib.suppress(OSError):
        known, _, gave_it = file.read_text(encoding="utf-8").partition("\n")
        is_fresh = 0 <= time.time() - file.stat().st_mtime < for_s
        if is_fresh and gave_it == _digest(asked_of):
            return known
    try:
        answer = ask()
    except ExecutorError as error:
        with contextlib.suppress(OSError):
            return file.read_text(encoding="utf-8").partition("\n")[0]
        raise ExecutorError(f"{what}: {error}") from error
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_suffix(f".{os.getpid()}")
        new.write_text(f"{answer}\n{_digest(asked_of)}", encoding="utf-8")
        new.replace(file)  # another session may read it now
    return answer


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def look_up_again() -> None:
    """Makes every cached answer stale, so that it is used only without a network."""
    folder = place() / LOOKED_UP
    for file in folder.iterdir() if folder.is_dir() else ():
        with contextlib.suppress(OSError):
            os.utime(file, (0, 0))
