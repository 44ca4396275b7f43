"""What every attack starts from: a public dataset, a submission, and witnesses around it.

An attack runs at a level of isolation: ``strict`` is bubblewrap, ``process`` is what is left
without it. Where bubblewrap is installed but does not work, the tests fail: they would prove
nothing.
"""

from __future__ import annotations

import os
import shutil

import numpy as np
import psutil
import pytest
from jobs import EXACT, failed, index, measured, nothing_left_behind, run, write

from pytest_annmodal import isolation

SECRET = "the-secret-of-the-organiser"
TIMEOUT_S = 8.0
SEED = 20_240_601


def pytest_collection_modifyitems(items):
    """Skip what needs bubblewrap only where it is not installed."""
    if shutil.which("bwrap"):
        return
    missing = pytest.mark.skip(reason="bubblewrap is not installed")
    for item in items:
        if item.path.parent.name == "hostile" and "process" not in item.name:
            item.add_marker(missing)


@pytest.fixture(autouse=True)
def _nothing_is_left(monkeypatch):
    """No process, no descriptor, the grader alive, and a secret to be found in its environment."""
    monkeypatch.setenv("GRADER_TOKEN", SECRET)
    with nothing_left_behind():
        yield
    children = psutil.Process().children(recursive=True)
    assert [child.name() for child in children if child.status() != psutil.STATUS_ZOMBIE] == []


@pytest.fixture(scope="session")
def _bubblewrap_works():
    assert isolation.strongest() == "bubblewrap", "bubblewrap is installed and does not work"


@pytest.fixture
def strict(_bubblewrap_works):
    """For an attack that runs at the strict level only."""


@pytest.fixture(params=["strict", "process"])
def level(request):
    if request.param == "strict":
        request.getfixturevalue("_bubblewrap_works")
    return request.param


@pytest.fixture
def dataset(small_dataset):
    return small_dataset(n_train=600)


@pytest.fixture
def attack(dataset, tmp_path):
    """The outcomes of a hostile index with these methods, at a level, with fresh queries."""

    def attack(body, *, level="strict", before="", fresh=True, path=None, **options):
        text = before + (body if "class Index" in body else index(body))
        folder = tmp_path / "handed-in"
        folder.mkdir(exist_ok=True)
        given = {"clock": "parent", "phase_timeout_s": TIMEOUT_S, "isolation": level, **options}
        if fresh:
            given.setdefault("fresh_seed", SEED)
        given["implementation"] = {"trusted": False, **given.get("implementation", {})}
        return run(path or dataset, write(folder / "mine.py", text), **given)

    return attack


@pytest.fixture
def honest(attack):
    """What an honest, exact index gets here: nobody may get more by an attack."""
    return measured(attack(EXACT)[0])


def survived(attack, **options):
    """The grader still measures an honest submission as it should."""
    outcome = measured(attack(EXACT, **options)[0])
    assert outcome.recall == 1
    return outcome


__all__ = ["EXACT", "SECRET", "failed", "index", "measured", "np", "os", "survived", "write"]
