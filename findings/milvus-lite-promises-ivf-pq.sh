#!/usr/bin/env bash
# milvus-lite 3.2.2 (pymilvus 3.0.2), index type IVF_PQ.
# One would think: an index type that create_collection takes, and describe_index names, is built.
# What happens: nothing is built, then or later. Every search is exact. The reason is a line in the
#   server's log only; the calls say Finished.
# Seen, 1 of 128 lists probed, 8 codes of 8 bits: IVF_PQ Finished, recall 1.0 before and 20 s after flush()
source "$(dirname "$0")/in_venv.bash"
in_venv numpy==2.4.6 pymilvus==3.0.2 milvus-lite==3.2.2 2> /dev/null <<'PY'
import time

import numpy as np
from pymilvus import DataType, MilvusClient

n, dim, k = 5_000, 32, 10
rng = np.random.default_rng(0)
rows = rng.standard_normal((n, dim)).astype("f4")
queries = rng.standard_normal((100, dim)).astype("f4")
true = np.argsort((rows**2).sum(1) - 2 * queries @ rows.T, axis=1)[:, :k]

client = MilvusClient("./vectors.db")
schema = client.create_schema(auto_id=False)
schema.add_field("id", DataType.INT64, is_primary=True)
schema.add_field("v", DataType.FLOAT_VECTOR, dim=dim)
index = client.prepare_index_params()
index.add_index(
    "v", index_type="IVF_PQ", metric_type="L2", params={"nlist": 128, "m": 8, "nbits": 8}
)
client.create_collection("rows", schema=schema, index_params=index)
for start in range(0, n, 1_000):
    block = range(start, start + 1_000)
    client.insert("rows", [{"id": i, "v": rows[i].tolist()} for i in block])
client.load_collection("rows")


def recall():
    found = client.search(
        "rows", queries.tolist(), limit=k, anns_field="v", search_params={"params": {"nprobe": 1}}
    )
    return np.mean([len({hit["id"] for hit in hits} & set(t)) / k for hits, t in zip(found, true)])


def look(when):
    said = client.describe_index("rows", "v")
    print(f"{when}: {said['index_type']} {said['state']}, {said['indexed_rows']} rows; recall {(r := recall()):.3f}")
    assert (said["index_type"], said["state"], said["indexed_rows"], r) == ("IVF_PQ", "Finished", n, 1.0)


look("inserted")
client.flush("rows")
time.sleep(20)  # an HNSW index of these rows is built in two
look("20 s after flush()")
PY
