"""The types of a stored case: a line of JSON and, in another file, its samples.

The names of the fields are the keys of the line; docs/results.md describes them. Fields shared
with :class:`~pytest_annmodal.outcome.Measurement` have the same names and units there, so that the
rows of :mod:`pytest_annmodal.figures` read both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pytest_annmodal.finding import Gated
from pytest_annmodal.levels import Loaded
from pytest_annmodal.model import Arguments, Plain
from pytest_annmodal.outcome import Comparison, Failure, FirstPass, Tuned, WithParts

SCHEMA = 1
Source = Literal["pytest-annmodal", "ann-benchmarks", "vibe", "pytest-benchmark"]
OURS: Source = "pytest-annmodal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Where one array lies in a file of samples.

    Attributes:
        offset, n_bytes: of a whole ``.npy`` file with its header.
        crc32: of these bytes.
    """

    offset: int
    n_bytes: int
    crc32: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplesPlace:
    """Where the samples of one case lie.

    Attributes:
        file: its name, in the folder of the line's file.
        latencies_ns: unsigned integers (rounds, n_queries), or (n,) if some were left out.
        query_hits: unsigned integers (n_queries,), summed over all rounds; None if unknown.
            Divided by ``k * rounds`` they are the recall of each query.
    """

    file: str
    latencies_ns: Block
    query_hits: Block | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCase(WithParts):
    """One case as measured, or why it failed. None means unknown.

    Attributes:
        schema: version of these fields.
        key: equal if the same content was measured in the same way; None if unknown, and for
            results of other programs.
        session: the same for all cases of one session.
        measured_at: UTC, ISO 8601, when the case was finished; empty if unknown.
        source, version: the program that measured it, and its version.
        where: ``local`` or ``modal``; empty for results of other programs.
        machine: its class: processor, cores and system; empty if unknown.
        case_id: the pytest id.
        label, build_label: ``annoy[n_trees=10,search_k=1000]``, ``annoy[n_trees=10]``.
        build, search: the arguments as given; see ``asked`` for their names.
        trusted: False for a submission.
        dataset_sha256: of the dataset's file; the same name with another digest is another dataset.
        subset: number of training vectors used, or None for all.
        query_sample: number of queries of the dataset used, if it was limited.
        query_order: the order of the queries.
        cold: whether a first pass with a cold page cache was requested.
        failure: why there are no figures; None for a measurement.
        samples: the place of latencies and recalls of single queries; None if not stored.

    The other attributes are those of a :class:`~pytest_annmodal.outcome.Measurement`; None, zero
    or empty for a failure.
    """

    schema: int = SCHEMA
    key: str | None = None
    session: str = ""
    measured_at: str = ""
    source: Source = OURS
    version: str = ""
    where: str = ""
    machine: str = ""
    case_id: str
    implementation: str
    label: str
    build_label: str
    build: Arguments = field(default_factory=Arguments)
    search: Arguments = field(default_factory=Arguments)
    trusted: bool = True
    dataset: str
    dataset_sha256: str | None = None
    subset: int | None = None
    metric: str | None = None
    dim: int | None = None
    n_train: int | None = None
    n_queries: int | None = None
    k: int
    rounds: int | None = None
    threads: int | None = None
    clock: str | None = None
    recall: float | None = None
    recall_ids: float | None = None
    recall_ann_benchmarks: float | None = None
    qps: float | None = None
    mean_s: float | None = None
    p50_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None
    batch_qps: float | None = None
    batch_recall: float | None = None
    build_s: float | None = None
    first_query_ns: int | None = None
    index_bytes: int | None = None
    reported_index_bytes: int | None = None
    peak_rss_bytes: int | None = None
    clock_floor_ns: int | None = None
    mailbox_floor_ns: int | None = None
    sampled_from: int = 0
    queries: str = ""
    query_sample: int | None = None
    query_order: str = "file"
    cold: bool = False
    n_short_answers: int = 0
    bounded_by: str = ""
    asked: Mapping[str, Plain] = field(default_factory=dict)
    effective: Mapping[str, Plain] = field(default_factory=dict)
    measured_as: str = ""
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
    environment: Mapping[str, Plain] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    failure: Failure | None = None
    samples: SamplesPlace | None = None

    @property
    def is_foreign(self) -> bool:
        """Whether another program measured it."""
        return self.source != OURS

    @property
    def is_noisy(self) -> bool:
        """Whether others used its core while it was measured."""
        return any(note.startswith("noisy:") for note in self.notes)
