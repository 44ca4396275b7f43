"""Volumes: the committed state, and each container's own copy of it."""

import dataclasses
import os
import shutil
import tempfile
from pathlib import Path

from modal_proto import api_pb2

Stamp = tuple[int, int, int]
"""Size, modification time and mode of a file: what tells a changed file from an unchanged one."""


def scan(root: Path) -> dict[str, Stamp]:
    """The files under a directory by relative path; directories with a trailing slash."""
    found: dict[str, Stamp] = {}
    for folder, names, files in os.walk(root):
        base = Path(folder).relative_to(root)
        for name in names:
            found[f"{base / name}/"] = (0, 0, 0)
        for name in files:
            try:
                info = (Path(folder) / name).lstat()
            except FileNotFoundError:
                continue
            found[str(base / name)] = (info.st_size, info.st_mtime_ns, info.st_mode)
    return found


def copy_into(source: Path, target: Path, name: str) -> None:
    """Copy one entry of a tree; a file appears under its name complete or not at all."""
    if name.endswith("/"):
        (target / name).mkdir(parents=True, exist_ok=True)
        return
    destination = target / name
    destination.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=target.parent)
    os.close(handle)
    shutil.copy2(source / name, temporary)
    Path(temporary).replace(destination)


def remove_from(root: Path, name: str) -> None:
    path = root / name
    if name.endswith("/"):
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@dataclasses.dataclass
class Working:
    """A container's copy of (a directory of) a volume."""

    mount: api_pb2.VolumeMount
    store: Path
    path: Path
    base: dict[str, Stamp] = dataclasses.field(default_factory=dict)
    """What the copy and the store had in common when last brought together."""

    def checkout(self) -> None:
        self.store.mkdir(parents=True, exist_ok=True)
        self.path.mkdir(parents=True)
        shutil.copytree(self.store, self.path, dirs_exist_ok=True, symlinks=True)
        self.base = scan(self.path)

    def reload(self) -> None:
        """Take over what was committed since; own uncommitted changes stay."""
        theirs = scan(self.store)
        self._apply(theirs, self.store, self.path)
        mine = scan(self.path)
        self.base = {name: stamp for name, stamp in theirs.items() if mine.get(name) == stamp}

    def commit(self) -> None:
        """Publish own changes, file by file; of two writers the last wins."""
        mine = scan(self.path)
        self._apply(mine, self.path, self.store)
        self.base = mine

    def _apply(self, state: dict[str, Stamp], source: Path, target: Path) -> None:
        for name in sorted(state):
            if self.base.get(name) != state[name]:
                copy_into(source, target, name)
        for name in sorted(self.base.keys() - state.keys(), reverse=True):
            remove_from(target, name)

    def open_file(self, pids: list[int]) -> str | None:
        """A file of the mount that one of these processes has open, mapped, or stands in."""
        inside = _identities(self.path)
        for pid in pids:
            for identity in _held(pid):
                if identity in inside:
                    return inside[identity]
        return None


def _identities(root: Path) -> dict[tuple[int, int], str]:
    """Device and inode of all under a mount: the name that both sides of a namespace share."""
    found: dict[tuple[int, int], str] = {}
    for folder, names, files in os.walk(root):
        for name in [".", *names, *files]:
            path = Path(folder) / name
            info = path.lstat()
            found[(info.st_dev, info.st_ino)] = str(path.relative_to(root))
    return found


def _held(pid: int) -> set[tuple[int, int]]:
    held: set[tuple[int, int]] = set()
    links = [f"/proc/{pid}/cwd"]
    for folder in (f"/proc/{pid}/fd", f"/proc/{pid}/map_files"):
        try:
            links += [str(entry) for entry in Path(folder).iterdir()]
        except OSError:
            continue
    for link in links:
        try:
            info = Path(link).stat()
        except OSError:
            continue
        held.add((info.st_dev, info.st_ino))
    return held
