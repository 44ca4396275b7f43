"""The workflow that gates a library's pull requests."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from pytest_annmodal.environments.projects import LEFT_OUT
from pytest_annmodal.settings.config import OPTIONS

EXAMPLE = Path(__file__).parents[2] / "examples" / "regression.yml"
STEPS = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))["jobs"]["gate"]["steps"]


@pytest.mark.parametrize("step", [step for step in STEPS if "run" in step], ids=lambda s: s["name"])
def test_each_step_is_a_script_with_options_that_exist(step: dict[str, str]) -> None:
    subprocess.run(["bash", "-n"], input=step["run"], text=True, check=True)
    named = set(re.findall(r"--(?:ann-[a-z0-9-]+|impl|dataset)\b", step["run"]))
    assert named <= {option.flag for option in OPTIONS}
    assert ("pytest benchmarks/" in step["run"]) == bool(named)


def test_what_is_written_is_no_part_of_the_working_tree() -> None:
    """Another file in it makes it another version, which is compiled again for the next gate."""
    scripts = "\n".join(step.get("run", "") for step in STEPS)
    written = set(re.findall(r"(?:[^-]>|GITHUB_STEP_SUMMARY=|--dir )\s*([\w./]+)", scripts))
    assert {name for name in written if name.split("/")[0] not in LEFT_OUT} == {
        "benchmarks/test_search.py"
    }
    assert len(written) > 4


def test_every_gate_can_fail_the_job() -> None:
    """Each that goes on in spite of an error has its outcome looked at in the end."""
    gates = [step["id"] for step in STEPS if "id" in step]
    assert gates == ["release", "base", "stored"]
    assert all(f"steps.{name}.outcome == 'failure'" in STEPS[-1]["if"] for name in gates)
