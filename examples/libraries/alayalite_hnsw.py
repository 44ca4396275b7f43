# /// script
# dependencies = ["alayalite>=1.0"]
#
# [tool.annmodal]
# class = "AlayaLite"
# metrics = ["euclidean", "angular", "dot"]
# build = { max_nbrs = 32, ef_construction = 100 }
# search = { ef = [10, 30, 100] }
# short-answers = "ef"
# effective = { ef = "max(ef, k)" }
# ///
"""AlayaLite: HNSW, of a database under the AGPL."""

import os

import numpy as np
from alayalite import Index
from alayalite.schema import IndexParams

METRICS = {"euclidean": "l2", "angular": "cosine", "dot": "ip"}


class AlayaLite:
    def __init__(self, metric, max_nbrs=32, ef_construction=100):
        self.metric = METRICS[metric]
        self.max_nbrs = max_nbrs
        self.ef_construction = ef_construction
        self.threads = int(os.environ.get("OMP_NUM_THREADS", "1"))

    def fit(self, X):
        settings = IndexParams(
            index_type="hnsw",
            metric=self.metric,
            max_nbrs=self.max_nbrs,
            capacity=len(X),  # it has room for 100,000 rows where nothing is said
        )
        self.n = len(X)
        self.index = Index("rows", settings)
        self.index.fit(X, ef_construction=self.ef_construction, num_threads=self.threads)

    def set_query_arguments(self, ef):
        self.ef = ef

    def query(self, v, k):
        ids = self.index.search(v, k, max(self.ef, k))  # it refuses an ef below k
        return ids[ids < self.n]  # what was not found is 4294967295, -1 without a sign

    def batch_query(self, Q, k):
        ids = self.index.batch_search(Q, k, max(self.ef, k), self.threads)
        return np.where(ids < self.n, ids.astype(np.int64), -1)
