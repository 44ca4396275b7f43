# /// script
# dependencies = ["pynndescent>=0.5.11"]
#
# [tool.annmodal]
# class = "PyNNDescent"
# metrics = ["euclidean", "angular", "manhattan"]
# build = { n_neighbors = 20 }
# search = { epsilon = [0.1, 0.25] }
# tune.epsilon = { range = [0.0, 1.0], scale = "lin", monotone = "recall" }
# constraints = ["n_neighbors < n"]
# warm_up_build = true
# ///
"""PyNNDescent: a k-neighbour graph by nearest-neighbour descent, compiled by numba."""

import os

import pynndescent

METRICS = {"euclidean": "euclidean", "angular": "cosine", "manhattan": "manhattan"}


class PyNNDescent:
    def __init__(self, metric, n_neighbors=20):
        self.settings = {"metric": METRICS[metric], "n_neighbors": n_neighbors}
        self.threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
        self.epsilon = 0.1

    def fit(self, X):
        self.index = pynndescent.NNDescent(X, random_state=1, n_jobs=self.threads, **self.settings)
        self.index.prepare()  # compiles, and makes the search graph

    def set_query_arguments(self, epsilon):
        self.epsilon = epsilon

    def query(self, v, k):
        return self.index.query(v[None], k, self.epsilon)[0][0]

    def batch_query(self, Q, k):
        return self.index.query(Q, k, self.epsilon)[0]
