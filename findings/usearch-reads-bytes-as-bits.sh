#!/usr/bin/env bash
# usearch 2.26.6, rows of uint8 in an index that was made with dtype="u8".
# One would think: the index says what its rows are, and rows of uint8 are 256 values each.
# What happens: without dtype="u8" in every add and search, rows of uint8 are read as packed bits, eight numbers a byte.
# Before 2.25 neither took a dtype, so such an index could not be filled at all.
# Seen: recall of 10 among 500: 0.13 without dtype, 1.00 with it
source "$(dirname "$0")/in_venv.bash"
in_venv numpy==2.4.6 usearch==2.26.6 <<'PY'
import numpy as np
from usearch.index import Index

rows = np.random.default_rng(0).integers(0, 256, (500, 64), dtype=np.uint8)
far = ((rows[:, None].astype(int) - rows[None]) ** 2).sum(axis=2)
kth = np.sort(far, axis=1)[:, 9]
recalls = {}
for named in ({}, {"dtype": "u8"}):
    index = Index(ndim=64, metric="l2sq", dtype="u8")
    index.add(np.arange(500), rows, **named)
    keys = index.search(rows, 10, **named).keys.astype(int)
    recalls[bool(named)] = (np.take_along_axis(far, keys, 1) <= kth[:, None]).mean()
print(f"recall of 10 among 500: {recalls[False]:.2f} without dtype, {recalls[True]:.2f} with it")
assert recalls[False] < 0.2
assert recalls[True] > 0.9
PY
