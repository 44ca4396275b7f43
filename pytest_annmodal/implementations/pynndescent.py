# /// script
# dependencies = ["pynndescent>=0.5.12"]
#
# [tool.annmodal]
# class = "PyNNDescent"
# metrics = ["euclidean", "angular", "manhattan", "hamming", "jaccard"]
# dtypes = ["packed", "csr"]
# build = { n_neighbors = 20 }
# search = { epsilon = [0.1, 0.25] }
# tune.epsilon = { range = [0.0, 1.0], scale = "lin", monotone = "recall" }
# # Sets are held as packed bits, one for each possible member: 8 GB at most.
# constraints = ["n_neighbors < n", "n * dim <= 64000000000"]
# short-answers = "n_neighbors"               # copies of a row make a graph that is not all reached
# warm_up_build = true
# ///
"""PyNNDescent: a k-neighbour graph by nearest-neighbour descent, compiled by numba."""

import os

import numpy as np
import pynndescent
from scipy.sparse import issparse

METRICS = {
    "euclidean": "euclidean",
    "angular": "cosine",
    "manhattan": "manhattan",
    "hamming": "bit_hamming",
    "jaccard": "bit_jaccard",  # -ln of the similarity: the same order
}


class PyNNDescent:
    def __init__(self, metric, n_neighbors=20):
        self.farthest = 1 if metric == "angular" else np.inf
        self.settings = {"metric": METRICS[metric], "n_neighbors": n_neighbors}
        self.threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
        self.epsilon = 0.1

    def fit(self, X):
        self.index = pynndescent.NNDescent(
            packed(X), random_state=1, n_jobs=self.threads, **self.settings
        )
        self.index.prepare()  # compiles, and makes the search graph

    def set_query_arguments(self, epsilon):
        self.epsilon = epsilon

    def query(self, v, k):
        return self._asked(packed(v) if issparse(v) else v[None], k)[0]

    def batch_query(self, Q, k):
        return self._asked(packed(Q), k)

    def _asked(self, rows, k):
        """Returns ids, with -1 for missing ones, for which the library repeats a row."""
        ids, distances = self.index.query(rows, k, self.epsilon)
        short = np.flatnonzero(distances[:, -1] >= self.farthest)
        for row in short:
            repeated = np.ones(k, bool)
            repeated[np.unique(ids[row], return_index=True)[1]] = False
            ids[row, repeated | np.isinf(distances[row])] = -1
        return ids


def packed(X):
    """Returns sets as packed bits, one per possible member; other rows unchanged."""
    if not issparse(X):
        return X
    bits = np.zeros((X.shape[0], -(-X.shape[1] // 8)), np.uint8)
    rows = np.repeat(np.arange(len(bits)), np.diff(X.indptr))
    np.bitwise_or.at(
        bits, (rows, X.indices >> 3), np.uint8(128) >> (X.indices & 7).astype(np.uint8)
    )
    return bits
