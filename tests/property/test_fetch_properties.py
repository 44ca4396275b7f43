"""A download that is cut at any byte still gives the right file."""

from __future__ import annotations

import hashlib
import random
import tempfile
from pathlib import Path

import pytest
from http_server import Fault, FaultyServer
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_annmodal.datasets.sources import transfer
from pytest_annmodal.datasets.sources.http import fetch
from pytest_annmodal.errors import DownloadError

CONTENT = transfer.SIGNATURE + random.Random(0).randbytes(5000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
CUTS = st.lists(
    st.tuples(st.integers(0, len(CONTENT)), st.sampled_from(["reset_at", "close_at"])), max_size=4
)


@pytest.fixture(scope="module")
def server():
    with pytest.MonkeyPatch.context() as patch, FaultyServer() as running:
        patch.setattr(transfer, "CHUNK_BYTES", 100)
        yield running


@settings(max_examples=40, deadline=None)
@given(cuts=CUTS, pinned=st.booleans(), etag=st.booleans(), each_run=st.booleans())
def test_a_download_cut_at_any_byte_gives_the_right_file(server, cuts, pinned, etag, each_run):
    headers = {} if etag else {"ETag": None}
    faults = [Fault(**{kind: at}, headers=headers) for at, kind in cuts]
    url = server.serve("x.hdf5", CONTENT, *faults)
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory) / "x.hdf5"
        while True:
            try:
                fetched = fetch(
                    [url],
                    target,
                    sha256=DIGEST if pinned else None,
                    retries=0 if each_run else 5,
                    backoff_s=0,
                )
                break
            except DownloadError as error:
                if not (each_run and error.retryable) or target.exists():
                    raise
        assert fetched.sha256 == DIGEST
        assert target.read_bytes() == CONTENT
        assert [path.name for path in Path(directory).iterdir()] == ["x.hdf5"]
