"""Good: looks at every vector, with one matrix product."""

import numpy as np


class Exact:
    def __init__(self, metric):
        pass

    def fit(self, X):
        self.X = X
        self.half_squares = (X * X).sum(axis=1) / 2

    def query(self, v, k):
        scores = self.half_squares - self.X @ v
        best = np.argpartition(scores, k)[:k]
        return best[scores[best].argsort()]
