#!/usr/bin/env bash
# milvus-lite 3.2.2 (pymilvus 3.0.2), the state of an index after rows were inserted.
# One would think: state Finished, 20,000 of 20,000 rows indexed, means that searches use the index.
# What happens: every search is exact until flush() was called and a build in the background has
#   ended. describe_index says Finished, all rows, none pending, all that time. Only recall and
#   time show the change.
# Seen, HNSW with M 4 and ef 10: Finished, 20000 rows, recall 1.0; some seconds after flush():
#   Finished, 20000 rows, recall 0.9, and a search takes a fiftieth of the time
source "$(dirname "$0")/in_venv.bash"
in_venv numpy==2.4.6 pymilvus==3.0.2 milvus-lite==3.2.2 <<'PY'
import time

import numpy as np
from pymilvus import DataType, MilvusClient

n, dim, k = 20_000, 64, 10
rng = np.random.default_rng(0)
centres = 3 * rng.standard_normal((100, dim))
rows = (centres[rng.integers(100, size=n)] + rng.standard_normal((n, dim))).astype("f4")
queries = (centres[rng.integers(100, size=100)] + rng.standard_normal((100, dim))).astype("f4")
true = np.argsort((rows**2).sum(1) - 2 * queries @ rows.T, axis=1)[:, :k]

client = MilvusClient("./vectors.db")
schema = client.create_schema(auto_id=False)
schema.add_field("id", DataType.INT64, is_primary=True)
schema.add_field("v", DataType.FLOAT_VECTOR, dim=dim)
index = client.prepare_index_params()
index.add_index("v", index_type="HNSW", metric_type="L2", params={"M": 4, "efConstruction": 8})
client.create_collection("rows", schema=schema, index_params=index)
for start in range(0, n, 2_000):
    block = range(start, start + 2_000)
    client.insert("rows", [{"id": i, "v": rows[i].tolist()} for i in block])
client.load_collection("rows")


def look(when):
    start = time.perf_counter()
    found = client.search(
        "rows", queries.tolist(), limit=k, anns_field="v", search_params={"params": {"ef": 10}}
    )
    ms = (time.perf_counter() - start) * 1e3 / len(queries)
    recall = np.mean([len({hit["id"] for hit in hits} & set(t)) / k for hits, t in zip(found, true)])
    said = client.describe_index("rows", "v")
    print(f"{when}: {said['state']}, {said['indexed_rows']} rows indexed,"
          f" {said['pending_index_rows']} pending; recall {recall:.3f}, {ms:.2f} ms a query")
    assert (said["state"], said["indexed_rows"], said["pending_index_rows"]) == ("Finished", n, 0)
    return recall


assert look("inserted") == 1.0
client.flush("rows")
assert look("flushed") == 1.0
for _second in range(60):
    time.sleep(1)
    if (recall := look("later")) < 1.0:
        break
assert 0.7 < recall < 0.98, recall
PY
