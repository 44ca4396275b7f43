#!/usr/bin/env bash
# zvec 0.8.0, a collection with an HNSW index, searched with ef = 10 before and after `optimize()`.
# One would think: rows that are inserted into an HNSW collection are in the graph, and ef holds.
# What happens: until `optimize()` there is no graph. Every search compares all rows, whatever ef is: what is measured
# is an exact search, with its recall and its latency. `stats` says so: index_completeness 0.
# Seen: recall 1.0 before, about 0.47 after
source "$(dirname "$0")/in_venv.bash"
in_venv numpy==2.4.6 zvec==0.8.0 <<'PY'
import numpy as np, zvec

zvec.init(query_threads=1, optimize_threads=1, log_level=zvec.LogLevel.ERROR)
rng = np.random.default_rng(0)
rows, queries = (rng.standard_normal((n, 32)).astype("f4") for n in (5000, 50))
true = ((queries[:, None] - rows) ** 2).sum(axis=2).argsort(axis=1)[:, :10]
how = zvec.HnswIndexParam(metric_type=zvec.MetricType.L2, m=8, ef_construction=40)
column = zvec.VectorSchema("row", zvec.DataType.VECTOR_FP32, 32, index_param=how)
collection = zvec.create_and_open("collection", zvec.CollectionSchema(name="rows", vectors=column))
for start in range(0, 5000, 1000):
    piece = enumerate(rows[start : start + 1000], start)
    collection.insert([zvec.Doc(id=str(number), vectors={"row": row}) for number, row in piece])

def recall():
    ef = zvec.HnswQueryParam(ef=10)
    found = [collection.query(zvec.Query("row", vector=query, param=ef), topk=10) for query in queries]
    return np.mean([len({int(doc.id) for doc in docs} & set(row)) / 10 for docs, row in zip(found, true)])

before, stats = recall(), collection.stats
collection.optimize()
after = recall()
print("recall before", before, stats, "after", round(after, 3), collection.stats)
assert before == 1 and after < 0.7
PY
