"""Every option, ini key and environment variable in ONE table.

This module is imported by every pytest run on the machine, so it imports nothing heavy.
"""

from __future__ import annotations

from pytest_annmodal.settings.comparison_options import COMPARISON
from pytest_annmodal.settings.grading_options import GRADING
from pytest_annmodal.settings.option import (
    Option,
    always,
    is_dataset_file,
    parameter_values,
    positive_float,
    positive_int,
)

CLOCKS = ("auto", "worker", "parent")
ISOLATION_LEVELS = ("auto", "strict", "process")


SELECT, MEASURE, DATA, MODAL = (
    "ANN benchmarks: what to run",
    "ANN benchmarks: how to measure",
    "ANN benchmarks: datasets",
    "ANN benchmarks: on Modal",
)

OPTIONS: tuple[Option, ...] = (
    Option(
        name="impl",
        flag="--impl",
        metavar="NAME",
        many=True,
        group=SELECT,
        help="Run these implementations only; a name or a glob ('faiss-*'), with settings if only "
        "those are wanted ('hnswlib[M=16,*]', docs/choosing.md); repeatable.",
    ),
    Option(
        name="param",
        flag="--ann-param",
        metavar="NAME=V,V",
        kind=parameter_values,
        many=True,
        group=SELECT,
        help="Run these values of a parameter only (ef=20,50,100), of every implementation that "
        "has it; repeatable.",
    ),
    Option(
        name="run_group",
        flag="--ann-run-group",
        metavar="NAME",
        many=True,
        group=SELECT,
        help="Run only what ann-benchmarks folders have in run groups of this name or glob; "
        "repeatable.",
    ),
    Option(
        name="dataset",
        is_path=is_dataset_file,
        flag="--dataset",
        metavar="NAME",
        many=True,
        group=SELECT,
        help="Run on these datasets: a catalogue name or glob, an HDF5 file or a URL; repeatable.",
    ),
    Option(
        name="submission",
        is_path=always,
        flag="--submission",
        metavar="PATH",
        many=True,
        group=SELECT,
        help="Measure this file or folder (a class with fit and query, or an ann-benchmarks "
        "folder) as untrusted code; a glob works, repeatable.",
    ),
    Option(
        name="implementations",
        is_path=always,
        flag="--ann-implementations",
        metavar="DIR",
        many=True,
        group=SELECT,
        help="Also offer the implementations in this folder (files with a header, ann-benchmarks "
        "folders) as trusted code; repeatable.",
    ),
    Option(
        name="k",
        flag="--ann-k",
        metavar="K",
        kind=positive_int,
        default=10,
        group=MEASURE,
        help="Neighbours to ask for (default: 10).",
    ),
    Option(
        name="rounds",
        flag="--ann-rounds",
        metavar="N",
        kind=positive_int,
        default=3,
        group=MEASURE,
        help="Times that all queries are asked (default: 3); all rounds count.",
    ),
    Option(
        name="max_search_s",
        flag="--ann-max-time",
        metavar="SECONDS",
        kind=positive_float,
        default=60.0,
        group=MEASURE,
        help="Begin no further round of a search setting after this long (default: 60).",
    ),
    Option(
        name="queries",
        flag="--ann-queries",
        metavar="N",
        kind=positive_int,
        group=MEASURE,
        help="Ask only the first N queries of a dataset.",
    ),
    Option(
        name="threads",
        flag="--ann-threads",
        metavar="N",
        kind=positive_int,
        default=1,
        group=MEASURE,
        help="Threads an implementation may use, each on a core, for builds and batches "
        "(default: 1). Single queries are asked on one core.",
    ),
    Option(
        name="clock",
        flag="--ann-clock",
        choices=CLOCKS,
        default="auto",
        group=MEASURE,
        help="Whose clock times a query: the worker's, the parent's (over shared memory), or auto "
        "(default): the parent's for submissions, the worker's for the rest.",
    ),
    Option(
        name="timeout_s",
        flag="--ann-timeout",
        metavar="SECONDS",
        kind=positive_float,
        default=3600.0,
        group=MEASURE,
        help="Longest that importing, building or one search setting may take (default: 3600).",
    ),
    Option(
        name="isolation",
        flag="--ann-isolation",
        choices=("auto", "strict", "process"),
        default="auto",
        group=MEASURE,
        help="How a submission is shut in: the best that works here (auto, default), nothing less "
        "than bubblewrap (strict), or only a process with limits.",
    ),
    Option(
        name="fresh_queries",
        flag="--ann-fresh-queries",
        kind=None,
        default=False,
        group=MEASURE,
        help="Ask submissions queries that nobody has seen, drawn for this session; no query is "
        "asked twice.",
    ),
    Option(
        name="fresh_seed",
        flag="--ann-fresh-seed",
        metavar="N",
        kind=positive_int,
        group=MEASURE,
        help="Seed of the fresh queries, to repeat a session (default: drawn).",
    ),
    Option(
        name="memory_mb",
        flag="--ann-memory-mb",
        metavar="MB",
        kind=positive_int,
        group=MEASURE,
        help="Most private memory an implementation may use beyond the training vectors.",
    ),
    Option(
        name="subset",
        flag="--ann-subset",
        metavar="N",
        kind=positive_int,
        group=DATA,
        help="Use only the first N training vectors; the true neighbours are computed anew.",
    ),
    Option(
        name="download",
        flag="--download",
        kind=None,
        default=False,
        group=DATA,
        help="Download missing datasets, then run; without it their tests are skipped.",
    ),
    Option(
        name="download_only",
        flag="--download-only",
        kind=None,
        default=False,
        group=DATA,
        help="Put the datasets of the selected tests into the volume and run nothing.",
    ),
    Option(
        name="volume_dir",
        is_path=always,
        flag="--ann-volume-dir",
        metavar="DIR",
        group=DATA,
        help="Folder of the local volume (default: $XDG_CACHE_HOME/annmodal/volumes/ann-datasets).",
    ),
    Option(
        name="base_url",
        flag="--ann-base-url",
        metavar="URL",
        many=True,
        group=DATA,
        help="Mirror to try first, as URL/NAME.hdf5; repeatable.",
    ),
    Option(
        name="modal",
        flag="--modal",
        kind=None,
        default=False,
        group=MODAL,
        help="Run on Modal: one container per build, all at once.",
    ),
    Option(
        name="modal_plan",
        flag="--modal-plan",
        kind=None,
        default=False,
        group=MODAL,
        help="Print what --modal would run and what it could cost at most, and run nothing.",
    ),
    Option(
        name="modal_max_minutes",
        flag="--modal-max-minutes",
        metavar="N",
        kind=positive_float,
        group=MODAL,
        help="Refuse a plan of more container-minutes than this.",
    ),
    Option(
        name="modal_max_containers",
        flag="--modal-max-containers",
        metavar="N",
        kind=positive_int,
        group=MODAL,
        help="Run at most N jobs at once (default: all), the referee of submissions aside.",
    ),
    Option(
        name="modal_cpu",
        flag="--modal-cpu",
        metavar="N",
        kind=positive_float,
        default=2.0,
        group=MODAL,
        help="Physical cores per container, requested and capped (default: 2).",
    ),
    Option(
        name="modal_memory_mb",
        flag="--modal-memory-mb",
        metavar="MB",
        kind=positive_int,
        default=16384,
        group=MODAL,
        help="Memory per container in MiB (default: 16384, enough for gist-960-euclidean).",
    ),
    Option(
        name="modal_timeout_s",
        flag="--modal-timeout",
        metavar="SECONDS",
        kind=positive_int,
        default=3600,
        group=MODAL,
        help="Longest that one job may take in its container (default: 3600).",
    ),
    Option(
        name="modal_volume",
        flag="--modal-volume",
        metavar="NAME",
        default="ann-datasets",
        group=MODAL,
        help="Volume that holds the datasets (default: ann-datasets).",
    ),
    Option(
        name="modal_region",
        flag="--modal-region",
        metavar="NAME",
        group=MODAL,
        help="Region to run in (default: wherever there is room).",
    ),
    Option(
        name="modal_usd_core_hour",
        flag="--modal-usd-core-hour",
        metavar="USD",
        kind=positive_float,
        default=0.0473,
        group=MODAL,
        help="Price of one physical core for an hour, for the plan (default: 0.0473).",
    ),
    Option(
        name="modal_usd_gib_hour",
        flag="--modal-usd-gib-hour",
        metavar="USD",
        kind=positive_float,
        default=0.008,
        group=MODAL,
        help="Price of one GiB of memory for an hour, for the plan (default: 0.008).",
    ),
    *COMPARISON,
    *GRADING,
)
