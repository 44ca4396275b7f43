"""Build ``digits-64-euclidean.hdf5``, the real dataset that is shipped with the package.

Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
Learning Repository, 1998, https://doi.org/10.24432/C50P49, licence CC BY 4.0; the copy in
scikit-learn (``load_digits``) is its test part: 1,797 images of 8 x 8 pixels, 0 to 16.

Run ``python -m pytest_annmodal.data.build_digits [OUTPUT]`` with scikit-learn installed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from pytest_annmodal.datasets import hdf5
from pytest_annmodal.distances import exact

NAME = "digits-64-euclidean.hdf5"
SEED = 1998
N_QUERIES = 200
K = 100


def build(path: Path) -> None:
    """Write the dataset; the same numbers every time."""
    from sklearn.datasets import load_digits

    images = np.asarray(load_digits().data, dtype=np.float32)
    images = images[np.random.Generator(np.random.PCG64(SEED)).permutation(len(images))]
    train, test = images[:-N_QUERIES], images[-N_QUERIES:]
    neighbors, distances = exact.knn(train, test, K, "euclidean")
    hdf5.write(
        path,
        train=train,
        test=test,
        neighbors=neighbors.astype(np.int32),
        distances=distances,
        metric="euclidean",
        licence="CC BY 4.0",
        source="UCI Optical Recognition of Handwritten Digits, https://doi.org/10.24432/C50P49",
    )


if __name__ == "__main__":
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name(NAME))
