"""The benchmark of the harness itself works; what it measures is not judged here."""

from __future__ import annotations

import dataclasses
import json

import pytest
from rich.console import Console

from benchmarks.overhead import __main__ as command
from benchmarks.overhead import child, processes, searching
from benchmarks.overhead.figures import QUICK, Noise, Row, Scale, describe_noise, show
from pytest_annmodal.jobs import equal_settings
from pytest_annmodal.manifests import manifest

TINY = Scale(
    n_train=300,
    n_queries=20,
    implementations=("bruteforce",),
    processes=1,
    alternations=2,
    slope_queries=400,
    slope_pairs=1,
    replayed=40,
    resolve_bytes=2**30,
    resolve_calls=2,
    fresh_processes=1,
    load_bytes=400_000,
    load_pairs=1,
    plugin_groups=1,
    plugin_pairs=1,
    exact_train=400,
    exact_queries=20,
    exact_pairs=1,
)
QUIET = {
    "seconds": 3.0,
    "cores": 2,
    "load_before": 0.1,
    "others_cores": 0.01,
    "stolen_cores": 0.0,
    "noisy": False,
}


def row(*values: float, aim: float | None = None) -> Row:
    return Row(name="a figure", values=values, unit="ratio", aim=aim)


def test_a_tiny_run_prints_and_writes_every_figure(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(command, "QUICK", TINY)
    path = tmp_path / "overhead.json"
    assert command.main(["--quick", "--json", str(path)]) == 0
    printed = capsys.readouterr().out
    written = json.loads(path.read_text())
    wanted = (
        "bruteforce: p50 by the worker's clock / tight loop",
        "bruteforce: p50 by the parent's clock / tight loop",
        "harness beside each query, worker's clock",
        "harness beside each query, parent's clock",
        "floor of the worker's clock",
        "floor of the parent's clock (mailbox)",
        "cached resolve() of 1 GiB, again",
        "cached resolve() of 1 GiB, the first of a process",
        "imports before the first resolve(), Python's own included",
        "load 0.4 MB, to the first row / np.array",
        "load 0.4 MB, the first time, zeros and duplicates counted / np.array",
        "exact.knn, 20 x 400 x 100 / whole matrix",
        "plugin load, against -p no:annmodal (CPU time)",
        "plugin's import and options, timed inside (CPU time)",
        "pytest-benchmark's replay, each query, its table included (CPU time)",
        "modules of modal in a local session (0: it cost 0 s)",
    )
    assert [item["name"] for item in written["rows"]] == list(wanted)
    for name in wanted:
        assert name in printed
    assert all(item["values"] for item in written["rows"])
    assert written["noise"]["seconds"] > 0
    assert written["machine"]["cores"] >= 1


def test_a_library_that_is_not_installed_gives_a_row_without_figures(monkeypatch, tmp_path):
    monkeypatch.setattr(searching.manifest, "missing_requirements", lambda _: ["hnswlib"])
    (implementation,) = (i for i in searching.manifest.builtin() if i.name == "hnswlib")
    floors = searching.Floors(clock_ns=[], mailbox_us=[])
    rows = list(searching._fidelity(implementation, tmp_path / "none.hdf5", TINY, floors))
    assert [(item.values, item.mark) for item in rows] == [((), "skipped")] * 2


@pytest.mark.parametrize("name", Scale().implementations)
def test_repeats_of_one_setting_are_measurements_of_their_own(name, small_dataset):
    """No two searches of a fidelity job are one setting to the harness; nor is one left out."""
    (implementation,) = (i for i in manifest.builtin() if i.name == name)
    path = small_dataset()
    job = searching._repeated(implementation, path, TINY, "worker")
    assert len(job.searches) == TINY.alternations + 1
    assert equal_settings.once(job, n=300, dim=8).searches == job.searches
    setting = implementation.variants[len(implementation.variants) // 2].search.kwargs
    for search in job.searches:
        assert dict(setting).items() <= dict(search.arguments.kwargs).items()


def test_a_repeat_that_was_not_measured_is_an_error(small_dataset):
    """Figures copied from an equal setting would count as an agreement of repeats."""
    path = small_dataset()
    (implementation,) = (i for i in manifest.builtin() if i.name == "bruteforce")
    job = searching._repeated(implementation, path, TINY, "worker")
    equal = dataclasses.replace(
        job,
        searches=tuple(
            dataclasses.replace(search, arguments=job.searches[0].arguments)
            for search in job.searches
        ),
    )
    assert [item.case_id for item in searching._run(job, path)] == ["0", "1", "2"]
    with pytest.raises(RuntimeError, match="0 was not measured: it has the figures of 2"):
        searching._run(equal, path)


@pytest.mark.parametrize(
    ("figure", "mark"),
    [
        (row(1.0, 1.02, 1.03, aim=1.03), "pass"),
        (row(1.0, 1.01, 1.01, 1.02, 9.0, aim=1.03), "pass"),
        (row(1.04, 1.05, 1.06, aim=1.03), "MISS"),
        (row(1.0, 1.02, 9.0, aim=1.03), "pass?"),
        (row(0.4, 1.8, aim=1.0), "MISS?"),
        (row(-147.0, -163.0, aim=10.0), "pass?"),
        (row(0.0, aim=0.0), "pass"),
        (row(5.0), "-"),
        (row(aim=1.0), "skipped"),
    ],
)
def test_the_median_passes_or_misses_and_repeats_that_disagree_are_marked(figure, mark):
    assert figure.mark == mark


def test_the_table_shows_median_and_spread(capsys):
    show([row(1.0, 3.0, 2.0, aim=2.5), row()], Console(width=120))
    printed = capsys.readouterr().out
    for text in ("<= 2.5", "2.00", "1.00", "3.00", "pass", "skipped"):
        assert text in printed


def test_a_noisy_machine_is_called_noisy():
    assert describe_noise(QUIET).startswith("quiet machine")
    assert describe_noise({**QUIET, "noisy": True, "others_cores": 1.2}).startswith("NOISY")


def test_noise_counts_only_what_others_use():
    noise = Noise()
    sum(range(2_000_000))  # our own work is not noise
    report = noise.report()
    assert report["others_cores"] >= 0
    assert set(report) == set(QUIET)


def test_quick_measures_the_same_figures_with_fewer_repeats():
    assert QUICK.processes < Scale().processes
    assert (QUICK.n_train, QUICK.load_bytes) == (Scale().n_train, Scale().load_bytes)


def test_a_far_side_has_the_worker_s_threads_and_no_settings_of_ours(monkeypatch):
    monkeypatch.setenv("ANNMODAL_K", "3")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    variables = processes.environment()
    assert variables["OMP_NUM_THREADS"] == "1"
    assert not {"ANNMODAL_K", "PYTHONDONTWRITEBYTECODE"} & set(variables)


def test_a_tight_loop_that_cannot_start_is_an_error_not_a_wait(tmp_path):
    with (
        pytest.raises(RuntimeError, match="ended"),
        processes.tight_loop(dataset=str(tmp_path / "missing.hdf5")),
    ):
        pass


def test_every_task_of_the_far_side_can_be_asked_for():
    assert set(child.TASKS) == {"tight", "plugin", "resolve", "load", "exact"}
