"""``annmodal import`` of sets for jaccard, from all common formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import vector_files as files
from scipy import sparse

from pytest_annmodal.cli.main import main
from pytest_annmodal.datasets import hdf5
from pytest_annmodal.datasets.importers import writing
from pytest_annmodal.datasets.importers.reporter import ImportReporter
from pytest_annmodal.datasets.importers.request import Request
from pytest_annmodal.errors import AnnModalError

N, UNIVERSE = 60, 40
SILENT = ImportReporter(line=lambda _: None, progress=lambda *_: None, reading=lambda _: None)


def ones() -> np.ndarray:
    """Rows of bool; set 3 is empty, and the last members are in no set."""
    rows = np.random.default_rng(0).random((N, UNIVERSE)) < 0.2
    rows[3], rows[:, -2:] = False, False
    return rows


def lists() -> list[np.ndarray]:
    return [np.flatnonzero(row) for row in ones()]


def run(path: Path, name: str, sets: list[np.ndarray], **more: Any) -> Path:
    with h5py.File(path, "a") as file:
        file[name] = np.concatenate(sets).astype("i4")
        file[more.get("sizes", f"size_{name}")] = [len(one) for one in sets]
    return path


def csr(path: Path, matrix: Any) -> Path:
    sparse.save_npz(path, matrix)
    return path


def parquet(path: Path, rows: Any, kind: Any = None) -> Path:
    pq.write_table(pa.table({"id": range(len(rows)), "items": pa.array(rows, kind)}), path)
    return path


def imported(folder: Path, *train: Path, **more: Any) -> hdf5.LoadedDataset:
    (folder / "scratch").mkdir(exist_ok=True)
    request = Request(train=tuple(map(str, train)), metric="jaccard", **more)
    writing.write_dataset(request, folder / "target.hdf5", folder / "scratch", SILENT)
    hdf5.validate(folder / "target.hdf5")
    return hdf5.load(folder / "target.hdf5", k=5)


@pytest.mark.parametrize("kind", files.SETS)
def test_sets_of_every_kind(kind: str, tmp_path: Path) -> None:
    """Every format gives the file's sets, with distances by definition."""
    data = imported(tmp_path, files.written(tmp_path, kind, ones()), holdout=10)
    there = sorted(tuple(one) for part in (data.train, data.test) for one in part.lists())
    assert there == sorted(tuple(one) for one in lists())
    assert (len(data.train), len(data.test)) == (50, 10)
    tells = kind not in {"sets, a run", "sets, lists"}  # how many members are possible
    assert data.info.dim == (UNIVERSE if tells else UNIVERSE - 2)
    for query, far in zip(data.test.lists(), data.distances, strict=True):
        each = sorted(
            1 - len(np.intersect1d(query, row)) / max(len(np.union1d(query, row)), 1)
            if len(np.union1d(query, row))
            else 0.0
            for row in data.train.lists()
        )
        np.testing.assert_allclose(far[:5], each[:5], atol=1e-6)


def test_queries_of_a_file_and_parts(tmp_path: Path) -> None:
    """train and test may be in one file, and only some rows may be requested."""
    path = run(run(tmp_path / "x.hdf5", "train", lists()), "test", lists()[:7])
    data = imported(tmp_path, path, test=str(path), rows=(2, 30))
    assert [one.tolist() for one in data.train.lists()] == [one.tolist() for one in lists()[2:30]]
    assert [one.tolist() for one in data.test.lists()] == [one.tolist() for one in lists()[:7]]
    both = imported(tmp_path, path, parquet(tmp_path / "y.parquet", lists()), test=str(path))
    assert len(both.train) == 2 * N
    run(path, "a/items", lists(), sizes="a/size_items")
    assert len(imported(tmp_path, path, keys={"train": "a/items"}, holdout=1).train) == N - 1


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command imports sets in a separate process."""
    line = ["--train", str(files.written(tmp_path, "sets, lists", ones())), "--metric", "jaccard"]
    assert main(["import", "baskets", *line, "--volume", str(tmp_path / "volume")]) == 0
    said = capsys.readouterr().out
    assert said.startswith("📥 Importing baskets from")
    assert "Held out 6 sets" in said
    assert hdf5.inspect(tmp_path / "volume" / "baskets.hdf5").metric == "jaccard"


def spoiled(folder: Path, name: str) -> Path:
    matrix = sparse.csr_array(ones().astype("i8"))
    if name == "csc":
        return csr(folder / "x.npz", matrix.tocsc())
    if name == "weights":
        return csr(folder / "x.npz", matrix * 3)
    if name == "no sizes":
        return run(folder / "x.hdf5", "train", lists(), sizes="other")
    if name == "sizes":
        with h5py.File(run(folder / "x.hdf5", "train", lists()), "a") as file:
            file["size_train"][0] += 1
        return folder / "x.hdf5"
    if name == "negative":
        return parquet(folder / "x.parquet", [[1, 2], [3, -4], [5]])
    if name == "null":
        return parquet(folder / "x.parquet", [[1, 2], None, [5]])
    if name == "floats":
        return parquet(folder / "x.parquet", [[1.5, 2.0], [3.0]])
    if name == "empty":
        return parquet(folder / "x.parquet", [[], [], []], pa.list_(pa.int32()))
    if name == "one":
        return parquet(folder / "x.parquet", [[1, 2]])
    if name == "no rows":
        return parquet(folder / "x.parquet", [], pa.list_(pa.int32()))
    if name == "no sets at all":
        return csr(folder / "x.npz", matrix[:0])
    if name == "no bytes":
        (folder / "x.npz").touch()
        return folder / "x.npz"
    path = csr(folder / "x.npz", matrix)
    whole = bytearray(path.read_bytes())
    if name == "cut":
        del whole[-40:]
    else:
        assert name == "places"
        whole[-4] = 255  # of where the directory is said to begin: all places are before the file
    path.write_bytes(whole)
    return path


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("csc", "sparse matrix as 'csc'; expected csr"),
        ("weights", "holds 3; expected 1 for each member"),
        ("no sizes", "there is no size_train"),
        ("sizes", "its sizes add up to"),
        ("negative", "set 1 has the member -4; expected members from 0"),
        ("null", "has a null"),
        ("floats", "it has no column of lists of whole numbers"),
        ("empty", "all its sets are empty"),
        ("no rows", "it has no rows; expected at least one set"),
        ("no sets at all", "it has no rows; expected at least one set"),
        ("no bytes", "the file is empty; expected at least one set"),
        ("one", "it has one row; expected at least two"),
        ("cut", "damaged, cut off"),
        ("places", "it cannot be read"),
    ],
)
def test_what_holds_no_sets(name: str, words: str, tmp_path: Path) -> None:
    """A file without sets is refused in one sentence with its name."""
    path = spoiled(tmp_path, name)
    with pytest.raises(AnnModalError, match=r"x\.(npz|hdf5|parquet)") as found:
        imported(tmp_path, path, holdout=1)
    assert words in str(found.value)
    assert not (tmp_path / "target.hdf5").exists()


def test_a_truth_of_sets_is_not_taken(tmp_path: Path) -> None:
    """A given truth of sets is refused."""
    path = str(files.written(tmp_path, "sets, a row of 0 and 1", ones()))
    with pytest.raises(AnnModalError, match="--truth: the truth of sets is always computed"):
        imported(tmp_path, Path(path), test=path, truth=path)
