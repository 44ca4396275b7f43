"""The cache of environments: describes, locks and removes them."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pytest_annmodal.datasets.volume.volume import cache_dir
from pytest_annmodal.errors import ConfigurationError, ExecutorError
from pytest_annmodal.model import from_plain, to_plain

ABOUT = "annmodal.json"
BUILDING, LOCKS, LOOKED_UP = ".building", ".locks", ".looked-up"
KEY = re.compile(r"[^.].*-[0-9a-f]{16}")  # a folder with another name is not ours
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
        """Seconds since the epoch; 0 if it has just been removed."""
        try:
            return (Path(self.folder) / ABOUT).stat().st_mtime
        except OSError:
            return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """A folder that holds no usable environment.

    Attributes:
        being_made: whether another session makes it now; else its session was killed, or its
            interpreter or description is gone.
    """

    key: str
    being_made: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What became of the environments.

    Attributes:
        in_use: these stay.
        unfinished: keys of those that were removed.
        errors: by key, of those that could not be removed.
    """

    removed: list[Made] = field(default_factory=list)
    in_use: list[Made] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)


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
    """Returns all environments, the last used first.

    Raises:
        ConfigurationError: their folder cannot be read.
    """
    found = [made for one in _folders(place()) if (made := read(one))]
    return sorted(found, key=lambda made: -made.used_at)


def unfinished() -> list[Unfinished]:
    """Returns folders that hold no usable environment.

    Raises:
        ConfigurationError: the folder of all environments cannot be read.
    """
    broken = [folder for folder in _folders(place()) if read(folder) is None]
    keys = {folder.name for folder in (*broken, *_folders(place() / BUILDING))}
    return [Unfinished(key=key, being_made=_is_being_made(key)) for key in sorted(keys)]


def _folders(folder: Path) -> list[Path]:
    """Returns the folders in it that are named like environments, sorted."""
    try:
        found = sorted(one for one in folder.iterdir() if KEY.fullmatch(one.name) and one.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be read: {error.strerror}") from error
    return [one for one in found if not one.is_symlink()]


def _is_being_made(key: str) -> bool:
    try:
        lock = os.open(place() / LOCKS / key, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # nobody has begun to make it, or another user
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(lock)


@contextmanager
def alone(key: str, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Locks an environment against being made or removed by other processes.

    If this process used it and somebody deleted it, its own lock on it ends.

    Args:
        waiting: called once if another process holds the lock.
    """
    lock = _lock(key)
    try:
        if (own := _in_use.pop(key, None)) is not None:
            os.close(own)
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

    Returns None if it has just been removed. Without permission to write in the cache, as in one
    that an administrator has filled, it is used without protection.
    """
    if made.key in _in_use:
        return made
    try:
        lock = _lock(made.key)
    except OSError:
        return read(Path(made.folder))
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


def prune(older_than_s: float = 0.0) -> Pruned:
    """Removes environments that are not in use and were last used ``older_than_s`` ago.

    Also removes unfinished ones, unless another session makes them now.

    Raises:
        ConfigurationError: their folder cannot be read.
    """
    pruned = Pruned()
    for made in every():
        if time.time() - made.used_at < older_than_s:
            continue
        with _noting(made.key, pruned):
            (pruned.removed if _remove(made.key) else pruned.in_use).append(made)
    for left in unfinished():
        with _noting(left.key, pruned):
            if not left.being_made and _remove(left.key):
                pruned.unfinished.append(left.key)
    return pruned


@contextmanager
def _noting(key: str, pruned: Pruned) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        pruned.errors[key] = f"{place() / key} cannot be removed: {error.strerror}"


def _remove(key: str) -> bool:
    """Removes an environment unless it is in use; returns whether it was removed."""
    lock = _lock(key)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        (place() / key / ABOUT).unlink(missing_ok=True)  # first: a part of one is not used
        for folder in (place() / key, place() / BUILDING / key):
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(folder)
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
    for file in folder.iterdir() if os.access(folder, os.R_OK | os.X_OK) else ():
        with contextlib.suppress(OSError):
            os.utime(file, (0, 0))
