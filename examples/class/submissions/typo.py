"""A syntax error: there is no comma between self and X."""


class Typo:
    def __init__(self, metric):
        pass

    def fit(self X):
        self.X = X

    def query(self, v, k):
        return range(k)
