"""Never ends: the loop's condition stays true."""


class Endless:
    def __init__(self, metric):
        pass

    def fit(self, X):
        todo = len(X)
        while todo > 0:
            pass

    def query(self, v, k):
        return range(k)
