# /// script
# dependencies = ["usearch>=2.12"]
#
# [tool.annmodal]
# class = "USearch"
# metrics = ["euclidean", "angular", "dot", "hamming"]
# dtypes = ["packed"]
# build = { connectivity = 12, expansion_add = 48 }
# search = { expansion_search = [10, 30, 100] }
# constraints = ["k <= expansion_search"]
# short-answers = "expansion_search"
# effective = { expansion_search = "max(expansion_search, k)" }
# ///
"""USearch: HNSW with SIMD distance kernels."""

import os

import numpy as np
import usearch.index

METRICS = {"euclidean": "l2sq", "angular": "cos", "dot": "ip", "hamming": "hamming"}


class USearch:
    def __init__(self, metric, connectivity=12, expansion_add=48):
        self.settings = {
            "metric": METRICS[metric],
            "connectivity": connectivity,
            "expansion_add": expansion_add,
        }
        self.threads = int(os.environ.get("OMP_NUM_THREADS", "1"))

    def fit(self, X):
        kind, ndim = ("b1", 8 * X.shape[1]) if X.dtype == np.uint8 else ("f32", X.shape[1])
        self.index = usearch.index.Index(ndim=ndim, dtype=kind, **self.settings)
        self.index.add(np.arange(len(X)), X, threads=self.threads)

    def set_query_arguments(self, expansion_search):
        self.index.expansion_search = expansion_search

    def query(self, v, k):
        return self.index.search(v, k, threads=1).keys

    def batch_query(self, Q, k):
        matches = self.index.search(Q, k, threads=self.threads)
        if len(Q) == 1:  # answered as a single query is
            return matches.keys[None]
        given = np.arange(matches.keys.shape[1]) < matches.counts[:, None]
        return np.where(given, matches.keys.astype(np.int64), -1)

    def get_memory_usage(self):
        return self.index.serialized_length  # memory_usage counts what it has reserved
