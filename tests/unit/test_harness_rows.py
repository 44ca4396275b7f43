"""The benchmark of the harness runs; its figures are not checked here."""

from __future__ import annotations

import dataclasses
import json

import h5py
import numpy as np
import pytest
from rich.console import Console
from stored_cases import measured

from benchmarks.harness import __main__ as command
from benchmarks.harness import jobs, processes, runner, searching, sessions
from benchmarks.harness.rows import ROWS
from benchmarks.harness.scale import QUICK, Scale, Size
from benchmarks.harness.table import Noise, Row, Taken, describe_noise, show
from pytest_annmodal.jobs import equal_settings
from pytest_annmodal.manifests import manifest

TINY = Scale(
    alternations=1,
    passes=2,
    words_sized=Size(n=400, dim=10),
    large=Size(n=500, dim=12),
    small=Size(n=300, dim=8),
    gated=Size(n=300, dim=8),
    clusters_n=300,
    clusters_queries=20,
    slope_queries=400,
    truth_few=5,
    truth_many=20,
    large_job_queries=20,
    large_job_settings=2,
    large_queries=10,
    small_job_queries=20,
    scored_n=500,
    scored_queries=20,
    scored_settings=2,
    imported=Size(n=500, dim=12),
    collected=1000,
    fidelity=("bruteforce",),
)
# Of every way of measuring the quick ones: in this process, in a child, as a session, as a runner.
TRIED = ("look-words*", "truth-many*", "truth-memory", "*-bruteforce", "floor-*", "scoring")
TRIED_SESSIONS = (
    "small-job",
    "parent-peak",
    "wall-large",
    "worker-beyond",
    "import",
    "import-memory",
    "gate",
)
QUIET = {
    "seconds": 3.0,
    "cores": 2,
    "load_before": 0.1,
    "others_cores": 0.01,
    "stolen_cores": 0.0,
    "noisy": False,
}


def taken(*values: float, target: float | None = None) -> Taken:
    row = Row(
        name="a-figure",
        numerator="one of {small}",
        denominator="another",
        target=target,
        how="somehow",
        measure=lambda _scale, _directory: {},
    )
    return Taken(row=row, values=values)


@pytest.mark.parametrize("rows", [TRIED, TRIED_SESSIONS])
def test_a_tiny_run_prints_and_writes_every_row(rows, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(command, "QUICK", TINY)
    monkeypatch.setattr(jobs, "FIXED", ("bruteforce",))
    path = tmp_path / "rows.json"
    assert command.main(["--quick", "--rows", *rows, "--json", str(path)]) == 0
    printed = capsys.readouterr().out
    written = json.loads(path.read_text())
    assert [item["name"] for item in written["rows"]] == [row.name for row in command.chosen(rows)]
    for item in written["rows"]:
        assert item["name"] in printed
        assert item["values"], item["error"]
    assert written["noise"]["seconds"] > 0
    assert written["machine"]["cores"] >= 1


def test_names_of_rows_are_unique_and_texts_have_the_sizes_of_the_run():
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)
    for row in ROWS:
        assert "{" not in row.compares(TINY) + row.how
    (row,) = command.chosen(["truth-many"])
    assert row.compares(Scale()) == (
        "exact truth, 331,000 × 100 angular, k = 100, 2,000 queries ÷ the matrix product alone"
    )


def test_rows_that_are_measured_together_are_measured_once(tmp_path):
    calls = []

    def measure(scale, directory):
        calls.append(directory)
        return {"a": [1.0], "b": [2.0]}

    rows = [Row(name=name, numerator=name, how="somehow", measure=measure) for name in "ab"]
    found = command.measure(rows, TINY, Console(quiet=True))
    assert [one.values for one in found] == [(1.0,), (2.0,)]
    assert len(calls) == 1


def test_a_row_that_fails_costs_no_other_row():
    def fails(scale, directory):
        raise RuntimeError("the session ended with 3")

    rows = [
        Row(name="a", numerator="a", how="somehow", measure=fails),
        Row(name="b", numerator="b", how="somehow", measure=lambda scale, directory: {"b": [1.0]}),
    ]
    failed, fine = command.measure(rows, TINY, Console(quiet=True))
    assert (failed.mark, failed.error) == ("FAILED", "RuntimeError: the session ended with 3")
    assert fine.values == (1.0,)


def test_a_name_without_a_row_ends_the_command_with_all_names():
    with pytest.raises(SystemExit, match=r"no row .nothing.*truth-many"):
        command.chosen(["nothing"])


def test_the_rows_can_be_listed_without_measuring(capsys):
    assert command.main(["--list", "--rows", "modal"]) == 0
    assert "8 jobs of 2 s on 3 datasets" in capsys.readouterr().out


def test_a_library_that_is_not_installed_gives_no_values(monkeypatch, tmp_path):
    monkeypatch.setattr(searching.manifest, "missing_requirements", lambda _: ["annoy"])
    found = searching.fidelity(TINY, tmp_path / "data")
    assert not any(found.values())


@pytest.mark.parametrize("name", Scale().fidelity)
def test_repeats_of_one_setting_are_measurements_of_their_own(name, small_dataset):
    """Repeats of one setting are measured separately, none left out."""
    (implementation,) = (i for i in manifest.builtin() if i.name == name)
    path = small_dataset()
    job = searching._repeated(implementation, path, TINY, "worker")
    assert len(job.searches) == TINY.passes + 1
    assert equal_settings.once(job, n=300, dim=8).searches == job.searches
    setting = implementation.variants[0].search.kwargs
    for search in job.searches:
        assert dict(setting).items() <= dict(search.arguments.kwargs).items()


def test_a_repeat_that_was_not_measured_is_an_error(small_dataset):
    """A figure copied from an equal setting is refused as a repeat."""
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
    assert [item.case_id for item in searching.run(job, path)] == ["0", "1", "2"]
    with pytest.raises(RuntimeError, match="0 was not measured: it has the figures of 2"):
        searching.run(equal, path)


def test_the_runner_beside_us_keeps_times_ids_and_distances_of_its_last_run(
    small_dataset, tmp_path
):
    path = small_dataset()
    (implementation,) = (i for i in manifest.builtin() if i.name == "hnswlib")
    spec = {
        "path": implementation.path,
        "class": implementation.class_name,
        "dataset": str(path),
        "metric": "euclidean",
        "build": {"M": 12},
        "searches": [{"ef": 100}],
        "k": 10,
        "runs": 2,
        "out": str(tmp_path),
    }
    runner.run_definition(spec)
    with h5py.File(tmp_path / "0.hdf5") as found, h5py.File(path) as data:
        assert (found["neighbors"][:] == data["neighbors"][:, :10]).mean() > 0.9
        assert np.allclose(found["distances"][:, 0], data["distances"][:, 0], rtol=1e-5)
        assert found["times"].shape == (20,)
        assert found.attrs["run_count"] == 2


def test_the_work_of_a_session_is_each_build_once_and_all_that_was_asked():
    one = measured(build_s=2.0, mean_s=0.1, n_queries=10, rounds=3, batch_qps=5.0)
    other = dataclasses.replace(one, case_id="other", batch_qps=None)
    copied = dataclasses.replace(one, case_id="copied", measured_as="other")
    assert sessions.work_s([one, other, copied]) == pytest.approx(2.0 + 3.0 + 2.0 + 3.0)


def test_memory_is_watched_until_the_process_ends(tmp_path):
    memory = sessions.Memory()
    code = "import time; held = bytearray(50_000_000); time.sleep(0.5)"
    processes.python_s("-c", code, cwd=tmp_path, watch=memory.watch)
    assert memory.parent_bytes > 50_000_000


def test_a_session_that_fails_is_an_error_with_what_it_printed(tmp_path):
    with pytest.raises(RuntimeError, match="ended with 3:\nno luck"):
        processes.python_s("-c", "print('no luck'); raise SystemExit(3)", cwd=tmp_path)


def test_each_side_comes_first_in_turn():
    order = []
    sides = [lambda side=side: order.append(side) or float(side) for side in (1, 2)]
    assert processes.alternate(3, *sides) == [(1.0, 2.0)] * 3
    assert order == [1, 2, 2, 1, 1, 2]


@pytest.mark.parametrize(
    ("figure", "mark"),
    [
        (taken(1.0, 1.02, 1.03, target=1.03), "met"),
        (taken(1.0, 1.01, 1.01, 1.02, 9.0, target=1.03), "met"),
        (taken(1.04, 1.05, 1.06, target=1.03), "MISSED"),
        (taken(1.0, 1.02, 9.0, target=1.03), "met?"),
        (taken(0.4, 1.8, target=1.0), "MISSED?"),
        (taken(-147.0, -163.0, target=10.0), "met?"),
        (taken(0.0, target=0.0), "met"),
        (taken(5.0), "-"),
        (taken(target=1.0), "skipped"),
    ],
)
def test_the_median_meets_or_misses_and_values_that_disagree_are_marked(figure, mark):
    assert figure.mark == mark


def test_the_table_shows_minimum_and_median(capsys):
    show([taken(1.0, 3.0, 2.0, target=2.5), taken()], TINY, Console(width=120))
    printed = capsys.readouterr().out
    for text in ("one of 300 × 8 ÷ another", "≤ 2.5", "2.00", "1.00", "met", "skipped"):
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


def test_quick_has_the_same_rows_on_less_data():
    assert QUICK.alternations < Scale().alternations
    assert QUICK.large.n < Scale().large.n


def test_a_far_side_has_the_worker_s_threads_and_no_settings_of_ours(monkeypatch):
    monkeypatch.setenv("ANNMODAL_K", "3")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    variables = processes.environment()
    assert variables["OMP_NUM_THREADS"] == "1"
    assert not {"ANNMODAL_K", "PYTHONDONTWRITEBYTECODE"} & set(variables)
    assert "OMP_NUM_THREADS" not in processes.environment(None)


def test_a_tight_loop_that_cannot_start_is_an_error_not_a_wait(tmp_path):
    with (
        pytest.raises(RuntimeError, match="ended"),
        processes.tight_loop(dataset=str(tmp_path / "missing.hdf5")),
    ):
        pass
