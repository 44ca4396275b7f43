"""Parent's side of compiling: has a worker compile its submission, and checks its report."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_annmodal.errors import CompileError, ExecutorError
from pytest_annmodal.model import Job
from pytest_annmodal.sandbox.limits import Watch
from pytest_annmodal.sandbox.output import plain
from pytest_annmodal.sandbox.worker_process import Worker
from pytest_annmodal.worker.cpp.compiler import COMPILE_BYTES, COMPILE_S, NO_COMPILER

MAX_MESSAGE = 1000
LATE_S = 15.0  # for a worker to end its compiler and to report it


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """How a submission was compiled; its seconds are not part of the build."""

    compile_s: float
    compiler: str


def compile_in(worker: Worker, job: Job, watch: Watch) -> Compiled | None:
    """Compiles C++ in an isolated worker that has loaded nothing yet; None for Python.

    The compiler's memory and its peak are not counted for the submission.

    Raises:
        CompileError: the submission does not compile; ``traceback`` is the compiler's output.
        ExecutorError: no compiler is installed.
    """
    if job.implementation.style != "c++":
        return None
    worker.begin("compile")
    watch.before_bytes += COMPILE_BYTES
    message = worker.request(
        "compile", {"timeout_s": COMPILE_S}, expect="compiled", timeout_s=COMPILE_S + LATE_S
    )
    watch.before_bytes -= COMPILE_BYTES
    worker.peak_rss_bytes = 0
    problem = message.fields["problem"]
    if problem is not None:
        where = f" (line {problem['line']})" if problem["line"] else ""
        raise CompileError(
            f"does not compile{where}: {plain(problem['message'])[:MAX_MESSAGE]}",
            traceback=plain(problem["output"]),
        )
    if not message.fields["compiler"]:
        raise ExecutorError(NO_COMPILER)
    worker.begin("start")
    return Compiled(compile_s=message.number("seconds"), compiler=message.fields["compiler"])
