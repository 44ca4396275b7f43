#!/usr/bin/env bash
# usearch 2.26.6, a batch whose queries find fewer than k (2000 rows under the keys 5000 to 6999, most of them copies).
# One would think: missing keys are marked in the array, or the array is shorter, as it is for a single query.
# What happens: a batch's `keys` has k columns, and its end is key 0, which no row has here, and which is a row almost
# everywhere else. Only `counts` tells, and the distances, which are NaN.
# Seen: one query gives 264 keys; a batch gives 1000 for each query, 736 of them 0
source "$(dirname "$0")/in_venv.bash"
in_venv numpy==2.4.6 usearch==2.26.6 <<'PY'
import numpy as np
from usearch.index import Index

rows = np.random.default_rng(0).standard_normal((2000, 32)).astype("f4")
rows[100:1900] = rows[100]
index = Index(ndim=32, metric="l2sq", connectivity=16, expansion_add=40)
index.add(5000 + np.arange(2000), rows, threads=1)
alone, batch = index.search(rows[100], 1000, threads=1), index.search(rows[100:110], 1000, threads=1)
padding = batch.keys == 0
print("one query:", alone.keys.shape, "a batch:", batch.keys.shape, "zeros:", padding.sum(axis=1), "counts:", batch.counts)
assert len(alone.keys) < 1000 and batch.keys.shape == (10, 1000)
assert (padding.sum(axis=1) == 1000 - batch.counts).all() and padding.any()
assert np.isnan(batch.distances[padding]).all()
PY
