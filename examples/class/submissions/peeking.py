"""Cheats: looks for the datasets' files, which hold the answers."""

import sys
from pathlib import Path


class Peeking:
    def __init__(self, metric):
        places = [Path.home() / ".cache/annmodal/volumes/ann-datasets", Path("/data"), Path.cwd()]
        places += [Path(folder) / "pytest_annmodal" / "data" for folder in sys.path]
        files = [file for place in places for file in self._look_into(place)]
        raise RuntimeError(f"found {len(files)} datasets: {sorted({f.name for f in files})}")

    def _look_into(self, place):
        try:
            return [file for file in place.glob("*.hdf5") if file.open("rb").read(1)]
        except OSError:
            return []

    def fit(self, X):
        pass

    def query(self, v, k):
        return range(k)
