"""Vector files at addresses are downloaded, checked and imported."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import vector_files as files
from http_server import Fault, FaultyServer

from pytest_annmodal.cli.main import main
from pytest_annmodal.datasets import hdf5
from pytest_annmodal.datasets.catalog import dataset_from_argument
from pytest_annmodal.datasets.sources import huggingface
from pytest_annmodal.datasets.volume.volume import LocalVolume, Reporter, resolve
from pytest_annmodal.distances import exact
from pytest_annmodal.errors import AnnModalError, ChecksumError, ConfigurationError, DownloadError

COMMIT = "0123456789abcdef" * 2 + "01234567"
PATH = "datasets/shop/emb/resolve/{}/data/train.parquet"


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as running:
        yield running


@pytest.fixture
def hub(server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FaultyServer:
    """A server that answers like the Hub for one file."""
    monkeypatch.setenv("HF_ENDPOINT", server.base_url)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    files.parquet(tmp_path / "x.parquet", rows())
    content = (tmp_path / "x.parquet").read_bytes()
    served(server, content, hashlib.sha256(content).hexdigest())
    return server


def rows() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((60, 4)).astype("f4")


def served(server: FaultyServer, content: bytes, sha256: str) -> None:
    url = server.serve(PATH.format(COMMIT), content)
    headers = {
        "X-Repo-Commit": COMMIT,
        "X-Linked-ETag": f'"{sha256}"',
        "X-Linked-Size": str(len(content)),
        "Location": url,
    }
    server.serve(PATH.format("main"), b"", Fault(status=302, body=b"", headers=headers))


def test_a_file_of_the_hub(
    hub: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A revision is resolved to its commit, which is kept; the token is sent and not stored."""
    monkeypatch.setenv("HF_TOKEN", "secret-token")
    dataset = dataset_from_argument("hf://datasets/shop/emb/data/train.parquet@main")
    assert dataset.name.startswith("train-")
    lines: list[str] = []
    volume = LocalVolume(tmp_path / "volume")
    got = resolve(dataset, volume, reporter=Reporter(line=lines.append))
    assert (got.info.n_train, got.info.n_queries, got.info.metric) == (54, 6, "euclidean")
    assert f"   Using commit {COMMIT}" in lines
    with h5py.File(got.path) as file:
        assert COMMIT in file.attrs["source"]
    for path in (PATH.format("main"), PATH.format(COMMIT)):
        (request,) = hub.asked(path)
        assert request.headers["authorization"] == "Bearer secret-token"
    kept = b"".join(
        path.read_bytes() for path in (tmp_path / "volume").rglob("*") if path.is_file()
    )
    assert b"secret-token" not in kept
    assert "secret-token" not in "\n".join(lines)
    assert resolve(dataset, volume, reporter=Reporter()).was_present
    assert len(hub.requests) == 2
    assert [path.name for path in (tmp_path / "volume" / ".incoming").iterdir()] == []


def test_what_the_hub_says_is_held_against_what_comes(hub: FaultyServer, tmp_path: Path) -> None:
    """The Hub's digest is checked, and its refusal is shown."""
    dataset = dataset_from_argument("hf://datasets/shop/emb/data/train.parquet")
    volume = LocalVolume(tmp_path / "volume")
    served(hub, b"PAR1 other content", "ab" * 32)
    with pytest.raises(ChecksumError, match="expected abab"):
        resolve(dataset, volume, reporter=Reporter())
    hub.serve(PATH.format("main"), b"", Fault(status=401))
    with pytest.raises(DownloadError, match=r"answered 401\. Set HF_TOKEN"):
        resolve(dataset, volume, reporter=Reporter())
    hub.serve(PATH.format("main"), b"", Fault(status=404))
    with pytest.raises(
        DownloadError, match=r"answered 404\. Check owner, repository, path and revision"
    ):
        resolve(dataset, volume, reporter=Reporter())
    assert not list((tmp_path / "volume").glob("[!.]*"))


@pytest.mark.parametrize(
    "text", ["hf://models/a/b/c.parquet", "hf://datasets/a/c.parquet", "hf://x"]
)
def test_addresses_that_are_none_of_the_hub(text: str) -> None:
    """An invalid address is refused with the correct form."""
    with pytest.raises(ConfigurationError, match="expected hf://datasets/OWNER/REPO/PATH@REVISION"):
        dataset_from_argument(text)


def test_the_form_of_an_address() -> None:
    """Addresses may have folders, revisions with a slash, or no revision."""
    assert huggingface.file_name("hf://datasets/a/b/c/d.parquet@refs/pr/1") == "d.parquet"
    assert dataset_from_argument("hf://datasets/a/b/sift-dot.hdf5").metric == "dot"


def test_urls_of_train_queries_and_truth(
    server: FaultyServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All three files are downloaded, resumed after a cut, and removed after the import."""
    train, test = rows(), rows()[:9] + 0.1
    ids, _ = exact.knn(train, test, 5, "dot")
    for name, kind, values in (
        ("base", "fbin", train),
        ("q", "npy, big-endian", test),
        ("gt", "ivecs", ids.astype("<i4")),
    ):
        path = files.written(tmp_path, kind, values, stem=name)
        faults = [Fault(reset_at=100)] if name == "base" else []
        server.serve(path.name, path.read_bytes(), *faults)
    url = server.base_url
    line = [
        "--train",
        f"{url}/base.fbin?key=hidden",
        "--test",
        f"{url}/q.npy",
        "--truth",
        f"{url}/gt.ivecs",
    ]
    assert main(["import", "shop", *line, "--metric", "ip", "--volume", str(tmp_path / "v")]) == 0
    data = hdf5.load(tmp_path / "v" / "shop.hdf5")
    np.testing.assert_array_equal(data.train, train)
    np.testing.assert_array_equal(data.neighbors, ids)
    assert len(server.asked("base.fbin")) == 2
    assert not list((tmp_path / "v" / ".incoming").iterdir())
    kept = (tmp_path / "v" / "shop.json").read_text() + capsys.readouterr().out
    with h5py.File(tmp_path / "v" / "shop.hdf5") as file:
        kept += file.attrs["source"]
    assert "hidden" not in kept
    assert f"{url}/q.npy" in kept


def test_a_web_page_is_no_file_of_vectors(server: FaultyServer, tmp_path: Path) -> None:
    """A web page is refused before the import."""
    url = server.serve("x.npy", b"<html>login</html>", Fault(headers={"Content-Type": "text/html"}))
    with pytest.raises(AnnModalError, match=r"sent a web page \(text/html"):
        resolve(dataset_from_argument(url), LocalVolume(tmp_path / "v"), reporter=Reporter())
