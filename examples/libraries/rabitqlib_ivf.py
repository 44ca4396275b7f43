# /// script
# dependencies = ["rabitqlib>=0.7"]
#
# [tool.annmodal]
# class = "RaBitQ"
# metrics = ["euclidean", "angular", "dot"]
# build = { n_list = 64, n_bits = 8 }
# search = { n_probe = [2, 8, 24] }
# short-answers = "n_probe"
# effective = { n_list = "min(n_list, n)", n_probe = "min(n_probe, n_list)" }
# ///
"""RaBitQ: cells of k-means, with a few bits for each number of a vector.

Two builds differ: the clusters have a seed, the codes have none.
"""

import os

import numpy as np
from rabitqlib import IvfIndex, RaBitQKMeans

LEAST_DIMENSION = 64  # of RaBitQKMeans


class RaBitQ:
    def __init__(self, metric, n_list=64, n_bits=8):
        self.metric = metric
        self.n_list = n_list
        self.n_bits = n_bits
        self.threads = int(os.environ.get("OMP_NUM_THREADS", "1"))

    def fit(self, X):
        X = self._prepared(X)
        n, dim = X.shape
        n_list = min(self.n_list, n)
        cells = RaBitQKMeans(dim, n_list, num_threads=self.threads)
        cells.train(X)
        self.index = IvfIndex(
            dim=dim,
            max_elements=n,
            num_clusters=n_list,
            nbits=self.n_bits,
            metric="l2" if self.metric == "euclidean" else "ip",  # it has no cosine
        )
        self.index.build(X, cells.centroids, cells.assignments, num_threads=self.threads)

    def set_query_arguments(self, n_probe):
        self.n_probe = n_probe

    def query(self, v, k):
        return self._answers(v[None], k, 1)[0]  # it takes batches only

    def batch_query(self, Q, k):
        return self._answers(Q, k, self.threads)

    def _answers(self, Q, k, threads):
        ids, distances = self.index.search(
            self._prepared(Q), k, nprobe=self.n_probe, num_threads=threads
        )
        # What was not found is 4294967295 (-1 without a sign) at an infinite distance.
        return np.where(np.isfinite(distances), ids.astype(np.int64), -1)

    def _prepared(self, vectors):
        if self.metric == "angular":
            norms = np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors = vectors / np.where(norms > 0, norms, 1)
        missing = LEAST_DIMENSION - vectors.shape[1]
        if missing > 0:  # zeros change neither a distance nor a product
            vectors = np.pad(vectors, ((0, 0), (0, missing)))
        return vectors
