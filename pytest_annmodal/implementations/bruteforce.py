# /// script
# dependencies = ["numpy>=1.26"]
#
# [tool.annmodal]
# class = "BruteForce"
# metrics = ["euclidean", "angular", "dot", "manhattan", "hamming", "jaccard"]
# dtypes = ["packed", "uint8", "int8"]
# ///
"""Exact search over all rows, mostly by one BLAS product: the baseline for other methods."""

import numpy as np

QUERIES = 256  # of a batch at once
MOST_PARTS = 16  # until the best of them are found
SCORES = 2**19  # of a batch at once: 2 MB, and their order while numpy finds the largest 4 MB
BLOCK = 256  # rows in float64 that stay in the processor's cache
NUMBERS = 2**17  # of bytes, in float32 while they are multiplied: 512 kB
COLUMNS = 2**10  # of bytes: sums of so many products stay within 2**24, exact in float32
SAMPLE = 4096
DIFFERENCES = 2**15  # float32: half of a usual cache of a core


class BruteForce:
    def __init__(self, metric):
        self.metric = metric

    def fit(self, X):
        others = {"manhattan": Manhattan, "hamming": Hamming, "jaccard": Jaccard}
        kind = others.get(self.metric) or (Products if X.dtype == np.float32 else Bytes)
        self.scores = kind(self.metric)
        self.scores.fit(X)

    def query(self, v, k):
        return largest(self.scores.of(v), k)

    def batch_query(self, Q, k):
        if not hasattr(self.scores, "parts"):
            return np.vstack([self.query(v, k) for v in Q])
        some = (Q[i : i + QUERIES] for i in range(0, len(Q), QUERIES))
        return np.vstack([largest_of_parts(self.scores.parts(few), k) for few in some])

    def get_memory_usage(self):
        return self.scores.nbytes


def largest(scores, k):
    """Returns the ids of the k largest scores along the last axis, largest first."""
    k = min(k, scores.shape[-1])
    ids = np.argpartition(scores, -k, axis=-1)[..., -k:]
    order = np.argsort(-np.take_along_axis(scores, ids, -1), axis=-1)
    return np.take_along_axis(ids, order, -1)


def largest_of_parts(parts, k):
    """Returns the same for scores that come in parts, each of all queries and some of the rows."""
    start, scores, ids = 0, [], []
    for part in parts:
        best = np.argpartition(part, -min(k, part.shape[1]), axis=1)[:, -k:]
        scores.append(np.take_along_axis(part, best, 1))
        ids.append(best + start)
        start += part.shape[1]
        if len(ids) == MOST_PARTS:
            scores, ids = [[both] for both in best_of(scores, ids, k)]
    return best_of(scores, ids, k)[1]


def best_of(scores, ids, k):
    """Returns the k largest of these scores, largest first, and their ids."""
    scores, ids = np.hstack(scores), np.hstack(ids)
    order = largest(scores, k)
    return np.take_along_axis(scores, order, 1), np.take_along_axis(ids, order, 1)


class Products:
    """Finds neighbours by one matrix product.

    With y = x - c, for a point c in the middle of the data, the nearest x has the largest
      euclidean  (q - c)·y - ||y||²/2 = (||q - c||² - ||q - x||²) / 2
      angular    (q - c)·y + c·y      = q·x - q·c, of unit vectors
      dot        q·y                  = q·x - q·c
    Far from the origin this keeps digits that products of the original vectors lose.
    """

    def __init__(self, metric):
        self.metric = metric

    def fit(self, X):
        self.bias = np.zeros(len(X), np.float32)
        self.center = self._rows(X[:: len(X) // SAMPLE + 1]).mean(axis=0)
        # Products of all finite vectors stay within float32.
        scale = 1 / (max(X.max(), -X.min()) or 1) if self.metric != "angular" else 1
        self.X = np.empty_like(X)
        for start in range(0, len(X), BLOCK):
            block = slice(start, start + BLOCK)
            Y = self._rows(X[block]) - self.center
            self.X[block] = Y * scale
            if self.metric == "euclidean":
                self.bias[block] = np.einsum("ij,ij->i", Y, Y) * (-scale / 2)
            elif self.metric == "angular":
                self.bias[block] = Y @ self.center
        self.nbytes = self.X.nbytes + self.bias.nbytes

    def of(self, v):
        return self.X @ self._place(v) + self.bias

    def parts(self, Q):
        placed = self._place(Q)
        step = max(1, SCORES // len(Q))
        for i in range(0, len(self.X), step):
            scores = placed @ self.X[i : i + step].T
            scores += self.bias[i : i + step]
            yield scores

    def _rows(self, X):
        """Returns vectors in float64; for angular of unit length (zero vectors stay zero)."""
        X = X.astype(np.float64)
        if self.metric == "angular":
            norms = np.sqrt(np.einsum("...j,...j->...", X, X))[..., None]
            X /= np.where(norms > 0, norms, 1)
        return X

    def _place(self, Q):
        """Returns queries as they are multiplied."""
        if self.metric == "dot":
            return Q
        return (self._rows(Q) - self.center).astype(np.float32)


class Bytes:
    """Likewise for uint8 and int8 rows, kept as bytes, without rounding errors.

    With y = x - s, where s brings uint8 into the range of int8, and r = q - s, the nearest x has
    the largest
      euclidean  r·y - ||y||²/2 = (||r||² - ||q - x||²) / 2
      dot        r·y + s Σy     = q·x - c
      angular    (r·y + s Σy + c) / ||x||, with c = s Σq
    """

    def __init__(self, metric):
        self.metric = metric

    def fit(self, X):
        self.shift = 128 if X.dtype == np.uint8 else 0
        self.X = (X ^ X.dtype.type(self.shift)).view(np.int8)
        self.rows = max(1, NUMBERS // X.shape[1])
        sums = self.X.sum(axis=1, dtype=np.float64) * self.shift
        blocks = self._blocks(np.float64, 0, len(X))
        squares = np.concatenate([np.einsum("ij,ij->i", Y, Y) for _, Y in blocks])
        self.bias = squares / -2 if self.metric == "euclidean" else sums
        lengths = np.sqrt(squares + 2 * sums + X.shape[1] * self.shift**2)
        self.scale = np.divide(1, lengths, out=np.zeros(len(X)), where=lengths > 0)
        self.nbytes = self.X.nbytes + self.bias.nbytes + self.scale.nbytes

    def of(self, v):
        return self._scores(v[None], 0, len(self.X))[0]

    def parts(self, Q):
        step = max(1, SCORES // (2 * len(Q)))
        for start in range(0, len(self.X), step):
            yield self._scores(Q, start, min(start + step, len(self.X)))

    def _scores(self, Q, first, end):
        """Returns those of the rows from ``first`` to before ``end``."""
        R = Q.astype(np.float32) - self.shift
        scores = np.tile(self.bias[first:end], (len(Q), 1))
        for start, Y in self._blocks(np.float32, first, end):
            part = scores[:, start - first : start - first + len(Y)]
            for column in range(0, Y.shape[1], COLUMNS):
                columns = slice(column, column + COLUMNS)
                part += R[:, columns] @ Y[:, columns].T
        if self.metric == "angular":
            scores += Q.sum(axis=1, dtype=np.float64)[:, None] * self.shift
            scores *= self.scale[first:end]
        return scores

    def _blocks(self, dtype, first, end):
        for start in range(first, end, self.rows):
            yield start, self.X[start : min(start + self.rows, end)].astype(dtype)


class Manhattan:
    """Computes L1 distances of a few rows at a time, whose differences fit the cache."""

    def __init__(self, _metric):
        pass

    def fit(self, X):
        self.X = np.array(X)
        self.rows = max(1, DIFFERENCES // X.shape[1])
        self.nbytes = self.X.nbytes

    def of(self, v):
        scores = np.empty(len(self.X), np.float32)
        for start in range(0, len(self.X), self.rows):
            rows = self.X[start : start + self.rows]
            differences = np.subtract(rows, v, dtype=np.float32)  # bytes are exact in it
            np.abs(differences, out=differences)
            differences.sum(axis=1, out=scores[start : start + self.rows])
        return np.negative(scores, out=scores)


class Hamming:
    """Counts differing bits in words of 64; the same word of all rows is contiguous."""

    def __init__(self, _metric):
        pass

    def fit(self, X):
        self.width = -(-X.shape[1] // 8) * 8
        self.columns = np.ascontiguousarray(self._words(X).T)
        self.nbytes = self.columns.nbytes

    def of(self, v):
        alike = np.zeros(self.columns.shape[1], np.int32)
        for column, word in zip(self.columns, self._words(v[None])[0], strict=True):
            alike -= ones(column ^ word)
        return alike

    def _words(self, X):
        wide = np.zeros((len(X), self.width), np.uint8)
        wide[:, : X.shape[1]] = X
        return wide.view(np.uint64)


class Jaccard:
    """Counts common members by inverted lists: for each member the sets that have it."""

    def __init__(self, _metric):
        pass

    def fit(self, X):
        self.sizes = np.array([len(x) for x in X])
        members = np.concatenate([np.empty(0, np.uint32), *X])
        owners = np.repeat(np.arange(len(X), dtype=np.int32), self.sizes)
        self.holders = owners[np.argsort(members, kind="stable")]
        occurring, counts = np.unique(members, return_counts=True)  # they may be hashes
        self.members = np.append(occurring, np.uint32(2**32 - 1))  # which is none
        self.begins = np.concatenate([[0], np.cumsum(counts)])
        self.nbytes = sum(
            array.nbytes for array in (self.sizes, self.holders, self.begins, self.members)
        )

    def of(self, v):
        places = np.searchsorted(self.members, v)
        known = places[self.members[places] == v].tolist()
        lists = [self.holders[self.begins[i] : self.begins[i + 1]] for i in known]
        hits = np.concatenate(lists) if lists else self.holders[:0]
        common = np.bincount(hits, minlength=len(self.sizes))
        either = self.sizes + len(v) - common
        return np.divide(common, either, out=np.ones(len(common)), where=either > 0)


def ones(words):
    """Returns the number of ones in each word."""
    if hasattr(np, "bitwise_count"):
        return np.bitwise_count(words)
    table = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1)  # numpy 1
    return table[words.view(np.uint8)].reshape(len(words), 8).sum(axis=1, dtype=np.uint8)
