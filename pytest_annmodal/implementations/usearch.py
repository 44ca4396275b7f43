# /// script
# dependencies = ["usearch>=2.25"]
#
# [tool.annmodal]
# class = "USearch"
# metrics = ["euclidean", "angular", "dot", "hamming", "jaccard"]
# dtypes = ["packed", "uint8", "int8"]
# build = { connectivity = 12, expansion_add = 48 }
# search = { expansion_search = [10, 30, 100] }
# tune.expansion_search = { range = ["k", "max(2000, 2 * k)"], scale = "log", monotone = "recall" }
# # Sets are held as packed bits, one for each possible member: 8 GB at most.
# constraints = ["k <= expansion_search", "n * dim <= 64000000000"]
# short-answers = "expansion_search"
# effective = { expansion_search = "max(expansion_search, k)" }
# ///
"""USearch: HNSW with SIMD distance kernels."""

import os

import numpy as np
import usearch.index

METRICS = {
    "euclidean": "l2sq",
    "angular": "cos",
    "dot": "ip",
    "hamming": "hamming",
    "jaccard": "tanimoto",
}

KINDS = {"float32": "f32", "uint8": "u8", "int8": "i8"}


class USearch:
    def __init__(self, metric, dim, connectivity=12, expansion_add=48):
        self.metric, self.dim = metric, dim
        self.settings = {
            "metric": METRICS[metric],
            "connectivity": connectivity,
            "expansion_add": expansion_add,
        }
        self.typed = {}
        self.threads = int(os.environ.get("OMP_NUM_THREADS", "1"))

    def fit(self, X):
        kind = "b1" if self.metric in ("hamming", "jaccard") else KINDS[X.dtype.name]
        if kind == "u8":  # or rows of uint8 are read as packed bits
            self.typed = {"dtype": kind}
        self.index = usearch.index.Index(ndim=self.dim, dtype=kind, **self.settings)
        self.index.add(np.arange(len(X)), self._rows(X), threads=self.threads, **self.typed)

    def set_query_arguments(self, expansion_search):
        self.index.expansion_search = expansion_search

    def query(self, v, k):
        if self.metric == "jaccard":
            v = self._rows([v])[0]
        return self.index.search(v, k, threads=1, **self.typed).keys

    def batch_query(self, Q, k):
        matches = self.index.search(self._rows(Q), k, threads=self.threads, **self.typed)
        if len(Q) == 1:  # answered as a single query is
            return matches.keys[None]
        given = np.arange(matches.keys.shape[1]) < matches.counts[:, None]
        return np.where(given, matches.keys.astype(np.int64), -1)

    def _rows(self, X):
        """Returns sets as packed bits, one per possible member; other rows unchanged."""
        if self.metric != "jaccard":
            return X
        bits = np.zeros((len(X), -(-self.dim // 8)), np.uint8)
        for row, members in zip(bits, X, strict=True):
            np.bitwise_or.at(row, members >> 3, np.uint8(128) >> (members & 7).astype(np.uint8))
        return bits

    def get_memory_usage(self):
        return self.index.serialized_length  # memory_usage counts what it has reserved
