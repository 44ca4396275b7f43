#!/usr/bin/env bash
# annoy 1.17.3, metric "dot", rows of length 0.5 to 1.5, the same queries made shorter.
# One would think: the ranking by inner product does not change with the length of the query, nor does recall.
# What happens: annoy lifts rows into one more dimension, and the query's length decides how far down the
# trees it walks the right way. Short queries find a fraction.
# Seen (recall@10 at query length 1, 0.1, 0.001): 0.874 0.410 0.177
source "$(dirname "$0")/in_venv.bash"
in_venv numpy==2.4.6 annoy==1.17.3 <<'PY'
import numpy as np
from annoy import AnnoyIndex

k, d, rng = 10, 32, np.random.default_rng(0)
unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)
rows = unit(rng.standard_normal((5000, d))) * rng.uniform(0.5, 1.5, (5000, 1))
queries = unit(rng.standard_normal((100, d)))
truth = np.argsort(-(queries @ rows.T), axis=1)[:, :k].tolist()
index = AnnoyIndex(d, "dot")
index.set_seed(1)
for i, row in enumerate(rows):
    index.add_item(i, row)
index.build(20, n_jobs=1)
found = []
for length in (1, 0.1, 0.001):
    ids = [index.get_nns_by_vector(q * length, k, 2000) for q in queries]
    found.append(np.mean([len(set(a) & set(b)) / k for a, b in zip(ids, truth)]))
print("recall at query length 1, 0.1, 0.001:", *(f"{r:.3f}" for r in found))
assert found[0] > 2 * found[1] > 4 * found[2]
PY
