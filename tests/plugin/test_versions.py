"""Two versions of one library in one run, as a user names them: NAME@SPEC."""

from __future__ import annotations

from pathlib import Path

import pytest
from plugin_project import Project, lines_with
from small_wheels import (
    implementation,
    offer_nothing_else,
    write_index,
    write_project,
)

from pytest_annmodal.results.reading import read_results

TINY = ("--ann-implementations", "mine", "--dataset", "small-8-euclidean.hdf5", "--ann-rounds=2")
AA = "both sides have the same packages, so this compares a version with itself (an A/A test)"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_index(tmp_path_factory.mktemp("index"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def tiny(project: Project, index: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    offer_nothing_else(monkeypatch, index, cache)
    implementation(project.path / "mine")
    return project


def test_versions_are_rows_of_one_table(tiny: Project) -> None:
    """Each row has its versions, also in extra_info and the store; a bad one fails alone."""
    write_project(tiny.path / "checkout", "5.0")
    impl = ("--impl=tiny@1.0", "--impl=tiny@./checkout", "--impl=tiny@9.9")
    result = tiny.run(*TINY, *impl, "--benchmark-json=out.json")
    result.assert_outcomes(passed=2, failed=1)
    assert lines_with(result, "  tiny@1.0: tinyann 1.0, numpy ")
    assert lines_with(result, "  tiny@./checkout: tinyann 5.0, numpy ")
    assert lines_with(result, "failed (environment): tiny@9.9: it cannot be installed: ")
    installed = [saved["extra_info"]["environment"]["versions"] for saved in tiny.saved()]
    assert {versions["tinyann"] for versions in installed} == {"1.0", "5.0"}
    kept = read_results([tiny.path]).cases
    assert {case.implementation for case in kept} == {one.split("=")[1] for one in impl}
    assert None not in [case.key for case in kept if case.failure is None]

    write_project(tiny.path / "checkout", "5.0", then="found = found.copy()")
    again = tiny.run(*TINY, *impl[:2], "--ann-reuse")
    again.assert_outcomes(passed=2)
    assert lines_with(again, "1 result was taken from the store")


def test_two_versions_meet_in_one_comparison(tiny: Project) -> None:
    """Each side has its own environment; a note says if both are the same."""
    compared = ("--ann-baseline=tiny@2.0", "--ann-sessions=1", "--ann-queries=5")
    result = tiny.run(*TINY, "--impl=tiny@1.0", *compared)
    result.assert_outcomes(passed=1)
    assert len(lines_with(result, "× tiny@2.0 ")) == 1
    assert lines_with(result, "  tiny@2.0: tinyann 2.0, numpy ")
    assert not lines_with(result, AA)
    result = tiny.run(*TINY, "--impl=tiny@==2", *compared)
    assert lines_with(result, AA)


def test_a_test_names_versions_itself(tiny: Project) -> None:
    """In ``parametrize`` and in ``ann_benchmark(implementation=…)``."""
    tiny.write(
        "test_it.py",
        """
        import pytest

        @pytest.mark.parametrize("implementation", ["tiny@1.0"])
        def test_pair(ann_benchmark, implementation, dataset):
            found = ann_benchmark(implementation=implementation, dataset=dataset)
            assert found.environment["versions"]["tinyann"] == "1.0"

        def test_one(ann_benchmark):
            found = ann_benchmark(implementation="tiny@2.0", dataset="small-8-euclidean.hdf5")
            assert found.environment["versions"]["tinyann"] == "2.0"
        """,
    )
    tiny.run(*TINY).assert_outcomes(passed=2)


def test_a_bad_spec_is_refused_at_once(tiny: Project) -> None:
    """Before anything is installed or measured."""
    result = tiny.run(*TINY, "--impl=tiny@./none")
    assert result.ret == 4
    assert lines_with(result, "no tests ran")
    words = "--impl tiny@./none: ./none: there is no such folder or wheel"
    assert words in result.stderr.str()
