"""What a container sees: a root directory of its own, the system, an interpreter, no checkout."""

import contextlib
import functools
import importlib.util
import json
import os
import py_compile
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from modal_proto import api_pb2

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/sys")
OWN = ("/root", "/tmp", "/dev", "/proc", "/run", "/home", "/opt", "/var/tmp", "/mnt")
"""Directories that exist in every container and are its own."""

RUN = "/__modal"
"""Where the service's worker and the container meet: socket, arguments."""

Bind = tuple[str, str, bool]

_PROBE = """
import sysconfig, sys, json
print(json.dumps([sys.prefix, sys.base_prefix, sysconfig.get_path("purelib")]))
"""


@functools.lru_cache
def interpreter_paths(python: str) -> tuple[Path, Path, Path]:
    """The prefix, the base prefix and the site-packages directory of an interpreter."""
    answer = subprocess.run(
        [python, "-I", "-c", _PROBE], capture_output=True, text=True, check=True
    )
    prefix, base, site = json.loads(answer.stdout)
    return Path(prefix), Path(base), Path(site)


@functools.lru_cache
def namespaces_available() -> bool:
    """Whether this user may make mount and process namespaces, as root or in a user namespace."""
    if not sys.platform.startswith("linux"):
        return False
    flags = ["-m", "-p", "-i", "-f"] if os.geteuid() == 0 else ["-U", "-r", "-m", "-p", "-i", "-f"]
    try:
        answer = subprocess.run(
            ["unshare", *flags, "true"], capture_output=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0


def materialise(files: Iterable[api_pb2.MountFile], store: Path, root: Path) -> None:
    """Copy the content of mounts to where the mounts put it."""
    for file in files:
        target = root / file.filename.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(store / file.sha256_hex, target)
        if file.mode:
            target.chmod(file.mode)


def add_bytecode(files: Iterable[api_pb2.MountFile], root: Path) -> None:
    """Compile the modules of mounts, once for all containers, which write no bytecode themselves."""
    for file in files:
        source = root / file.filename.lstrip("/")
        if source.suffix != ".py":
            continue
        compiled = Path(_bytecode_folder().name, file.sha256_hex + file.filename.replace("/", "-"))
        with contextlib.suppress(py_compile.PyCompileError):
            if not compiled.exists():
                py_compile.compile(
                    str(source),
                    cfile=str(compiled),
                    dfile=file.filename,
                    doraise=True,
                    invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
                )
            place = Path(importlib.util.cache_from_source(str(source)))
            place.parent.mkdir(exist_ok=True)
            shutil.copyfile(compiled, place)


@functools.cache
def _bytecode_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="plane-bytecode-")


def system_binds(root: Path) -> list[Bind]:
    """Bind the host's system directories read-only; repeat its links (/bin -> usr/bin)."""
    binds: list[Bind] = []
    for name in SYSTEM:
        source, target = Path(name), root / name[1:]
        if source.is_symlink():
            if not target.exists():
                target.symlink_to(source.readlink())
        elif source.is_dir():
            target.mkdir(exist_ok=True)
            binds.append((name, name, True))
    return binds


def interpreter_binds(root: Path, python: str, site: Path) -> list[Bind]:
    """Bind the interpreter where it is on the host, with `site` in place of its site-packages.

    `site` holds links into a second, hidden bind of the real one, so that what it leaves out
    cannot be imported.
    """
    prefix, base, real_site = interpreter_paths(python)
    binds: list[Bind] = []
    for path in dict.fromkeys((base, prefix)):
        if not path.is_relative_to("/usr"):
            (root / str(path)[1:]).mkdir(parents=True, exist_ok=True)
            binds.append((str(path), str(path), True))
    hidden = f"{RUN}/site"
    (root / hidden[1:]).mkdir(parents=True, exist_ok=True)
    return [*binds, (str(real_site), hidden, True), (str(site), str(real_site), True)]


_HIDE = """
import sys
from importlib.machinery import PathFinder

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name in {names!r}:
            spec = PathFinder.find_spec(name, [{root!r}])
            if spec is None:
                raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
            return spec

sys.meta_path.insert(0, Hidden())
"""


def hide_projects(root: Path, hidden: Iterable[str]) -> None:
    """Where there are no namespaces: take projects out of reach of import, save shipped ones."""
    names = tuple(name.replace("-", "_") for name in hidden)
    (root / "pkg").mkdir(exist_ok=True)
    source = _HIDE.format(names=names, root=str(root / "root"))
    (root / "pkg" / "sitecustomize.py").write_text(source)


def make_root(root: Path) -> None:
    for name in OWN:
        (root / name[1:]).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)


def add_bind(root: Path, source: Path, target: str, *, read_only: bool) -> Bind:
    (root / target.lstrip("/")).mkdir(parents=True, exist_ok=True)
    return (str(source), target, read_only)
