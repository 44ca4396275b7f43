"""Compiles a C++ submission in its isolated worker, before any of its code runs.

Worker side; standard library only. The compiler reads untrusted code, so its time, output and the
memory of each of its processes are limited.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
COMPILER = "g++"
FLAGS = ("-std=gnu++20", "-O3", "-march=native", "-fopenmp")  # what annmodal.h promises
MECHANICS = (
    *("-shared", "-fPIC", "-pipe", "-Wl,--no-undefined", f"-I{HERE}"),
    *("-fdiagnostics-plain-output", "-fmax-errors=20"),
)
HEADER, SHIM = str(HERE / "annmodal.h"), str(HERE / "shim.cpp")
INSTALL = "Debian and Ubuntu: apt install g++; Fedora: dnf install gcc-c++"
NO_COMPILER = (
    f"a C++ submission is compiled where it runs, but {COMPILER} is not installed: install it "
    f"({INSTALL})"
)
COMPILE_S = 120.0
COMPILE_BYTES = 2 * 2**30
OUTPUT_BYTES = 8000
# No core files, and a limit on the address space (KiB) of each process of the compiler.
LIMITED = 'ulimit -c 0 && ulimit -v "$1" && shift && exec "$@"'

_ERROR = re.compile(
    r"^(?P<file>.+?):(?P<line>\d+):(?:\d+:)? (?:fatal )?error: (?P<what>.+)$", re.MULTILINE
)
_OTHER = re.compile(
    r"^.*(?:undefined reference|multiple definition|error:|memory).*$", re.MULTILINE
)
_NO_FACTORY = "undefined reference to `create_index()'"
FACTORY = "annmodal::Index* create_index() { return new YourClass; }"


def missing() -> str | None:
    """Returns what to install before a C++ submission can run here, or None."""
    return None if shutil.which(COMPILER) else NO_COMPILER


def compile_file(source: str, *, timeout_s: float) -> tuple[str, dict[str, Any]]:
    """Compiles a submission's file into a shared library; never raises for errors in the file.

    Returns:
        The library's path, in its own folder that the loader must remove, or an empty text; and
        a report as plain data: ``seconds``, ``compiler`` (name and version, or empty if none is
        installed) and ``problem``: None, or ``message``, ``line`` of the file (or None) and
        ``output``.
    """
    compiler = shutil.which(COMPILER)
    if compiler is None:
        return "", {"seconds": 0.0, "compiler": "", "problem": None}
    folder = Path(tempfile.mkdtemp(prefix="annmodal-"))
    library, log = folder / "index.so", folder / "output"
    begun = time.perf_counter()
    place = Path(source).absolute()
    name = f"./{place.name}"  # appears in messages; "./" so that no name looks like an option
    # The submission comes first and alone, so that its errors are told before the shim is compiled.
    # The header precedes it, so that an older copy of it beside the file has no effect.
    common = [compiler, *FLAGS, *MECHANICS, "-include", HEADER]
    own = str(folder / "index.o")
    status = _run([*common, "-c", "-o", own, "-x", "c++", name], place.parent, log, timeout_s)
    if status == 0:
        left_s = max(0.0, timeout_s - (time.perf_counter() - begun))
        linked = [*common, "-o", str(library), SHIM, own]
        status = _run(linked, place.parent, log, left_s)
        Path(own).unlink()
    report = {"seconds": time.perf_counter() - begun, "compiler": version(compiler)}
    with log.open("rb") as file:
        said = file.read(OUTPUT_BYTES).decode("utf-8", "surrogateescape")
    said = said.replace(f"{folder}{os.sep}", "")  # the linker names temporary files
    log.unlink()
    if status == 0:
        print(said, end="", flush=True)  # warnings are shown with the submission's output
        return str(library), {**report, "problem": None}
    shutil.rmtree(folder)
    return "", {**report, "problem": _problem(name, said, status, timeout_s)}


def version(compiler: str = COMPILER) -> str:
    """Returns the name and version of an installed compiler."""
    done = subprocess.run([compiler, "-dumpfullversion"], capture_output=True, check=False)
    return f"{COMPILER} {done.stdout.decode('ascii', 'replace').strip()}"


def _run(command: list[str], where: Path, log: Path, timeout_s: float) -> int | None:
    """Runs the compiler and adds what it says to the log.

    Returns:
        Its exit status, or None if it did not end in time.
    """
    limited = ["/bin/sh", "-c", LIMITED, "sh", str(COMPILE_BYTES // 1024), *command]
    with log.open("ab") as output:
        process = subprocess.Popen(
            limited,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=where,
            env={**os.environ, "LC_ALL": "C", "TMPDIR": str(log.parent)},
            process_group=0,
        )
        try:
            return process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return None


def _problem(source: str, said: str, status: int | None, timeout_s: float) -> Mapping[str, Any]:
    if status is None:
        message, line = f"the compiler took longer than {timeout_s:g} s", None
    else:
        message, line = _first_error(source, said)
    output = said.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return {"message": message, "line": line, "output": output}


def _first_error(source: str, said: str) -> tuple[str, int | None]:
    """Returns the first error's message, and its line in the submission's file (or None)."""
    if _NO_FACTORY in said:
        return f"it defines no create_index(): add `{FACTORY}`", None
    mentioned = re.search(re.escape(source) + r":(\d{1,7})\b", said)
    error = _ERROR.search(said.replace(source, "\0"))  # a file name may contain a newline
    if error is not None and error["file"] == "\0":
        return error["what"], int(error["line"])
    line = int(mentioned[1]) if mentioned else None
    if error is not None:
        return f"{Path(error['file']).name}:{error['line']}: {error['what']}", line
    other = _OTHER.search(said)
    words = (
        other[0] if other else (said.strip().splitlines() or ["the compiler gave no message"])[-1]
    )
    return words.strip(), line
