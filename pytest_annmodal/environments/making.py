"""Makes an environment when a job first needs it: built under a temporary name, then renamed."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from pytest_annmodal.environments import kept, projects
from pytest_annmodal.environments.installers import NO_ROOM, WITHOUT_ROOM, install, report
from pytest_annmodal.environments.kept import Made
from pytest_annmodal.environments.resolving import Resolved, is_path, resolve
from pytest_annmodal.errors import EnvironmentBuildError, ExecutorError
from pytest_annmodal.figures import duration
from pytest_annmodal.model import Implementation

OLDEST_NUMPY = (1, 22)  # that runs with the worker's code
BEGINS, ENDS = "making the environment of", "made the environment of"  # of progress messages
Say = Callable[[str], None]
_failed: dict[str, EnvironmentBuildError | ExecutorError] = {}  # by key; not tried again


def ensure(implementation: Implementation, say: Say = lambda _text: None) -> Made | None:
    """Returns the environment of an implementation, made if needed; None for our own.

    Args:
        say: called with each line of progress.

    Raises:
        EnvironmentBuildError: the spec's packages cannot be installed or used.
        ExecutorError: there is no network or no room, which is not the spec's fault.
    """
    environment = implementation.environment
    if environment is None:
        return None
    if environment.folder:
        return _ready(implementation.name, Path(environment.folder))
    try:
        resolved = resolve(environment)
        return _there(resolved) or _make(implementation.name, resolved, say)
    except EnvironmentBuildError as error:
        raise EnvironmentBuildError(f"{implementation.name}: {error}", **error.evidence) from error
    except (ExecutorError, OSError) as error:
        text = str(error)
        if isinstance(error, OSError) and NO_ROOM.search(text):
            text = f"{WITHOUT_ROOM} ({text})"
        raise ExecutorError(
            f"{implementation.name}: its environment is not cached and cannot be made here: {text}"
        ) from error


def there(implementation: Implementation) -> Made | None:
    """Returns the environment of an implementation if it exists already, else None."""
    key = key_of(implementation)
    return kept.read(kept.place() / key) if key else None


def key_of(implementation: Implementation, *, portable: bool = False) -> str | None:
    """Returns the key of its resolved environment; None if it has none or cannot be resolved.

    Args:
        portable: the key for a container's image, equal on every machine.
    """
    environment = implementation.environment
    if environment is None or environment.folder:
        return None if environment is None else Path(environment.folder).name
    try:
        resolved = resolve(environment)
    except (EnvironmentBuildError, ExecutorError, OSError):
        return None
    return resolved.portable_key if portable else resolved.key


def _there(resolved: Resolved) -> Made | None:
    found = kept.read(kept.place() / resolved.key)
    return found and kept.use(found)


def _make(name: str, resolved: Resolved, say: Say) -> Made:
    if resolved.key in _failed:
        raise _failed[resolved.key]
    try:
        with kept.alone(resolved.key, lambda: say("waiting for another session that makes it")):
            folder = kept.place() / resolved.key
            made = kept.read(folder) or _build(name, resolved, folder, say)
    except (EnvironmentBuildError, ExecutorError) as error:
        _failed[resolved.key] = error
        raise
    return kept.use(made) or _make(name, resolved, say)


def _build(name: str, resolved: Resolved, folder: Path, say: Say) -> Made:
    """Builds an environment in a temporary folder, so that a failed build leaves none."""
    start = time.monotonic()
    making = kept.place() / kept.BUILDING / resolved.key
    shutil.rmtree(making, ignore_errors=True)  # of a session that was killed
    making.mkdir(parents=True)
    try:
        new = making / "environment"
        requirements = [
            _copied(text, making / f"source-{number}")
            for number, text in enumerate(resolved.requirements)
        ]
        say(f"{BEGINS} {name}")
        install(new, resolved.python, requirements, say)
        made = _described(name, resolved.requirements, new, at=folder)
        _rewrite_scripts(new, folder)
        kept.write(made, new)
        shutil.rmtree(folder, ignore_errors=True)  # an old one whose interpreter is gone
        new.rename(folder)
        say(f"{ENDS} {name} in {duration(time.monotonic() - start)}")
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return made


def _copied(requirement: str, target: Path) -> str:
    """Copies a project's files to a folder to build in; returns its path."""
    if not is_path(requirement) or not Path(requirement).is_dir():
        return requirement
    source = Path(requirement)
    projects.copy(source, target / source.name)
    return str(target / source.name)


def _described(name: str, requirements: tuple[str, ...], folder: Path, *, at: Path) -> Made:
    """Describes a new environment. Raises EnvironmentBuildError if the worker cannot use it."""
    found = report(folder)
    numpy = tuple(int(part) for part in found["numpy"].split(".")[:2])
    if numpy < OLDEST_NUMPY:
        oldest = ".".join(map(str, OLDEST_NUMPY))
        raise EnvironmentBuildError(
            f"it has numpy {found['numpy']}, but the worker needs {oldest} or newer"
        )
    return Made(
        folder=str(at),
        name=name,
        requirements=requirements,
        versions=found["versions"],
        python=found["python"],
        base_prefix=found["base_prefix"],
        size_bytes=_size_bytes(folder),
    )


@lru_cache
def _ready(name: str, folder: Path) -> Made:
    """Returns an environment of a container's image."""
    return kept.read(folder) or _described(name, (), folder, at=folder)


def _size_bytes(folder: Path) -> int:
    return sum(
        os.lstat(os.path.join(place, file)).st_size  # noqa: PTH118 -- thousands of them
        for place, _, files in os.walk(folder)
        for file in files
    )


def _rewrite_scripts(folder: Path, new_place: Path) -> None:
    """Replaces the interpreter's path in scripts, since the folder is to be renamed."""
    old, new = os.fsencode(folder), os.fsencode(new_place)
    for script in (folder / "bin").iterdir():
        if script.is_symlink() or not script.is_file():
            continue
        content = script.read_bytes()
        if content.startswith(b"#!") and old in content:
            script.write_bytes(content.replace(old, new))
