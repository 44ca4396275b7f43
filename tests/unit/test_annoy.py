"""The built-in annoy: a ranking by inner product does not depend on the query's length."""

import numpy as np
import pytest

pytest.importorskip("annoy")

from pytest_annmodal.implementations.annoy import Annoy


def test_dot_finds_the_same_for_a_query_of_any_length():
    """By ``dot``, short and long queries find the same rows, and a zero query gets an answer."""
    rng = np.random.default_rng(0)
    rows = (rng.standard_normal((2000, 16)) * rng.uniform(0.5, 1.5, (2000, 1))).astype(np.float32)
    queries = rng.standard_normal((20, 16)).astype(np.float32)
    index = Annoy("dot", n_trees=10)
    index.fit(rows)
    index.set_query_arguments(500)
    answers = [index.query(query, 10) for query in queries]
    for power in (-40, -10, 10, 40):
        assert [index.query(query * np.float32(2.0**power), 10) for query in queries] == answers
    assert len(index.query(np.zeros(16, np.float32), 10)) == 10
    short = [index.index.get_nns_by_vector(query * 2.0**-10, 10, 500) for query in queries]
    true = np.argsort(-(queries @ rows.T), axis=1)[:, :10]
    recalls = [
        np.mean([np.isin(a, t).mean() for a, t in zip(found, true, strict=True)])
        for found in (answers, short)
    ]
    assert recalls[0] > recalls[1] + 0.2
