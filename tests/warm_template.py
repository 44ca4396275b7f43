"""A process that has imported what tests start again and again, and is copied for each start.

`python warm_template.py SOCKET_FD KIND`. It belongs to nobody's process tree, and ends with what it
has started when the other end of its socket is closed (:mod:`fork_server`). :mod:`warm_python` asks it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any, NoReturn

import fork_server

PYTEST = (
    *("_pytest.pytester", "numpy", "numpy.random", "h5py", "msgspec", "rich.table", "rich.console"),
    *(
        "jinja2",
        "psutil",
        "requests",
        "filelock",
        "yaml",
        "threadpoolctl",
        "packaging.requirements",
    ),
    *(
        "cpuinfo",
        "statistics",
        "urllib.request",
        "multiprocessing.connection",
        "xml.etree.ElementTree",
    ),
)
MODAL = ("modal", "modal.runner", "modal.cli.entry_point", "modal._container_entrypoint")
# Loaded where they are used: by a worker, in a container, or beside a library that may be missing.
NOT_OURS = ("implementations", "data", "worker", "__main__", "executors.modal", "page")


def import_all(kind: str) -> None:
    """Import what pytest with the plugin imports, and for ``modal`` the client as well."""
    import pytest

    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        # By pytest itself, which rewrites all plugins and warns of those that it did not.
        pytest.main(["--markers", f"-c{os.devnull}", "--rootdir=/", "-pno:cacheprovider"])
    for name in (*PYTEST, *(MODAL if kind == "modal" else ())):
        importlib.import_module(name)
    import pytest_annmodal

    left_out = tuple(f"pytest_annmodal.{name}." for name in NOT_OURS)
    for module in pkgutil.walk_packages(pytest_annmodal.__path__, "pytest_annmodal."):
        if not f"{module.name}.".startswith(left_out):
            importlib.import_module(module.name)


def become(request: dict[str, Any], fds: list[int], path: list[str]) -> None:
    """Be a process that was started with these arguments, variables and descriptors."""
    fork_server.stand_alone(dict(zip(request["places"], fds, strict=False)))
    os.sched_setaffinity(0, request["cores"])
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    shown = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = [*filter(None, shown), *path]
    sys.path_importer_cache.clear()
    importlib.invalidate_caches()
    tempfile.tempdir = None
    through = bool(os.environ.get("PYTHONUNBUFFERED"))
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    for name, fd in (("stdout", 1), ("stderr", 2)):
        raw = open(fd, "wb", 0 if through else -1, closefd=False)  # noqa: SIM115
        errors = "strict" if fd == 1 else "backslashreplace"
        stream = io.TextIOWrapper(
            raw, "utf-8", errors, line_buffering=fd == 2, write_through=through
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()


def run(arguments: list[str]) -> NoReturn:
    """What ``python ARGUMENTS`` does: ``-m MODULE …``, ``-P -m MODULE …`` or ``SCRIPT …``."""
    safe_path = arguments[0] == "-P"
    if safe_path:
        arguments = arguments[1:]
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        if not safe_path:
            sys.path.insert(0, str(Path.cwd()))
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        sys.path.insert(0, str(Path(arguments[0]).absolute().parent))
        runpy.run_path(arguments[0], run_name="__main__")
    sys.exit(0)


def main() -> None:
    fork_server.leave_the_tree()
    path = sys.path[1:]  # less this file's folder
    sys.path[:] = path
    import_all(sys.argv[2])
    gc.collect()
    gc.freeze()
    message, fds = fork_server.serve(socket.socket(fileno=int(sys.argv[1])))
    request = json.loads(message)
    become(request, fds, path)
    run(request["arguments"])


if __name__ == "__main__":
    main()
