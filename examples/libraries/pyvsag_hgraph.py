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
        # Answers end where a distance is not that of its row, or a row comes again.
        rows = np.where((ids >= 0) & (ids < len(self.X)), ids, 0)
        true, size = self._distances(v, rows)
        right = (rows == ids) & (np.abs(distances - true) <= 1e-3 * size)
        n_found = len(ids) if right.all() else right.argmin()
        return list(dict.fromkeys(ids[:n_found].tolist()))

    def _distances(self, v, rows):
        """As the library has them, and the size of the terms that they are the difference of."""
        products, squares = self.X[rows] @ v, self.squares[rows] + v @ v
        if self.metric == "l2":
            return squares - 2 * products, squares
        if self.metric == "ip":
            return 1 - products, 1 + squares
        lengths = np.sqrt(self.squares[rows] * (v @ v))
        return 1 - products / np.where(lengths > 0, lengths, 1), 1
