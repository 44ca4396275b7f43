#!/usr/bin/env bash
# hnswlib 0.8.0, 5,000 x 32 Gaussian rows of which half are copies of one row; queries are far from that row.
# One would think: copies are ties, and the other rows are found as ever.
# What happens: the copies fill each other's lists of neighbours, and the searches that begin among them stay there: a part
# of the other rows is not found, and a larger ef does not help.
# Seen: without copies: 0.984 at ef 100, 1.000 at ef 400    half copies of one row: 0.403 and 0.432
source "$(dirname "$0")/in_venv.bash"
in_venv hnswlib==0.8.0 numpy==2.4.6 <<'PY'
import hnswlib, numpy as np

rng = np.random.default_rng(0)
n, d, k = 5000, 32, 10
rows = rng.standard_normal((n, d)).astype("f4")
queries = rng.standard_normal((200, d)).astype("f4")
found = {}
for share in (0.0, 0.5):
    train = rows.copy()
    train[rng.permutation(n)[: int(share * n)]] = train[0]
    distances = ((queries**2).sum(1)[:, None] - 2 * queries @ train.T + (train**2).sum(1))
    kth = np.sort(distances, axis=1)[:, k - 1, None] + 1e-3
    index = hnswlib.Index(space="l2", dim=d)
    index.init_index(n, M=12, ef_construction=100, random_seed=1)
    index.set_num_threads(1)
    index.add_items(train)
    for ef in (100, 400):
        index.set_ef(ef)
        ids = index.knn_query(queries, k, 1)[0].astype(int)
        found[share, ef] = float((np.take_along_axis(distances, ids, 1) <= kth).mean())
        print(f"copies {share:.0%}, ef {ef}: {found[share, ef]:.3f}")
assert found[0.0, 400] > 0.99
assert found[0.5, 400] < 0.95
PY
