"""``--ann-target-recall``: each build measured at the setting that reaches a recall, and ranked."""

from __future__ import annotations

import json

from plugin_project import EXACT, Project, lines_with

# Looks at the first rows only: their share of the 300 is the recall.
REACH = (
    EXACT
    .replace("# search.extra = [0, 1]", '# search.reach = 300\n# tune.reach = { range = [10, "n"], scale = "log", monotone = "recall" }')
    .replace("extra", "reach")
    .replace("(self.X - v)", "(self.X[:self.reach] - v)")
)  # fmt: skip


def test_a_recall(project: Project) -> None:
    """The setting is in the table, the ranking below it, every probe in the store."""
    project.write("mine/exact.py", REACH)
    project.write("mine/exact-half.py", REACH.replace('"n"]', "150]"))
    result = project.bench("--ann-target-recall=0.8,0.3", "-v")
    result.assert_outcomes(passed=4)
    assert lines_with(result, "test_search[exact[recall=0.8]-small-8-euclidean-k10] PASSED")
    assert lines_with(result, "exact[≥0.3 → reach=")
    assert lines_with(result, "exact-half[≥0.8 not reached: reach=150 is nearest]")
    (start,) = [n for n, line in enumerate(result.outlines) if "At recall 0.8, by" in line]
    first, last = (line.split() for line in result.outlines[start + 1 : start + 3])
    assert first[:2] == ["1.", "exact"]
    assert (last[0], last[1], last[-2:]) == ("–", "exact-half", ["not", "reached"])
    (file,) = (project.path / ".annmodal" / "results").glob("*.jsonl")
    kept = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [row["tuned"]["reached"] for row in kept].count(False) == 1
    for row in kept:
        assert row["search"] == row["tuned"]["arguments"]
    probes = [probe for row in kept for probe in row["tuned"]["probes"]]
    assert {probe["part"] for probe in probes} == {"tuning", "figure"}
    assert not lines_with(result, ": recall ≥0.8 not reached")  # the row says it
