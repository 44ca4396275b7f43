#!/usr/bin/env bash
# pyvsag 0.18.5, HGraph of 200 rows, asked for 200 and for 300 neighbours.
# One would think: a shorter answer, or places that are marked (-1, NaN, an infinite distance).
# What happens: k ids and distances come back, and the places behind the last found row are never written to.
# They hold what was in memory before: zeros, large numbers, now and then ids and distances of an earlier answer.
# Seen: 199 of 200 ids are rows, since the graph does not reach one, and 199 of 300; behind them 0, or 4800847486046134762, at distance 0.0
source "$(dirname "$0")/in_venv.bash"
in_venv numpy==2.4.6 pyvsag==0.18.5 <<'PY'
import json
import numpy as np, pyvsag

pyvsag.set_logger_off()
rows = np.random.default_rng(0).standard_normal((200, 32)).astype("f4")
names = 7000 + np.arange(200)
build = {"base_quantization_type": "fp32", "max_degree": 16, "ef_construction": 100, "build_thread_count": 1}
about = {"dtype": "float32", "metric_type": "l2", "dim": 32, "index_param": build}
index = pyvsag.Index("hgraph", json.dumps(about))
index.build(rows.ravel(), names, 200, 32)
search = json.dumps({"hgraph": {"ef_search": 300}})
for k in 200, 300, 300:
    ids, distances = index.knn_search(rows[1], k, search)
    n_found = len(set(ids.tolist()) & set(names.tolist()))
    print(n_found, "of", len(ids), "ids are rows; the last two:", ids[-2:], "at", distances[-2:])
    assert len(ids) == len(distances) == k and n_found <= 200
assert not ((ids[200:] == -1).all() or np.isnan(distances[200:]).all() or np.isinf(distances[200:]).all())
PY
