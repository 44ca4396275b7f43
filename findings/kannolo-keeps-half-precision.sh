#!/usr/bin/env bash
# kannolo 0.15.1, float32 rows in its plain (not quantised) HNSW and in its exact flat index.
# One would think: "plain" and "flat" keep float32, so a scale of the rows changes nothing, and flat is exact.
# What happens: both keep half precision, of eleven bits and up to 65,504. Rows times 1e5 are infinitely far from
# everything, rows times 1e-8 are all zeros, and numbers near 2048 are rounded to whole ones. Nothing is said.
# Seen: recall 1.0 at scale 1, 0.01 at 1e5, 0.005 at 1e-8; the flat index finds a row at distance 0.25 from itself
source "$(dirname "$0")/in_venv.bash"
in_venv numpy==2.4.6 kannolo==0.15.1 <<'PY'
import numpy as np
from kannolo import DenseFlatIndex, DensePlainHNSW

rng = np.random.default_rng(0)
rows, queries = rng.standard_normal((2000, 32)), rng.standard_normal((20, 32))
true = ((queries[:, None] - rows) ** 2).sum(axis=2).argsort(axis=1)[:, :10]

def recall(scale):
    scaled = (rows * scale).astype("f4").ravel()
    index = DensePlainHNSW.build_from_array(scaled, 32, m=16, ef_construction=100, metric="euclidean")
    found = [index.search((query * scale).astype("f4"), 10, ef_search=400)[1] for query in queries]
    return np.mean([len(set(ids) & set(row)) / 10 for ids, row in zip(found, true)])

seen = {scale: round(float(recall(scale)), 3) for scale in (1, 1e5, 1e-8)}
print("recall by scale", seen)
assert seen[1] > 0.95 and seen[1e5] < 0.1 and seen[1e-8] < 0.1

column = np.zeros((100, 8), "f4")
column[:, 0] = 2048 + np.arange(100) / 2
distances, _ = DenseFlatIndex.build_from_array(column.ravel(), 8, metric="euclidean").search(column[7], 10)
print("the flat index finds the row nearest to", column[7, 0], "(which is a row) at", distances[0])
assert distances[0] == 0.25
PY
