#!/usr/bin/env bash
# pyvsag 0.18.5, queries that are rows of an array in Fortran order: numpy views with a step between their numbers.
# One would think: a query is read as numpy shows it, or refused.
# What happens: numbers are read one behind the other from where the view begins, which are other numbers. Nothing is
# said, and the answers are neighbours of another point.
# Seen: the row itself is found first for 199 of 200 copied rows, and for 0 of 200 views
source "$(dirname "$0")/in_venv.bash"
in_venv numpy==2.4.6 pyvsag==0.18.5 <<'PY'
import json
import numpy as np, pyvsag

pyvsag.set_logger_off()
rows = np.random.default_rng(0).standard_normal((2000, 32)).astype("f4")
build = {"base_quantization_type": "fp32", "max_degree": 16, "ef_construction": 100, "build_thread_count": 1}
about = {"dtype": "float32", "metric_type": "l2", "dim": 32, "index_param": build}
index = pyvsag.Index("hgraph", json.dumps(about))
index.build(rows.ravel(), np.arange(2000), 2000, 32)
search = json.dumps({"hgraph": {"ef_search": 100}})
views = np.asfortranarray(rows)
assert (views == rows).all()
found = {
    name: sum(int(index.knn_search(queries[number], 10, search)[0][0] == number) for number in range(200))
    for name, queries in (("copied rows", rows), ("views", views))
}
print("the row itself is found first, of 200:", found)
assert found["copied rows"] > 190 and found["views"] < 10
PY
