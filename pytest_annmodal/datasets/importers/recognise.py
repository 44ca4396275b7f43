"""Recognises files of other kinds where an HDF5 file is expected, with advice for each."""

from __future__ import annotations

from pathlib import Path

from pytest_annmodal.settings.suffixes import is_imported

HDF5 = b"\x89HDF\r\n\x1a\n"
CONVERT = "import it: annmodal import NAME --train FILE --metric METRIC"
BEGINNINGS = (
    (b"\x1f\x8b", "compressed with gzip: unpack it"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd: unpack it"),
    (b"\x93NUMPY", f"a .npy file: give it that suffix, or {CONVERT}"),
    (b"PK\x03\x04", f"a zip or .npz file: unpack it, or give it the suffix .npz and {CONVERT}"),
    (b"PAR1", f"a Parquet file: give it the suffix .parquet, and {CONVERT}"),
    (b"<!doctype", "a web page, probably an error or a login: fetch it again"),
    (b"<html", "a web page, probably an error or a login: fetch it again"),
    (b"version https://git-lfs", "a Git LFS pointer: run git lfs pull"),
)


def begins_as_hdf5(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(HDF5)) == HDF5


def what_it_is(path: Path) -> str | None:
    """Returns what the file is, by its first bytes or its suffix, with advice; or None."""
    with path.open("rb") as stream:
        head = stream.read(32).lower()
    for beginning, words in BEGINNINGS:
        if head.startswith(beginning.lower()):
            return words
    return f"a {path.suffix} file: {CONVERT}" if is_imported(path.name) else None
