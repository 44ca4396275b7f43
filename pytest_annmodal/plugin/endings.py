"""Ends a session properly where pytest-benchmark warns or raises while it finishes.

Where warnings are errors, or a threshold of ``--benchmark-compare-fail`` is missed, the
session would end in a traceback, without the tables.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Generator, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from pytest_annmodal import surprises
from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.plugin import rootdir
from pytest_annmodal.reports import escape
from pytest_annmodal.results.groupings import BY_PARAMETER, GROUPINGS
from pytest_annmodal.session import fitting
from pytest_annmodal.session.state import BenchSession
from pytest_annmodal.settings.sources import unused_variables
from pytest_annmodal.strangers import named

ENDING = pytest.StashKey["Ending"]()
NOTHING_RUN = "Not saving anything"
LATE_OPTIONS = ("benchmark_json", "benchmark_save", "benchmark_autosave")
RESULT_OPTIONS = (*LATE_OPTIONS, "benchmark_compare", "benchmark_compare_fail")
WORKER_VARIABLE = "PYTEST_XDIST_WORKER"


def refuse_what_fails_at_the_end(config: pytest.Config) -> None:
    """Refuses options that pytest-benchmark would fail on at the end, with all results lost.

    Raises:
        ConfigurationError: such an option of pytest-benchmark.
    """
    option = config.option
    why = why_switched_off(config)
    wanted = [name for name in RESULT_OPTIONS if getattr(option, name, None)]
    if why and wanted:
        raise ConfigurationError(
            f"{_flags(wanted)}: pytest-benchmark has switched itself off, since {why}. It would "
            "neither save nor compare anything. "
            f"{_instead()}, or leave out {_flags(wanted)}."
        )
    if getattr(option, "benchmark_cprofile", None):
        raise ConfigurationError(
            "--benchmark-cprofile would profile the replay of measured times, since each "
            "implementation runs in a process of its own. Leave it out."
        )
    groupings = str(getattr(option, "benchmark_group_by", None) or "group").split(",")
    for word in groupings:
        if word not in GROUPINGS and not word.startswith(BY_PARAMETER):
            known = ", ".join((*GROUPINGS, f"{BY_PARAMETER}NAME"))
            raise ConfigurationError(f"--benchmark-group-by {word!r}: expected {known}")
    if getattr(option, "benchmark_histogram", None) and find_spec("pygal") is None:
        raise ConfigurationError(
            "--benchmark-histogram needs pygal, which is not installed. "
            "Run pip install 'pytest-benchmark[histogram]', or leave it out."
        )
    target = getattr(option, "benchmark_json", None)
    if isinstance(target, (str, os.PathLike)) and not Path(target).absolute().parent.is_dir():
        raise ConfigurationError(
            f"--benchmark-json={target}: there is no folder {Path(target).absolute().parent}. "
            "Make it, or name another file."
        )
    session = config.pluginmanager.get_plugin("pytest-benchmark")
    if getattr(option, "benchmark_compare_fail", None) and not (
        getattr(session, "compared_mapping", None)
    ):
        raise ConfigurationError(
            "--benchmark-compare-fail: there are no stored results to compare with. Store some "
            "with --benchmark-autosave, then add --benchmark-compare; for a first run leave it out."
        )


def why_switched_off(config: pytest.Config) -> str:
    """Returns why pytest-benchmark is off without --benchmark-disable; else an empty text."""
    session = config.pluginmanager.get_plugin("pytest-benchmark")
    asked = getattr(config.option, "benchmark_disable", False)
    if asked or not getattr(session, "disabled", False) or hasattr(config, "workerinput"):
        return ""
    worker = os.environ.get(WORKER_VARIABLE)
    if worker:
        return f"{WORKER_VARIABLE}={worker} in the environment marks this as a worker of xdist"
    return f"--dist={getattr(config.option, 'dist', 'no')} was given"


def _instead() -> str:
    if os.environ.get(WORKER_VARIABLE):
        return f"Start pytest without that variable (env -u {WORKER_VARIABLE} pytest …)"
    return "Leave out --dist, or use --dist=no"


def _flags(names: Sequence[str]) -> str:
    return " and ".join("--" + name.replace("_", "-") for name in names)


class Ending:
    """Hooks around pytest-benchmark's own; registered when a session has ANN benchmarks."""

    def __init__(self, config: pytest.Config) -> None:
        config.stash[ENDING] = self
        self._config = config
        self._nothing_saved = self._regressed = False

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        with warnings.catch_warnings():
            warnings.filterwarnings("always", message=NOTHING_RUN, category=pytest.PytestWarning)
            shown = warnings.showwarning

            def show(message: Warning | str, *where: Any, **more: Any) -> None:
                if str(message).startswith(NOTHING_RUN):
                    self._nothing_saved = True
                else:
                    shown(message, *where, **more)

            warnings.showwarning = show
            result = yield
        if self._regressed:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        return result

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_terminal_summary(self) -> Generator[None, object, object]:
        from pytest_benchmark.session import PerformanceRegression

        try:
            return (yield)
        except PerformanceRegression:  # it has already printed it
            self._regressed = True
            return None

    def lines(self) -> Iterator[str]:
        """Returns the lines about pytest-benchmark, below the tables."""
        if self._nothing_saved:
            flags = [name for name in LATE_OPTIONS if getattr(self._config.option, name, None)]
            yield f"Nothing was measured, so {_flags(flags)} saved nothing."
        if why := why_switched_off(self._config):
            text = f"pytest-benchmark shows no table: it has switched itself off, since {why}"
            yield surprises.noted("benchmark-off", text)
        if self._regressed:
            yield "Slower than --benchmark-compare-fail allows, so the exit status is 1."


def last_lines(config: pytest.Config, bench: BenchSession) -> Iterator[str]:
    """Returns the lines below the tables: what was requested and not done, and the result files."""
    yield from rootdir.lines(config)
    if not bench.settings.plan:  # which shows all of them
        refused = (one for one in bench.left_out if one.by_header)
        yield from map(escape.line, fitting.first_lines(refused))
    if ENDING in config.stash:
        yield from config.stash[ENDING].lines()
    yield from map(escape.line, unused_variables(os.environ))
    if named.PLACES in config.stash:
        from pytest_annmodal.strangers import doors

        yield from map(escape.line, doors.unread(config.stash[named.PLACES]))
    if bench.kept is not None:
        from pytest_annmodal.plugin import keeping

        yield from map(escape.line, keeping.lines(bench.kept))
