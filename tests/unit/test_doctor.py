"""``annmodal doctor``: its findings and their texts."""

from __future__ import annotations

import json
import math
from itertools import cycle

import pytest

from pytest_annmodal.cli.main import main
from pytest_annmodal.doctor import places, probe, processor, software
from pytest_annmodal.doctor.examination import Examination, verdict
from pytest_annmodal.doctor.finding import State, bad, doubtful, good
from pytest_annmodal.sandbox import isolation


def test_a_real_examination(monkeypatch, capsys):
    """All checks run on this machine, as JSON, with real workers."""
    monkeypatch.setattr(probe, "PROBE_S", 0.5)
    status = main(["doctor", "--json", "--limit", "1e6"])
    told = json.loads(capsys.readouterr().out)
    checks = told["checks"]
    assert list(checks) == list(Examination(0).checks)
    assert told["cores"] >= 1
    assert 0 < checks["floor"]["clock_floor_ns"] < checks["floor"]["mailbox_floor_ns"]
    assert checks["equal things"]["pairs"] >= probe.FEWEST_PAIRS
    assert checks["equal things"]["spread"] > 0
    assert checks["kernels"]["numpy"]
    for check in checks.values():
        assert check["state"] == State.GOOD or check["advice"]
    assert status == any(check["state"] == State.BAD for check in checks.values())


@pytest.mark.parametrize(
    ("state", "status", "sign", "last"),
    [
        (State.GOOD, 0, "✓", "can be trusted."),
        (State.DOUBTFUL, 0, "!", "within the limits marked !."),
        (State.BAD, 1, "✗", "cannot be trusted until"),
    ],
)
def test_lines(monkeypatch, capsys, state, status, sign, last):
    """A finding has a sign, its meaning and what to do; only ✗ makes the status 1."""
    monkeypatch.setenv("COLUMNS", "60")
    finding = {
        State.GOOD: good("a quiet machine", "Nothing."),
        State.DOUBTFUL: doubtful("a loud one", "Long latencies.", "Wait."),
        State.BAD: bad("none", "No figures.", "Get one."),
    }[state]
    monkeypatch.setattr(Examination, "checks", {"machine": lambda: finding})
    assert main(["doctor"]) == status
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{sign} machine  {finding.found}"
    assert lines[1].strip() == finding.means
    assert ("→ " + finding.advice in lines[2]) == (state is not State.GOOD)
    assert lines[-1].endswith(last) or last in lines[-1]
    assert max(map(len, lines[:-1])) < 60


def test_verdict_is_of_the_worst():
    """The verdict is that of the worst finding."""
    assert "✗" in verdict([State.GOOD, State.BAD, State.DOUBTFUL])


@pytest.mark.parametrize(
    ("cores", "quota", "state", "words"),
    [
        (2, None, State.GOOD, "a core each"),
        (1, None, State.DOUBTFUL, "share a core"),
        (4, 2.0, State.DOUBTFUL, "--ann-threads 2"),
        (4, 1.5, State.DOUBTFUL, "when the quota is used up"),
        (2, 0.5, State.BAD, "one whole core"),
    ],
)
def test_cores(monkeypatch, cores, quota, state, words):
    """One core, or a CPU quota below the cores, is a warning or worse, with advice."""
    monkeypatch.setattr(processor, "affinity_cores", lambda: cores)
    monkeypatch.setattr(
        processor, "usable_cores", lambda _quota: min(cores, int(quota or cores)) or 1
    )
    monkeypatch.setattr(processor, "cpu_quota", lambda: quota)
    finding = processor.cores()
    assert finding.state is state
    assert words in finding.means + finding.advice
    assert finding.figures["cpu_quota"] == quota


@pytest.mark.parametrize(
    ("busy_s", "state"), [(0.0, State.GOOD), (0.4, State.DOUBTFUL), (0.9, State.BAD)]
)
def test_others(monkeypatch, busy_s, state):
    """Other processes must leave one core free."""
    spent = iter([10.0, 10.0 + busy_s])
    monkeypatch.setattr(processor, "_busy_s", lambda: next(spent))
    monkeypatch.setattr(processor.os, "cpu_count", lambda: 2)
    finding = processor.others()
    assert finding.state is state
    assert finding.figures["busy_cores"] == pytest.approx(busy_s / processor.LOOK_S, rel=0.5)


@pytest.mark.parametrize(
    ("steal_s", "state"), [(0.0, State.GOOD), (0.1, State.DOUBTFUL), (2.0, State.BAD)]
)
def test_steal(monkeypatch, steal_s, state):
    monkeypatch.setattr(processor, "stolen", lambda: (1.0 + steal_s, 5.0 + 3.0))
    assert processor.steal((1.0, 5.0)).state is state


@pytest.mark.parametrize(
    ("governor", "boost", "state", "words"),
    [
        ("performance", "0", State.GOOD, "stays the same"),
        ("performance", "1", State.GOOD, "may differ"),
        ("powersave", "0", State.DOUBTFUL, "cpupower"),
        (None, None, State.GOOD, "may differ"),
    ],
)
def test_frequency(monkeypatch, tmp_path, governor, boost, state, words):
    folder = tmp_path / "devices/system/cpu"
    if governor:
        (folder / "cpu0/cpufreq").mkdir(parents=True)
        (folder / "cpu0/cpufreq/scaling_governor").write_text(f"{governor}\n")
        (folder / "cpufreq").mkdir()
        (folder / "cpufreq/boost").write_text(f"{boost}\n")
    monkeypatch.setattr(processor, "SYSTEM", tmp_path)
    finding = processor.frequency()
    assert finding.state is state
    assert words in finding.means + finding.advice


def test_huge_pages(monkeypatch, tmp_path):
    """The kernel marks its choice with brackets."""
    (tmp_path / "kernel/mm/transparent_hugepage").mkdir(parents=True)
    (tmp_path / "kernel/mm/transparent_hugepage/enabled").write_text("always [madvise] never\n")
    monkeypatch.setattr(processor, "SYSTEM", tmp_path)
    assert processor.huge_pages().found == "madvise"


@pytest.mark.parametrize(
    ("steps", "state"),
    [
        ([0, 30, 60, 90], State.GOOD),
        ([0, 4000, 8000, 12000], State.DOUBTFUL),
        ([0, 30, 20, 60], State.BAD),
    ],
)
def test_clock(monkeypatch, steps, state):
    """A clock that goes back or has a coarse resolution is found."""
    readings = cycle(steps)
    monkeypatch.setattr(processor, "CLOCK_READINGS", len(steps))
    monkeypatch.setattr(processor.time, "perf_counter_ns", lambda: next(readings))
    assert processor.clock().state is state


@pytest.mark.parametrize(
    ("level", "why", "state"),
    [("bubblewrap", "", State.GOOD), ("process", "bubblewrap is not installed", State.DOUBTFUL)],
)
def test_sandbox(monkeypatch, level, why, state):
    monkeypatch.setattr(isolation, "strongest", lambda: level)
    monkeypatch.setattr(isolation, "why_no_bubblewrap", lambda: why)
    finding = software.sandbox()
    assert finding.state is state
    assert why in finding.found


def test_no_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    finding = software.cpp_compiler()
    assert finding.state is State.DOUBTFUL
    assert "apt install g++" in finding.advice


def test_a_library_is_missing(monkeypatch):
    """A missing library is named, with what to install."""
    monkeypatch.setattr(
        software,
        "missing_requirements",
        lambda row: ["annoy>=1.17"] if row.name == "annoy" else [],
    )
    finding = software.libraries()
    assert finding.state is State.DOUBTFUL
    assert finding.means == "Left out: annoy."
    assert finding.advice == "pip install 'annoy>=1.17'"


def test_kernels_without_time():
    assert "no time left" in software.kernels(0.0).found


@pytest.mark.parametrize(
    ("variable", "value", "state", "words"),
    [
        ("PYTEST_ADDOPTS", "-n 2", State.DOUBTFUL, "pytest-xdist"),
        ("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1", State.DOUBTFUL, "-p annmodal"),
        ("PYTEST_ADDOPTS", "", State.GOOD, "only with these options"),
    ],
)
def test_plugins(monkeypatch, variable, value, state, words):
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.setenv(variable, value)
    finding = software.plugins()
    assert finding.state is state
    assert words in finding.found + finding.means + finding.advice


def test_dataset_folder(monkeypatch, tmp_path):
    """The dataset folder is named before it exists; a path that cannot be a folder is bad."""
    monkeypatch.setenv("ANNMODAL_VOLUME_DIR", str(tmp_path / "new" / "datasets"))
    monkeypatch.setattr(places, "LEAST_FREE_BYTES", 0)
    assert places.datasets().state is State.GOOD
    monkeypatch.setattr(places, "LEAST_FREE_BYTES", 10**18)
    assert places.datasets().state is State.DOUBTFUL
    (tmp_path / "file").touch()
    monkeypatch.setenv("ANNMODAL_VOLUME_DIR", str(tmp_path / "file" / "datasets"))
    assert places.datasets().state is State.BAD


def test_modal(monkeypatch, tmp_path):
    """A missing token is fine; a server that does not answer is reported within seconds."""
    monkeypatch.setenv("MODAL_CONFIG_PATH", str(tmp_path / "none.toml"))
    monkeypatch.delenv("MODAL_TOKEN_ID", raising=False)
    assert places.modal().found == "no token here"
    monkeypatch.setenv("MODAL_TOKEN_ID", "ak-x")
    monkeypatch.setenv("MODAL_TOKEN_SECRET", "as-x")
    monkeypatch.setenv("MODAL_SERVER_URL", "http://127.0.0.1:1")
    finding = places.modal()
    assert finding.state is State.DOUBTFUL
    assert "cannot be reached" in finding.found


def probed(log_ratios: list[float], floor_ns: int = 2000) -> probe.Probe:
    made = probe.Probe(0.0)
    made.problem, made.log_ratios, made.mailbox_floor_ns = "", log_ratios, floor_ns
    return made


@pytest.mark.parametrize(
    ("off", "state"), [(0.01, State.GOOD), (0.05, State.DOUBTFUL), (0.2, State.BAD)]
)
def test_equal_things(off, state):
    """The figure is twice the root mean square of the ratios' logarithms."""
    finding = probed([1.0, off, -off, off, off]).equal()
    assert finding.state is state
    assert finding.figures["spread"] == pytest.approx(math.exp(2 * off) - 1, abs=1e-4)


@pytest.mark.parametrize(("floor_ns", "state"), [(2000, State.GOOD), (20_000, State.DOUBTFUL)])
def test_floor(floor_ns, state):
    assert probed([0.0, 0.0], floor_ns).floor().state is state


def test_no_time_for_the_probe():
    """Without time for the probe there is a text instead of a figure."""
    assert "no time" in probe.Probe(0.5).equal().found
