#!/usr/bin/env bash
# usearch 2.26.6, the size of an index by its own account.
# One would think: memory_usage is about what the index holds, and so comparable between libraries.
# What happens: it counts the arenas that were reserved. On a small index that is many times what it
# holds; serialized_length is the size of what is there.
# Seen (memory_usage / serialized_length): 2,000 × 16: 39.5    20,000 × 64: 2.1
source "$(dirname "$0")/in_venv.bash"
in_venv numpy==2.4.6 usearch==2.26.6 <<'PY'
import numpy as np
from usearch.index import Index

ratios = []
for n, d in ((2_000, 16), (20_000, 64)):
    index = Index(ndim=d, metric="l2sq", dtype="f32")
    index.add(np.arange(n), np.random.default_rng(0).standard_normal((n, d)).astype("f4"), threads=1)
    ratios.append(index.memory_usage / index.serialized_length)
    print(f"{n} x {d}: {ratios[-1]:.1f}")
assert ratios[0] > 10 and ratios[1] > 1.5
PY
