# /// script
# dependencies = ["annoy>=1.17"]
#
# [tool.annmodal]
# class = "Annoy"
# metrics = ["euclidean", "angular", "dot", "manhattan", "hamming"]
# build = { n_trees = 20 }
# search = { search_k = [400, 1500, 6000] }
# tune.search_k = { range = ["k", 200_000], scale = "log", monotone = "recall" }
# short-answers = "search_k"
# ///
"""Annoy: a forest of random-projection trees.

With ``dot`` the recall of annoy 1.17.3 falls for short queries, although a ranking does not depend
on the query's length. Queries are scaled to ten times the rows' mean length; beyond that, length
has no effect.
"""

import os

import annoy
import numpy as np

LONG = 10  # times the rows' mean length


class Annoy:
    def __init__(self, metric, n_trees=20):
        self.metric = metric
        self.n_trees = n_trees
        self.search_k = -1  # the library's own choice: k times the trees
        self.threads = int(os.environ.get("OMP_NUM_THREADS", "1"))

    def fit(self, X):
        self.index = annoy.AnnoyIndex(X.shape[1], self.metric)
        if self.metric == "dot":
            self.length = LONG * float(np.linalg.norm(X.astype(np.float64), axis=1).mean())
        self.index.set_seed(1)
        for i, row in enumerate(X):
            self.index.add_item(i, row)
        self.index.build(self.n_trees, self.threads)

    def set_query_arguments(self, search_k):
        self.search_k = search_k

    def query(self, v, k):
        if self.metric == "dot":
            length = float(np.linalg.norm(v.astype(np.float64)))
            v = v.astype(np.float64) * (self.length / length) if length else v
        return self.index.get_nns_by_vector(v, k, self.search_k)
