# /// script
# dependencies = ["hnswlib>=0.8"]
#
# [tool.annmodal]
# class = "Hnswlib"
# metrics = ["euclidean", "angular", "dot"]
# build = { M = 12, ef_construction = 100 }
# search = { ef = [10, 30, 100] }
# tune.ef = { range = ["k", "max(2000, 2 * k)"], scale = "log", monotone = "recall" }
# constraints = ["k <= ef"]
# short-answers = "ef"
# effective = { ef = "max(ef, k)" }
# ///
"""hnswlib: a hierarchy of navigable small-world graphs (HNSW)."""

import os

import hnswlib
import numpy as np

SPACES = {"euclidean": "l2", "angular": "cosine", "dot": "ip"}


class Hnswlib:
    def __init__(self, metric, M=12, ef_construction=100):
        self.space = SPACES[metric]
        self.M = M
        self.ef_construction = ef_construction
        self.threads = int(os.environ.get("OMP_NUM_THREADS", "1"))

    def fit(self, X):
        n, dim = X.shape
        self.index = hnswlib.Index(space=self.space, dim=dim)
        self.index.init_index(n, M=self.M, ef_construction=self.ef_construction, random_seed=1)
        self.index.set_num_threads(self.threads)
        self.index.add_items(X)

    def set_query_arguments(self, ef):
        self.index.set_ef(ef)

    def query(self, v, k):
        try:
            return self.index.knn_query(v, k, 1)[0][0]
        except RuntimeError:  # the search reaches fewer than k vectors
            return self._reached(v, k)

    def batch_query(self, Q, k):
        try:
            return self.index.knn_query(Q, k, self.threads)[0]
        except RuntimeError:
            return [self.query(v, k) for v in Q]

    def _reached(self, v, k):
        """Returns as many ids as possible, by bisection: the library raises for fewer than k."""
        found, n_found, n_missing = np.empty(0, np.int64), 0, k
        while n_missing - n_found > 1:
            middle = (n_found + n_missing) // 2
            try:
                found, n_found = self.index.knn_query(v, middle, 1)[0][0], middle
            except RuntimeError:
                n_missing = middle
        return found

    def get_memory_usage(self):
        return self.index.index_file_size()
