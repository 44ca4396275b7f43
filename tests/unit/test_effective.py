"""The rules of a header for the values that a library uses, and settings that become equal."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from jobs import failed, index, make_job, measured, write

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.execution import run_job
from pytest_annmodal.manifests import effective, expression, header
from pytest_annmodal.model import Arguments, Implementation, Job, Search
from pytest_annmodal.outcome import Outcome

HEADER = """# /// script
# [tool.annmodal]
# build.cells = 128
# search.ef = [1, 50]
# {}
# ///
"""


def job_of(
    rules: dict[str, str], asked: list[dict[str, Any]], *, k: int = 10, **change: Any
) -> Job:
    own = Implementation(name="a", path="a.py", class_name="A", effective=rules)
    made = make_job(Path("a.hdf5"), Path("a.py"), k=k)
    searches = tuple(
        Search(case_id=f"case-{n}", arguments=Arguments(kwargs=kwargs), k=k, rounds=1)
        for n, kwargs in enumerate(asked)
    )
    return dataclasses.replace(made, **{"implementation": own, "searches": searches, **change})


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("max(ef, k)", 10),
        ("min(ef, k)", 4),
        ("min(ef, max(1, n // 39))", 4),
        ("ef * 2 + dim - 1", 15),
        ("max(1, 2, (ef))", 4),
        ("ef // (k - k)", 4),  # nothing can be said
        ("missing", 4),
    ],
)
def test_a_rule_makes_one_value_of_another(rule: str, value: int) -> None:
    """A rule computes a value from the request, k, rows and dimension; absent values stay absent."""
    job = job_of({"ef": rule}, [{"ef": 4}])
    asked, made = effective.values(job, job.searches[0], n=1000, dim=8)
    assert (asked, made) == ({"ef": 4}, {"ef": value})


def test_a_later_rule_sees_what_an_earlier_one_made() -> None:
    """Rules apply in order, each to the results before it; texts stay unchanged."""
    rules = {"cells": "min(cells, n // 39)", "probe": "min(probe, cells)", "kind": "min(kind, 3)"}
    build = Arguments(kwargs={"cells": 128, "kind": "flat"})
    job = job_of(rules, [{"probe": 200}], build=build)
    _, made = effective.values(job, job.searches[0], n=390, dim=8)
    assert made == {"cells": 10, "kind": "flat", "probe": 10}


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("max(efs, k)", "'efs' is not a parameter; known are ef, k, n, dim"),
        ("__import__('os')", "'__import__' is not a parameter"),
        ("max(ef)", "'max(ef)' is not allowed"),
        ("max", "'max' is not allowed"),
        ("ef ** 9", "'ef ** 9' is not allowed"),
        ("ef.real", "'ef.real' is not allowed"),
        ("[ef for ef in k]", "is not allowed"),
        ("max(*k, ef)", "is not allowed"),
        ("max(ef, k, key=k)", "is not allowed"),
        ("True", "'True' is not allowed"),
        ("1.5", "'1.5' is not allowed"),
        ("ef k", "is not a rule such as 'max(ef, k)'"),
        ("", "is not a rule such as"),
        ("(" * 150 + "ef" + ")" * 150, "longer than 200 characters"),
        ("(" * 90 + "ef" + ")" * 90 + " +", "is not a rule such as"),
    ],
)
def test_anything_else_is_no_rule(rule: str, words: str) -> None:
    """Other expressions are refused with the allowed ones, and never run."""
    with pytest.raises(ConfigurationError) as caught:
        expression.check_rule(rule, ["ef"])
    assert words in str(caught.value)


def test_a_header_says_what_bounds_answers_and_what_the_library_makes() -> None:
    """A header's rules and its bound of answers name its own parameters."""
    lines = 'short-answers = "ef"\n# effective = { ef = "max(ef, k)", cells = "min(cells, n)" }'
    head = header.parse(HEADER.format(lines))
    assert head is not None
    assert (head.short_answers, head.bounded_by) == (True, "ef")
    assert head.effective == {"ef": "max(ef, k)", "cells": "min(cells, n)"}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('short-answers = "eff"', "short-answers: expected true or false, or one of cells, ef"),
        ('effective = { eff = "max(ef, k)" }', "effective.eff: eff is not a parameter of build or"),
        ("effective = { ef = 3 }", "effective.ef: expected text in quotes, not 3"),
        ('effective = "max(ef, k)"', "effective: expected a table"),
        ('effective = { ef = "max(ef, m)" }', "effective.ef: 'm' is not a parameter"),
    ],
)
def test_a_header_that_names_something_else_is_refused(line: str, words: str) -> None:
    """A rule for an unknown parameter is refused with its key."""
    with pytest.raises(ConfigurationError) as caught:
        header.parse(HEADER.format(line))
    assert words in str(caught.value)


COUNTS = index("""
    def set_query_arguments(self, ef):
        print("set", ef)
        self.ef = ef
    def query(self, v, k):
        if self.ef == 7:
            raise ValueError("not seven")
        return self.near(v, k)[: max(self.ef, 3)]
""")


def run_settings(
    path: Path, tmp_path: Path, asked: list[int], **implementation: Any
) -> tuple[list[Outcome], Job]:
    source = str(write(tmp_path / "mine.py", COUNTS))
    own = Implementation(
        name="mine",
        path=source,
        class_name="Index",
        metrics=("euclidean",),
        short_answers=True,
        bounded_by="ef",
        **{"effective": {"ef": "max(ef, 3)"}, **implementation},
    )
    job = job_of({}, [{"ef": ef} for ef in asked], k=5, implementation=own)
    return run_job(job, path), job


def test_settings_that_are_one_are_measured_once(small_dataset: Any, tmp_path: Path) -> None:
    """Settings that a library treats as equal are measured once; the others refer to that one."""
    outcomes, job = run_settings(small_dataset(), tmp_path, [1, 2, 3, 4])
    found = [measured(outcome) for outcome in outcomes]
    assert [m.case_id for m in found] == [search.case_id for search in job.searches]
    assert [m.measured_as for m in found] == ["case-2", "case-2", "", ""]
    assert [m.asked["ef"] for m in found] == [1, 2, 3, 4]
    assert [m.effective["ef"] for m in found] == [3, 3, 3, 4]
    assert found[0].latencies_ns == found[1].latencies_ns == found[2].latencies_ns
    assert found[-1].log_tail.split() == ["set", "3", "set", "4"]
    assert "ef=1 counts as 3, since the library makes it max(ef, 3)" in found[0].notes
    assert not any("the library makes" in note for note in (*found[2].notes, *found[3].notes))


def test_what_is_missing_is_missed_and_its_bound_is_named(
    small_dataset: Any, tmp_path: Path
) -> None:
    """Missing ids are misses (three of five give 0.6), and the limiting parameter is named."""
    (outcome,), _ = run_settings(small_dataset(), tmp_path, [1])
    found = measured(outcome)
    assert (found.recall, found.n_short_answers, found.bounded_by) == (0.6, 20, "ef")
    words = "20 answers had fewer than k ids (ef bounds them); missing ids count as misses"
    assert f"{words} (see surprises: missing-answers)" in found.notes


def test_a_setting_that_fails_fails_for_all_that_it_stands_for(
    small_dataset: Any, tmp_path: Path
) -> None:
    """If the measured setting fails, all settings that are equal to it fail."""
    rules = {"ef": "max(ef, 7)"}
    outcomes, _ = run_settings(small_dataset(), tmp_path, [1, 7, 9], effective=rules)
    assert [failed(outcome).case_id for outcome in outcomes[:2]] == ["case-0", "case-1"]
    assert measured(outcomes[2]).measured_as == ""


def test_a_submissions_rules_do_not_choose_what_is_measured(
    small_dataset: Any, tmp_path: Path
) -> None:
    """A submission's rules are shown, and every setting is measured."""
    outcomes, _ = run_settings(small_dataset(), tmp_path, [1, 2], trusted=False)
    assert [measured(outcome).measured_as for outcome in outcomes] == ["", ""]
    assert measured(outcomes[0]).effective == {"ef": 3}
