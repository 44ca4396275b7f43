#!/usr/bin/env bash
# pynndescent 0.7.0 (numba 0.68.1), asked for more neighbours than the search of its graph reaches.
# One would think: fewer are answered, or an id that is none, as -1.
# What happens: the answer is filled up with one and the same row, which is at an infinite distance
# then (at 1, an honest distance, for cosine).
# Seen: 300 rows, of which 225 are copies, k = 300:
#   euclidean 300 ids, 241 different; the repeated one at inf
#   cosine 300 ids, 241 different; the repeated one at 1.0
source "$(dirname "$0")/in_venv.bash"
in_venv numpy==2.4.6 numba==0.68.1 pynndescent==0.7.0 <<'PY'
import numpy as np, pynndescent

rng = np.random.default_rng(2)
rows, query = rng.normal(size=(300, 3)).astype("f4"), rng.normal(size=(7, 3)).astype("f4")
rows[:225] = rows[0]
print("300 rows, of which 225 are copies, k = 300:")
for metric in ("euclidean", "cosine"):
    index = pynndescent.NNDescent(rows, metric=metric, n_neighbors=20, n_jobs=1, random_state=1)
    ids, distances = index.query(query, 300)
    short = max(range(7), key=lambda row: 300 - len(set(ids[row])))
    different = len(set(ids[short].tolist()))
    print(metric, len(ids[short]), "ids,", different, "different; the repeated one at", distances[short, -1])
    assert different < 300
    assert distances[short, -1] == (np.inf if metric == "euclidean" else 1)
PY
