# /// script
# dependencies = ["scikit-learn>=1.4"]
#
# [tool.annmodal]
# class = "ScikitLearn"
# metrics = ["euclidean", "angular", "manhattan", "hamming", "jaccard"]
# dtypes = ["csr"]
# # A tree holds every number as 8 bytes, those of sets that are mostly zeros too: 8 GB at most.
# constraints = ["n * dim <= 1000000000"]
# build = { algorithm = "ball_tree", leaf_size = 100 }
# ///
"""scikit-learn's exact neighbours: a ball tree, or ``algorithm = "brute"``."""

import numpy as np
from scipy.sparse import issparse
from sklearn.neighbors import BallTree, NearestNeighbors


class ScikitLearn:
    def __init__(self, metric, algorithm="ball_tree", leaf_size=100):
        self.metric = metric
        self.distance = "euclidean" if metric == "angular" else metric
        self.algorithm = algorithm
        self.leaf_size = leaf_size

    def fit(self, X):
        X = self._place(X)
        if self.algorithm == "ball_tree":
            self.search = BallTree(X, self.leaf_size, metric=self.distance).query
        else:
            neighbors = NearestNeighbors(algorithm=self.algorithm, metric=self.distance)
            self.search = neighbors.fit(X).kneighbors

    def query(self, v, k):
        row = v if issparse(v) else v[None]
        return self.search(self._place(row), k, return_distance=False)[0]

    def batch_query(self, Q, k):
        return self.search(self._place(Q), k, return_distance=False)

    def _place(self, X):
        """Returns dense rows for the library's distance: for angular, of unit length."""
        if issparse(X):
            return X.toarray()
        if self.metric != "angular":
            return X
        norms = np.linalg.norm(X, axis=1, keepdims=True)
        # A zero vector gets an axis of its own, orthogonal to all others.
        return np.hstack([X / np.where(norms > 0, norms, 1), norms == 0], dtype=np.float32)
