# /// script
# dependencies = ["faiss-cpu>=1.8"]
#
# [tool.annmodal]
# class = "FaissBinaryFlat"
# metrics = ["hamming"]
# dtypes = ["packed"]
# ///
"""faiss' exact search over packed bits."""

import faiss


class FaissBinaryFlat:
    def fit(self, X):
        self.index = faiss.IndexBinaryFlat(8 * X.shape[1])
        self.index.add(X)

    def query(self, v, k):
        return self.index.search(v[None], k)[1][0]

    def batch_query(self, Q, k):
        return self.index.search(Q, k)[1]
