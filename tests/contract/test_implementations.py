"""What every built-in implementation and every example in examples/libraries must do.

A new file in either folder is found by itself; one whose library is not installed is skipped.
"""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from implementation_probe import BYTES, DIM, N_QUERIES, K, N, kinds, members

from pytest_annmodal.manifests import manifest

MEMBERS = members()
CASES = [(name, kind) for name, item in MEMBERS.items() for kind in kinds(item)]
PROBE = Path(__file__).with_name("implementation_probe.py")
SEEDLESS = {"zvec_hnsw", "rabitqlib_ivf"}  # no seed can be given, and builds differ
SLOW = {"pynndescent"}  # its first build is compiled for minutes


@functools.cache
def probe(name: str) -> dict[str, Any]:
    """Run a member in a process like the worker's, once for all its tests."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    root = str(Path(manifest.__file__).parents[1])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    environment.pop("PYTHONWARNINGS", None)  # the libraries' own are only log text in a worker
    done = subprocess.run(
        [sys.executable, str(PROBE), name],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


@pytest.fixture
def seen(request) -> dict[str, Any]:
    name, kind = request.param
    if missing := manifest.missing_requirements(MEMBERS[name]):
        pytest.skip(f"pip install {' '.join(missing)}")
    return {"name": name, "kind": kind, **probe(name)[kind]}


pytestmark = pytest.mark.parametrize(
    "seen",
    [
        pytest.param(case, marks=[pytest.mark.slow] if case[0] in SLOW else [], id="-".join(case))
        for case in CASES
    ],
    indirect=True,
)


def test_gives_k_distinct_rows_at_every_setting(seen):
    """Each answer has k distinct valid rows, at every setting."""
    assert all(shape == [N_QUERIES, K] for shape in seen["shapes"])
    assert seen["distinct"]
    assert seen["range"][0] >= 0
    assert seen["range"][1] < N


def test_serves_one_query_one_row_one_dimension_and_all_rows(seen):
    """Smallest data works, singly and in batches; short answers only if the header says so."""
    assert seen["tiny"] == []


def test_finds_most_neighbours_at_its_best(seen):
    """The default grid reaches a useful recall, and a later setting is no worse."""
    assert seen["recalls"][-1] >= 0.9
    assert seen["recalls"] == pytest.approx(sorted(seen["recalls"]), abs=0.02)


def test_answers_the_same_after_another_build(seen):
    """A second build gives equal answers, except for libraries without a seed."""
    assert seen["reproducible"] or seen["name"] in SEEDLESS


def test_answers_for_one_neighbour_and_for_a_zero_query(seen):
    """k = 1 and a zero query work."""
    assert seen["one"] == [N_QUERIES, 1]
    assert seen["zero_query"] == [1, K]


def test_a_batch_is_as_good_as_single_queries(seen):
    """A batch has the recall of single queries, if the library has batches."""
    if "batch" not in seen:
        pytest.skip("no batch_query")
    assert seen["batch"] == [N_QUERIES, K]
    assert seen["batch_recall"] == pytest.approx(seen["recalls"][-1], abs=0.05)


def test_leaves_train_alone(seen):
    """train is not changed, since a changed page costs memory."""
    assert seen["train_kept"]


def test_reports_its_memory_in_bytes_or_not_at_all(seen):
    """Reported memory is at least that of the rows, or absent."""
    of_row = {"hamming": DIM // 8, "jaccard": DIM // 8}.get(seen["kind"], 4 * DIM)
    if seen["kind"].endswith(BYTES):
        of_row = DIM
    assert seen["memory"] is None or seen["memory"] >= N * of_row


def test_an_exact_one_gives_all_rows_when_asked_for_all(seen):
    """An exact search with k = n returns all rows."""
    if "all" not in seen:
        pytest.skip("not exact")
    assert seen["all"] == list(range(12))
