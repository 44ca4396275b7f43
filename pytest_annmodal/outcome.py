"""What a case gave: a :class:`Measurement` or a :class:`Failure`, values and never exceptions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pytest_annmodal.model import Clock, Plain

Blame = Literal["submission", "infrastructure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one case gave. Times are in the unit in the name; percentiles are over all rounds.

    Attributes:
        recall: found by distance, ties within a relative 1e-6 of the k-th included.
        recall_ids: found by row number, as the file's ``neighbors`` lists them.
        recall_ann_benchmarks: ann-benchmarks' rule, within an absolute 1e-3 of the k-th.
        latencies_ns: one per query and round, in the order they were asked.
        batch_qps: queries per second of one ``batch_query`` over all queries, or None;
            ``batch_recall`` is by distance, of its answers.
        first_query_ns: the very first query after the build (JIT, page faults).
        index_bytes: growth of unique memory over the build, or the self-report if larger.
        reported_index_bytes: what ``get_memory_usage()`` said, or None.
        clock_floor_ns: median of two readings of the clock in a row.
        mailbox_floor_ns: median round trip of a do-nothing answer over the mailbox.
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
    n_short_answers: int = 0
    environment: Mapping[str, Plain] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = field(default=(), repr=False)
    log_tail: str = field(default="", repr=False)


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


def outcome_from_plain(data: Mapping[str, Plain]) -> Outcome:
    """Rebuild a :class:`Measurement` or :class:`Failure` from :func:`to_plain`'s result."""
    plain = dict(data)
    if "kind" in plain:
        return Failure(**plain)
    for name in ("latencies_ns", "notes"):
        plain[name] = tuple(plain[name])
    return Measurement(**plain)
