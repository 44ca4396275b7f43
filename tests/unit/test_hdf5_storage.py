"""Storage that HDF5 would read as zeros or as other numbers, or cannot read here."""

from __future__ import annotations

import contextlib
import os
import sys

import h5py
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t

from pytest_annmodal.datasets import hdf5
from pytest_annmodal.datasets.hdf5 import file
from pytest_annmodal.datasets.hdf5.checker import Checker
from pytest_annmodal.errors import DatasetError, DatasetFormatError

N, DIM = 60, 4
TRAIN = np.random.default_rng(0).standard_normal((N, DIM)).astype("<f4")


@pytest.fixture
def dataset(tmp_path):
    """A file with test and a metric, whose train ``add(container)`` makes."""

    def dataset(add, **options):
        path = tmp_path / "mine-euclidean.hdf5"
        with h5py.File(path, "w", **options) as container:
            container["test"] = TRAIN[:5]
            add(container)
        return path

    return dataset


def of_type(kind, values=TRAIN):
    def add(container):
        space = h5s.create_simple(values.shape)
        made = h5d.create(container.id, b"train", kind, space)
        made.write(h5s.ALL, h5s.ALL, np.ascontiguousarray(values))

    return add


def refused(path, *words, kind=DatasetFormatError):
    with pytest.raises(DatasetError) as caught:
        hdf5.validate(path)
    assert type(caught.value) is kind
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    for word in words:
        assert word in message
    with pytest.raises(kind):
        hdf5.load(path)


def through_a_group(container):
    container["g"] = h5py.ExternalLink("other.h5", "/g")
    container["train"] = h5py.SoftLink("/g/train")


def beside_what_is_missing(container):
    container["vectors"] = h5py.ExternalLink("other.h5", "/train")


def virtual(container):
    """Makes a virtual array of this length from another file."""
    source = h5py.VirtualSource("other.h5", "x", (N, DIM), "<f4", maxshape=(None, DIM))
    layout = h5py.VirtualLayout((N, DIM), "<f4", maxshape=(None, DIM))
    layout[: h5s.UNLIMITED, :] = source[: h5s.UNLIMITED, :]
    container.create_virtual_dataset("train", layout)


WAYS_OUT = {
    "a link": (
        lambda c: c.__setitem__("train", h5py.ExternalLink("other.h5", "/x")),
        r"train is a link into another file \(other.h5\)",
    ),
    "a soft link through a group": (
        through_a_group,
        r"train is a link into another file \(other.h5\)",
    ),
    "a link beside what is missing": (
        beside_what_is_missing,
        r"lacks train; it has test, vectors \(a link into another file\)",
    ),
    "a virtual array": (virtual, r"train is virtual: .* \(other.h5\)"),
}


def round_and_round(container):
    container["train"] = h5py.SoftLink("/again")
    container["again"] = h5py.SoftLink("/train")


class TestElsewhere:
    def test_a_virtual_array_is_refused_and_what_is_missing_is_named(self, dataset, tmp_path):
        """A virtual array is refused: a missing source reads as zeros, another may change unnoticed."""
        for name in ("a.h5", "b.h5"):
            with h5py.File(tmp_path / name, "w") as container:
                container["x"] = TRAIN[: N // 2]

        def add(container):
            layout = h5py.VirtualLayout(TRAIN.shape, "<f4")
            for i, name in enumerate(("a.h5", "b.h5")):
                rows = slice(i * N // 2, (i + 1) * N // 2)
                layout[rows] = h5py.VirtualSource(name, "x", (N // 2, DIM))
            container.create_virtual_dataset("train", layout)

        path = dataset(add)
        refused(path, "train is virtual", "(a.h5, b.h5)", "into one file")
        (tmp_path / "b.h5").unlink()
        refused(path, "Missing, and read as zeros: b.h5. ", "Restore the missing files first")

    @pytest.mark.parametrize("size", [None, 100, 4 * N * DIM])
    def test_an_external_array_is_refused(self, dataset, tmp_path, size):
        """External arrays are refused, whether missing, short or complete."""
        if size is not None:
            (tmp_path / "part.raw").write_bytes(TRAIN.tobytes()[:size])
        entry = [(str(tmp_path / "part.raw"), 0, h5py.h5f.UNLIMITED)]
        path = dataset(lambda c: c.create_dataset("train", (N, DIM), "<f4", external=entry))
        refused(path, "train is external", "part.raw")

    @pytest.mark.parametrize("way", WAYS_OUT)
    def test_another_file_is_never_opened(self, dataset, tmp_path, way):
        """Links into another file are refused without opening it."""
        os.mkfifo(tmp_path / "other.h5")
        add, said = WAYS_OUT[way]
        looking = Checker(limit_s=5.0)
        with contextlib.closing(looking), pytest.raises(DatasetFormatError, match=said):
            looking.look(dataset(add), whole=True)

    def test_a_link_within_the_file_is_followed(self, dataset):
        """Links inside the file are followed, also in several steps; circles are refused."""

        def add(container):
            container["there/vectors"] = TRAIN
            container["group"] = h5py.SoftLink("there")
            container["train"] = h5py.SoftLink("/group/./vectors")

        assert hdf5.validate(dataset(add)).n_train == N
        refused(dataset(round_and_round), "lacks train", "train (a link that leads nowhere)")


class TestNeverWritten:
    @pytest.mark.parametrize("options", [{}, {"compression": "gzip"}])
    def test_chunks_that_were_never_written_are_counted(self, dataset, options):
        """Missing chunks are counted and refused."""

        def add(container):
            made = container.create_dataset("train", (N, DIM), "<f4", chunks=(7, DIM), **options)
            made[:21] = TRAIN[:21]

        refused(dataset(add), "6 of the 9 chunks of train were never written", "(60, 4)")

    def test_an_array_without_any_values_is_refused(self, dataset):
        """A contiguous array without stored values is refused."""
        path = dataset(lambda c: c.create_dataset("train", (N, DIM), "<f4"))
        refused(path, "train was never written")

    def test_what_is_there_in_any_layout_is_accepted(self, dataset):
        """Complete arrays are accepted in every layout: compact, contiguous, chunked, filtered, resized."""

        def compact(container):
            plist = h5p.create(h5p.DATASET_CREATE)
            plist.set_layout(h5d.COMPACT)
            space = h5s.create_simple(TRAIN.shape)
            made = h5d.create(container.id, b"train", h5t.IEEE_F32LE, space, plist)
            made.write(h5s.ALL, h5s.ALL, TRAIN)

        def grown(container):
            made = container.create_dataset("train", (9, DIM), "<f4", maxshape=(None, DIM))
            made.resize((N + 50, DIM))
            made[:] = 1.0
            made.resize((N, DIM))
            made[:] = TRAIN

        for add in (
            compact,
            grown,
            lambda c: c.create_dataset("train", data=TRAIN, chunks=(7, 3), shuffle=True),
            lambda c: c.create_dataset("train", data=TRAIN, compression="lzf", fletcher32=True),
        ):
            for options in ({}, {"libver": "v110"}, {"userblock_size": 512}):
                path = dataset(add, **options)
                hdf5.validate(path)
                np.testing.assert_array_equal(hdf5.load(path).train, TRAIN)
                path.unlink()

    def test_one_array_may_have_two_names(self, tmp_path):
        """train and test may be the same array; other overlaps are refused."""
        path = tmp_path / "same-euclidean.hdf5"
        with h5py.File(path, "w") as container:
            container.create_dataset("train", data=TRAIN, chunks=(7, DIM))
            container["test"] = container["train"]
        assert hdf5.validate(path).n_queries == N


class TestTypes:
    def test_bfloat16_is_read_converted(self, dataset):
        """bfloat16 is converted: a map of its bytes would give other numbers."""
        kind = h5t.IEEE_F32LE.copy()
        kind.set_fields(15, 7, 8, 0, 7)
        kind.set_precision(16)
        kind.set_size(2)
        path = dataset(of_type(kind))
        assert hdf5.validate(path).dtype == "bfloat16"
        loaded = hdf5.load(path)
        kept = (TRAIN.view("<u4") >> 16 << 16).view("<f4")
        assert loaded.train_map is None
        assert np.abs(loaded.train - TRAIN).max() <= np.abs(kept - TRAIN).max()
        assert (loaded.train.view("<u4") & 0xFFFF == 0).all()

    @pytest.mark.parametrize(
        "kind", [h5t.IEEE_F16LE, h5t.IEEE_F32BE, h5t.IEEE_F64LE, h5t.IEEE_F64BE, h5t.NATIVE_LDOUBLE]
    )
    def test_other_floats_are_read_converted(self, dataset, kind):
        """Floats other than little-endian float32 are converted."""
        values = TRAIN.astype("<f2").astype("<f4")
        loaded = hdf5.load(dataset(of_type(kind, values)))
        assert loaded.train_map is None
        np.testing.assert_array_equal(loaded.train, values)

    def test_a_float_type_of_no_known_kind_is_refused(self, dataset):
        """An unknown float type is refused, since damage to it would scale every value."""
        kind = h5t.IEEE_F32LE.copy()
        kind.set_ebias(126)
        refused(dataset(of_type(kind)), "train holds an unknown float type of 32 bits", "damaged")

    @pytest.mark.parametrize(
        ("size", "words"),
        [
            (2, '(values.view("<u2").astype("<u4") << 16).view("<f4")'),
            (1, 'values.view(ml_dtypes.float8_e4m3fn).astype("<f4")'),
            (3, "opaque values of 3 bytes; expected floats or integers"),
        ],
    )
    def test_opaque_values_are_refused_with_the_line_that_converts_them(self, dataset, size, words):
        """Opaque values (from ml_dtypes) are refused with a line that converts them."""
        values = np.zeros((N, DIM), f"V{size}")
        refused(dataset(lambda c: c.create_dataset("train", data=values)), "train holds", words)

    def test_the_line_for_bfloat16_converts_it(self, dataset):
        """That line converts bfloat16 exactly."""
        stored = (TRAIN.view("<u4") >> 16).astype("<u2").view("V2")
        path = dataset(lambda c: c.create_dataset("train", data=stored))
        with h5py.File(path) as container:
            values = container["train"][:]
        wanted = (TRAIN.view("<u4") >> 16 << 16).view("<f4")
        np.testing.assert_array_equal((values.view("<u2").astype("<u4") << 16).view("<f4"), wanted)


class TestFilters:
    @staticmethod
    def filtered(number):
        def add(container):
            plist = h5p.create(h5p.DATASET_CREATE)
            plist.set_chunk((N, DIM))
            plist.set_filter(number, 1, (0,))
            space = h5s.create_simple(TRAIN.shape)
            made = h5d.create(container.id, b"train", h5t.IEEE_F32LE, space, plist)
            made.write_direct_chunk((0, 0), b"packed")

        return add

    def test_a_missing_filter_is_named_with_its_package(self, dataset, monkeypatch):
        """A missing filter is named with its package, and is no damage."""
        monkeypatch.setitem(sys.modules, "hdf5plugin", None)
        path = dataset(self.filtered(32015))
        with pytest.raises(DatasetError) as caught, file.opened(path):
            pass
        assert type(caught.value) is DatasetError
        for words in ("Zstandard (number 32015)", "pip install hdf5plugin", "gzip"):
            assert words in str(caught.value)

    def test_an_unknown_filter_is_named(self, dataset):
        """An unknown filter is named by its number."""
        path = dataset(self.filtered(300))
        refused(path, "needs the filter unnamed (number 300)", "HDF5_PLUGIN_PATH")


def rotated(value, bits):
    return ((value << bits) | (value >> (32 - bits))) & 0xFFFFFFFF


def checksum(data):
    """HDF5's checksum of metadata: Bob Jenkins' lookup3."""
    a = b = c = (0xDEADBEEF + len(data)) & 0xFFFFFFFF
    words = [
        int.from_bytes(data[i : i + 4].ljust(4, b"\0"), "little") for i in range(0, len(data), 4)
    ]
    words += [0] * (-len(words) % 3)
    while len(words) > 3:
        a, b, c = (x + y & 0xFFFFFFFF for x, y in zip((a, b, c), words, strict=False))
        del words[:3]
        for bits in (4, 6, 8, 16, 19, 4):
            a = (a - c & 0xFFFFFFFF) ^ rotated(c, bits)
            c = c + b & 0xFFFFFFFF
            a, b, c = b, c, a
    a, b, c = (x + y & 0xFFFFFFFF for x, y in zip((a, b, c), words, strict=False))
    for bits in (14, 11, 25, 16, 4, 14, 24):
        c = (c ^ b) - rotated(b, bits) & 0xFFFFFFFF
        a, b, c = b, c, a
    return b.to_bytes(4, "little")


def test_a_file_of_a_newer_hdf5_is_named_as_such(dataset):
    """A file of a newer HDF5 version is named as such, not as damaged."""
    path = dataset(lambda c: c.create_dataset("train", data=TRAIN), libver="v110")
    content = bytearray(path.read_bytes())
    with h5py.File(path) as container:
        start = h5py.h5o.get_info(container["train"].id).addr
    assert content[start : start + 4] == b"OHDR"
    flags = content[start + 5]
    at = start + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
    width = 1 << (flags & 3)
    first = at + width
    end = first + int.from_bytes(content[at:first], "little")
    assert checksum(content[start:end]) == content[end : end + 4]
    at = first
    while content[at] != 8:  # the message that says where the values lie
        at += 4 + (2 if flags & 4 else 0) + int.from_bytes(content[at + 1 : at + 3], "little")
    content[at + 4 + (2 if flags & 4 else 0)] = 99
    content[end : end + 4] = checksum(content[start:end])
    path.write_bytes(content)
    refused(
        path,
        f"train was written for a newer HDF5 than h5py {h5py.__version__} with HDF5",
        "pip install -U h5py",
        kind=DatasetError,
    )
