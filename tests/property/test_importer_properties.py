"""Any file of vectors is read exactly, or refused in one sentence."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import vector_files as files
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_annmodal.datasets.importers import formats, sets
from pytest_annmodal.datasets.importers.matrix import Asked
from pytest_annmodal.errors import AnnModalError

KINDS = st.sampled_from(list(files.WRITERS))
KINDS_OF_SETS = st.sampled_from(list(files.SETS))


def read(path: Path) -> np.ndarray:
    with contextlib.ExitStack() as closing, tempfile.TemporaryDirectory() as scratch:
        matrix = formats.open_matrix(path, Asked(scratch=Path(scratch), closing=closing))
        return np.concatenate(list(matrix.floats(0, matrix.n)))


@settings(max_examples=60, deadline=None, database=None)
@given(kind=KINDS, n=st.integers(1, 40), dim=st.integers(1, 40), seed=st.integers(0, 2**32))
def test_any_shape_is_read_as_it_was_written(kind: str, n: int, dim: int, seed: int) -> None:
    """Vectors of any shape are read as written, in every format."""
    rows = files.vectors(kind, n, dim, seed)
    with tempfile.TemporaryDirectory() as folder:
        np.testing.assert_array_equal(
            read(files.written(Path(folder), kind, rows)), rows.astype("f4")
        )


def read_sets(path: Path) -> list[list[int]]:
    with contextlib.ExitStack() as closing, tempfile.TemporaryDirectory() as scratch:
        found = sets.open_sets(path, Asked(scratch=Path(scratch), closing=closing))
        return [one.tolist() for one in found.sets.lists()]


@settings(max_examples=40, deadline=None, database=None)
@given(kind=KINDS_OF_SETS, n=st.integers(1, 40), dim=st.integers(1, 40), seed=st.integers(0, 2**32))
def test_any_sets_are_read_as_they_were_written(kind: str, n: int, dim: int, seed: int) -> None:
    """Sets are read as written, in every format, also empty ones."""
    ones = files.ones(n, dim, seed)
    with tempfile.TemporaryDirectory() as folder:
        found = read_sets(files.written(Path(folder), kind, ones))
    assert found == [np.flatnonzero(row).tolist() for row in ones]


@settings(max_examples=150, deadline=None, database=None)
@given(kind=KINDS, content=st.binary(max_size=300))
def test_any_bytes_are_refused_or_read(kind: str, content: bytes) -> None:
    """Any bytes give vectors or one of our errors with the file's name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x{files.WRITERS[kind][0]}"
        path.write_bytes(content)
        with contextlib.suppress(AnnModalError):
            assert np.isfinite(read(path)).all()
            return
        with pytest.raises(AnnModalError) as found:
            read(path)
        assert str(found.value).startswith(str(path))


@settings(max_examples=50, deadline=None, database=None)
@given(kind=KINDS_OF_SETS, content=st.binary(max_size=300))
def test_any_bytes_are_refused_or_read_as_sets(kind: str, content: bytes) -> None:
    """Any bytes give sets or one of our errors with the file's name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x{files.SETS[kind][0]}"
        path.write_bytes(content)
        with contextlib.suppress(AnnModalError):
            assert all(one == sorted(set(one)) for one in read_sets(path))
            return
        with pytest.raises(AnnModalError) as found:
            read_sets(path)
        assert str(found.value).startswith(str(path))


@pytest.mark.parametrize("seed", [0])
def test_no_damaged_file_ends_in_a_traceback_or_is_read_wrongly(seed: int) -> None:
    """Some hundred damaged files; ``python tests/property/damage_vectors.py 20000`` tries more."""
    script = Path(__file__).with_name("damage_vectors.py")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", script, "198", "--seed", str(seed), "--limit", "60"],
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counts = {
        words: int(n.replace(",", ""))
        for n, words in re.findall(r"^ *([\d,]+)  ([^:]+)", done.stdout, re.MULTILINE)
    }
    assert sum(counts.values()) == 198
    assert 60 < counts["refused"] < 180
