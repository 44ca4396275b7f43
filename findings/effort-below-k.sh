#!/usr/bin/env bash
# hnswlib 0.8.0, usearch 2.26.6 and faiss-cpu 1.15.1, HNSW graphs asked for k = 100 with an effort of 10.
# One would think: the effort (ef, expansion_search, efSearch) is what was set, in all three alike.
# What happens: hnswlib and usearch search with an effort of k without a word, and go on reporting 10, so
# their curves have several labels on one point. faiss searches with 10 and finds less.
# Seen (recall at effort 10, at effort 100):
#   hnswlib 0.992 0.992 (reports 10)
#   usearch 0.992 0.992 (reports 10)
#   faiss   0.595 0.993
source "$(dirname "$0")/in_venv.bash"
in_venv numpy==2.4.6 hnswlib==0.8.0 usearch==2.26.6 faiss-cpu==1.15.1 <<'PY'
import faiss, hnswlib, numpy as np
from usearch.index import Index

k, rng = 100, np.random.default_rng(0)
rows, queries = (rng.standard_normal((n, 16)).astype("f4") for n in (5000, 100))
truth = np.argsort(((queries[:, None] - rows) ** 2).sum(2), axis=1)[:, :k]
recall = lambda ids: np.mean([len(set(a) & set(b)) / k for a, b in zip(ids.tolist(), truth.tolist())])

h = hnswlib.Index("l2", 16)
h.init_index(5000, M=16, ef_construction=100, random_seed=1)
h.add_items(rows, num_threads=1)
u = Index(ndim=16, metric="l2sq", dtype="f32", connectivity=16, expansion_add=100)
u.add(np.arange(5000), rows, threads=1)
f = faiss.IndexHNSWFlat(16, 16)
f.hnsw.efConstruction = 100
f.add(rows)

found = {"hnswlib": [], "usearch": [], "faiss": []}
for effort in (10, 100):
    h.set_ef(effort)
    found["hnswlib"].append(h.knn_query(queries, k, num_threads=1)[0])
    u.expansion_search = effort
    found["usearch"].append(np.asarray(u.search(queries, k, threads=1).keys))
    f.hnsw.efSearch = effort
    found["faiss"].append(f.search(queries, k)[1])
    if effort == 10:
        assert (h.ef, u.expansion_search) == (10, 10)
for name, (low, high) in found.items():
    print(f"{name:8}{recall(low):.3f} {recall(high):.3f}")
assert np.array_equal(*found["hnswlib"]) and np.array_equal(*found["usearch"])
assert recall(found["faiss"][0]) < 0.7 * recall(found["faiss"][1])
PY
