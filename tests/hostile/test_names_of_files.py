"""Has a name that could break a terminal, a table, a command line or a path."""

import pytest
from jobs import EXACT, run, write
from witnesses import measured

from pytest_annmodal.manifests import manifest

NAMES = [
    "new\nline.py",
    "\x1b[2Jclear.py",
    "-rf.py",
    "--bind.py",
    "a b;$(touch x)`y`.py",
    "\udcff.py",
    "\u202egpj.py",
    "=cmd|x.py",
    "." * 60 + ".py",
    "日本.py",
    "%s{0}.py",
]


@pytest.mark.parametrize("name", NAMES)
def test_is_only_a_name(dataset, tmp_path, strict, name):
    """The name is shown as letters and digits, and the file is measured."""
    source = write(tmp_path / name, EXACT)
    (found,) = manifest.read_submission(source)
    assert found.error is None
    assert manifest.sanitise(found.name) == found.name
    outcome = run(
        dataset,
        source,
        clock="parent",
        isolation="strict",
        phase_timeout_s=8.0,
        implementation={"name": found.name, "trusted": False},
    )[0]
    assert measured(outcome).recall == 1
    assert not (tmp_path / "x").exists()
