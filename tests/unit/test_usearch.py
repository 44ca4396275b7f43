"""The built-in usearch reports the size that its index would have as a file."""

import numpy as np
import pytest

pytest.importorskip("usearch")

from pytest_annmodal.implementations.usearch import USearch


def test_its_size_is_that_of_vectors_and_links():
    """The size is that of vectors and links, without the library's reserve."""
    rows = np.random.default_rng(0).standard_normal((2000, 16)).astype(np.float32)
    index = USearch("euclidean", 16)
    index.fit(rows)
    assert rows.nbytes < index.get_memory_usage() < 4 * rows.nbytes
    assert index.index.memory_usage > 10 * rows.nbytes
