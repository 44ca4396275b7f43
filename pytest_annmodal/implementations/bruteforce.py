# /// script
# dependencies = ["numpy>=1.26"]
#
# [tool.annmodal]
# class = "BruteForce"
# metrics = ["euclidean", "angular", "dot"]
# ///
"""Exact search by one BLAS product over all vectors: what every other method must beat."""

import numpy as np

BATCH_SCORES = 2**24  # at most 64 MB of scores at once


class BruteForce:
    def __init__(self, metric):
        self.metric = metric

    def fit(self, X):
        halves = np.zeros(len(X))
        if self.metric == "angular":
            norms = np.sqrt(np.einsum("ij,ij->i", X, X, dtype=np.float64))[:, None]
            X = X / np.where(norms > 0, norms, 1).astype(
                np.float32
            )  # a zero vector is similar to nothing
        if self.metric == "euclidean":
            # With y = x - c: ||q - x||² = ||q - c||² - 2 (q·y - ||y||²/2 - c·y), and the largest
            # bracket is the nearest vector. Far from the origin, that keeps the digits that
            # products of whole vectors would cancel. All is scaled, or squares might overflow.
            center = X.mean(axis=0, dtype=np.float64).astype(np.float32)
            X = X - center
            scale = np.float32(1 / (max(X.max(), -X.min()) or 1))
            X *= scale
            halves = np.einsum("ij,ij->i", X, X, dtype=np.float64) / (2 * scale) + X @ center
        self.X = X
        self.halves = halves.astype(np.float32)

    def query(self, v, k):
        return self._largest(self.X @ v - self.halves, k)

    def batch_query(self, Q, k):
        step = max(1, BATCH_SCORES // len(self.X))
        chunks = (Q[i : i + step] @ self.X.T - self.halves for i in range(0, len(Q), step))
        return np.vstack([self._largest(chunk, k) for chunk in chunks])

    def _largest(self, scores, k):
        """Ids of the k largest scores along the last axis, largest first."""
        k = min(k, scores.shape[-1])
        ids = np.argpartition(scores, -k, axis=-1)[..., -k:]
        order = np.argsort(-np.take_along_axis(scores, ids, -1), axis=-1)
        return np.take_along_axis(ids, order, -1)

    def get_memory_usage(self):
        return self.X.nbytes + self.halves.nbytes
