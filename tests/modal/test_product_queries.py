"""The user's own queries, asked in containers on Modal."""

import re

import numpy as np
import pytest
from product import index, stored

from pytest_annmodal.results.reading import read_results

ROWS = np.random.default_rng(5).standard_normal((7, 8)).astype(np.float32)
# A submission that fails if it can see a file of rows, or a truth.
CURIOUS = """
import os
walked = os.walk("/data")
seen = [name for _, _, names in walked for name in names if name.endswith((".npy", ".hdf5"))]
assert not seen, seen
"""


@pytest.fixture(scope="module")
def ran(product):
    """A session with one trusted implementation and one submission; queries come from a text file."""
    np.savetxt(product.folder / "mine.csv", ROWS, delimiter=",", fmt="%.9g")
    product.write("mine/alone.py", index())
    return product.pytest(
        "--ann-implementations=mine",
        "--impl=alone",
        product.submission("curious.py", index(fit=CURIOUS)),
        f"--dataset={product.tiny}",
        "--ann-queries=mine.csv",
        "--ann-query-order=random",
        "-v",
    )


def test_they_are_asked_with_their_own_truth(ran, product):
    """Both implementations get the queries; their recall is computed from the queries' own truth."""
    assert ran.counts() == {"passed": 2}, ran.text
    found = read_results([product.folder])
    assert {case.implementation for case in found.cases} == {"alone", "curious"}
    for case in found.cases:
        assert (case.where, case.n_queries, case.recall) == ("modal", 7, 1.0)
        assert re.fullmatch("mine-[0-9a-f]{8}", case.queries)
        assert case.case_id.endswith(f"-queries-{case.queries}-k10")
        assert case.query_order == "random"


def test_equal_queries_are_uploaded_once(ran, product):
    """The same queries in another format, in `modal run`, are not uploaded again."""
    assert _uploaded(product) == 1
    np.save(product.folder / "other.npy", ROWS)
    done = product.modal_run(
        "--impl=bruteforce", f"--dataset={product.tiny}", ANNMODAL_QUERIES="other.npy"
    )
    assert done.code == 0, done.text
    assert "7 queries" in done.text
    assert _uploaded(product) == 1


def _uploaded(product) -> int:
    return sum(name.endswith(".npy") for name in stored(product, "ann-datasets"))
