# /// script
# dependencies = ["faiss-cpu>=1.8"]
#
# [tool.annmodal]
# class = "FaissHNSW"
# metrics = ["euclidean", "angular", "dot", "manhattan", "hamming"]
# dtypes = ["packed"]
# build = { M = 12, ef_construction = 60 }
# search = { ef = [10, 30, 100] }
# tune.ef = { range = ["k", "max(2000, 2 * k)"], scale = "log", monotone = "recall" }
# constraints = ["k <= ef"]
# short-answers = "ef"                        # ids of -1: faiss does not raise ef to k
# ///
"""faiss HNSW: a navigable small-world graph over uncompressed vectors, or packed bits."""

import faiss
import numpy as np

METRICS = {"euclidean": faiss.METRIC_L2, "manhattan": faiss.METRIC_L1}


class FaissHNSW:
    def __init__(self, metric, M=12, ef_construction=60):
        self.metric = metric
        self.M = M
        self.ef_construction = ef_construction

    def fit(self, X):
        kind = METRICS.get(self.metric, faiss.METRIC_INNER_PRODUCT)
        if self.metric == "angular":  # the query's own length does not change the order
            norms = np.linalg.norm(X, axis=1, keepdims=True)
            X = X / np.where(norms > 0, norms, 1)
        if self.metric == "hamming":
            self.index = faiss.IndexBinaryHNSW(8 * X.shape[1], self.M)
        else:
            self.index = faiss.IndexHNSWFlat(X.shape[1], self.M, kind)
        self.index.hnsw.efConstruction = self.ef_construction
        self.index.add(X)

    def set_query_arguments(self, ef):
        self.index.hnsw.efSearch = ef

    def query(self, v, k):
        return self.index.search(v[None], k)[1][0]

    def batch_query(self, Q, k):
        return self.index.search(Q, k)[1]
