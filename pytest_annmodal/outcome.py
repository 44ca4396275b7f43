"""What a case gave: a :class:`Measurement` or a :class:`Failure`, values and never exceptions."""

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
    """How fast one case was beside the baseline; see docs/measurement.md.

    Attributes:
        baseline: its name and build; ``baseline_settings`` are the search settings it had.
        sessions: with fresh builds of everything; ``ratios`` has one value for each.
        ratio: queries per second over the baseline's: the geometric mean over sessions.
        low, high: between what the true ratio lies (95 %, all looks together); None after
            one session.
        verdict: ``faster``, ``slower``, ``no difference``, ``cannot tell``; None after one session.
        why: why one cannot tell, with the bound.
        difference: the smallest that matters: ``no difference`` means none above it.
        recall, baseline_recall: of the answers that were timed for the ratio.
        equal_recall: whether they are equal, by interpolation between the baseline's settings
            or by themselves; if not, the ratio is not one of speed alone.
        control_ratio, control_low, control_high: the baseline's copy over the baseline.
        control_ok: whether the control may be 1.
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
        """What the ratio is at least, if that can be told: the lower end of the interval."""
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
    """A setting that was asked once while another was looked for; its time is no figure."""

    arguments: Arguments
    part: Part
    recall: float
    mean_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """How the search arguments of a measurement were found.

    Attributes:
        arguments: what was found. ``names`` are those that were bisected; none where the fastest
            of the implementation's own settings was taken.
        reached: whether the recall of the measurement is the target at least.
        qps_low, qps_high: between what the queries per second lie (95 %, over queries).
        probes: all that was asked for it, in this order.
        why: what ended the search early.
    """

    target_recall: float
    arguments: Arguments
    names: tuple[str, ...]
    reached: bool
    qps_low: float | None
    qps_high: float | None
    probes: tuple[Probe, ...]
    why: str = ""

    @property
    def words(self) -> str:
        """``≥0.95 → ef=37``, or ``≥0.95 not reached: ef=2000 is nearest``."""
        found = self.arguments.label or "its only setting"
        if self.reached:
            return f"≥{self.target_recall:g} → {found}"
        return f"≥{self.target_recall:g} not reached: {found} is nearest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """What of the files that queries read left the page cache.

    Attributes:
        dataset_bytes: of the dataset's file; 0 where it is not mapped.
        n_files, file_bytes: files of the implementation's own, and what of them left it.
        left_bytes: of all these files that did not leave it.
    """

    dataset_bytes: int = 0
    n_files: int = 0
    file_bytes: int = 0
    left_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstPass:
    """All queries once, after the files that they read were dropped from the page cache.

    Attributes:
        disturbed: others ran on its core.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one case gave. Times are in the unit in the name; percentiles are over all rounds.

    Attributes:
        recall: found by distance, ties within a relative 1e-6 of the k-th included.
        recall_ids: found by row number, as the file's ``neighbors`` lists them.
        recall_ann_benchmarks: ann-benchmarks' rule, within an absolute 1e-3 of the k-th.
        latencies_ns: one per query and round, in the order they were asked, less those that
            were left out.
        query_hits: how many of each query's neighbours were found, in all rounds together: the
            recall of a query is that over ``k * rounds``. None where it is not known.
        batch_qps: queries per second of one ``batch_query`` over all queries, or None;
            ``batch_recall`` is by distance, of its answers.
        first_query_ns: the very first query after the build (JIT, page faults).
        index_bytes: growth of what it holds over the build, or the self-report if larger.
        reported_index_bytes: what ``get_memory_usage()`` said, or None.
        clock_floor_ns: median of two readings of the clock in a row.
        mailbox_floor_ns: median round trip of a do-nothing answer over the mailbox.
        sampled_from: rows of the file, where ``n_train`` of them were drawn (``--ann-subset``).
        queries: what the store calls queries that are not the dataset's own; else empty.
        bounded_by: the parameter that bounds how many ids are found, where some were short.
        asked, effective: the named arguments of build and search, and what the library makes
            of them by itself, as far as the implementation's header says.
        measured_as: the case that this was measured as, where the library makes one setting
            of both; empty for a measurement of its own.
        at_recall, qps_at_recall: the recall that was asked for, and the queries per second
            there, between the search settings of this build that bracket it, or None.
        uncertain_share: of the samples by the parent's clock, those that were uncertain by more
            than 5 % when they were first asked; None by the worker's, or on one core.
        n_left_out: of them, how many are in no figure.
        disturbed: what somebody else's work made slower (``build``, ``queries``, ``batch``).
        first_pass: with the page cache cold, where that was asked for. It is in no other figure.
        tuned: how its search arguments were found, where a recall was asked for.
        comparison: with the baseline, where there is one.
        gate: what a gate found of this case, where there is one.
        load: how it bore load, where that was asked for.
        rate_at_p99_qps: the highest offered rate that kept the bound of ``--ann-at-p99-ms``.
        environment: machine, load, versions, threads: see ``docs/measurement.md``.
        notes: what a reader of the numbers should know (noise, zero vectors…).
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
        """At least how many times as fast as the baseline it is, if that can be told."""
        return self.comparison.supported_ratio if self.comparison is not None else None


def as_counted(measurement: Measurement, thresholds: Collection[str]) -> Measurement:
    """What these thresholds are held against.

    Beside ``min_ratio`` it is the lower recall, of the race as well: else one could answer well
    while recall is measured, and fast and wrong while the ratio is.
    """
    raced = measurement.comparison
    if raced is None or "min_ratio" not in thresholds:
        return measurement
    return replace(measurement, recall=min(measurement.recall, raced.recall))


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a case has no measurement.

    Attributes:
        kind: short and stable: ``raised``, ``crashed``, ``timeout``, ``limit``,
            ``protocol``, ``invalid-result``, ``dataset``, ``metric`` (not served, a skip),
            ``missing``, ``infrastructure``.
        phase: ``start``, ``build``, ``search``… where it happened.
        evidence: traceback, log tail, exit signal, peak memory: whatever was seen.
        blame: a submission's fault fails its test; an infrastructure fault is a test error.
    """

    case_id: str
    kind: str
    message: str
    phase: str = ""
    evidence: Mapping[str, Plain] = field(default_factory=dict)
    blame: Blame = "submission"


Outcome = Measurement | Failure


def failure_of(case_id: str, error: SubmissionError, phase: str) -> Failure:
    """What a submission did wrong, as a value."""
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
    """JSON-able data that says of which type it is."""
    (name,) = (name for name, kind in TYPES.items() if isinstance(outcome, kind))
    return {TYPE: name, **to_plain(outcome)}


def outcome_from_plain(data: Mapping[str, Plain]) -> Outcome:
    """Rebuild what :func:`outcome_to_plain` made, each value of its field's type.

    Raises:
        ValueError: it is anything else.
    """
    name = data.get(TYPE)
    if name is None:  # a journal of before outcomes said their type
        name = "failure" if "kind" in data else "measurement"
    if name not in TYPES:
        raise ValueError(f"there is no outcome of type {name!r:.50}")
    return from_plain(TYPES[name], data)
