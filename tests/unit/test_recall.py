"""Recall by three rules, percentiles and notes, on numbers that can be checked by hand."""

import math

import numpy as np
import pytest

from pytest_annmodal.scoring import latency
from pytest_annmodal.scoring import recall as scoring_recall


def recall(ids, found, kth, neighbors, stored=None, rounding=0.0):
    """Recall of answers whose distances are given."""
    ids, found, kth = np.array(ids), np.array(found, float), np.array(kth, float)
    neighbors = np.array(neighbors)
    limits = scoring_recall.Limits.of(
        kth=kth, rounding=rounding, stored_kth=kth if stored is None else np.array(stored, float)
    )
    each = limits.cut(np.repeat(np.arange(len(ids)), ids.shape[1]))
    near = each.are_near(found.reshape(-1)).reshape(ids.shape)
    lenient = each.are_lenient(found.reshape(-1)).reshape(ids.shape)
    keys = scoring_recall.keys(neighbors, np.ones(neighbors.shape, bool), 100)
    matched = scoring_recall.matched(ids, keys)
    column = [
        row.tolist().index(id) for row, id in zip(ids[matched.rows], matched.ids, strict=True)
    ]
    others = matched.rows, np.array(column, int)
    hits = scoring_recall.Hits(
        by_distance=matched.listed + np.bincount(matched.rows[near[others]], minlength=len(ids)),
        by_ids=matched.listed,
        ann_benchmarks=matched.lenient
        + np.bincount(matched.rows[lenient[others]], minlength=len(ids)),
    )
    return hits.recall(ids.shape[1])


class TestRecall:
    def test_the_true_neighbours_are_all_found(self):
        """The true neighbours have recall 1 by every rule, in any order."""
        got = recall([[3, 1], [0, 2]], [[2, 1], [5, 6]], [2, 6], [[1, 3], [0, 2]])
        assert got == scoring_recall.Recall(by_distance=1, by_ids=1, ann_benchmarks=1)

    def test_is_the_mean_over_queries_of_what_was_found(self):
        """Recall is the mean over queries."""
        got = recall(
            [[1, 2], [1, 9], [8, 9]],
            [[1, 2], [1, 7], [6, 7]],
            [2, 2, 2],
            [[1, 2], [1, 2], [1, 2]],
        )
        assert got == scoring_recall.Recall(by_distance=0.5, by_ids=0.5, ann_benchmarks=0.5)

    def test_a_tie_with_the_kth_counts_by_distance_and_not_by_ids(self):
        """A row as near as the k-th counts by distance, but not by ids."""
        got = recall([[1, 9]], [[1, 2]], [2], [[1, 2]])
        assert (got.by_distance, got.by_ids, got.ann_benchmarks) == (1, 0.5, 1)

    def test_the_tie_is_relative(self):
        """A tie is relative to the k-th distance (1e-6); ann-benchmarks' 1e-3 is absolute."""
        for scale in (1e-4, 1.0, 1e6):
            near, far = scale * (1 + 0.9e-6), scale * (1 + 1.1e-6)
            assert recall([[9]], [[near]], [scale], [[1]]).by_distance == 1
            assert recall([[9]], [[far]], [scale], [[1]]).by_distance == 0
        assert recall([[9]], [[1e-3]], [1e-4], [[1]]).ann_benchmarks == 1
        assert recall([[9]], [[1e6 + 1]], [1e6], [[1]]).ann_benchmarks == 0

    def test_a_negative_distance_has_its_tie_on_the_far_side(self):
        """For negated inner products the tolerance is on the farther side."""
        assert recall([[9]], [[-100 + 0.9e-4]], [-100], [[1]]).by_distance == 1
        assert recall([[9]], [[-100 + 1.1e-4]], [-100], [[1]]).by_distance == 0
        assert recall([[9]], [[-101]], [-100], [[1]]).by_distance == 1

    def test_padding_is_never_found(self):
        """Padding never counts, whatever its distance."""
        got = recall([[1, -1], [-1, -1]], [[1, 0], [0, 0]], [2, 2], [[1, 2], [0, 2]])
        assert (got.by_distance, got.by_ids, got.ann_benchmarks) == (0.25, 0.25, 0.25)

    def test_padding_is_not_taken_for_another_querys_neighbour(self):
        """Padding (-1) is not confused with another query's row."""
        assert recall([[9], [-1]], [[9], [0]], [1, 1], [[5], [9]]).by_ids == 0

    def test_a_right_id_for_another_query_is_wrong(self):
        """An id counts only for its own query."""
        assert recall([[1], [2]], [[9], [9]], [1, 1], [[2], [1]]).by_ids == 0

    def test_a_distance_that_is_not_a_number_is_not_found(self):
        """NaN never counts as near."""
        assert recall([[1]], [[math.nan]], [1], [[2]]).by_distance == 0

    def test_a_distance_of_zero_has_the_tie_of_its_rounding(self):
        """A duplicate of the query counts; a row that is only near does not."""
        assert recall([[9]], [[0]], [0], [[1]]).by_distance == 1
        assert recall([[9]], [[1e-30]], [0], [[1]]).by_distance == 0
        assert recall([[9]], [[1e-30]], [0], [[1]], rounding=1e-29).by_distance == 1
        assert recall([[9]], [[1e-28]], [0], [[1]], rounding=1e-29).by_distance == 0

    def test_ann_benchmarks_rule_uses_the_stored_distance(self):
        """ann-benchmarks' rule uses the file's float32 distances."""
        got = recall([[9]], [[1.0015]], [1.0], [[1]], stored=[1.001])
        assert (got.by_distance, got.ann_benchmarks) == (0, 1)


class TestLatency:
    def test_figures_of_known_times(self):
        """Percentiles are interpolated; QPS is the count over the sum."""
        figures = latency.latency_figures(np.arange(1, 101) * 1000)
        assert figures.mean_s == pytest.approx(50.5e-6)
        assert figures.qps == pytest.approx(1 / 50.5e-6)
        assert figures.p50_s == pytest.approx(50.5e-6)
        assert figures.p95_s == pytest.approx(95.05e-6)
        assert figures.p99_s == pytest.approx(99.01e-6)

    def test_all_rounds_count_together(self):
        """Times of all rounds count together."""
        times = np.array([[1, 2], [3, 4]]) * 10**9
        assert latency.latency_figures(times).mean_s == 2.5
        assert latency.latency_figures(times).p50_s == 2.5

    def test_one_sample_is_every_percentile(self):
        """One sample is every percentile."""
        figures = latency.latency_figures(np.array([7_000]))
        assert figures.p50_s == figures.p95_s == figures.p99_s == pytest.approx(7e-6)

    def test_no_time_at_all_is_infinitely_fast(self):
        """A total time of zero gives infinite QPS."""
        assert latency.latency_figures(np.zeros(3, np.int64)).qps == math.inf


class TestNoise:
    def test_a_quiet_machine_gets_no_note(self):
        """A few context switches give no note."""
        quiet = {"timed_s": 1.0, "load_1min": 0.5, "cores": 2}
        assert latency.noise_notes(involuntary_switches=5, **quiet) == []

    def test_switches_are_judged_by_the_time(self):
        """More than twenty switches a second give a note."""
        busy = {"involuntary_switches": 50, "load_1min": 0.0, "cores": 2}
        (note,) = latency.noise_notes(timed_s=0.1, **busy)
        assert "noisy: 50 involuntary context switches in 0.1 s" in note
        assert latency.noise_notes(timed_s=10, **busy) == []

    def test_a_loaded_machine_is_named(self):
        """A load above the number of cores gives a note."""
        (note,) = latency.noise_notes(involuntary_switches=0, timed_s=1, load_1min=3.2, cores=2)
        assert note == "noisy: load average 3.2 on 2 cores before the job"


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_an_offset_is_given_in_spreads(scale):
    """Whatever the unit; equal rows have no spread to compare with."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((5000, 16))
    far = ((rows + 1000) * scale).astype(np.float32)
    assert scoring_recall.offset((rows * scale).astype(np.float32)) < 0.1
    assert scoring_recall.offset(far) == pytest.approx(1000, rel=0.05)
    assert (
        scoring_recall.offset(far[:1]) == scoring_recall.offset(np.repeat(far[:1], 9, axis=0)) == 0
    )


@pytest.mark.parametrize("n_train", [2000, 2**30, 2**40])
@pytest.mark.parametrize("k", [1, 10, 70])
def test_true_neighbours_are_told_from_other_ids(k, n_train):
    """Also where an answer was short, and where row numbers take more than 29 bits."""
    rng = np.random.default_rng(k)
    pool = n_train - 1 - rng.integers(1, 9) * np.arange(2 * k)
    neighbors = rng.permuted(np.tile(pool, (300, 1)), axis=1)
    ids, neighbors = rng.permuted(neighbors, axis=1)[:, :k], neighbors[:, :k]
    ids[::7, -1] = -1
    ids[::11] = -1
    lenient = rng.random(neighbors.shape) < 0.7
    same = ids[:, :, None] == neighbors[:, None, :]
    listed = same.any(axis=2)
    got = scoring_recall.matched(ids, scoring_recall.keys(neighbors, lenient, n_train))
    others = sorted((row, id) for row, id in np.argwhere(~listed & (ids >= 0)).tolist())
    assert (got.listed == listed.sum(axis=1)).all()
    assert (got.lenient == (same & lenient[:, None, :]).sum(axis=(1, 2))).all()
    assert sorted(zip(got.rows.tolist(), got.ids.tolist(), strict=True)) == sorted(
        (row, int(ids[row, column])) for row, column in others
    )
