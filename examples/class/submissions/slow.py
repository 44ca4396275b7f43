"""Slow: right, but one vector at a time."""


class Slow:
    def __init__(self, metric):
        pass

    def fit(self, X):
        self.X = X

    def query(self, v, k):
        distances = [float(((x - v) ** 2).sum()) for x in self.X]
        return sorted(range(len(distances)), key=distances.__getitem__)[:k]
