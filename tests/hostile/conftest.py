"""Fixtures of every attack: a public dataset, a submission, and checks around it."""

from __future__ import annotations

import shutil
from pathlib import Path

import psutil
import pytest
from jobs import EXACT, index, measured, nothing_left_behind, run, write
from small_data import write_small
from witnesses import SECRET

from pytest_annmodal.datasets.hdf5.checker import CHECKER
from pytest_annmodal.sandbox import isolation, process_tree, worker_process
from pytest_annmodal.sandbox.template import TEMPLATE

HERE = Path(__file__).parent
TIMEOUT_S = 8.0
SEED = 20_240_601


def pytest_collection_modifyitems(items):
    """Skips tests that need bubblewrap only if it is not installed."""
    if shutil.which("bwrap"):
        return
    missing = pytest.mark.skip(reason="bubblewrap is not installed")
    for item in items:
        weaker = "process_level" in item.name or item.name.endswith("[process]")
        if item.path.parent == HERE and not (weaker or item.path.stem == "test_uid_level"):
            item.add_marker(missing)


@pytest.fixture(autouse=True)
def _nothing_is_left(monkeypatch):
    """Checks that no process or descriptor is left; the grader's environment holds a secret meanwhile.

    Processes are found by their worker's mark, and as children.
    """
    marks = []
    make = worker_process.secrets.token_hex
    monkeypatch.setattr(
        worker_process.secrets, "token_hex", lambda n: marks.append(make(n)) or marks[-1]
    )
    monkeypatch.setenv("GRADER_TOKEN", SECRET)
    with nothing_left_behind():
        yield
    assert [pid for mark in marks for pid in process_tree.marked(mark)] == []
    left = psutil.Process().children(recursive=True)
    assert [process for process in left if process.pid not in (CHECKER.pid, TEMPLATE.pid)] == []


@pytest.fixture(scope="session")
def _bubblewrap_works():
    assert isolation.strongest() == "bubblewrap", "bubblewrap is installed but does not work"


@pytest.fixture
def strict(_bubblewrap_works):
    """For attacks at the strict level only."""


@pytest.fixture(params=["strict", "process"])
def level(request):
    if request.param == "strict":
        request.getfixturevalue("_bubblewrap_works")
    return request.param


@pytest.fixture
def dataset(small_dataset):
    return small_dataset(n_train=600)


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    """Collects a module's attacks; afterwards an honest submission must be measured normally."""
    done = []
    yield done
    folder = tmp_path_factory.mktemp("honest")
    data, source = write_small(folder, n_train=600), write(folder / "mine.py", EXACT)
    for level in {attack["isolation"] for attack in done}:
        given = {"trusted": False}
        with nothing_left_behind():
            (outcome,) = run(
                data,
                source,
                clock="parent",
                phase_timeout_s=TIMEOUT_S,
                isolation=level,
                fresh_seed=SEED,
                implementation=given,
            )
        assert measured(outcome).recall == 1


@pytest.fixture
def attack(dataset, tmp_path, attacked):
    """The outcomes of a hostile index with these methods, at a level, with fresh queries."""

    def attack(body, *, level=None, before="", fresh=True, path=None, **options):
        text = before + (body if "class Index" in body else index(body))
        folder = tmp_path / "handed-in"
        folder.mkdir(exist_ok=True)
        level = level or ("strict" if shutil.which("bwrap") else "process")
        given = {"clock": "parent", "phase_timeout_s": TIMEOUT_S, "isolation": level, **options}
        if fresh:
            given.setdefault("fresh_seed", SEED)
        given["implementation"] = {"trusted": False, **given.get("implementation", {})}
        attacked.append(given)
        return run(path or dataset, write(folder / "mine.py", text), **given)

    return attack


@pytest.fixture
def honest(attack):
    """The measurement of an honest, exact index, which no attack may exceed."""
    return measured(attack(EXACT)[0])
