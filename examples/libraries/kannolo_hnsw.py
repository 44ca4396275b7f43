# /// script
# dependencies = ["kannolo>=0.15"]
#
# [tool.annmodal]
# class = "Kannolo"
# metrics = ["euclidean", "angular", "dot"]
# build = { m = 16, ef_construction = 100 }
# search = { ef = [10, 30, 100] }
# short-answers = "ef"
# effective = { ef = "max(ef, k)" }
# ///
"""kANNolo: HNSW in Rust. It keeps vectors in half precision, whatever it is given."""

import os

import numpy as np
from kannolo import DensePlainHNSW


class Kannolo:
    def __init__(self, metric, m=16, ef_construction=100):
        self.metric = metric
        self.settings = {
            # There is no cosine: the nearest unit vector has the largest inner product.
            "metric": "euclidean" if metric == "euclidean" else "dotproduct",
            "m": m,
            "ef_construction": ef_construction,
        }
        self.threads = int(
            os.environ.get("OMP_NUM_THREADS", "1")
        )  # a build obeys RAYON_NUM_THREADS

    def fit(self, X):
        # Half precision ends at 65,504 and has eleven bits: move to the middle, then to about 1.
        self.middle = X.mean(axis=0) if self.metric == "euclidean" else np.float32(0)
        X = self._prepared(X, np.float32(1))
        self.n = len(X)
        if self.n == 1:
            X = X.repeat(2, axis=0)  # a search among one row ends the process
        self.scale = np.exp2(-np.ceil(np.log2(np.abs(X).max() or 1))).astype(np.float32)
        self.index = DensePlainHNSW.build_from_array(
            (X * self.scale).ravel(), X.shape[1], **self.settings
        )

    def set_query_arguments(self, ef):
        self.ef = ef

    def query(self, v, k):
        asked = self._prepared(v, self.scale)
        distances, ids = self.index.search(asked, k, ef_search=self.ef)
        found = ids[np.isfinite(distances)]  # what was not found is -1 at an infinite distance
        return np.minimum(found, self.n - 1)

    def batch_query(self, Q, k):
        asked = self._prepared(Q, self.scale).ravel()  # one after the other
        _, ids = self.index.batch_search(asked, k, ef_search=self.ef, num_threads=self.threads)
        return np.minimum(ids, self.n - 1).reshape(len(Q), k)

    def get_memory_usage(self):
        return self.index.space_usage_bytes()

    def _prepared(self, vectors, scale):
        if self.metric == "angular":
            norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
            return vectors / np.where(norms > 0, norms, 1) * scale
        return (vectors - self.middle) * scale
