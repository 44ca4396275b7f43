"""Jobs made from the text of an implementation, run for real, and what they may leave behind."""

from __future__ import annotations

import os
import signal
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pytest_annmodal.datasets.hdf5.checker import CHECKER
from pytest_annmodal.distances import metrics
from pytest_annmodal.execution import run_job
from pytest_annmodal.model import Arguments, Dataset, Implementation, Job, Limits, Search
from pytest_annmodal.outcome import Failure, Measurement, Outcome
from pytest_annmodal.sandbox import template

PRELUDE = '''
import ctypes, os, signal, subprocess, sys, threading, time
import numpy as np

class Exact:
    """A right answer, however slow."""
    setting = 0
    def __init__(self, metric):
        self.metric = metric
    def fit(self, X):
        self.X = np.array(X)
    def set_query_arguments(self, setting):
        self.setting = setting
    def near(self, v, k):
        return np.argsort(((self.X - v) ** 2).sum(axis=1), kind="stable")[:k]
    def query(self, v, k):
        return self.near(v, k)

'''
NONE = Arguments()
EXACT = PRELUDE + "class Index(Exact): pass\n"


def index(body: str) -> str:
    """The text of an exact index with some methods replaced by those of ``body``."""
    return PRELUDE + "class Index(Exact):\n" + textwrap.indent(textwrap.dedent(body), "    ")


def line_of(text: str, words: str) -> int:
    """The number of the first line that holds ``words``."""
    return next(n for n, line in enumerate(text.splitlines(), 1) if words in line)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def make_job(
    dataset: Path | Dataset,
    source: Path,
    *,
    settings: Sequence[int | None] = (None,),
    k: int = 10,
    rounds: int = 1,
    build: Arguments = NONE,
    implementation: dict[str, Any] | None = None,
    **limits: Any,
) -> Job:
    """A job that asks one search per entry of ``settings``; None gives no search arguments."""
    if isinstance(dataset, Path):
        dataset = Dataset(name=dataset.stem, source=f"file:{dataset}")
    searches = tuple(
        Search(
            case_id=f"case-{number}",
            arguments=Arguments() if setting is None else Arguments(args=(setting,)),
            k=k,
            rounds=rounds,
        )
        for number, setting in enumerate(settings)
    )
    plain = {"name": "mine", "path": str(source), "class_name": "Index", "metrics": metrics.NAMES}
    return Job(
        dataset=dataset,
        implementation=Implementation(**{**plain, **(implementation or {})}),
        build=build,
        searches=searches,
        limits=Limits(**{"phase_timeout_s": 60.0, **limits}),
    )


def run(dataset: Path, source: Path, **options: Any) -> list[Outcome]:
    """Outcomes of a job on a dataset file."""
    return run_job(make_job(dataset, source, **options), dataset)


def measured(outcome: Outcome) -> Measurement:
    assert isinstance(outcome, Measurement), outcome
    return outcome


def failed(outcome: Outcome) -> Failure:
    assert isinstance(outcome, Failure), outcome
    return outcome


def marked(mark: str) -> list[int]:
    """Living processes (a zombie has no environment left) that inherited the mark."""
    wanted, found = f"TEST_MARK={mark}".encode(), []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if wanted in environment.read_bytes().split(b"\0"):
                found.append(int(environment.parent.name))
    return found


def _descriptors() -> dict[str, str]:
    """By number what is open, but for the folder that is read for it."""
    found = {}
    for place in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the folder's own is closed by now
            found[place.name] = str(place.readlink())
    return found


@contextmanager
def nothing_left_behind() -> Iterator[None]:
    """Fail if a process, a descriptor or a core affinity is left when the block ends.

    The processes are found by what they inherit in their environment, so that one that left
    its group and lost its parent is found as well.
    """
    CHECKER.start()  # which stays as long as its session, and is nobody's stray
    template.expect(trusted=True, threads=1)  # so does this
    mark = os.urandom(8).hex()
    before, cores = _descriptors(), os.sched_getaffinity(0)
    os.environ["TEST_MARK"] = mark
    try:
        yield
        left = marked(mark)
    finally:
        del os.environ["TEST_MARK"]
        for stray in marked(mark):
            os.kill(stray, signal.SIGKILL)
    assert not left, f"left behind: processes {left}"
    opened = {number: what for number, what in _descriptors().items() if number not in before}
    assert not opened, f"descriptors are left open: {opened}"
    assert os.sched_getaffinity(0) == cores
