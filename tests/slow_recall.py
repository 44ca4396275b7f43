"""Recall written down plainly: every distance in float64, and no short cuts."""

import numpy as np

from pytest_annmodal.distances import exact, metrics


def counts(data, ids, k):
    """Returns how many ids of each query count, int64 (n_queries,) by each rule in turn.

    The rules are ``by_distance``, ``by_ids`` and ``ann_benchmarks`` of
    :class:`~pytest_annmodal.scoring.recall.Recall`.
    """
    metric, dim = data.info.metric, data.info.dim
    as_there = metrics.named(metric).measure.as_ann_benchmarks
    listed = data.neighbors[:, :k]
    true = exact.pair_distances(data.train, data.test, listed, metric)
    farthest = true.argmax(axis=1)
    kth = true.max(axis=1)
    rows = listed[np.arange(len(listed)), farthest]
    rounding = exact.rounding(data.train, data.test, rows, metric)
    limit = kth + np.maximum(1e-6 * np.abs(kth), rounding)
    found = exact.pair_distances(data.train, data.test, np.maximum(ids, 0), metric)
    stored = as_there(data.distances[:, k - 1 : k].astype(np.float64), data.test, dim)
    given = ids >= 0
    near = given & (found <= limit[:, None])
    there = as_there(found, data.test, dim).astype(np.float32)
    lenient = given & (there <= stored + 1e-3)
    among = given & (ids[:, :, None] == listed[:, None, :]).any(axis=2)
    return tuple(np.count_nonzero(rule, axis=1) for rule in (near, among, lenient))
