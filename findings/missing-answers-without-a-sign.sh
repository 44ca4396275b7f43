#!/usr/bin/env bash
# rabitqlib 0.7.1 (IVF, 200 neighbours from one cell) and alayalite 1.0.4 (HNSW, 1000 neighbours among copies).
# One would think: what was not found is -1, so `ids < 0` finds it.
# What happens: both pad with 4294967295, which is -1 in 32 bits without a sign. `ids < 0` is never true, and as an
# int64 it is a row far beyond the last. alayalite gives no distance beside it; rabitqlib's is infinite.
# Seen: 152 of 200 (rabitqlib) and 687 of 1000 (alayalite) are 4294967295, and none is below 0
source "$(dirname "$0")/in_venv.bash"
in_venv numpy==2.4.6 rabitqlib==0.7.1 alayalite==1.0.4 <<'PY'
import subprocess, sys

RABITQLIB = """
import numpy as np
from rabitqlib import IvfIndex, RaBitQKMeans

rows = np.random.default_rng(0).standard_normal((2000, 64)).astype("f4")
cells = RaBitQKMeans(64, 40, num_threads=1)
cells.train(rows)
index = IvfIndex(dim=64, max_elements=2000, num_clusters=40, nbits=8)
index.build(rows, cells.centroids, cells.assignments)
(ids,), _ = index.search(rows[:1], 200, nprobe=1)
"""
ALAYALITE = """
import numpy as np
from alayalite import Index
from alayalite.schema import IndexParams

rows = np.random.default_rng(0).standard_normal((2000, 32)).astype("f4")
rows[100:1900] = rows[100]
index = Index("rows", IndexParams(metric="l2", capacity=2000, max_nbrs=16))
index.fit(rows)
ids = index.search(rows[100], 1000, 1000)
"""
COUNT = "\nprint(len(ids), (ids == 2**32 - 1).sum(), (ids < 0).sum())"
for name, program in ("rabitqlib", RABITQLIB), ("alayalite", ALAYALITE):  # a process for each library
    done = subprocess.run([sys.executable, "-c", program + COUNT], capture_output=True, text=True, check=True)
    n, n_padding, n_negative = map(int, done.stdout.splitlines()[-1].split())
    print(name, n_padding, "of", n, "ids are 4294967295,", n_negative, "are below 0")
    assert n_padding > 50 and n_negative == 0
PY
