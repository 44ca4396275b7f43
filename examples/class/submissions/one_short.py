"""Wrong answers: the nearest vector twice, so not k different ones."""

import numpy as np


class OneShort:
    def __init__(self, metric):
        pass

    def fit(self, X):
        self.X = X

    def query(self, v, k):
        best = np.argsort(((self.X - v) ** 2).sum(axis=1))[: k - 1]
        return np.append(best, best[0])
