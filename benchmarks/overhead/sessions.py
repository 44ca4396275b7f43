"""What whole pytest sessions pay: for the plugin, for the replay, for Modal unused."""

from __future__ import annotations

import importlib.metadata
import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from .figures import Row, Scale
from .processes import TIMEOUT_S, ask, environment

PLUGIN_AIM_MS = 10.0
PYTEST = ("-m", "pytest")
# One full collection costs more than a plugin, and falls into one session or the other by chance.
NO_COLLECTOR = ("-c", "import gc, sys, pytest; gc.disable(); sys.exit(pytest.main())")
REPLAY_TEST = """\
import json
import os
from types import SimpleNamespace

import pytest

from pytest_annmodal.plugin import replay

CLOCK = replay.ReplayClock()
N = int(os.environ["N_REPLAYED"])
LATENCIES_NS = tuple(20_000 + 7919 * i % 10_000 for i in range(N))


@pytest.mark.benchmark(timer=CLOCK)
def test_replay(benchmark, monkeypatch):
    monkeypatch.setattr(replay, "extra_info", lambda *_: {})
    replay.replay(benchmark, CLOCK, SimpleNamespace(latencies_ns=LATENCIES_NS), "local")
"""
LOCAL_TEST = """\
def test_one(ann_benchmark, case):
    assert ann_benchmark(case).recall > 0.9
"""
LOCAL_CONFTEST = """\
import json
import sys
from pathlib import Path


def pytest_unconfigure():
    found = sorted(name for name in sys.modules if name.split(".")[0] == "modal")
    Path("modal_modules.json").write_text(json.dumps(found))
"""


def rows(scale: Scale, directory: Path) -> Iterator[Row]:
    """Plugin load, replay per query, Modal's modules after a local session."""
    yield _plugin_load(scale, _project(directory / "empty", "def test_nothing(): pass\n"))
    yield Row(
        name="plugin's import and options, timed inside (CPU time)",
        unit="ms",
        values=tuple(
            ask("plugin")[0]["plugin_ms"] for _process in range(3 * scale.fresh_processes)
        ),
        aim=PLUGIN_AIM_MS,
    )
    yield _replay(scale, _project(directory / "replay", REPLAY_TEST))
    yield _modal_unused(_project(directory / "local", LOCAL_TEST))


def _project(directory: Path, test: str) -> Path:
    directory.mkdir()
    (directory / "test_it.py").write_text(test)
    (directory / "pytest.ini").write_text("[pytest]\n")
    return directory


def _pytest_cpu_s(
    directory: Path, *arguments: str, start: tuple[str, ...] = PYTEST, **variables: str
) -> float:
    """CPU seconds of a fresh pytest; its output is shown if it fails.

    Not wall seconds: on a shared machine those vary by more than a plugin costs.
    """
    command = [sys.executable, *start, "-q", "-p", "no:cacheprovider", *arguments]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command,
        cwd=directory,
        env={**environment(), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _with_plugin() -> tuple[str, ...]:
    """Arguments that load the plugin, where no installation has it loaded already."""
    names = {entry.name for entry in importlib.metadata.entry_points(group="pytest11")}
    return () if "annmodal" in names else ("-p", "pytest_annmodal.plugin.hooks")


def _plugin_load(scale: Scale, directory: Path) -> Row:
    """The fastest of a few runs on either side: what else the machine does can only add."""
    with_it, without = ("--collect-only", *_with_plugin()), ("--collect-only", "-p", "no:annmodal")
    for arguments in (with_it, without):
        _pytest_cpu_s(directory, *arguments, start=NO_COLLECTOR)  # compiles
    differences_ms = []
    for _group in range(scale.plugin_groups):
        fastest = dict.fromkeys((with_it, without), float("inf"))
        for number in range(scale.plugin_pairs):
            # Whoever comes second may gain or lose by it: each side comes first in turn.
            for arguments in (with_it, without) if number % 2 else (without, with_it):
                took_s = _pytest_cpu_s(directory, *arguments, start=NO_COLLECTOR)
                fastest[arguments] = min(fastest[arguments], took_s)
        differences_ms.append((fastest[with_it] - fastest[without]) * 1e3)
    return Row(
        name="plugin load, against -p no:annmodal (CPU time)",
        unit="ms",
        values=tuple(differences_ms),
        aim=PLUGIN_AIM_MS,
    )


def _replay(scale: Scale, directory: Path) -> Row:
    """A session that replays many latencies against one that replays few: its slope."""
    few = min(1000, scale.replayed // 2)
    slopes_us = []
    for _pair in range(max(2, scale.slope_pairs)):
        few_s = _pytest_cpu_s(directory, *_with_plugin(), N_REPLAYED=str(few))
        many_s = _pytest_cpu_s(directory, *_with_plugin(), N_REPLAYED=str(scale.replayed))
        slopes_us.append((many_s - few_s) / (scale.replayed - few) * 1e6)
    return Row(
        name="pytest-benchmark's replay, each query, its table included (CPU time)",
        unit="us",
        values=tuple(slopes_us),
    )


def _modal_unused(directory: Path) -> Row:
    """A whole local session; what was never imported has cost nothing."""
    (directory / "conftest.py").write_text(LOCAL_CONFTEST)
    _pytest_cpu_s(
        directory,
        *_with_plugin(),
        "--impl=bruteforce",
        "--dataset=digits-64-euclidean",
        f"--ann-volume-dir={directory / 'volume'}",
    )
    found = json.loads((directory / "modal_modules.json").read_text())
    return Row(
        name="modules of modal in a local session (0: it cost 0 s)",
        unit="modules",
        values=(float(len(found)),),
        aim=0.0,
    )
