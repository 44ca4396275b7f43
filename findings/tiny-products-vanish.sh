#!/usr/bin/env bash
# hnswlib 0.8.0 and usearch 2.26.6, inner product, 5,000 x 64 rows, the rows times 1 and times 1e-5.
# One would think: a ranking by inner product does not depend on the unit of the rows.
# What happens: both compute 1 - product in float32, whose steps near 1 are 6e-8: nothing is left to build a graph from.
# Seen: hnswlib 0.968 and 0.034, usearch 0.967 and 0.043
source "$(dirname "$0")/in_venv.bash"
in_venv hnswlib==0.8.0 usearch==2.26.6 numpy==2.4.6 <<'PY'
import hnswlib, numpy as np, usearch.index

rng = np.random.default_rng(0)
n, d, k = 5000, 64, 10
rows = (rng.standard_normal((n, d)) * rng.uniform(0.5, 1.5, (n, 1))).astype("f4")
queries = rng.standard_normal((200, d)).astype("f4")
true = np.argsort(-(queries.astype("f8") @ rows.T.astype("f8")), axis=1)[:, :k]

def recall(ids):
    return float(np.mean([len(set(map(int, a)) & set(b)) / k for a, b in zip(ids, true.tolist())]))

for factor, low, high in ((1.0, 0.9, 1.0), (1e-5, 0.0, 0.2)):
    train = rows * np.float32(factor)
    index = hnswlib.Index(space="ip", dim=d)
    index.init_index(n, M=12, ef_construction=100, random_seed=1)
    index.set_num_threads(1)
    index.add_items(train)
    index.set_ef(100)
    other = usearch.index.Index(ndim=d, metric="ip", dtype="f32", connectivity=12, expansion_add=100, expansion_search=100)
    other.add(np.arange(n), train, threads=1)
    found = {
        "hnswlib": recall(index.knn_query(queries, k, 1)[0]),
        "usearch": recall(other.search(queries, k, threads=1).keys),
    }
    print(f"rows times {factor:g}:", {name: round(value, 3) for name, value in found.items()})
    assert all(low <= value <= high for value in found.values())
PY
