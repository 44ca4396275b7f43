"""Exact search over bits and sets beside faiss: ``python benchmarks/exact_rows.py [repeats]``.

The truth of hamming against faiss' IndexBinaryFlat (331,000 rows of 256 bits), in turn and on one
thread; then the seconds that the truth of jaccard takes for 10,000 sets and 1,000 queries.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import statistics
import sys
import time
from collections.abc import Callable

import faiss
import numpy as np

from pytest_annmodal.datasets import synthetic
from pytest_annmodal.distances import exact

N_ROWS, N_QUERIES, K, SEED = 331_000, 200, 100, 0


def seconds(search: Callable[[], object]) -> float:
    """Of the processor: others may be at work here."""
    start = time.process_time()
    search()
    return time.process_time() - start


def hamming(kind: str, repeats: int) -> None:
    rng = np.random.default_rng(SEED)
    if kind == "random":
        rows = rng.integers(0, 256, (N_ROWS + N_QUERIES, 32), dtype=np.uint8)
    else:
        rows = synthetic.signs(rng, N_ROWS + N_QUERIES, 256)
    train, test = rows[:N_ROWS], rows[N_ROWS:]
    index = faiss.IndexBinaryFlat(256)
    index.add(train)
    assert np.array_equal(index.search(test, K)[0], exact.knn(train, test, K, "hamming")[1])
    theirs, ours = [], []
    for _ in range(repeats):
        theirs.append(seconds(lambda: index.search(test, K)))
        ours.append(seconds(lambda: exact.knn(train, test, K, "hamming")))
    print(
        f"hamming, {kind} bits: speed / faiss' speed: least times {min(theirs) / min(ours):.2f}, "
        f"medians {statistics.median(theirs) / statistics.median(ours):.2f} "
        f"({min(ours) / N_QUERIES * 1e3:.2f} ms a query)"
    )


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    faiss.omp_set_num_threads(1)
    for kind in ("random", "clustered"):
        hamming(kind, repeats)
    sets = synthetic.baskets(np.random.default_rng(SEED), 11_000, 2_000)
    train, test = sets[:10_000], sets[10_000:]
    took = [seconds(lambda: exact.knn(train, test, K, "jaccard")) for _ in range(3)]
    print(f"jaccard: 10,000 sets, 1,000 queries: {min(took):.2f} s")


if __name__ == "__main__":
    main()
