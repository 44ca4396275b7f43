"""A gate of one job, beside the work that it consists of."""

from __future__ import annotations

from pathlib import Path

from . import made
from .jobs import TEST
from .processes import project, pytest_s
from .scale import Scale
from .table import Values

# Counts the seconds of each build, timed query and batch; untimed warm-up queries are left out.
COUNTING = """\
from pathlib import Path

from pytest_annmodal.comparison.interleaving import Entrant
from pytest_annmodal.jobs.trial import Trial

seconds = []


def counted(kind, name, of):
    inner = getattr(kind, name)

    def outer(self, *given):
        found = inner(self, *given)
        seconds.append(of(self, found))
        return found

    setattr(kind, name, outer)


counted(Trial, "build", lambda trial, _: trial.build_s)
counted(
    Trial,
    "ask",
    lambda _, found: found.times_ns.sum() / 1e9 + (found.batch.seconds if found.batch else 0),
)
counted(Entrant, "ask", lambda _, found: found[0].sum() / 1e9)


def pytest_unconfigure():
    Path({log!r}).write_text(str(sum(seconds)))
"""


def gate(scale: Scale, directory: Path) -> Values:
    """A session with one gated job of five sessions ÷ its builds and timed queries."""
    path = made.file(directory, scale.gated, "euclidean", scale.small_job_queries)
    user, log = project(directory / "user", TEST), directory / "seconds"
    (user / "conftest.py").write_text(COUNTING.format(log=str(log)))
    values = []
    for _turn in range(scale.alternations):
        wall_s = pytest_s(
            "--impl=hnswlib",
            "--ann-baseline=hnswlib",
            "--ann-gate",
            "--ann-sessions=5",
            f"--dataset={path}",
            f"--ann-volume-dir={directory / 'volume'}",
            cwd=user,
        )
        values.append(wall_s / float(log.read_text()))
    return {"gate": values}
