#!/usr/bin/env bash
# scalable-vs 0.5.0, Vamana, asked for 100 neighbours where it reaches only a few rows (nine tenths are copies).
# One would think: missing answers are marked (-1, an error, a shorter list).
# What happens: the list is filled up with row 0 at distance 0.0, which looks like a perfect answer.
# Only the distance of row 0 from the query, computed anew, tells it from a real one.
# Seen: 87 of 100 ids are 0 at distance 0.0, which is 61.8 in truth
source "$(dirname "$0")/in_venv.bash"
in_venv numpy==2.4.6 scalable-vs==0.5.0 <<'PY'
import numpy as np, svs

rows = np.random.default_rng(0).standard_normal((2000, 32)).astype("f4")
rows[100:1900] = rows[100]
how = svs.VamanaBuildParameters(graph_max_degree=16, window_size=30, alpha=1.2)
index = svs.Vamana.build(how, rows, svs.DistanceType.L2, num_threads=1)
index.search_window_size = 10
(ids,), (distances,) = index.search(rows[100:101], 100)
true = float(((rows[0] - rows[100]) ** 2).sum())
print((ids == 0).sum(), "of 100 ids are 0 at distance", set(distances[ids == 0].tolist()), "in truth", round(true, 1))
assert (ids == 0).sum() > 10 and set(distances[ids == 0].tolist()) == {0.0} and true > 1
PY
