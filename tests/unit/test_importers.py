"""Vector files in common formats are read exactly, or refused in one sentence."""

from __future__ import annotations

import contextlib
import gzip
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import vector_files as files

from pytest_annmodal.datasets.importers import formats
from pytest_annmodal.datasets.importers.matrix import Asked
from pytest_annmodal.errors import AnnModalError, ConfigurationError, DatasetFormatError
from pytest_annmodal.settings import suffixes

OLD_PYARROW = int(pa.__version__.partition(".")[0]) < 25  # writes no fixed lists that are null
OLD_NUMPY = int(np.__version__.partition(".")[0]) < 2


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[Asked]:
    (tmp_path / "scratch").mkdir()
    with contextlib.ExitStack() as stack:
        yield Asked(scratch=tmp_path / "scratch", closing=stack)


def read(path: Path, asked: Asked, **changed: object) -> np.ndarray:
    """All rows, float32."""
    given = {name: getattr(asked, name) for name in ("scratch", "closing", "keys", "ids", "rows")}
    matrix = formats.open_matrix(path, Asked(**{**given, **changed}))
    return np.concatenate(list(matrix.floats(0, matrix.n)))


@pytest.mark.parametrize("kind", files.WRITERS)
def test_every_format_is_read_as_it_is(kind: str, tmp_path: Path, asked: Asked) -> None:
    """Each format gives the same numbers, whole or in part, and its shape at once."""
    rows = files.vectors(kind)
    path = files.written(tmp_path, kind, rows)
    matrix = formats.open_matrix(path, asked)
    assert (matrix.n, matrix.dim) == rows.shape
    np.testing.assert_array_equal(
        np.concatenate(list(matrix.floats(0, 23))), rows.astype("f4"), strict=True
    )
    part = np.concatenate(list(matrix.floats(9, 20)))
    np.testing.assert_array_equal(part, rows[9:20].astype("f4"))


@pytest.mark.parametrize("kind", files.WRITERS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (70, 1)])
def test_few_rows_and_few_columns(
    kind: str, shape: tuple[int, int], tmp_path: Path, asked: Asked
) -> None:
    """One row or one dimension is read."""
    rows = files.vectors(kind, *shape)
    np.testing.assert_array_equal(
        read(files.written(tmp_path, kind, rows), asked), rows.astype("f4")
    )


@pytest.mark.parametrize("kind", files.WRITERS)
def test_a_file_that_is_cut_off_is_refused(kind: str, tmp_path: Path, asked: Asked) -> None:
    """A file cut at any point is refused with its name."""
    path = files.written(tmp_path, kind, files.vectors(kind))
    whole = path.read_bytes()
    for n_bytes in (len(whole) - 1, len(whole) // 2 + 1, 3, 0):
        if kind in {"csv", "tsv"} and n_bytes != 0:
            continue  # text does not say how long it is
        path.write_bytes(whole[:n_bytes])
        with pytest.raises(DatasetFormatError) as found:
            read(path, asked)
        assert str(found.value).startswith(str(path)), n_bytes


@pytest.mark.parametrize("kind", files.WRITERS)
def test_a_file_of_nothing_says_so(kind: str, tmp_path: Path, asked: Asked) -> None:
    """Files without bytes, rows or numbers are called empty, not damaged."""
    path = files.written(tmp_path, kind, files.vectors(kind))
    path.write_bytes(b"")
    with pytest.raises(DatasetFormatError, match=r": the file is empty; expected at least one"):
        read(path, asked)
    for n, dim in ((0, 5), (3, 0)):
        try:
            path = files.written(tmp_path, kind, files.vectors(kind, n, dim), stem=f"of{n}")
        except (ValueError, pa.ArrowInvalid):
            continue  # its library refuses to write such a file
        with pytest.raises(DatasetFormatError) as found:
            read(path, asked)
        said = str(found.value)
        assert re.search(r"expected (at least one|one vector per line)", said), said
        assert not re.search("damaged|cut off|another kind", said), said


@pytest.mark.parametrize(
    "kind", [kind for kind, row in files.WRITERS.items() if row[0].endswith("bin")]
)
def test_a_header_that_promises_more_says_where_the_file_ends(
    kind: str, tmp_path: Path, asked: Asked
) -> None:
    """A header with too many rows: the error names the row where the file ends."""
    path = files.written(tmp_path, kind, files.vectors(kind))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(DatasetFormatError, match=r"It ends \d+ bytes into row 22: ") as found:
        read(path, asked)
    assert not re.search(r"\d{1,3}(,\d{3}){6}", str(found.value))
    path.write_bytes(whole[: len(whole) - 5 * np.dtype(files.WRITERS[kind][1]).itemsize])
    with pytest.raises(DatasetFormatError, match=r"It holds 22 whole rows: .* add --rows 0:22"):
        read(path, asked)


@pytest.mark.parametrize("kind", [kind for kind, row in files.WRITERS.items() if "f" in row[1]])
def test_what_is_no_number_is_found(kind: str, tmp_path: Path, asked: Asked) -> None:
    """NaN and infinity are refused with row and column."""
    for value in (np.nan, -np.inf):
        rows = files.vectors(kind)
        rows[17, 3] = value
        path = files.written(tmp_path, kind, rows, stem=f"v{value}")
        with pytest.raises(DatasetFormatError, match=r"row 17, column 3 holds .*finite"):
            read(path, asked)


def test_rows_of_different_dimension_that_fit_in_sum(tmp_path: Path, asked: Asked) -> None:
    """Each row's dimension is checked, also if the total size fits."""
    path = tmp_path / "x.fvecs"
    files.vecs(path, [np.zeros(n, "f4") for n in (4, 4, 3, 5)])
    with pytest.raises(
        DatasetFormatError, match=r"row 2 \(byte 40\) gives its dimension as 3; expected 4"
    ):
        read(path, asked)
    files.vecs(path, [np.zeros(n, "f4") for n in (4, 4, 3)])
    with pytest.raises(DatasetFormatError, match=r"row 2 .* dimension as 3; expected 4"):
        read(path, asked)


def test_a_header_that_does_not_fit(tmp_path: Path, asked: Asked) -> None:
    """A header that does not fit is refused with both readings, unless only a part is requested."""
    rows = files.vectors("u8bin")
    path = files.written(tmp_path, "u8bin", rows)
    path.write_bytes(np.array([1000, 5], "<u4").tobytes() + rows.tobytes())
    with pytest.raises(DatasetFormatError) as found:
        read(path, asked)
    said = str(found.value)
    assert "does not fit its 123 bytes" in said
    assert "header of 8 bytes 1,000 rows × 5 would be 5,008 bytes" in said
    assert "with a header of 16 bytes" in said
    assert "add --rows 0:23" in said
    np.testing.assert_array_equal(read(path, asked, rows=(0, 23))[:23], rows.astype("f4"))
    with pytest.raises(DatasetFormatError):
        read(path, asked, rows=(0, 24))


def test_a_truth_with_its_distances(tmp_path: Path, asked: Asked) -> None:
    """All ids, then all distances."""
    ids, distances = np.arange(12).reshape(4, 3), np.arange(12, dtype="f4").reshape(4, 3) / 8
    files.truth_bins(tmp_path / "truth.ibin", ids, distances)
    matrix = formats.open_matrix(
        tmp_path / "truth.ibin", Asked(scratch=asked.scratch, closing=asked.closing, role="truth")
    )
    np.testing.assert_array_equal(matrix.whole(), ids)
    np.testing.assert_array_equal(matrix.more["distances"], distances)


def test_objects_are_not_unpickled(tmp_path: Path, asked: Asked) -> None:
    """Objects in npy and npz are refused."""
    values = np.empty(3, object)
    np.save(tmp_path / "x.npy", values)
    np.savez(tmp_path / "x.npz", values=values)
    for name in ("x.npy", "x.npz"):
        with pytest.raises(DatasetFormatError, match="reading these can run any code"):
            read(tmp_path / name, asked)


@pytest.mark.parametrize("suffix", [".pkl", ".pickle", ".pt", ".pth", ".joblib"])
def test_pickles_are_refused_with_a_line_that_converts_them(
    suffix: str, tmp_path: Path, asked: Asked
) -> None:
    """Before the file is opened."""
    (tmp_path / f"x{suffix}").write_bytes(b"\x80\x04.")
    with pytest.raises(ConfigurationError, match=r"pickled.*Convert it: python -c .*numpy\.save"):
        read(tmp_path / f"x{suffix}", asked)


def test_several_arrays_need_a_name(tmp_path: Path, asked: Asked) -> None:
    """With several arrays a name is needed: the candidates are listed."""
    rows = files.vectors("npz")
    np.savez(tmp_path / "x.npz", a=rows, b=rows + 1)
    with pytest.raises(
        DatasetFormatError,
        match=r"which array is train\? It has a, b\. Choose with --key train=NAME",
    ):
        read(tmp_path / "x.npz", asked)
    np.testing.assert_array_equal(read(tmp_path / "x.npz", asked, keys={"train": "b"}), rows + 1)
    with pytest.raises(DatasetFormatError, match=r"no array 'c' .* it has a, b"):
        read(tmp_path / "x.npz", asked, keys={"train": "c"})
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file["a"], file["b/c"], file["d"] = rows, rows + 1, np.zeros(3)
    with pytest.raises(
        DatasetFormatError, match=r"a \(float32 23 × 5\), b/c \(float32 23 × 5\)\. Choose"
    ):
        read(tmp_path / "x.hdf5", asked)
    np.testing.assert_array_equal(read(tmp_path / "x.hdf5", asked, keys={"": "b/c"}), rows + 1)
    with pytest.raises(DatasetFormatError, match="two dimensions"):
        read(tmp_path / "x.hdf5", asked, keys={"": "d"})


def test_links_out_of_an_hdf5_file_are_not_followed(tmp_path: Path, asked: Asked) -> None:
    """Links out of an HDF5 file are not followed."""
    files.hdf5(tmp_path / "other.hdf5", files.vectors("hdf5"))
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file["a"] = h5py.ExternalLink("other.hdf5", "group/emb")
    for keys in ({}, {"train": "a"}):
        with pytest.raises(DatasetFormatError, match="no array"):
            read(tmp_path / "x.hdf5", asked, keys=keys)


@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_rows_that_are_null_are_refused_by_number(
    fixed: bool, suffix: str, tmp_path: Path, asked: Asked
) -> None:
    """Null rows are refused with their number, since dropping them would shift the rest."""
    kind = pa.list_(pa.float32(), 2) if fixed else pa.list_(pa.float32())
    some = [[float(i), 0.0] for i in range(20)]
    for bad, words in (
        (None, "null in row 11, 13;"),
        ([1.0, None], "a vector with a null in it in row 11, 13;"),
    ):
        for row in (11, 13):
            some[row] = bad
        table = pa.table({"emb": pa.array(some, kind)})
        path = tmp_path / f"x{suffix}"
        if suffix == ".parquet" and fixed and bad is None and OLD_PYARROW:
            continue
        if suffix == ".parquet":
            pq.write_table(table, path)
        else:
            with pa.ipc.new_file(path, table.schema) as writer:
                writer.write_table(table)
        with pytest.raises(DatasetFormatError, match=words):
            read(path, asked)


def test_lists_of_different_length(tmp_path: Path, asked: Asked) -> None:
    """The first list of another length is named."""
    pq.write_table(
        pa.table({"emb": [[1.0, 2.0]] * 9 + [[1.0]] + [[1.0, 2.0, 3.0]]}),
        tmp_path / "x.parquet",
        row_group_size=4,
    )
    with pytest.raises(DatasetFormatError, match="row 9 has 1 numbers; expected 2"):
        read(tmp_path / "x.parquet", asked)


def test_a_column_of_ids(tmp_path: Path, asked: Asked) -> None:
    """A column of ids is read beside the vectors; ids must be integers."""
    path = files.written(tmp_path, "parquet", files.vectors("parquet"))
    given = {"scratch": asked.scratch, "closing": asked.closing}
    matrix = formats.open_matrix(path, Asked(ids="id", **given))
    np.testing.assert_array_equal(matrix.ids, np.arange(23) + 1000)
    with pytest.raises(
        DatasetFormatError, match=r"no column 'emb' of integers \(--ids\); it has id"
    ):
        formats.open_matrix(path, Asked(ids="emb", **given))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1,2\n3,4\n5\n6,7\n", "line 3 has 1 values; expected 2"),
        ("a,b\n1,2\n\n3,4,5\n", "line 4 has 3 values; expected 2"),
        ("1,2\n3,red\n", "line 2, column 2 holds 'red'"),
        ("id,v\nx1,2\n", "line 2, column 1 holds 'x1'"),
        ("1,2\n3,\n", "line 2, column 2 holds ''"),
        (",0,1\n0,5,6\n", "like an index of pandas"),
        ("a,b\n", "no line of numbers"),
        ("\n\n", "no line of numbers"),
        ("\n\na,b\n1,2\n3,4,5\n", "line 5 has 3 values; expected 2"),
    ],
)
def test_text_that_is_no_table_of_numbers(
    text: str, words: str, tmp_path: Path, asked: Asked
) -> None:
    """Errors in text name line and column as an editor counts them."""
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(DatasetFormatError) as found:
        read(tmp_path / "x.csv", asked)
    assert words in str(found.value)


@pytest.mark.parametrize(
    "text",
    [
        "0,1\n5,6\n7,8\n",
        "x;y\n5;6\n7;8\n",
        "5 6\n7  8\n",
        "\ufeff5,6\n\n7,8",
        "\n\na,b\n5,6\n7,8\n",
    ],
)
def test_text_of_several_kinds(text: str, tmp_path: Path, asked: Asked) -> None:
    """Headers, pandas' index column, other delimiters and blank lines are read."""
    (tmp_path / "x.csv").write_text(text, encoding="utf-8")
    np.testing.assert_array_equal(read(tmp_path / "x.csv", asked), [[5, 6], [7, 8]])


def test_a_library_that_is_missing_is_named(
    tmp_path: Path, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without pyarrow the error names the extra."""
    path = files.written(tmp_path, "parquet", files.vectors("parquet"))
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'pytest-annmodal\[parquet\]'"):
        read(path, asked)


@pytest.mark.parametrize("name", ["x.md", "x", "x.fvecs.zst", "x.gz"])
def test_names_that_say_nothing(name: str, tmp_path: Path, asked: Asked) -> None:
    """An unknown suffix is refused with the known ones."""
    (tmp_path / name).write_bytes(gzip.compress(b"x"))
    with pytest.raises(
        ConfigurationError, match=r"its suffix is not that of a known format; expected .*\.fvecs"
    ):
        read(tmp_path / name, asked)


def test_a_file_that_is_not_there(tmp_path: Path, asked: Asked) -> None:
    """A missing file or a folder is refused."""
    (tmp_path / "y.npy").mkdir()
    for name in ("x.npy", "y.npy"):
        with pytest.raises(AnnModalError, match="expected a file of vectors"):
            read(tmp_path / name, asked)


def test_a_sparse_file_of_more_than_two_to_the_31_elements(tmp_path: Path, asked: Asked) -> None:
    """A file of more than 2**31 elements has the right shape and last row."""
    path = tmp_path / "x.u8bin"
    n, dim = 2**24, 2**8
    with path.open("wb") as stream:
        stream.write(np.array([n, dim], "<u4").tobytes())
        stream.truncate(8 + n * dim)
        stream.seek(-dim, 2)
        stream.write(bytes(range(256)))
    matrix = formats.open_matrix(path, asked)
    assert (matrix.n, matrix.dim) == (n, dim)
    (last,) = matrix.floats(n - 1, n)
    np.testing.assert_array_equal(last[0], np.arange(256))


def test_d_of_65536(tmp_path: Path, asked: Asked) -> None:
    """A row of 65,536 dimensions is read."""
    rows = np.random.default_rng(0).standard_normal((3, 65_536)).astype("f4")
    for kind in ("fvecs", "parquet, fixed size", "csv"):
        np.testing.assert_array_equal(read(files.written(tmp_path, kind, rows), asked), rows)


def by_h5py(path: Path) -> np.ndarray:
    with h5py.File(io.BytesIO(path.read_bytes())) as file:  # we have it open
        return file["group/emb" if "group" in file else "emb"][:]


def by_pyarrow(path: Path) -> np.ndarray:
    if path.suffix == ".parquet":
        table = pq.read_table(path)
    else:
        opener = pa.ipc.open_file if path.suffix == ".arrow" else pa.ipc.open_stream
        table = opener(path.read_bytes()).read_all()
    return np.array(table.column("emb").to_pylist())


def by_faiss(path: Path) -> np.ndarray:
    from faiss.contrib import vecs_io

    read = {
        ".fvecs": vecs_io.fvecs_read,
        ".ivecs": vecs_io.ivecs_read,
        ".bvecs": vecs_io.bvecs_mmap,
    }
    return read[path.suffix](str(path))


def by_usearch(path: Path) -> np.ndarray:
    from usearch.io import load_matrix

    return load_matrix(str(path), dtype=np.uint8 if path.suffix == ".u8bin" else None)


PEERS: dict[str, Callable[[Path], np.ndarray]] = {
    **dict.fromkeys(("fvecs", "ivecs", "bvecs"), by_faiss),
    # With numpy 1, usearch's reader counts rows in float64 and fails.
    **dict.fromkeys(() if OLD_NUMPY else ("fbin", "ibin", "u8bin", "i8bin", "hbin"), by_usearch),
    **dict.fromkeys(("npy", "npy, big-endian", "npy, Fortran order"), np.load),
    **dict.fromkeys(("npz", "npz, compressed"), lambda path: np.load(path)["emb"]),
    **dict.fromkeys(("parquet", "parquet, fixed size", "arrow", "arrow stream"), by_pyarrow),
    **dict.fromkeys(("hdf5", "hdf5, gzip"), by_h5py),
    "csv": lambda path: np.loadtxt(path, delimiter=",", skiprows=1),
    "tsv": lambda path: np.loadtxt(path, delimiter="\t"),
}


@pytest.mark.parametrize("kind", PEERS)
def test_peers_read_the_same(kind: str, tmp_path: Path, asked: Asked) -> None:
    """faiss, usearch, pyarrow, h5py and numpy read our test files to the same values."""
    path = files.written(tmp_path, kind, files.vectors(kind))
    np.testing.assert_array_equal(read(path, asked), PEERS[kind](path).astype("f4"))


def test_what_peers_write_is_read(tmp_path: Path, asked: Asked) -> None:
    """Files written by faiss and usearch are read."""
    from faiss.contrib import vecs_io
    from usearch.io import save_matrix

    writers: dict[str, Callable[[str, np.ndarray], None]] = {
        "fvecs": vecs_io.fvecs_write,
        "ivecs": vecs_io.ivecs_write,
        **dict.fromkeys(
            ("fbin", "ibin", "i8bin", "hbin"), lambda path, rows: save_matrix(rows, path)
        ),
    }
    for kind, write in writers.items():
        rows, path = files.vectors(kind), tmp_path / f"theirs.{kind}"
        write(str(path), rows)
        np.testing.assert_array_equal(read(path, asked), rows.astype("f4"), err_msg=kind)


def test_a_format_that_is_added_is_opened_like_the_others(
    tmp_path: Path, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new format needs a row and its suffixes."""
    assert [row.name for row in formats.FORMATS] == list(suffixes.BY_FORMAT)
    row = formats.Format(name="x", opener="added:open_it", checked="", how="")
    monkeypatch.setattr(suffixes, "BY_FORMAT", {**suffixes.BY_FORMAT, "x": (".added",)})
    monkeypatch.setattr(formats, "FORMATS", (*formats.FORMATS, row))
    module = SimpleNamespace(open_it=formats.FORMATS[2].open)
    monkeypatch.setitem(__import__("sys").modules, "added", module)
    np.save(tmp_path / "x.npy", files.vectors("npy"))
    (tmp_path / "x.npy").rename(tmp_path / "x.added")
    assert read(tmp_path / "x.added", asked).shape == (23, 5)


def test_the_page_has_a_line_for_each_format() -> None:
    """docs/datasets.md has the table's row for each format."""
    text = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text(encoding="utf-8")
    _, _, after = text.partition(
        "| format | suffixes | how it is read | what is checked |\n|---|---|---|---|\n"
    )
    lines = after.partition("\n\n")[0].splitlines()
    assert lines == [
        f"| {row.name} | {', '.join(f'`{end}`' for end in row.suffixes)} | {row.how} | {row.checked} |"
        for row in formats.FORMATS
    ]
