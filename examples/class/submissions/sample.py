"""Low recall: searches a part of the vectors only."""

import numpy as np


class Sample:
    def __init__(self, metric):
        pass

    def fit(self, X):
        self.rows = np.arange(0, len(X), 2)
        self.X = X[self.rows]

    def query(self, v, k):
        distances = ((self.X - v) ** 2).sum(axis=1)
        return self.rows[np.argpartition(distances, k)[:k]]
