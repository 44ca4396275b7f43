"""The outcome of a case: a :class:`Measurement` or a :class:`Failure`, as plain values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from pytest_annmodal.errors import SubmissionError
from pytest_annmodal.finding import Gated
from pytest_annmodal.levels import Loaded
from pytest_annmodal.model import Arguments, Clock, Plain, from_plain, to_plain

Blame = Literal["submission", "infrastructure"]
Part = Literal["tuning", "figure"]  # of the queries: every second one each


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The speed of one case relative to the baseline; see docs/measurement.md.

    Attributes:
        baseline: its name and build.
        baseline_settings: its search settings.
        sessions: number of sessions, each with fresh builds; ``ratios`` has one value for each.
        ratio: queries per second over the baseline's: the geometric mean over sessions.
        low, high: confidence interval of the ratio (95 %, over all looks together); None after
            one session.
        verdict: ``faster``, ``slower``, ``no difference``, ``cannot tell``; None after one session.
        why: the reason for ``cannot tell``, with the bound.
        difference: the smallest relevant difference: ``no difference`` means none above it.
        recall, baseline_recall: of the answers that were timed for the ratio.
        equal_recall: whether both recalls are equal, directly or by interpolation between the
            baseline's settings; if not, the ratio is not of speed alone.
        control_ratio, control_low, control_high: the same for a copy of the baseline.
        control_ok: whether the control's interval contains 1.
    """

    baseline: str
    baseline_settings: tuple[str, ...]
    sessions: int
    ratio: float
    low: float | None
    high: float | None
    verdict: str | None
    why: str
    difference: float
    recall: float
    baseline_recall: float
    equal_recall: bool
    qps: float
    baseline_qps: float
    ratios: tuple[float, ...]
    control_ratio: float
    control_low: float | None
    control_high: float | None
    control_ok: bool
    control_ratios: tuple[float, ...]

    @property
    def supported_ratio(self) -> float | None:
        """The lower end of the interval, if the control is right."""
        return self.low if self.control_ok else None

    @property
    def words(self) -> str:
        """``× annoy 1.42 [1.36, 1.49] faster``."""
        start = f"× {self.baseline} {self.ratio:.3g}"
        if self.low is None or self.high is None:
            return f"{start} (one session: no verdict)"
        interval = f"{start} [{self.low:.3g}, {self.high:.3g}]"
        if self.verdict == "no difference":
            return f"{interval} no difference above {self.difference:.3g}"
        return f"{interval} {self.verdict}{f': {self.why}' if self.why else ''}"

    @property
    def circumstances(self) -> str:
        """Recalls, and whether the ratio is one of speed alone."""
        recalls = f"recall {self.recall:.4f} and {self.baseline_recall:.4f}"
        if self.equal_recall:
            return recalls
        return f"{recalls}: not equal, so this is not a verdict on speed alone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A setting tried during tuning; its time is not a reported figure."""

    arguments: Arguments
    part: Part
    recall: float
    mean_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """How the search arguments of a measurement were found.

    Attributes:
        arguments: the arguments found.
        names: those that were bisected; empty if the fastest of the implementation's own
            settings was taken.
        tried: whether any setting was asked; else the first of its own settings was measured.
        reached: whether the recall of the measurement is at least the target.
        qps_low, qps_high: confidence interval of the queries per second (95 %, over queries).
        probes: all settings tried, in order.
        why: why the search ended early.
    """

    target_recall: float
    arguments: Arguments
    names: tuple[str, ...]
    reached: bool
    qps_low: float | None
    qps_high: float | None
    probes: tuple[Probe, ...]
    why: str = ""
    tried: bool = True

    @property
    def words(self) -> str:
        """``≥0.95 → ef=37``, or ``≥0.95 not reached: ef=2000 is nearest``."""
        found = self.arguments.label or "its only setting"
        if self.reached:
            return f"≥{self.target_recall:g} → {found}"
        if not self.tried:
            return f"≥{self.target_recall:g} not looked for: {found} was measured"
        return f"≥{self.target_recall:g} not reached: {found} is nearest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """How much of the files that queries read was dropped from the page cache.

    Attributes:
        dataset_bytes: dropped bytes of the dataset's file; 0 if it is not mapped.
        n_files, file_bytes: files of the implementation, and their dropped bytes.
        left_bytes: bytes of all these files that stayed in the cache.
    """

    dataset_bytes: int = 0
    n_files: int = 0
    file_bytes: int = 0
    left_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstPass:
    """All queries once, after the files they read were dropped from the page cache.

    Attributes:
        disturbed: other processes ran on its core.
        recall: of its answers, by distance.
    """

    dropped: Dropped
    disturbed: bool
    recall: float
    qps: float
    mean_s: float
    p50_s: float
    p95_s: float
    p99_s: float


class WithParts:
    """Figures taken from the parts of a measurement, for Measurement and StoredCase."""

    __slots__ = ()
    first_pass: FirstPass | None
    comparison: Comparison | None

    @property
    def cold_p50_s(self) -> float | None:
        """The median latency of the cold first pass."""
        return self.first_pass.p50_s if self.first_pass is not None else None

    @property
    def cold_p99_s(self) -> float | None:
        """The 99 % latency of the cold first pass."""
        return self.first_pass.p99_s if self.first_pass is not None else None

    @property
    def supported_ratio(self) -> float | None:
        """The least speed relative to the baseline that the samples support, or None."""
        return self.comparison.supported_ratio if self.comparison is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement(WithParts):
    """The figures of one case, with units in the names; percentiles are over all rounds.

    Attributes:
        recall: by distance, with ties within a relative 1e-6 of the k-th.
        recall_ids: by row number, as in the file's ``neighbors``.
        recall_ann_benchmarks: by ann-benchmarks' rule, within an absolute 1e-3 of the k-th.
        latencies_ns: one per query and round, in the order of the queries, without those left
            out.
        query_hits: neighbours found for each query, summed over all rounds; divided by
            ``k * rounds`` it is the query's recall. None if unknown.
        batch_qps: queries per second of one ``batch_query`` over all queries, or None;
            ``batch_recall`` is by distance, of its answers.
        first_query_ns: the very first query after the build (JIT, page faults).
        index_bytes: growth of the worker's memory over the build, or the self-report if larger.
        reported_index_bytes: result of ``get_memory_usage()``, or None.
        clock_floor_ns: median difference of two successive readings of the clock.
        mailbox_floor_ns: median round trip of an empty answer over the mailbox.
        sampled_from: rows of the file, if ``n_train`` of them were drawn (``--ann-subset``).
        queries: name of the user's own queries; empty for the dataset's.
        bounded_by: the parameter that bounds the number of ids, if some answers were short.
        asked, effective: the named arguments of build and search as requested, and as the
            library uses them according to the implementation's header.
        measured_as: the case whose measurement this is, if the library treats both settings
            alike; empty for a measurement of its own.
        at_recall, qps_at_recall: the requested recall, and the queries per second there,
            interpolated between search settings of this build, or None.
        uncertain_share: share of the samples by the parent's clock that were at first uncertain
            by more than 5 %; None by the worker's clock, or on one core.
        n_left_out: number of these samples left out of all figures.
        disturbed: phases that other processes slowed down (``build``, ``queries``, ``batch``).
        first_pass: with a cold page cache, if requested. It is not part of other figures.
        tuned: how its search arguments were found, if a recall was requested.
        comparison: with the baseline, if there is one.
        gate: the gate's findings for this case, if there is a gate.
        load: figures under load, if requested.
        rate_at_p99_qps: the highest offered rate that kept the bound of ``--ann-at-p99-ms``.
        environment: machine, load, versions, threads: see ``docs/measurement.md``.
        notes: remarks on the figures (noise, zero vectors…).
    """

    case_id: str
    k: int
    rounds: int
    metric: str
    dim: int
    n_train: int
    n_queries: int
    recall: float
    recall_ids: float
    recall_ann_benchmarks: float
    latencies_ns: tuple[int, ...] = field(repr=False)
    qps: float
    mean_s: float
    p50_s: float
    p95_s: float
    p99_s: float
    batch_qps: float | None
    batch_recall: float | None
    build_s: float
    first_query_ns: int
    index_bytes: int
    reported_index_bytes: int | None
    peak_rss_bytes: int
    clock: Clock
    clock_floor_ns: int
    mailbox_floor_ns: int
    sampled_from: int = 0
    queries: str = ""
    n_short_answers: int = 0
    bounded_by: str = ""
    asked: Mapping[str, Plain] = field(default_factory=dict, repr=False)
    effective: Mapping[str, Plain] = field(default_factory=dict, repr=False)
    measured_as: str = field(default="", repr=False)
    query_hits: tuple[int, ...] | None = field(default=None, repr=False)
    at_recall: float | None = None
    qps_at_recall: float | None = None
    uncertain_share: float | None = None
    n_left_out: int = 0
    disturbed: tuple[str, ...] = ()
    first_pass: FirstPass | None = None
    tuned: Tuned | None = None
    comparison: Comparison | None = None
    gate: Gated | None = None
    load: Loaded | None = None
    rate_at_p99_qps: float | None = None
    environment: Mapping[str, Plain] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = field(default=(), repr=False)
    log_tail: str = field(default="", repr=False)


def as_counted(measurement: Measurement, thresholds: Collection[str]) -> Measurement:
    """Returns the measurement with the recall to which thresholds apply.

    With ``min_ratio`` it is the lower recall of the measurement and the comparison: else a
    submission could answer well while recall is measured, and fast but badly for the ratio.
    """
    raced = measurement.comparison
    if raced is None or "min_ratio" not in thresholds:
        return measurement
    return replace(measurement, recall=min(measurement.recall, raced.recall))


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a case has no measurement.

    Attributes:
        kind: a short, stable name: ``raised``, ``crashed``, ``timeout``, ``limit``,
            ``protocol``, ``invalid-result``, ``dataset``, ``metric`` (not served, a skip),
            ``missing``, ``infrastructure``.
        phase: ``start``, ``build``, ``search``… where it happened.
        evidence: traceback, log tail, exit signal, peak memory, as far as known.
        blame: ``submission`` fails the test; ``infrastructure`` makes it an error.
    """

    case_id: str
    kind: str
    message: str
    phase: str = ""
    evidence: Mapping[str, Plain] = field(default_factory=dict)
    blame: Blame = "submission"


Outcome = Measurement | Failure


def failure_of(case_id: str, error: SubmissionError, phase: str) -> Failure:
    """Returns the failure for a submission's error."""
    evidence = {key: value for key, value in error.evidence.items() if value not in (None, "")}
    return Failure(
        case_id=case_id,
        kind=error.kind,
        message=str(error),
        phase=phase,
        evidence=to_plain(evidence),
    )


TYPE = "type"
TYPES: Mapping[str, type[Outcome]] = {"measurement": Measurement, "failure": Failure}


def outcome_to_plain(outcome: Outcome) -> dict[str, Plain]:
    """Returns plain data for JSON, with the outcome's type."""
    (name,) = (name for name, kind in TYPES.items() if isinstance(outcome, kind))
    return {TYPE: name, **to_plain(outcome)}


def outcome_from_plain(data: Mapping[str, Plain]) -> Outcome:
    """Rebuilds an outcome from the result of :func:`outcome_to_plain`.

    Raises:
        ValueError: it is anything else.
    """
    name = data.get(TYPE)
    if name is None:  # an old journal, without types
        name = "failure" if "kind" in data else "measurement"
    if name not in TYPES:
        raise ValueError(f"there is no outcome of type {name!r:.50}")
    return from_plain(TYPES[name], data)
