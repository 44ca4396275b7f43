# /// script
# dependencies = ["pyvsag>=0.18"]
#
# [tool.annmodal]
# class = "Vsag"
# metrics = ["euclidean", "angular", "dot"]
# build = { max_degree = 32, ef_construction = 100 }
# search = { ef = [10, 30, 100] }
# short-answers = "ef"
# effective = { ef = "max(ef, k)" }
# ///
"""VSAG's HGraph, with whole float32 vectors in it."""

import json
import os

import numpy as np
import pyvsag

METRICS = {"euclidean": "l2", "angular": "cosine", "dot": "ip"}
pyvsag.set_logger_off()


class Vsag:
    def __init__(self, metric, max_degree=32, ef_construction=100):
        self.metric = METRICS[metric]
        self.settings = {
            "base_quantization_type": "fp32",
            "max_degree": max_degree,
            "ef_construction": ef_construction,
            "build_thread_count": int(os.environ.get("OMP_NUM_THREADS", "1")),
        }

    def fit(self, X):
        n, dim = X.shape
        self.X = X
        self.squares = np.einsum("ij,ij->i", X, X)
        settings = {
            "dtype": "float32",
            "metric_type": self.metric,
            "dim": dim,
            "index_param": self.settings,
        }
        self.index = pyvsag.Index("hgraph", json.dumps(settings))
        self.index.build(X.ravel(), np.arange(n), n, dim)

    def set_query_arguments(self, ef):
        self.search = json.dumps({"hgraph": {"ef_search": ef}})

    def query(self, v, k):
        v = np.ascontiguousarray(v)  # of a view with a step it reads other numbers
        ids, distances = self.index.knn_search(v, k, self.search)
        # Places of what was not found are never written to: ids of earlier answers may stand there.
        # A place is an answer where its distance is that of its row.
        rows = np.where((ids >= 0) & (ids < len(self.X)), ids, 0)
        true = self._distances(v, rows)
        size = np.float32(1e-3) * (self.squares[rows] + v @ v + 1)
        return ids[(rows == ids) & (np.abs(distances - true) <= size)]

    def _distances(self, v, rows):
        """As the library has them: squares for l2, one minus the product or the cosine."""
        products = self.X[rows] @ v
        if self.metric == "l2":
            return self.squares[rows] + v @ v - 2 * products
        if self.metric == "cosine":
            products /= np.sqrt(np.maximum(self.squares[rows] * (v @ v), np.finfo(np.float32).tiny))
        return 1 - products
