"""``--ann-plan``: shows what would run and what would not, and runs nothing."""

from __future__ import annotations

import json

from plugin_project import EXACT, Project, lines_with


def test_a_plan(project: Project) -> None:
    """The plan has the selected cases, with costs from stored results, as text and JSON."""
    project.write(
        "mine/exact.py",
        EXACT.replace("# search", '# constraints = ["k <= 9 + extra"]\n# search').replace(
            "import numpy as np", "import numpy as np\nopen('ran', 'a').close()"
        ),
    )
    ran = project.path / "ran"
    result = project.bench("--ann-plan", "--ann-plan-json=plan.json")
    assert result.ret == 0
    (line,) = lines_with(result, "exact on small-8-euclidean         1 ")
    assert line.endswith(" model")  # the file says how many rows it has
    assert lines_with(result, "1 job, 1 setting: about ")
    assert lines_with(result, "  exact: extra=0 on small-8-euclidean: k <= 9 + extra does not hold")
    assert not ran.exists()
    plan = json.loads((project.path / "plan.json").read_text(encoding="utf-8"))
    assert [job["settings"] for job in plan["jobs"]] == [["extra=1"]]
    assert [one["values"] for one in plan["left_out"]] == ["k=10, extra=0"]

    project.bench().assert_outcomes(passed=1)
    assert ran.exists()
    ran.unlink()
    result = project.bench("--ann-plan")
    assert lines_with(result, " store")
    result = project.bench("--ann-plan", "-k", "nothing-of-this-name")
    assert lines_with(result, "0 jobs, 0 settings: nothing to run")
    result = project.bench("--ann-plan-json=none/plan.json")
    assert result.ret == 4
    assert not ran.exists()
