# /// script
# dependencies = ["annoy>=1.17"]
#
# [tool.annmodal]
# class = "Annoy"
# metrics = ["euclidean", "angular", "dot"]
# build = { n_trees = 20 }
# search = { search_k = [400, 1500, 6000] }
# short-answers = "search_k"
# ///
"""Annoy: a forest of random-projection trees."""

import os

import annoy


class Annoy:
    def __init__(self, metric, n_trees=20):
        self.metric = metric
        self.n_trees = n_trees
        self.search_k = -1  # the library's own choice: k times the trees
        self.threads = int(os.environ.get("OMP_NUM_THREADS", "1"))

    def fit(self, X):
        self.index = annoy.AnnoyIndex(X.shape[1], self.metric)
        self.index.set_seed(1)
        for i, row in enumerate(X):
            self.index.add_item(i, row)
        self.index.build(self.n_trees, self.threads)

    def set_query_arguments(self, search_k):
        self.search_k = search_k

    def query(self, v, k):
        return self.index.get_nns_by_vector(v, k, self.search_k)
