"""``annmodal import``: vector files become a dataset with an exact truth."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import vector_files as files

from pytest_annmodal.cli.main import main
from pytest_annmodal.datasets import hdf5
from pytest_annmodal.datasets.catalog import dataset_from_argument
from pytest_annmodal.datasets.importers import importing, writing
from pytest_annmodal.datasets.importers.inputs import in_order
from pytest_annmodal.datasets.importers.nearest import nearest
from pytest_annmodal.datasets.importers.reporter import ImportReporter
from pytest_annmodal.datasets.importers.request import Request
from pytest_annmodal.datasets.lines import Log
from pytest_annmodal.datasets.volume.stamp import Stamp, hash_file
from pytest_annmodal.datasets.volume.volume import LocalVolume, Reporter, resolve
from pytest_annmodal.distances import exact
from pytest_annmodal.errors import AnnModalError, DatasetError

N, QUERIES, DIM, K = 400, 60, 6, 10
SILENT = ImportReporter(line=lambda _: None, progress=lambda *_: None, reading=lambda _: None)


@pytest.fixture
def vectors() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    train, test = rng.standard_normal((N, DIM)), rng.standard_normal((QUERIES, DIM))
    return (train + 0.3).astype("f4"), (2 * test).astype("f4")


@pytest.fixture
def given(tmp_path: Path, vectors: tuple[np.ndarray, np.ndarray]) -> Callable[..., Request]:
    """A request with these ids and distances as truth."""
    (tmp_path / "scratch").mkdir()
    files.bins(tmp_path / "train.fbin", vectors[0])
    files.bins(tmp_path / "test.fbin", vectors[1])

    def request(rows, distances=None, metric="euclidean", **more):
        path = tmp_path / "truth.ibin"
        if distances is None:
            files.bins(path, np.asarray(rows, "<i4"))
        else:
            files.truth_bins(path, rows, distances)
        fields = {"train": (str(tmp_path / "train.fbin"),), "test": str(tmp_path / "test.fbin")}
        return Request(**{**fields, "truth": str(path), "metric": metric, **more})

    return request


def written(
    request: Request, tmp_path: Path, reporter: ImportReporter = SILENT
) -> hdf5.LoadedDataset:
    """Imports in this process, and checks the result."""
    target = tmp_path / "target.hdf5"
    sha256 = writing.write_dataset(request, target, tmp_path / "scratch", reporter)
    assert sha256 == hash_file(target)
    hdf5.validate(target)
    return hdf5.load(target, k=5)


def refused(request: Request, tmp_path: Path) -> str:
    with pytest.raises(AnnModalError) as found:
        written(request, tmp_path)
    return str(found.value)


def test_from_a_file_to_a_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Held-out rows leave train, the truth is exact, the file is stamped and found by name."""
    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(0).standard_normal((200, 4)).astype("f4")
    files.parquet(tmp_path / "emb.parquet", rows)
    line = [
        "import",
        "shop",
        "--train",
        "emb.parquet",
        "--holdout",
        "30",
        "--metric",
        "cosine",
        "--volume",
        "data",
    ]
    assert main(line) == 0
    said = capsys.readouterr()
    assert "Held out 30 rows, drawn at random" in said.out
    assert "Searching the 100 nearest of 30 queries exactly" in said.out
    assert "pytest benchmarks/ --dataset=shop --ann-volume-dir=data" in said.out
    path = tmp_path / "data" / "shop.hdf5"
    data = hdf5.load(path)
    assert (len(data.train), len(data.test), data.info.metric) == (170, 30, "angular")
    both = np.concatenate((data.train, data.test))
    np.testing.assert_array_equal(
        np.sort(both.view("V16").ravel()), np.sort(rows.view("V16").ravel())
    )
    ids, distances = exact.knn(data.train, data.test, 100, "angular")
    np.testing.assert_array_equal(data.neighbors, ids)
    np.testing.assert_array_equal(data.distances, distances)
    assert data.train_map is not None
    stamp = Stamp.read(path.with_suffix(".json"))
    assert stamp is not None
    assert stamp.sha256 == hash_file(path)
    assert hdf5.validate(path) == stamp.info
    assert sorted(p.name for p in (tmp_path / "data").iterdir() if not p.name.startswith(".")) == [
        "shop.hdf5",
        "shop.json",
    ]
    assert list((tmp_path / "data" / ".incoming").iterdir()) == []
    assert main(line) == 2
    assert (
        "holds a dataset shop already. Choose another name, or add --replace"
        in capsys.readouterr().err
    )
    files.parquet(tmp_path / "emb.parquet", rows[:100])
    assert main([*line, "--replace"]) == 0
    assert hdf5.inspect(path).n_train == 70


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["sift-128-euclidean", "--train", "x.npy", "--metric", "l2"],
            "by a dataset of the catalogue",
        ),
        (["a/b", "--train", "x.npy", "--metric", "l2"], "the name 'a/b' cannot be used"),
        (["x", "--train", "x.npy", "--metric", "l3"], "--metric l3: expected euclidean, angular"),
        (["x", "--train", "x.npy", "--metric", "l2", "--truth", "y.ibin"], "--truth needs --test"),
        (
            ["x", "--train", "x.npy", "--metric", "l2", "--key", "base=y"],
            "--key base=y: expected ROLE=NAME",
        ),
        (["x", "--train", "x.npy", "--metric", "l2", "--rows", "5"], "--rows 5: expected A:B"),
        (["x", "--train", "x.npy", "--metric", "l2", "--rows", "5:500"], "x.npy holds rows 0:20"),
        (
            ["x", "--train", "x.npy", "--metric", "l2", "--holdout", "20"],
            "--holdout 20: there are 20 rows",
        ),
        (["x", "--train", "x.pt", "--metric", "l2"], "pickled"),
        (["x", "--train", "gone.npy", "--metric", "l2"], "gone.npy: it cannot be read"),
        (["x", "--train", "ftp://x/y.npy", "--metric", "l2"], "address of https, http, hf"),
        (["x", "--train", "zeros.npy", "--metric", "l2"], "hold only zeros"),
    ],
)
def test_what_cannot_be_imported(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Status 2, one sentence, and an unchanged volume."""
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.arange(40.0).reshape(20, 2))
    np.save("zeros.npy", np.zeros((20, 2)))
    Path("x.pt").touch()
    assert main(["import", *arguments, "--volume", "data"]) == 2
    assert words in capsys.readouterr().err
    assert not list((tmp_path / "data").glob("[!.]*"))
    assert not list((tmp_path / "data" / ".incoming").glob("*"))


@pytest.mark.parametrize("metric", ["euclidean", "angular", "dot", "manhattan"])
def test_a_right_truth_is_taken(
    metric: str, given: Callable[..., Request], vectors, tmp_path: Path
) -> None:
    """A right truth is accepted with or without distances, and with ids from 1."""
    ids, distances = exact.knn(*vectors, K, metric)
    for shift, stored in ((0, distances), (0, None), (1, None)):
        request = given(ids + shift, stored, metric, ids_from=shift)
        data = written(request, tmp_path)
        np.testing.assert_array_equal(data.neighbors, ids)
        np.testing.assert_allclose(data.distances, distances, rtol=1e-6)
        np.testing.assert_array_equal(data.train, vectors[0])
        assert data.truth_computed is False


def test_distances_are_computed_anew(
    given: Callable[..., Request], vectors, tmp_path: Path
) -> None:
    """Squared distances are replaced, with a note."""
    lines: list[str] = []
    reporter = ImportReporter(line=lines.append, progress=lambda *_: None, reading=lambda _: None)
    ids, distances = exact.knn(*vectors, K, "euclidean")
    data = written(given(ids, distances**2), tmp_path, reporter)
    np.testing.assert_allclose(data.distances, distances, rtol=1e-6)
    assert "They look like the squares of distances. Computed again." in lines[-1]


def test_padding_cuts_the_truth(given: Callable[..., Request], vectors, tmp_path: Path) -> None:
    """The truth is cut to the depth of all rows; padding at the front is refused."""
    ids, _ = exact.knn(*vectors, K, "euclidean")
    ids[7, 8:] = -1
    data = written(given(ids), tmp_path)
    np.testing.assert_array_equal(data.neighbors, ids[:, :8])
    ids[7, 2] = -1
    assert "expected neighbours first" in refused(given(ids), tmp_path)


def test_a_column_of_ids(given: Callable[..., Request], vectors, tmp_path: Path) -> None:
    """The truth may use the ids of a column."""
    ids, _ = exact.knn(*vectors, K, "euclidean")
    names = np.random.default_rng(1).permutation(N) * 7 + 1000
    table = pa.table({"id": names, "emb": list(vectors[0])})
    pq.write_table(table, tmp_path / "train.parquet")
    request = given(names[ids], train=(str(tmp_path / "train.parquet"),), ids="id")
    np.testing.assert_array_equal(written(request, tmp_path).neighbors, ids)
    assert "which no row of train has (--ids)" in refused(
        given(ids, train=request.train, ids="id"), tmp_path
    )


def others(vectors):
    """Truths of other vectors, with the words of the expected reason."""
    train, test = vectors
    ids, distances = exact.knn(train, test, K, "euclidean")
    noise = np.argsort(np.random.default_rng(0).random((QUERIES, N)))[:, :K]
    order = np.random.default_rng(5).permutation(N)
    by_shuffled, far = exact.knn(train[order], test, K, "euclidean")
    by_part = exact.knn(train[: N // 2], test, K, "euclidean")
    turned = exact.knn(train, test[::-1], K, "euclidean")[0]
    larger = np.concatenate((train, test + 1e-3))
    yield "from one", ids + 1, None, "count from 1: add --ids-from 1"
    yield "angular", exact.knn(train, test, K, "angular")[0], None, "It is the angular truth."
    yield "dot", exact.knn(train, test, K, "dot")[0], None, "It is the dot truth."
    yield "other order", by_shuffled, far, "the same rows in another order"
    yield "queries turned", turned, None, "these queries in another order"
    yield "a part", *by_part, "the truth of a part of these rows, or approximate"
    yield "a larger set", *exact.knn(larger, test, K, "euclidean"), "a larger set"
    yield "a larger set, seen by its distances", noise, distances / 2, "a larger set"
    yield "noise", noise, None, "do not explain it"
    yield "twice", np.repeat(ids[:, :1], K, axis=1), None, "twice"
    yield "fewer queries", ids[:-1], None, "it has 59 rows; expected one for each of the 60 queries"
    yield "vectors", None, None, "Are these distances, or vectors?"


@pytest.mark.parametrize("number", range(12))
def test_a_truth_that_does_not_fit_is_refused_with_the_reason(
    number: int, given: Callable[..., Request], vectors, tmp_path: Path
) -> None:
    """A wrong truth is refused with the likely reason."""
    name, ids, distances, words = [*others(vectors)][number]
    if ids is None:
        request = given(np.zeros((QUERIES, K)), truth=str(tmp_path / "test.fbin"))
    else:
        request = given(ids, distances)
    said = refused(request, tmp_path)
    assert words in said, (name, said)


def test_cosine_taken_for_dot(given: Callable[..., Request], vectors, tmp_path: Path) -> None:
    """Cosine and dot are told apart, unless all vectors have unit length."""
    for asked, true in (("dot", "angular"), ("angular", "dot")):
        said = refused(given(exact.knn(*vectors, K, true)[0], metric=asked), tmp_path)
        assert f"It is the {true} truth. Cosine and inner product are the same only" in said


def test_a_wrong_ids_from_is_recognised(
    given: Callable[..., Request], vectors, tmp_path: Path
) -> None:
    """A wrong --ids-from is recognised in both directions."""
    ids, _ = exact.knn(*vectors, K, "euclidean")
    assert "count from 0" in refused(given(ids, ids_from=1), tmp_path)
    inner = [int(i) for i in np.flatnonzero(ids.min(axis=1) > 0)]
    files.bins(tmp_path / "test.fbin", vectors[1][inner])
    assert "count from 0: use --ids-from 0" in refused(given(ids[inner], ids_from=1), tmp_path)


def test_several_files_are_read_in_the_order_of_their_numbers(vectors, tmp_path: Path) -> None:
    """Files are read by number: part-2 before part-10."""
    pieces = np.array_split(vectors[0], 12)
    for number, piece in enumerate(pieces):
        np.save(tmp_path / f"part-{number}.npy", piece)
    np.save(tmp_path / "test.npy", vectors[1])
    (tmp_path / "scratch").mkdir()
    names = tuple(sorted(str(path) for path in tmp_path.glob("part-*.npy")))
    lines: list[str] = []
    reporter = ImportReporter(line=lines.append, progress=lambda *_: None, reading=lambda _: None)
    request = Request(train=names, test=str(tmp_path / "test.npy"), metric="euclidean")
    np.testing.assert_array_equal(written(request, tmp_path, reporter).train, vectors[0])
    assert "in the order of their numbers: part-0.npy, part-1.npy, part-2.npy" in lines[0]
    part = Request(train=names, test=request.test, metric="euclidean", rows=(50, 290))
    np.testing.assert_array_equal(written(part, tmp_path).train, vectors[0][50:290])
    assert in_order(("b", "a")) == (("b", "a"), ())
    np.save(tmp_path / "part-3.npy", vectors[0][:, :5])
    assert "vectors of 5 dimensions; expected 6, as in" in refused(request, tmp_path)


def test_fewer_rows_than_k(tmp_path: Path) -> None:
    """The truth is as deep as there are rows."""
    (tmp_path / "scratch").mkdir()
    np.save(tmp_path / "x.npy", np.arange(8.0).reshape(4, 2))
    data = written(Request(train=(str(tmp_path / "x.npy"),), metric="dot", holdout=1), tmp_path)
    assert data.neighbors.shape == (1, 3)


def test_a_run_of_rows_at_a_time_is_the_same_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searching in pieces gives the same ids, distances and order of ties."""
    from pytest_annmodal.datasets.importers import nearest as module

    rng = np.random.default_rng(0)
    train = rng.integers(0, 4, (1000, 3)).astype("f4")
    monkeypatch.setattr(module, "RUN_BYTES", 12 * 170)
    seen: list[tuple[int, int]] = []
    for metric in ("euclidean", "angular", "dot", "manhattan"):
        got = nearest(train, train[:40], 30, metric, lambda *counts: seen.append(counts))
        for one, other in zip(got, exact.knn(train, train[:40], 30, metric), strict=True):
            np.testing.assert_array_equal(one, other)
    assert seen[-1] == (12_000, 12_000)


def test_no_room_on_the_disk(
    given: Callable[..., Request], vectors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too little space is an error before anything is written."""
    monkeypatch.setattr(writing.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    said = refused(given(exact.knn(*vectors, K, "euclidean")[0]), tmp_path)
    assert "the dataset takes 0.0 MB, but only 0.0 MB are free" in said
    assert not (tmp_path / "target.hdf5").exists()


def test_a_file_that_grows_meanwhile(
    given: Callable[..., Request], vectors, tmp_path: Path
) -> None:
    """A file that changes while it is read is refused."""

    def grow(*_: int) -> None:
        with (tmp_path / "train.fbin").open("ab") as stream:
            stream.write(b"more")

    reporter = ImportReporter(line=lambda _: None, progress=grow, reading=lambda _: None)
    with pytest.raises(DatasetError, match=r"train\.fbin: it was changed while it was read"):
        written(given(exact.knn(*vectors, K, "euclidean")[0]), tmp_path, reporter)


def test_the_disk_is_full_in_the_middle(
    given: Callable[..., Request], vectors, tmp_path: Path
) -> None:
    """A full disk (or a limit on file size) is an error, and nothing is left."""
    request = given(exact.knn(*vectors, K, "euclidean")[0])
    code = (
        "import resource, sys; from pathlib import Path;"
        "from pytest_annmodal.datasets.importers import importing, request;"
        "from pytest_annmodal.datasets.lines import Log;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000));"
        f"importing.import_to(Path({str(tmp_path / 'x.hdf5')!r}), request.{request!r}, Log())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert f"[Errno {errno.EFBIG}]" in done.stderr.splitlines()[-1]
    assert not list(tmp_path.glob("x*"))


def test_an_interruption_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C in the search ends with status 130 and an empty volume."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.standard_normal((40_000, 64)).astype("f4"))
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "pytest_annmodal",
            "import",
            "x",
            "--train",
            "x.npy",
            "--holdout",
            "20000",
            "--metric",
            "l1",
            "--volume",
            "data",
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "Searching" in line:
            break
    process.send_signal(signal.SIGINT)
    process.stdout.close()
    assert process.wait(60) == 130
    assert not list((tmp_path / "data").glob("[!.]*"))
    assert not list((tmp_path / "data" / ".incoming").glob("*"))


def test_a_library_that_crashes_or_hangs_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash or hang of the reading process is one sentence."""
    np.save(tmp_path / "x.npy", np.arange(40.0).reshape(20, 2))
    request = Request(train=(str(tmp_path / "x.npy"),), metric="euclidean")
    process = "import pytest_annmodal.datasets.importers.importing_process as p;"
    for spoil, words in (
        (
            "p.write_dataset = lambda *_: p.os.kill(p.os.getpid(), p.signal.SIGSEGV)",
            "made a library crash (SIGSEGV)",
        ),
        (
            "p.OPENING_LIMIT_S = 0.01; p.write_dataset = lambda *_: p.signal.pause()",
            "took longer than 0 s",
        ),
        ("p.write_dataset = lambda *_: bytearray(10**15)", "more memory than its size explains"),
        ("p.write_dataset = lambda *_: 1 / 0", "ZeroDivisionError"),
    ):
        monkeypatch.setattr(importing, "START", f"{process}{spoil}; p.main()")
        with pytest.raises(DatasetError) as found:
            importing.import_to(tmp_path / "y.hdf5", request, Log())
        assert words in str(found.value)
        assert str(found.value).startswith(str(tmp_path / "x.npy"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.npy"]


def test_hdf5_with_other_names(vectors, tmp_path: Path) -> None:
    """Train, queries and truth are read from one HDF5 file with other names."""
    (tmp_path / "scratch").mkdir()
    ids, distances = exact.knn(*vectors, K, "euclidean")
    path = str(tmp_path / "all.hdf5")
    with h5py.File(path, "w") as file:
        file["base"], file["q"], file["gt/knns"], file["gt/distances"] = (
            *vectors,
            ids + 1,
            distances,
        )
    request = Request(
        train=(path,),
        test=path,
        truth=path,
        metric="euclidean",
        ids_from=1,
        keys={"test": "q", "truth": "gt/knns"},
    )
    data = written(request, tmp_path)
    np.testing.assert_array_equal(data.neighbors, ids)
    np.testing.assert_array_equal(data.test, vectors[1])


def test_a_file_that_is_named_as_a_dataset(vectors, tmp_path: Path) -> None:
    """``--dataset FILE`` imports once, with a message, and again after a change."""
    np.save(tmp_path / "shop-dot.npy", vectors[0])
    dataset = dataset_from_argument(str(tmp_path / "shop-dot.npy"))
    volume, lines = LocalVolume(tmp_path / "volume"), []
    first = resolve(dataset, volume, reporter=Reporter(line=lines.append))
    assert (first.info.n_train, first.info.n_queries, first.info.metric) == (360, 40, "dot")
    said = "\n".join(lines)
    assert "Importing it now" in said
    assert "Metric: dot. To choose another, end the file's name in it" in said
    assert "Held out 40 rows, drawn at random" in said
    again = resolve(dataset, volume, reporter=Reporter())
    assert (again.was_present, again.sha256) == (True, first.sha256)
    np.save(tmp_path / "shop-dot.npy", vectors[0][:200])
    changed = resolve(dataset, volume, reporter=Reporter())
    assert (changed.was_present, changed.info.n_train) == (False, 180)


@pytest.mark.parametrize("kind", ["u8bin", "i8bin", "bvecs"])
def test_bytes_stay_bytes(kind: str, tmp_path: Path) -> None:
    """Files of bytes stay bytes; together with floats they become floats."""
    (tmp_path / "scratch").mkdir()
    rows = files.vectors(kind, 300, 7)
    path = files.written(tmp_path, kind, rows)
    data = written(Request(train=(str(path),), metric="euclidean"), tmp_path)
    assert data.train.dtype == rows.dtype
    assert data.train_map is not None
    ids, distances = exact.knn(data.train.astype("f4"), data.test.astype("f4"), 100, "euclidean")
    np.testing.assert_array_equal(data.distances, distances)
    np.testing.assert_array_equal(data.neighbors, ids)
    np.save(tmp_path / "q.npy", rows[:9] + np.float32(0.5))
    mixed = Request(train=(str(path),), test=str(tmp_path / "q.npy"), metric="euclidean")
    assert written(mixed, tmp_path).train.dtype == np.float32


@pytest.mark.parametrize("how", ["bool", "numbers", "packed", "hdf5"])
def test_bits(how: str, tmp_path: Path) -> None:
    """One value per bit is packed, for any width; packed bytes stay packed."""
    (tmp_path / "scratch").mkdir()
    dim = 24 if how == "packed" else 21
    rows = np.random.default_rng(0).integers(0, 2, (300, dim)).astype(bool)
    path = tmp_path / "x.npy"
    if how == "hdf5":
        files.hdf5(path := tmp_path / "x.hdf5", rows)
    else:
        np.save(
            path,
            {"bool": rows, "numbers": rows.astype("i8"), "packed": np.packbits(rows, axis=1)}[how],
        )
    data = written(Request(train=(str(path),), metric="hamming", holdout=20), tmp_path)
    assert data.info.dim == dim
    assert data.train.shape == (280, 3)
    both = np.unpackbits(np.concatenate((data.train, data.test)), axis=1, count=dim)
    np.testing.assert_array_equal(
        np.sort(both @ (2 ** np.arange(dim))), np.sort(rows @ (2 ** np.arange(dim)))
    )
    bits = np.unpackbits(data.train, axis=1), np.unpackbits(data.test, axis=1)
    far = np.sort((bits[1][:, None] != bits[0]).sum(axis=2), axis=1)
    np.testing.assert_array_equal(data.distances, far[:, :100])
    truth = tmp_path / "truth.ibin"
    np.save(tmp_path / "train.npy", data.train)
    np.save(tmp_path / "test.npy", data.test)
    files.truth_bins(truth, data.neighbors, data.distances / dim)  # shares, as some write them
    names = {"train": (str(tmp_path / "train.npy"),), "test": str(tmp_path / "test.npy")}
    again = written(Request(**names, truth=str(truth), metric="hamming"), tmp_path)
    np.testing.assert_array_equal(again.distances, far[:, :100])


def test_what_is_neither_bits_nor_a_set(tmp_path: Path) -> None:
    """Other values are named, with the formats for sets."""
    (tmp_path / "scratch").mkdir()
    np.save(tmp_path / "x.npy", np.arange(40.0).reshape(20, 2))
    path = (str(tmp_path / "x.npy"),)
    assert "row 1, column 0 holds 2.0; expected 0 or 1" in refused(
        Request(train=path, metric="hamming"), tmp_path
    )
    said = refused(Request(train=path, metric="jaccard"), tmp_path)
    assert "row 1, column 0 holds 2.0; expected 0 or 1" in said
    assert "train and size_train" in said
