"""Suffixes of vector files, by format. Reads no file and imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from types import MappingProxyType

_WHY = "it is pickled, and reading it would run any code in it, so it is not read. Convert it: "
_NUMPY = "python -c \"import numpy, pickle; numpy.save('vectors.npy', numpy.asarray(pickle.load("
_TORCH = "python -c \"import numpy, torch; numpy.save('vectors.npy', torch.load("
_BY_PICKLE = f"{_WHY}{_NUMPY}open('FILE', 'rb')), 'f4'))\""
_BY_TORCH = f"{_WHY}{_TORCH}'FILE', weights_only=True).float().numpy())\""
PICKLED = {
    ".pkl": _BY_PICKLE,
    ".pickle": _BY_PICKLE,
    ".joblib": f"{_WHY}python -c \"import joblib, numpy; numpy.save('vectors.npy', "
    "numpy.asarray(joblib.load('FILE'), 'f4'))\"",
    ".pt": _BY_TORCH,
    ".pth": _BY_TORCH,
}


VECS, BINS, NPY, NPZ = "fvecs, ivecs, bvecs", "fbin and its like", "npy", "npz"
SAFETENSORS, PARQUET, ARROW = "safetensors", "Parquet", "Arrow IPC, Feather"
HDF5, TEXT = "HDF5 with other names", "CSV, TSV"
# The suffixes of each format; :mod:`pytest_annmodal.datasets.importers.formats` reads the files.
BY_FORMAT: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        VECS: (".fvecs", ".ivecs", ".bvecs", ".fvecs.gz", ".ivecs.gz", ".bvecs.gz"),
        BINS: (".fbin", ".ibin", ".u8bin", ".i8bin", ".hbin", ".f16bin", ".bin"),
        NPY: (".npy",),
        NPZ: (".npz",),
        SAFETENSORS: (".safetensors",),
        PARQUET: (".parquet", ".pq"),
        ARROW: (".arrow", ".feather", ".ipc", ".arrows"),
        HDF5: (".hdf5", ".h5"),
        TEXT: (".csv", ".tsv", ".txt"),
    }
)
FILES = frozenset({*PICKLED, *(end for ends in BY_FORMAT.values() for end in ends)})
OWN = BY_FORMAT[HDF5]  # of datasets that need no import


def is_imported(name: str) -> bool:
    """Whether a file must be imported to become a dataset."""
    suffix = suffix_of(name)
    return suffix in FILES and suffix not in OWN


def suffix_of(name: str) -> str:
    """Returns the suffix that names the format, in lower case; with ``.gz`` both suffixes."""
    suffixes = [suffix.lower() for suffix in PurePath(name).suffixes[-2:]]
    return "".join(suffixes) if suffixes[-1:] == [".gz"] else "".join(suffixes[-1:])
