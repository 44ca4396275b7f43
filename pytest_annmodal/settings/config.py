"""The table of options: flag, ini key, environment variable, meaning.

Each option is one field of :class:`Settings`. pytest's parser, ``--help``, the ini keys, the
variables and which of them a grading accepts are made from the fields. Every pytest run on
the machine imports this module, so it imports nothing heavy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_annmodal.settings.option import (
    GATE,
    SESSIONS,
    Option,
    always,
    client_counts,
    gate_mode,
    is_dataset_file,
    object_name,
    option,
    parameter_values,
    proportion,
    rates,
    recalls,
    sample_or_file,
    seconds,
    seconds_of_a_day,
    session_count,
)
from pytest_annmodal.tolerances import TOLERANCES

CLOCKS = ("auto", "worker", "parent")
ARRIVALS = ("poisson", "uniform")
ORDERS = ("file", "random", "sorted")  # of the queries
ISOLATION_LEVELS = ("auto", "strict", "process")
PHASE_S = 3600.0  # longest that importing, building or one search setting may take

OFF = "off"  # instead of a folder for results
LATEST = "latest"  # instead of a folder to compare with

SELECT, MEASURE, LOAD, DATA, MODAL, COMPARE, RESULTS, GRADE = (
    "ANN benchmarks: what to run",
    "ANN benchmarks: how to measure",
    "ANN benchmarks: under load",
    "ANN benchmarks: datasets",
    "ANN benchmarks: on Modal",
    "ANN benchmarks: comparing with a baseline",
    "ANN benchmarks: results",
    "ANN benchmarks: grading",
)


class Settings:
    """The values of all options, checked once, by :func:`~.sources.resolve`.

    (No dataclass: to make one of so many fields takes 4 ms, in every pytest run.)
    """

    impl: tuple[str, ...] = option(
        (),
        "--impl",
        SELECT,
        "Run these implementations only; a name or a glob ('faiss-*'), with settings if only "
        "those are wanted ('hnswlib[ef=30]', docs/choosing.md), or with a version, folder or "
        "commit of its library ('hnswlib@0.7.0', docs/environments.md); repeatable.",
        metavar="NAME",
        modal_run="--impl",
    )
    param: tuple[tuple[str, tuple[str, ...]], ...] = option(
        (),
        "--ann-param",
        SELECT,
        "Run these values of a parameter only (ef=20,50,100 or M=8..64:log4, docs/settings.md), "
        "of every implementation that has it; repeatable.",
        metavar="NAME=V,V",
        kind=parameter_values,
    )
    build_param: tuple[tuple[str, tuple[str, ...]], ...] = option(
        (),
        "--ann-build-param",
        SELECT,
        "As --ann-param, for build parameters only, where a search has one of the same name; "
        "repeatable.",
        metavar="NAME=V,V",
        kind=parameter_values,
    )
    run_group: tuple[str, ...] = option(
        (),
        "--ann-run-group",
        SELECT,
        "Of ann-benchmarks folders run only the run groups of this name or glob; repeatable.",
        metavar="NAME",
    )
    dataset: tuple[str, ...] = option(
        (),
        "--dataset",
        SELECT,
        "Run on these datasets: a catalogue name or glob, an HDF5 file, a file of vectors in "
        "another format (docs/datasets.md) or a URL; repeatable.",
        metavar="NAME",
        is_path=is_dataset_file,
        grading="typed",
        modal_run="--dataset",
    )
    submission: tuple[str, ...] = option(
        (),
        "--submission",
        SELECT,
        "Measure this file or folder (a class with fit and query, or an ann-benchmarks folder) "
        "as untrusted code; a glob works, repeatable.",
        metavar="PATH",
        is_path=always,
    )
    implementations: tuple[str, ...] = option(
        (),
        "--ann-implementations",
        SELECT,
        "Also offer the implementations in this folder (files with a header, ann-benchmarks "
        "folders) as trusted code; repeatable.",
        metavar="DIR",
        is_path=always,
    )
    target_recall: tuple[tuple[float, ...], ...] = option(
        (),
        "--ann-target-recall",
        SELECT,
        "For each build find the smallest search setting that reaches each recall (0.9,0.95), "
        "and measure it (docs/settings.md); repeatable.",
        metavar="R,R",
        kind=recalls,
    )
    tune_budget_s: float = option(
        60.0,
        "--ann-tune-budget",
        SELECT,
        "Seconds that finding one such setting may take (default: {default}).",
        metavar="SECONDS",
        kind=seconds,
    )
    plan: bool = option(
        False,
        "--ann-plan",
        SELECT,
        "Show every job with its estimated time and cost, and what is left out and why; run "
        "nothing (docs/settings.md).",
    )
    plan_json: str | None = option(
        None,
        "--ann-plan-json",
        SELECT,
        "Write that plan as JSON too.",
        metavar="FILE",
        is_path=always,
    )
    k: int = option(
        10,
        "--ann-k",
        MEASURE,
        "Neighbours to ask for (default: {default}).",
        metavar="K",
        grading="rules",
        modal_run="--k",
    )
    rounds: int = option(
        3,
        "--ann-rounds",
        MEASURE,
        "How often all queries are asked (default: {default}); all rounds count.",
        metavar="N",
        grading="rules",
    )
    max_search_s: float = option(
        60.0,
        "--ann-max-time",
        MEASURE,
        "Begin no further round of a search setting after this long (default: {default}).",
        metavar="SECONDS",
        grading="rules",
    )
    queries: int | str | None = option(
        None,
        "--ann-queries",
        MEASURE,
        "With a number: ask only a random sample of N of a dataset's queries. With a path (./100 "
        "for a file that is called 100): ask the queries in this file instead, of any format that "
        "`annmodal import` reads; their true neighbours are computed.",
        metavar="N|FILE",
        kind=sample_or_file,
        is_number=True,
        is_path=always,
        grading="rules",
    )
    query_order: str = option(
        "file",
        "--ann-query-order",
        MEASURE,
        "Order of the queries: as in the file (file, default), shuffled (random, the same in every "
        "run), or similar ones together (sorted, by their first principal component), which "
        "shows the effect of caches.",
        choices=ORDERS,
        grading="rules",
    )
    cold: bool = option(
        False,
        "--ann-cold",
        MEASURE,
        "Before each search setting drop the files that it reads from the page cache, as far as "
        "that is allowed, and time a first pass of all queries by itself (docs/measurement.md). Of "
        "trusted implementations only.",
        opposite="--ann-warm",
    )
    executor: str = option(
        "local",
        "--ann-executor",
        MEASURE,
        "Where jobs run: on this machine (local, default), in containers (modal), or on an "
        "executor that a plugin provides (docs/modal.md).",
        metavar="NAME",
    )
    threads: int = option(
        1,
        "--ann-threads",
        MEASURE,
        "Threads an implementation may use, each on a core, for builds and batches (default: "
        "{default}). Single queries are asked on one core.",
        metavar="N",
        grading="rules",
    )
    clock: str = option(
        "auto",
        "--ann-clock",
        MEASURE,
        "Whose clock times a query: the worker's, the parent's (over shared memory), or auto "
        "(default): the parent's for submissions, the worker's for the rest.",
        choices=CLOCKS,
        grading="rules",
        stricter=lambda clock: clock == "parent",
    )
    timeout_s: float = option(
        PHASE_S,
        "--ann-timeout",
        MEASURE,
        "Longest that importing, building or one search setting may take (default: {default}).",
        metavar="SECONDS",
        grading="rules",
        stricter=lambda limit: limit <= PHASE_S,
    )
    isolation: str = option(
        "auto",
        "--ann-isolation",
        MEASURE,
        "How a submission is isolated: the best that works here (auto, default), bubblewrap or "
        "an error (strict), or only a process with limits (process).",
        choices=ISOLATION_LEVELS,
        grading="rules",
        stricter=lambda level: level == "strict",
    )
    fresh_queries: bool = option(
        False,
        "--ann-fresh-queries",
        MEASURE,
        "Ask submissions unpublished queries, drawn for this session; each is asked once.",
        grading="rules",
        stricter=bool,
    )
    fresh_seed: int | None = option(
        None,
        "--ann-fresh-seed",
        MEASURE,
        "Seed of the fresh queries, to repeat a session (default: drawn).",
        metavar="N",
        grading="typed",
    )
    memory_mb: int | None = option(
        None,
        "--ann-memory-mb",
        MEASURE,
        "Most private memory an implementation may use beyond the training vectors.",
        metavar="MB",
        grading="rules",
        stricter=lambda _limit: True,
    )
    rate: tuple[tuple[float, ...], ...] = option(
        (),
        "--ann-rate",
        LOAD,
        "Also measure at these rates of queries per second, one level for each, with latency "
        "counted from when a query was due (docs/load.md); auto: 50 to 95 per cent of the highest "
        "possible rate; repeatable.",
        metavar="R,R|auto",
        kind=rates,
        grading="rules",
    )
    concurrency: tuple[tuple[int, ...], ...] = option(
        (),
        "--ann-concurrency",
        LOAD,
        "Also measure with this many clients at once, one level for each number; each client "
        "asks its next query when it has its answer. For trusted implementations only; repeatable.",
        metavar="N,N",
        kind=client_counts,
        grading="rules",
    )
    arrivals: str = option(
        "poisson",
        "--ann-arrivals",
        LOAD,
        "How the queries of --ann-rate arrive: independently of each other (poisson, default), or "
        "at equal intervals (uniform).",
        choices=ARRIVALS,
        grading="rules",
    )
    load_seed: int = option(
        1,
        "--ann-load-seed",
        LOAD,
        "Seed of the arrival times (default: {default}).",
        metavar="N",
        grading="rules",
    )
    load_s: float = option(
        5.0,
        "--ann-load-time",
        LOAD,
        "Seconds that a level of load lasts (default: {default}).",
        metavar="SECONDS",
        kind=seconds,
        grading="rules",
    )
    load_queue: int = option(
        1000,
        "--ann-load-queue",
        LOAD,
        "How many queries may wait; those that arrive when the queue is full are dropped and "
        "counted (default: {default}).",
        metavar="N",
        grading="rules",
    )
    at_p99_ms: float | None = option(
        None,
        "--ann-at-p99-ms",
        LOAD,
        "Also give the highest rate of --ann-rate at which 99 of 100 queries take at most this "
        "many ms.",
        metavar="MS",
        grading="rules",
    )
    generator_bound: bool = option(
        False,
        "--ann-generator-bound",
        LOAD,
        "Also count levels marked generator-bound or stopped for knees and --ann-at-p99-ms.",
    )
    subset: int | None = option(
        None,
        "--ann-subset",
        DATA,
        "Use a random sample of N training vectors; the true neighbours are computed again.",
        metavar="N",
        grading="rules",
        modal_run="--subset-size",
    )
    download: bool = option(
        False,
        "--download",
        DATA,
        "Download missing datasets of the catalogue, then run; without it their tests are "
        "skipped. Datasets given by URL are always downloaded.",
    )
    download_only: bool = option(
        False,
        "--download-only",
        DATA,
        "Put the datasets of the selected tests into the volume and run nothing.",
        modal_run="--download-only",
    )
    volume_dir: str | None = option(
        None,
        "--ann-volume-dir",
        DATA,
        "Folder of the local volume (default: $XDG_CACHE_HOME/annmodal/volumes/ann-datasets).",
        metavar="DIR",
        is_path=always,
    )
    base_url: tuple[str, ...] = option(
        (),
        "--ann-base-url",
        DATA,
        "Mirror to try first, as URL/NAME.hdf5; repeatable.",
        metavar="URL",
    )
    modal: bool = option(
        False,
        "--modal",
        MODAL,
        "Run on Modal: one container per build, all at once.",
    )
    modal_plan: bool = option(
        False,
        "--modal-plan",
        MODAL,
        "Print what --modal would run and what it would cost at most; run nothing.",
    )
    modal_max_minutes: float | None = option(
        None,
        "--modal-max-minutes",
        MODAL,
        "Refuse a plan of more container-minutes than this.",
        metavar="N",
    )
    modal_max_containers: int | None = option(
        None,
        "--modal-max-containers",
        MODAL,
        "Run at most N jobs at once (default: all); the referee of submissions is not counted.",
        metavar="N",
    )
    modal_cpu: float = option(
        2.0,
        "--modal-cpu",
        MODAL,
        "Physical cores per container, requested and capped (default: {default}).",
        metavar="N",
    )
    modal_memory_mb: int = option(
        16384,
        "--modal-memory-mb",
        MODAL,
        "Memory per container in MiB (default: 16384, enough for gist-960-euclidean).",
        metavar="MB",
    )
    modal_timeout_s: int = option(
        3600,
        "--modal-timeout",
        MODAL,
        "Longest that one job may take in its container, a day at most (default: {default}).",
        metavar="SECONDS",
        kind=seconds_of_a_day,
    )
    modal_silence_s: float = option(
        45.0,
        "--modal-silence",
        MODAL,
        "End a session once Modal's server has not answered for this long (default: {default}).",
        metavar="SECONDS",
    )
    modal_volume: str = option(
        "ann-datasets",
        "--modal-volume",
        MODAL,
        "Volume that holds the datasets (default: {default}).",
        metavar="NAME",
        kind=object_name,
    )
    modal_region: str | None = option(
        None,
        "--modal-region",
        MODAL,
        "Region to run in (default: wherever there is room).",
        metavar="NAME",
    )
    modal_usd_core_hour: float = option(
        0.0473,
        "--modal-usd-core-hour",
        MODAL,
        "Price of one physical core for an hour, for the plan (default: {default}).",
        metavar="USD",
    )
    modal_usd_gib_hour: float = option(
        0.008,
        "--modal-usd-gib-hour",
        MODAL,
        "Price of one GiB of memory for an hour, for the plan (default: {default}).",
        metavar="USD",
    )
    baseline: str | None = option(
        None,
        "--ann-baseline",
        COMPARE,
        "Compare everything with this implementation, side by side in the same job: 'annoy' "
        "(its first build, with all search settings), or settings and versions as --impl has "
        "them: 'hnswlib[ef=30]', 'hnswlib@0.8.0'.",
        metavar="NAME",
        grading="rules",
    )
    sessions: int = option(
        SESSIONS[-1],
        "--ann-sessions",
        COMPARE,
        "Most sessions, each with fresh builds, for a verdict; it is checked after 5, 8 and 11 "
        "(default) until decided. 1 gives the ratio without a verdict.",
        metavar="N",
        kind=session_count,
        grading="rules",
    )
    difference: float = option(
        5.0,
        "--ann-difference",
        COMPARE,
        "Smallest difference from the baseline that matters, in per cent (default: {default}).",
        metavar="PERCENT",
        grading="rules",
    )
    at_recall: float | None = option(
        None,
        "--ann-at-recall",
        COMPARE,
        "Also give the queries per second at this recall, interpolated between the search "
        "settings of a build that bracket it.",
        metavar="R",
        kind=proportion,
        grading="rules",
    )
    gate: str | None = option(
        None,
        "--ann-gate",
        COMPARE,
        "Compare everything with the baseline, and fail what is certainly worse in speed, recall, "
        "build or memory (docs/regressions.md); --ann-gate=strict also fails what cannot be "
        "decided.",
        metavar="strict",
        kind=gate_mode,
        bare=GATE,
    )
    against: str | None = option(
        None,
        "--ann-against",
        COMPARE,
        "Compare recall and memory with stored results: a file or folder of them, or 'latest', the "
        "newest of each setting in --ann-results; times are only shown.",
        metavar="FILE|DIR|latest",
        is_path=lambda text: text != LATEST,
    )
    max_slowdown: float = option(
        TOLERANCES["max_slowdown"],
        "--ann-max-slowdown",
        COMPARE,
        "Largest slowdown that a gate accepts, as a share (default: {default}).",
        metavar="SHARE",
        kind=proportion,
    )
    max_recall_drop: float = option(
        TOLERANCES["max_recall_drop"],
        "--ann-max-recall-drop",
        COMPARE,
        "Largest loss of recall at equal settings that a gate accepts (default: {default}).",
        metavar="RECALL",
        kind=proportion,
    )
    max_build_rise: float = option(
        TOLERANCES["max_build_rise"],
        "--ann-max-build-rise",
        COMPARE,
        "Largest rise of build time that a gate accepts, as a share (default: {default}).",
        metavar="SHARE",
        kind=proportion,
    )
    max_memory_rise: float = option(
        TOLERANCES["max_memory_rise"],
        "--ann-max-memory-rise",
        COMPARE,
        "Largest rise of index and peak memory that a gate accepts, as a share (default: "
        "{default}).",
        metavar="SHARE",
        kind=proportion,
    )
    max_p99_rise: float | None = option(
        None,
        "--ann-max-p99-rise",
        COMPARE,
        "Largest rise of the 99 % latency that a gate accepts, as a share (default: it is only "
        "shown).",
        metavar="SHARE",
        kind=proportion,
    )
    results: str | None = option(
        None,
        "--ann-results",
        RESULTS,
        "Store every measured case in this folder, for `annmodal results` and "
        "`annmodal export`; off: store nothing (default: .annmodal/results under the rootdir).",
        metavar="DIR|off",
        is_path=lambda text: text != OFF,
    )
    reuse: bool = option(
        False,
        "--ann-reuse",
        RESULTS,
        "Reuse results in that folder that were measured in exactly the same way, and measure "
        "only the rest.",
    )
    summary: bool = option(
        False,
        "--ann-summary",
        RESULTS,
        "Append the results, in Markdown, to the file that $GITHUB_STEP_SUMMARY names.",
    )
    report: str | None = option(
        None,
        "--ann-report",
        RESULTS,
        "At the end write a page with charts and all numbers, which opens offline. Needs "
        "pytest-annmodal[report].",
        metavar="FILE.html",
        is_path=always,
    )
    grade: str | None = option(
        None,
        "--ann-grade",
        GRADE,
        "Grade the submissions by the rules in this TOML file (docs/grading.md).",
        metavar="FILE",
        is_path=always,
    )
    grade_dir: str = option(
        "grades",
        "--ann-grade-dir",
        GRADE,
        "Folder for the grades and the journal (default: {default}).",
        metavar="DIR",
        is_path=always,
    )
    resume: bool = option(
        False,
        "--ann-resume",
        GRADE,
        "Continue an interrupted grading; finished cases are not run again.",
    )

    rootdir: Path = Path()

    def __init__(self, **values: Any) -> None:
        """Takes values by name; what is not named has its default.

        Raises:
            TypeError: a name is no setting's.
        """
        unknown = values.keys() - DEFAULTS.keys()
        if unknown:
            raise TypeError(f"Settings has no {', '.join(sorted(unknown))}")
        vars(self).update({**DEFAULTS, **values})  # always in the same order, for the hash

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Settings cannot be changed: {name} = {value!r}; see replaced()")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Settings) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(tuple(vars(self).values()))

    def __repr__(self) -> str:
        changed = (f"{k}={v!r}" for k, v in vars(self).items() if v != DEFAULTS[k])
        return f"Settings({', '.join(changed)})"

    def replaced(self, **changes: Any) -> Settings:
        """Returns the same settings but for some."""
        return Settings(**{**vars(self), **changes})

    @property
    def modal_machine(self) -> str:
        """The machine class of this session's containers, as far as it can be requested."""
        region = f", {self.modal_region}" if self.modal_region else ""
        return f"Modal, {self.modal_cpu:g} cores, {self.modal_memory_mb} MiB{region}"


OPTIONS: tuple[Option, ...] = tuple(o for o in vars(Settings).values() if isinstance(o, Option))
DEFAULTS: dict[str, Any] = {**{o.name: o.default for o in OPTIONS}, "rootdir": Settings.rootdir}
