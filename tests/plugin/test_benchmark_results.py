"""Measured times in pytest-benchmark, JUnit and the terminal."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from plugin_project import UNRELATED, Project, lines_with


def check_saved(saved: dict[str, Any]) -> None:
    """The figures of pytest-benchmark are those of the plugin, computed from the same times."""
    info, stats = saved["extra_info"], saved["stats"]
    assert stats["rounds"] == info["n_queries"] * info["rounds"] == 40
    assert stats["iterations"] == 1
    assert abs(stats["ops"] / info["qps"] - 1) < 1e-9
    assert abs(stats["mean"] / info["mean_s"] - 1) < 1e-9
    assert abs(stats["median"] / info["p50_s"] - 1) < 1e-9
    in_ns = [seconds * 1e9 for seconds in stats["data"]]
    assert all(abs(ns - round(ns)) < 1e-4 for ns in in_ns)  # no precision was lost
    assert info["recall"] == info["recall_ids"] == 1.0
    assert info["where"] == "local"
    assert info["environment"]["threads"] == 1
    assert "latencies_ns" not in info


def test_names_in_the_table(project: Project) -> None:
    """A case has the same name as in our own table; saved files keep its id."""
    result = project.bench("--benchmark-json=out.json", "--benchmark-columns=min,ops")
    result.assert_outcomes(passed=2)
    shown = lines_with(result, "exact[extra=")
    assert len([line for line in shown if line.startswith("exact[extra=0]  ")]) == 1
    assert not lines_with(result, "test_search[exact")
    assert {one["name"] for one in project.saved()} == {
        f"test_search[exact[extra={n}]-small-8-euclidean-k10]" for n in (0, 1)
    }


def test_json(project: Project) -> None:
    """The saved JSON is strict, holds every latency exactly, and says which case it is."""
    result = project.bench(
        "--benchmark-json=out.json",
        "--benchmark-save-data",
        "--benchmark-only",
        "--benchmark-group-by=param:case",
        "--junitxml=out.xml",
    )
    result.assert_outcomes(passed=2)
    groups = lines_with(result, "- benchmark 'case=")
    assert len(groups) == 2
    assert "exact[extra=0]-small-8-euclidean-k10" in "".join(groups)
    saved = project.saved()
    assert [one["param"] for one in saved] == [
        f"exact[extra={n}]-small-8-euclidean-k10" for n in (0, 1)
    ]
    for one in saved:
        assert one["params"] == {"case": one["param"]}
        assert one["options"]["timer"] == "ReplayClock"
        check_saved(one)
    assert saved[0]["stats"]["data"] != saved[1]["stats"]["data"]

    cases = list(ET.parse(project.path / "out.xml").iter("testcase"))
    for one, case in zip(saved, cases, strict=True):
        properties = {item.get("name"): item.get("value") for item in case.iter("property")}
        assert float(properties["recall"] or 0) == 1.0
        assert float(properties["qps"] or 0) == one["extra_info"]["qps"]
        assert float(properties["p50_ms"] or 0) == one["extra_info"]["p50_s"] * 1e3
        assert float(properties["p99_ms"] or 0) == one["extra_info"]["p99_s"] * 1e3


def test_groups_of_parts_of_a_case(project: Project) -> None:
    """pytest-benchmark groups by dataset, implementation and k; what is unknown is a dash."""
    result = project.bench(
        "--benchmark-group-by=param:implementation,param:dataset,param:k,param:m",
        "--benchmark-json=out.json",
    )
    result.assert_outcomes(passed=2)
    (group,) = lines_with(result, "- benchmark 'impl")
    assert "'implementation=exact dataset=small-8-euclidean k=10 m=-': 2 tests" in group
    assert all(list(one["params"]) == ["case"] for one in project.saved())


def test_save_and_compare(project: Project) -> None:
    """Two runs are compared like any other benchmarks."""
    project.bench("--benchmark-autosave").assert_outcomes(passed=2)
    result = project.bench("--benchmark-compare", "--benchmark-compare-fail=mean:1000000%")
    result.assert_outcomes(passed=2)
    assert len(lines_with(result, "(0001_")) == 2
    assert len(lines_with(result, "(NOW)")) == 2


def test_disabled(project: Project) -> None:
    """``--benchmark-disable`` still measures, checks and shows; ``-m ann`` selects our tests."""
    project.write("test_other.py", "def test_other(): pass")
    project.write(
        "test_it.py",
        """
        import pytest

        @pytest.mark.ann(max_index_mb=0)
        def test_search(ann_benchmark, benchmark, case):
            ann_benchmark(case)

        def test_stats(ann_benchmark, benchmark, case):
            assert len(ann_benchmark(case).latencies_ns) == 40
            assert benchmark.stats is None
        """,
    )
    result = project.bench("--benchmark-disable", "-m", "ann")
    result.assert_outcomes(passed=2, failed=2, deselected=1)
    assert not lines_with(result, "pytest-benchmark shows no table")
    assert len(lines_with(result, "  1.0000  ")) == 2
    assert not lines_with(result, "Name (time in")


def test_skipped(project: Project) -> None:
    """``--benchmark-skip`` skips without measuring."""
    project.write("mine/exact.py", (project.path / "mine/exact.py").read_text() + "\n1 / 0\n")
    result = project.bench("--benchmark-skip", "-rs")
    result.assert_outcomes(skipped=2)
    assert lines_with(result, "Skipping benchmark (--benchmark-skip active).")
    assert not lines_with(result, "ANN benchmarks")


def test_failures_are_used(project: Project) -> None:
    """A failed case is neither in pytest-benchmark's table nor "not used at all"."""
    project.write("mine/exact.py", (project.path / "mine/exact.py").read_text() + "\n1 / 0\n")
    result = project.bench("--benchmark-json=out.json", "--benchmark-only")
    result.assert_outcomes(failed=2)
    assert "not used" not in result.stdout.str()
    assert not (project.path / "out.json").exists() or project.saved() == []


GONE = ("--dataset", "gist-960-euclidean")  # in no volume, so its tests are skipped


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("--impl", "exact", *GONE), 0),
        (("--impl", "exact", *GONE, "-W", "error"), 0),
        (("--impl", "exact", *GONE, "-k", "nothing"), 5),
        (("--impl", "exakt", *GONE), 4),
    ],
)
def test_nothing_to_save(project: Project, arguments: tuple[str, ...], status: int) -> None:
    """If nothing was measured, one line says so; the exit status is pytest's own."""
    mine = ("--ann-implementations", "mine")
    result = project.run(*mine, *arguments, "--benchmark-json=out.json", "--benchmark-autosave")
    assert result.ret == status
    words = "Nothing was measured, so --benchmark-json and --benchmark-autosave saved nothing."
    assert len(lines_with(result, words)) == 1
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


def test_nothing_to_compare(project: Project) -> None:
    """Without stored results it measures with a warning; with a threshold it ends with an error."""
    result = project.bench("--benchmark-compare")
    result.assert_outcomes(passed=2)
    assert "Can't compare. No benchmark files" in result.stdout.str() + result.stderr.str()
    result = project.bench("--benchmark-compare", "--benchmark-compare-fail=mean:5%")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: --benchmark-compare-fail: there are no stored results*"])


def test_slower_than_allowed(project: Project) -> None:
    """The tables are shown, pytest's own summary too, and the exit status is 1."""
    project.bench("--benchmark-autosave").assert_outcomes(passed=2)
    (stored,) = (project.path / ".benchmarks").rglob("*.json")
    saved = json.loads(stored.read_text())
    for one in saved["benchmarks"]:
        one["stats"]["mean"] = 1e-12
    stored.write_text(json.dumps(saved))
    result = project.bench("--benchmark-compare", "--benchmark-compare-fail=mean:5%")
    result.assert_outcomes(passed=2)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "* ANN benchmarks *",
            "Slower than --benchmark-compare-fail allows, so the exit status is 1.",
        ]
    )
    result.stderr.fnmatch_lines(["Performance has regressed:"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


def test_a_folder_that_is_not_there(project: Project) -> None:
    """It is an error before anything is measured, not after."""
    result = project.bench("--benchmark-json=gone/out.json")
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        ["ERROR: --benchmark-json=gone/out.json: there is no folder */gone.*"]
    )


@pytest.mark.parametrize(
    ("variable", "arguments", "words"),
    [
        ("gw1", (), "PYTEST_XDIST_WORKER=gw1"),
        ("", ("-p", "xdist", "--dist=load"), "--dist=load was given"),
    ],
)
def test_switched_off(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    """If pytest-benchmark has switched itself off for xdist, its options are errors; else one line says so."""
    monkeypatch.setenv("PYTEST_XDIST_WORKER", variable)
    loaded = tuple(name for name in UNRELATED if name != "xdist")
    result = project.bench("--benchmark-json=out.json", *arguments, without=loaded)
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        [f"ERROR: --benchmark-json: pytest-benchmark has switched*{words}*"]
    )
    result = project.bench(*arguments, without=loaded)
    result.assert_outcomes(passed=2)
    assert len(lines_with(result, "pytest-benchmark shows no table")) == 1
    assert lines_with(result, words)
