"""Isolates a submission's worker, at the strongest level that works here.

The levels, from the strongest, are tried by starting an interpreter:

- ``bubblewrap``: own user, mount, pid, network and ipc namespaces; a read-only system; empty
  ``/home``, ``/root``, ``/data``, private ``/tmp``; an allow-listed environment. Needs the
  Debian package ``bubblewrap`` and no privileges.
- ``uid``: its own user id, if this process is root and bubblewrap is missing. It cannot signal or
  trace the harness or read its memory and environment, but it can read all world-readable files.
- ``process``: only its own process with limits.

All levels filter system calls (``confinement.py``). Trusted implementations are not isolated.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.sandbox import compile_cache, interpreter, libraries, process_tree, refusal
from pytest_annmodal.sandbox.interpreter import PACKAGE, Interpreter

Level = Literal["none", "bubblewrap", "uid", "process"]
NOBODY = 65534
USERS = range(61184, 65520)  # systemd's range for services without a user
PROBE_TIMEOUT_S = 20
PROBE = (sys.executable, "-P", "-c", "import numpy, mmap, ctypes")
TMP_BYTES = 2**29  # of each of /tmp and /dev/shm: it is memory
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store")
SETTINGS = (
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/etc/localtime",
)
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
ALLOWED_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TZ", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
# Without ``zero``, since mapping it gives nameless shared memory, and without terminals, since
# kernel threads do the work for what is written to one.
DEVICES = ("null", "full", "random", "urandom")
DEVICE_LINKS = {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}
HIDDEN = str(PACKAGE / "data")  # the packaged datasets contain their truth


def environment(
    level: Level,
    threads: int,
    mark: str,
    private: Sequence[str] = (),
    numba_cache: str | None = None,
    *,
    python: Interpreter | None = None,
) -> dict[str, str]:
    """Returns a worker's variables; a submission gets only those of ours that are listed.

    Args:
        threads: value of the libraries' thread variables.
        mark: value of a variable by which the worker's descendants are found.
        private: files and folders that a submission may not see.
        numba_cache: a private folder for compiled code; by default the worker's ``/tmp`` if it
            is isolated.
        python: the worker's interpreter, if not this process's own.
    """
    python = python or interpreter.own()
    if level == "none":
        left_out = {"PYTHONWARNINGS", *(interpreter.MISLEADING if python.apart else ())}
        kept = {name: value for name, value in os.environ.items() if name not in left_out}
    else:
        kept = {name: os.environ[name] for name in ALLOWED_ENVIRONMENT if name in os.environ}
        kept |= dict.fromkeys(("HOME", "TMPDIR", compile_cache.VARIABLE), "/tmp")  # noqa: S108
        kept |= interpreter.variables(python, private)
    if numba_cache is not None:
        kept[compile_cache.VARIABLE] = numba_cache
    kept["PATH"] = _search_path(kept.get("PATH", os.defpath), level, python)
    # Output is read as UTF-8, and a print must not fail in any locale.
    kept["PYTHONIOENCODING"] = "utf-8:backslashreplace"
    many = dict.fromkeys(THREAD_VARIABLES, str(threads))
    return {**kept, **many, "PYTHONHASHSEED": "0", process_tree.MARK: mark}


def _search_path(path: str, level: Level, python: Interpreter) -> str:
    """Returns PATH with the programs of installed libraries, as in an activated environment."""
    shown = tuple(f"{place}/" for place in (*python.places, *SYSTEM))
    there = [
        place
        for place in dict.fromkeys(python.scripts)
        if Path(place).is_dir() and (level != "bubblewrap" or f"{place}/".startswith(shown))
    ]
    known = path.split(os.pathsep)
    return os.pathsep.join([*(place for place in there if place not in known), *known])


def bubblewrap(
    command: Sequence[str],
    readable: Sequence[str],
    private: Sequence[str] = (),
    python: Interpreter | None = None,
) -> list[str]:
    """Returns the command inside bubblewrap; ``readable`` paths are shown read-only.

    A path that is now a link is not shown, since bubblewrap would show its target.

    Args:
        private: files and folders that stay hidden even if a library lies there.
        python: the command's interpreter, if not this process's own.
    """
    python = python or interpreter.own()
    words = ["bwrap", "--unshare-all", "--die-with-parent", "--cap-drop", "ALL"]
    words += [*_no_more_namespaces(), "--uid", str(NOBODY), "--gid", str(NOBODY)]
    words += ["--hostname", "worker", "--proc", "/proc", *_devices()]
    words += [word for path in _kernel_files() for word in ("--ro-bind-try", path, path)]
    for path in SYSTEM:
        if Path(path).is_symlink():
            words += ["--symlink", str(Path(path).readlink()), path]
        else:
            words += ["--ro-bind-try", path, path]
    for path in SETTINGS:
        words += ["--ro-bind-try", path, path]
    for path in ("/home", "/root", "/data", "/var"):
        words += ["--dir", path]
    for path in ("/tmp", "/dev/shm"):  # noqa: S108 -- the sandbox's own
        words += ["--size", str(TMP_BYTES), "--tmpfs", path]
    inside = tuple(f"{path}/" for path in SYSTEM)
    own = [path for path in readable if not Path(path).is_symlink()]
    outside = () if python.apart else libraries.outside(private).shown
    for path in (*python.places, *outside, *own):
        if not path.startswith(inside):
            words += ["--ro-bind", path, path]
    if Path(HIDDEN).exists():  # a submission's container on Modal lacks it
        words += ["--size", "4096", "--tmpfs", HIDDEN, "--remount-ro", HIDDEN]
    words += ["--remount-ro", "/dev", "--remount-ro", "/"]
    return [*words, "--chdir", "/tmp", "--", *command]  # noqa: S108


def _devices() -> list[str]:
    words = ["--size", "4096", "--tmpfs", "/dev", "--dir", "/dev/shm"]  # noqa: S108 -- its own
    for name in DEVICES:
        words += ["--dev-bind-try", f"/dev/{name}", f"/dev/{name}"]
    for name, end in DEVICE_LINKS.items():
        words += ["--symlink", f"/proc/self/fd{end}", f"/dev/{name}"]
    return words


@lru_cache(maxsize=1)
def _no_more_namespaces() -> tuple[str, ...]:
    """Returns flags that forbid user namespaces inside, if this bubblewrap has them."""
    said = subprocess.run(["bwrap", "--help"], capture_output=True, text=True, check=False)
    known = "--disable-userns" in said.stdout + said.stderr
    return ("--unshare-user", "--disable-userns") if known else ()


def _kernel_files() -> list[str]:
    """Returns the writable files and folders of ``/proc`` that are not processes.

    Root may write there without any capability. bubblewrap covers some of them, but not
    ``/proc/sys`` when root starts it: the folder passes its check as read-only, but the files in
    it are writable.
    """
    with os.scandir("/proc") as entries:
        return sorted(
            entry.path
            for entry in entries
            if not entry.name.isdecimal()
            and not entry.is_symlink()
            and (entry.is_dir() or entry.stat().st_mode & 0o222)
        )


@lru_cache(maxsize=1)
def strongest() -> Level:
    """Returns the best level that works here, found by starting an interpreter in each."""
    if not why_no_bubblewrap():
        return "bubblewrap"
    if os.name == "posix" and os.geteuid() == 0 and _complaint(PROBE, user=unused_user()) is None:
        return "uid"
    return "process"


def why_no_bubblewrap() -> str:
    """Returns why bubblewrap does not work here and how to change that; empty if it works."""
    found = shutil.which("bwrap")
    return _refusal_of(found) if found else refusal.NOT_INSTALLED


@lru_cache
def _refusal_of(_program: str) -> str:
    said = _complaint(bubblewrap(PROBE, []))
    return "" if said is None else refusal.explain(said)


def unused_user() -> int:
    """Returns a user id that no process has, so that its processes can be ended in one call."""
    taken = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # the process has ended
            taken.add(process.stat().st_uid)
    return secrets.choice([uid for uid in USERS if uid not in taken])


def _complaint(command: Sequence[str], *, user: int | None = None) -> str | None:
    """Returns the error output of a command that fails; None if it works."""
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=PROBE_TIMEOUT_S,
            check=False,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            env=environment("process", 1, "probe"),
            cwd="/",
        )
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return done.stderr.decode("utf-8", "replace") if done.returncode else None


def weakness(level: Level, wanted: str) -> str:
    """Returns the risk at this level and why no better one was used; empty at the best level."""
    if level not in {"uid", "process"}:
        return ""
    why = "--ann-isolation=process was set" if wanted == "process" else why_no_bubblewrap()
    return f"only '{level}', so a submission could read files: {why}"


def choose(wanted: str, *, trusted: bool) -> Level:
    """Returns the level for a worker.

    Raises:
        ConfigurationError: ``strict`` was asked for, but bubblewrap does not work here.
    """
    if trusted:
        return "none"
    if wanted == "process":
        return "process"
    level = strongest()
    if wanted == "strict" and level != "bubblewrap":
        raise ConfigurationError(
            f"--ann-isolation=strict needs bubblewrap; {why_no_bubblewrap()}. "
            f"The best level that works is '{level}'."
        )
    return level
