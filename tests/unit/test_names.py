"""What cases are called in pytest-benchmark's table."""

from __future__ import annotations

import pytest

from pytest_annmodal.outcome import Failure
from pytest_annmodal.reports.names import MAX_NAME, short_names
from pytest_annmodal.results.rows import Row


def row(label: str, dataset: str = "digits", k: int = 10) -> Row:
    return Row(
        label=label,
        build=label,
        search="",
        dataset=dataset,
        k=k,
        where="local",
        outcome=Failure(case_id="x", kind="raised", message="no"),
    )


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        ({"a.py::test[1]": row("annoy"), "a.py::test[2]": row("faiss")}, ["annoy", "faiss"]),
        (
            {"a.py::test[1]": row("annoy"), "a.py::test[2]": row("annoy", "glove")},
            ["annoy digits", "annoy glove"],
        ),
        (
            {"a.py::test[1]": row("annoy"), "a.py::test[2]": row("annoy", k=100)},
            ["annoy k=10", "annoy k=100"],
        ),
        (
            {"a.py::test_a[1]": row("annoy"), "a.py::T::test_b[1]": row("annoy")},
            ["test_a annoy", "test_b annoy"],
        ),
        ({}, []),
    ],
)
def test_a_name_has_the_parts_that_differ(rows, names):
    """A name has the label and the parts in which cases differ."""
    assert list(short_names(rows).values()) == names


def test_long_labels_are_cut_in_the_middle():
    """Long labels are cut in the middle, unless two would become equal."""
    long = "hnswlib[" + "x" * 100
    (name,) = short_names({"1": row(f"{long},ef=10]")}).values()
    assert len(name) == MAX_NAME
    assert name.startswith("hnswlib[x")
    assert name.endswith("x,ef=10]")
    alike = {"1": row(f"{long}a{long}"), "2": row(f"{long}b{long}")}
    assert len(set(short_names(alike).values())) == 2


def test_control_characters_are_escaped():
    assert short_names({"1": row("\x1b[31mred")}) == {"1": "?[31mred"}


def test_commands_to_a_ci_runner_are_escaped():
    """A name from a submission cannot contain a command to the CI runner."""
    (name,) = short_names({"1": row("grid[mode=##vso[task.complete]]")}).values()
    assert "##vso[" not in name
    assert "task.complete" in name
