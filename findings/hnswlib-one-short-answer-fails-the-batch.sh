#!/usr/bin/env bash
# hnswlib 0.8.0, a batch of ten queries, of which two reach fewer than k rows.
# One would think: eight answers are whole, and two are short or marked.
# What happens: the whole batch raises RuntimeError, and the message names no query. Each of the eight can be had alone.
# Seen: the batch raises; alone, queries 0 and 6 raise and 8 are answered in full
source "$(dirname "$0")/in_venv.bash"
in_venv numpy==2.4.6 hnswlib==0.8.0 <<'PY'
import hnswlib, numpy as np

rows = np.random.default_rng(3).standard_normal((2000, 32)).astype("f4")
rows[100:900] = rows[100]
index = hnswlib.Index("l2", 32)
index.init_index(2000, M=8, ef_construction=40, random_seed=1)
index.set_num_threads(1)
index.add_items(rows)

def error(queries):
    try:
        index.knn_query(queries, 900)
    except RuntimeError as error:
        return str(error)

queries = rows[1000:1010]
alone = [number for number, query in enumerate(queries) if error(query)]
print("the batch:", error(queries), "- alone only these fail:", alone)
assert error(queries) and 0 < len(alone) < 10
PY
