#!/usr/bin/env bash
# usearch 2.26.6, a batch of queries that happens to hold one row.
# One would think: keys of a batch of shape (m, d) have the shape (m, k), for m = 1 too.
# What happens: a batch of one row is answered as a single vector, with shape (k,).
# Seen: (2, 16) -> (2, 5)    (1, 16) -> (5,)
source "$(dirname "$0")/in_venv.bash"
in_venv numpy==2.4.6 usearch==2.26.6 <<'PY'
import numpy as np
from usearch.index import Index

rows = np.random.default_rng(0).standard_normal((100, 16)).astype("f4")
index = Index(ndim=16, metric="l2sq")
index.add(np.arange(100), rows)
for m in (2, 1):
    print(rows[:m].shape, "->", index.search(rows[:m], 5).keys.shape)
assert index.search(rows[:2], 5).keys.shape == (2, 5)
assert index.search(rows[:1], 5).keys.shape == (5,)
PY
