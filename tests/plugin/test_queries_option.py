"""``--ann-queries FILE`` and ``--ann-query-order``, as a user has them."""

from __future__ import annotations

import json

import numpy as np
from plugin_project import Project, lines_with


def test_queries_of_ones_own(project: Project) -> None:
    """They have a name everywhere; what is stored of the dataset's own is not taken for theirs."""
    rows = np.random.default_rng(9).standard_normal((6, 8))
    np.save(project.path / "mine.npy", rows)
    asked = ("--ann-queries=mine.npy", "--ann-subset=100", "-v")
    project.bench("--ann-subset=100").assert_outcomes(passed=2)
    first = project.bench(*asked, "--ann-reuse", "--benchmark-json=out.json")
    first.assert_outcomes(passed=2)
    assert not lines_with(first, "taken from the store")
    (name,) = {row["param"].partition("-queries-")[2] for row in project.saved()}
    assert name.startswith("mine-")
    own = name.removesuffix("-k10")
    assert lines_with(first, f"small-8-euclidean-queries-{own} · 100 × 8 · euclidean · k=10 · 6 ")
    for saved in project.saved():
        assert saved["extra_info"]["queries"] == own
        assert saved["extra_info"]["recall"] == 1.0
    again = project.bench(*asked, "--ann-reuse")
    assert lines_with(again, "2 results were taken from the store and not measured again.")
    kept = [
        json.loads(line)
        for file in (project.path / ".annmodal" / "results").glob("*.jsonl")
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    assert {(row["dataset"], row["queries"]) for row in kept} == {
        ("small-8-euclidean", ""),
        ("small-8-euclidean", own),
    }
    assert not any("small" in row["label"] for row in kept)


def test_bad_queries_end_it_before_anything_runs(project: Project) -> None:
    """One line each, with what was expected."""
    np.save(project.path / "wide.npy", np.ones((3, 9)))
    for arguments, says in (
        (["--ann-queries=nine.npy"], "there is no 'nine.npy' in"),
        (["--ann-queries=wide.npy"], "9 dimensions; expected 8, as small-8-euclidean has them"),
        (
            ["--ann-queries=wide.npy", "--ann-fresh-queries"],
            "FILE and fresh queries: fresh queries are",
        ),
        (["--ann-queries=0"], "expected a whole number of at least 1"),
        (["--ann-query-order=up"], "'up': expected file, random, sorted"),
    ):
        (line,) = project.bench(*arguments).stderr.str().strip().splitlines()
        assert says in line
