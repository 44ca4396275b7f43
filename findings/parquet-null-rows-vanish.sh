#!/usr/bin/env bash
# pyarrow 26.0.1, a column of vectors (FixedSizeList) with one row missing.
# One would think: flatten() has n × d values, and reshape(-1, d) gives row i of the table at i.
# What happens: flatten() leaves the null row out without a word, so every later row is one up; the
# reshape hides it. Ground truth by row number is then wrong from there on.
# Seen: 4 rows in the table, 3 after flatten and reshape; row 2 of the table is row 1 of the array
source "$(dirname "$0")/in_venv.bash"
in_venv numpy==2.4.6 pyarrow==26.0.1 <<'PY'
import pyarrow as pa, pyarrow.parquet as pq

vectors = pa.array([[0, 0], None, [2, 2], [3, 3]], pa.list_(pa.float32(), 2))
pq.write_table(pa.table({"vector": vectors}), "v.parquet")
column = pq.read_table("v.parquet")["vector"].combine_chunks()
array = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, 2)
print(len(column), "rows in the table,", len(array), "after flatten and reshape")
assert len(column) == 4 and column.null_count == 1
assert array.tolist() == [[0, 0], [2, 2], [3, 3]]
PY
