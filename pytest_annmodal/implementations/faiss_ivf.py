# /// script
# dependencies = ["faiss-cpu>=1.8"]
#
# [tool.annmodal]
# class = "FaissIVF"
# metrics = ["euclidean", "angular", "dot", "hamming"]
# dtypes = ["packed"]
# build = { n_list = 128 }
# search = { n_probe = [1, 4, 16] }
# tune.n_probe = { range = [1, "min(n_list, max(1, n // 39))"], scale = "log", monotone = "recall" }
# constraints = ["n_list <= n", "n_probe <= n_list"]
# short-answers = "n_probe"                   # ids of -1: so many cells hold fewer than k vectors
#
# [tool.annmodal.effective]
# n_list = "min(n_list, max(1, n // 39))"     # k-means wants 39 vectors a cell
# n_probe = "min(n_probe, n_list)"
# ///
"""faiss IVF: k-means cells, of which a query visits the nearest few.

The vectors are passed to faiss unchanged. Far from the origin (offsets of 1e4) faiss puts rows into
wrong cells and recall falls, with a note; centring the vectors would prevent that.
"""

import faiss
import numpy as np


class FaissIVF:
    def __init__(self, metric, n_list=128):
        self.metric = metric
        self.n_list = n_list

    def fit(self, X):
        kind = faiss.METRIC_L2 if self.metric == "euclidean" else faiss.METRIC_INNER_PRODUCT
        if self.metric == "angular":  # the query's own length does not change the order
            norms = np.linalg.norm(X, axis=1, keepdims=True)
            X = X / np.where(norms > 0, norms, 1)
        n_list = min(self.n_list, max(1, len(X) // 39))
        if self.metric == "hamming":
            self.cells = faiss.IndexBinaryFlat(8 * X.shape[1])  # kept: faiss does not own it
            self.index = faiss.IndexBinaryIVF(self.cells, 8 * X.shape[1], n_list)
        else:
            self.cells = faiss.IndexFlat(X.shape[1], kind)
            self.index = faiss.IndexIVFFlat(self.cells, X.shape[1], n_list, kind)
        self.index.train(X)
        self.index.add(X)

    def set_query_arguments(self, n_probe):
        self.index.nprobe = n_probe

    def query(self, v, k):
        return self.index.search(v[None], k)[1][0]

    def batch_query(self, Q, k):
        return self.index.search(Q, k)[1]
