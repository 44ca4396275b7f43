"""Turns the answers of an implementation into a measurement.

Asking and scoring are two steps, since on Modal the container that runs a submission must not hold
the true neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal import surprises
from pytest_annmodal.datasets import hdf5
from pytest_annmodal.errors import InvalidResultError
from pytest_annmodal.jobs import dataset_notes, training_data
from pytest_annmodal.jobs.load.statistics import failed, figured, rate_at_bound
from pytest_annmodal.levels import Level, Loaded
from pytest_annmodal.model import Job, Plain, Search, to_plain
from pytest_annmodal.outcome import Dropped, FirstPass, Measurement
from pytest_annmodal.queries import label_of
from pytest_annmodal.scoring import latency, scoring, validity
from pytest_annmodal.scoring.recall import LEFT_OUT

# Answers are checked where they were given, unless that place is not trusted.
Answers = validity.Given | validity.Checked

CHANGE = 4  # standard errors between two rounds: chance alone hardly ever makes so many
HIGH_CHANCE = 0.5  # a recall of random rows from which on a comparison with it is meaningless


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The answers to one batch, and the seconds that the whole batch took."""

    seconds: float
    answers: Answers


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelAnswers:
    """The answers of one level of load; they are scored like all others.

    Attributes:
        rows: int64 (m,), the number of the query that each answers.
    """

    rows: scoring.Ids
    given: validity.Given


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstAnswers:
    """The times, int64 (n,), and answers of a first pass with a cold page cache."""

    times_ns: NDArray[np.int64]
    given: validity.Given
    dropped: Dropped
    disturbed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """The fields of a ``Measurement`` other than recall and times, by the same names."""

    build_s: float
    first_query_ns: int
    index_bytes: int
    reported_index_bytes: int | None
    peak_rss_bytes: int
    clock_floor_ns: int
    mailbox_floor_ns: int
    uncertain_share: float | None
    n_left_out: int
    disturbed: tuple[str, ...]
    environment: Mapping[str, Plain]
    notes: tuple[str, ...]
    log_tail: str

    def fields(self) -> dict[str, Any]:
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def noted(self, notes: Iterable[str]) -> Observed:
        return replace(self, notes=(*self.notes, *notes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Unscored:
    """Times and answers of one search before scoring.

    Attributes:
        times_ns: int64 (rounds, n); some may be
            :data:`~pytest_annmodal.scoring.recall.LEFT_OUT`.
        answers: of all rounds.
        load: levels of load, where they were asked for.
        load_answers: of the levels without a failure, in their order.
    """

    case_id: str
    times_ns: NDArray[np.int64]
    answers: Answers
    batch: Batch | None
    observed: Observed
    first: FirstAnswers | None = None
    load: Loaded | None = None
    load_answers: tuple[LevelAnswers, ...] = ()


class Scorer:
    """Scores the searches of one job."""

    def __init__(self, job: Job, data: hdf5.LoadedDataset) -> None:
        self._job, self._data = job, data
        self._views = training_data.views(job, data)
        self._searches = {search.case_id: search for search in job.searches}
        self._kth: dict[tuple[int, int], scoring.Kth] = {}
        self._chance: dict[tuple[int, int], tuple[float, float]] = {}
        self._of_dataset: dict[int, list[str]] = {}

    def measurement(self, unscored: Unscored) -> Measurement:
        """Checks the answers and score them.

        Raises:
            InvalidResultError: an answer is not k distinct row numbers.
        """
        search = self._searches[unscored.case_id]
        asked, batched = self._views[search.case_id]
        answers = self._checked(unscored.answers, search.k)
        recall = scoring.score_rounds(asked, answers, self._kth_of(asked, search.k))
        batch_qps, batch_recall = self._batch(search, batched, unscored.batch)
        notes = (
            *self._notes(answers.n_short),
            *self._dataset_notes(search.k),
            *self._no_better_than_chance(asked, search.k, recall.by_distance),
            *_changes(recall.of_rounds, len(asked.test)),
            *unscored.observed.notes,
        )
        times_ns = unscored.times_ns[unscored.times_ns != LEFT_OUT]
        return Measurement(
            case_id=search.case_id,
            k=search.k,
            rounds=len(unscored.times_ns),
            metric=self._data.info.metric,
            dim=self._data.info.dim,
            n_train=len(self._data.train),
            n_queries=len(asked.test),
            sampled_from=self._data.info.sampled_from,
            queries=label_of(self._job.dataset.queries),
            recall=recall.by_distance,
            recall_ids=recall.by_ids,
            recall_ann_benchmarks=recall.ann_benchmarks,
            latencies_ns=tuple(times_ns.tolist()),
            query_hits=tuple(recall.hits.tolist()),
            **to_plain(latency.latency_figures(times_ns)),
            batch_qps=batch_qps,
            batch_recall=batch_recall,
            n_short_answers=answers.n_short,
            bounded_by=self._job.implementation.bounded_by if answers.n_short else "",
            clock=self._job.limits.clock,
            **self._besides(search, asked, unscored),
            **{**unscored.observed.fields(), "notes": notes},
        )

    def _besides(
        self, search: Search, asked: hdf5.LoadedDataset, unscored: Unscored
    ) -> dict[str, Any]:
        """Returns the first pass and the load levels, by the names of a measurement."""
        loaded = self._load(search, asked, unscored)
        return {
            "first_pass": self._first_pass(search, asked, unscored.first),
            "load": loaded,
            "rate_at_p99_qps": rate_at_bound(loaded, self._job.limits.load),
        }

    def _first_pass(
        self, search: Search, data: hdf5.LoadedDataset, first: FirstAnswers | None
    ) -> FirstPass | None:
        if first is None:
            return None
        ids = self._checked(first.given, search.k).ids
        recall = scoring.recall_of(data, ids, search.k, self._kth_of(data, search.k))
        return FirstPass(
            dropped=first.dropped,
            disturbed=first.disturbed,
            recall=recall.by_distance,
            **to_plain(latency.latency_figures(first.times_ns)),
        )

    def _batch(
        self, search: Search, data: hdf5.LoadedDataset, batch: Batch | None
    ) -> tuple[float, float] | tuple[None, None]:
        """Returns queries per second of the whole batch, and the recall of its answers."""
        if batch is None:
            return None, None
        ids = self._checked(batch.answers, search.k, "batch_query").ids
        recall = scoring.recall_of(data, ids, search.k, self._kth_of(data, search.k))
        return len(data.test) / max(batch.seconds, 1e-9), recall.by_distance

    def _load(self, search: Search, data: hdf5.LoadedDataset, unscored: Unscored) -> Loaded | None:
        """Adds recall to each level; a level with a wrong answer becomes a failure."""
        if unscored.load is None:
            return None
        answers = iter(unscored.load_answers)
        levels = tuple(
            level if level.failure else self._level(level, next(answers), search, data)
            for level in unscored.load.levels
        )
        return figured(replace(unscored.load, levels=levels), self._job.limits.load)

    def _level(
        self, level: Level, answers: LevelAnswers, search: Search, data: hdf5.LoadedDataset
    ) -> Level:
        try:
            ids = self._checked(answers.given, search.k, f"query ({level.words})").ids
        except InvalidResultError as error:
            return failed(level, error)
        kth = self._kth_of(data, search.k)
        recall = scoring.recall_of_rows(data, answers.rows, ids, search.k, kth)
        return replace(level, recall=recall)

    def _checked(self, answers: Answers, k: int, where: str = "query") -> validity.Checked:
        if isinstance(answers, validity.Checked):
            return answers
        return validity.check(
            answers,
            k=k,
            n_train=len(self._data.train),
            short_answers=self._job.implementation.short_answers,
            where=where,
        )

    def _kth_of(self, data: hdf5.LoadedDataset, k: int) -> scoring.Kth:
        key = (id(data), k)
        if key not in self._kth:
            self._kth[key] = scoring.kth_neighbors(data, k)
        return self._kth[key]

    def _notes(self, n_short: int) -> Iterator[str]:
        if n_short:
            bound = self._job.implementation.bounded_by
            by = f" ({bound} bounds them)" if bound else ""
            yield surprises.noted(
                "missing-answers",
                f"{n_short} answers had fewer than k ids{by}; missing ids count as misses",
            )

    def _no_better_than_chance(
        self, data: hdf5.LoadedDataset, k: int, recall: float
    ) -> Iterator[str]:
        key = (id(data), k)
        if key not in self._chance:
            self._chance[key] = scoring.chance(data, k)
        expected, limit = self._chance[key]
        if recall <= limit and expected < HIGH_CHANCE:
            yield "recall is no better than that of rows drawn at random"

    def _dataset_notes(self, k: int) -> list[str]:
        if k not in self._of_dataset:
            self._of_dataset[k] = list(dataset_notes.notes(self._data, k))
        return self._of_dataset[k]


def _changes(recalls: tuple[float, ...], n_queries: int) -> Iterator[str]:
    """Says if rounds of the same queries differ in recall by more than chance makes of them.

    Some libraries build in the background: they answer exactly until their index is there.

    Args:
        recalls: of each round.
        n_queries: of a round; the answers to one query are taken for one, as they hang together.
    """
    least, most = min(recalls, default=0.0), max(recalls, default=0.0)
    share = (least + most) / 2
    if most - least > CHANGE * (2 * share * (1 - share) / n_queries) ** 0.5:
        first, last = sorted((recalls.index(least), recalls.index(most)))
        yield surprises.noted(
            "built-later",
            f"recall was {recalls[first]:.4f} in round {first + 1} and {recalls[last]:.4f} in "
            f"round {last + 1}: the index may still have been built while queries were timed, "
            "and the figures mix both",
        )
