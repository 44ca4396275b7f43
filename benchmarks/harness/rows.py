"""The table: every row of the harness benchmark, what it compares and what it should be at most."""

from __future__ import annotations

from . import gating, importing, jobs, looking, scoring, searching, sessions, truth
from .table import Row

WORDS = looking.at("words", lambda scale: scale.words_sized, "angular")
LARGE = looking.at("large", lambda scale: scale.large, "euclidean")
WALL = "builds + timed queries + batches, of what it stored"
LOOK = "np.array(ds), {words_sized}"
LOOK_LARGE = "np.array(ds), {large}"
SLOPE = "wall of run_job less build less latencies: the slope over the number of queries"
PASSES = "passes of a hand-written loop before and after each search of a real job, one core"
RUNNER = "the same work as ann-benchmarks' runner does it"
COLLECT = "pytest --collect-only, {collected} cases"
COLLECT_EMPTY = "pytest alone with as many empty tests"

ROWS: tuple[Row, ...] = (
    Row(
        name="wall",
        numerator="wall of pytest benchmarks/ as it comes",
        denominator=WALL,
        target=1.15,
        how="whole sessions, datasets in the volume; libraries of the extra bench",
        measure=sessions.default,
    ),
    Row(
        name="wall-large",
        numerator="wall of a session, bruteforce on {large}, {large_queries} queries × 3",
        denominator=WALL,
        target=1.25,
        how="whole sessions with a first look at the file each",
        measure=sessions.large,
    ),
    *(
        Row(
            name=f"fixed-{name}",
            numerator=f"a job of {name} less its build, queries, batch and import",
            unit="s",
            target=0.12,
            how="run_job on 1,500 × 64, 50 queries; the import in a fresh process in turn",
            measure=jobs.fixed,
        )
        for name in jobs.FIXED
    ),
    Row(
        name="fixed-largest",
        numerator="the same, the library that costs most in each turn",
        unit="s",
        target=0.3,
        how="of the rows above",
        measure=jobs.fixed,
    ),
    Row(
        name="smallest",
        numerator="a session of one job, digits",
        denominator="pytest with an empty test and no plugin",
        target=1.5,
        how="whole sessions in turn",
        measure=sessions.smallest,
    ),
    Row(
        name="look-words",
        numerator="first look at a stored dataset",
        denominator=LOOK,
        target=1.0,
        how="resolve and load in one process, nothing kept of earlier looks, file in memory",
        measure=WORDS,
    ),
    Row(
        name="look-words-own",
        numerator="first look at a file of one's own, with all checks and its sha256",
        denominator=LOOK,
        how="the same without a stamp",
        measure=WORDS,
    ),
    Row(
        name="look-words-again",
        numerator="second look at {words_sized}",
        unit="ms",
        target=10.0,
        how="the same again",
        measure=WORDS,
    ),
    Row(
        name="look-large",
        numerator="first look at a stored dataset",
        denominator=LOOK_LARGE,
        target=1.0,
        how="as look-words",
        measure=LARGE,
    ),
    Row(
        name="look-large-own",
        numerator="first look at a file of one's own, with all checks and its sha256",
        denominator=LOOK_LARGE,
        how="as look-words-own",
        measure=LARGE,
    ),
    Row(
        name="look-large-again",
        numerator="second look at {large}",
        unit="ms",
        target=10.0,
        how="as look-words-again",
        measure=LARGE,
    ),
    Row(
        name="truth-few",
        numerator="exact truth, {words_sized} angular, k = 100, {truth_few} queries",
        denominator="the matrix product alone",
        target=1.15,
        how="in turn in one process, one thread, one core",
        measure=truth.few,
    ),
    Row(
        name="truth-few-faiss",
        numerator="exact truth, {words_sized} angular, k = 100, {truth_few} queries",
        denominator="faiss flat",
        target=0.2,
        how="the same",
        measure=truth.few,
    ),
    Row(
        name="truth-many",
        numerator="exact truth, {words_sized} angular, k = 100, {truth_many} queries",
        denominator="the matrix product alone",
        target=1.15,
        how="the same",
        measure=truth.many,
    ),
    Row(
        name="truth-many-faiss",
        numerator="exact truth, {words_sized} angular, k = 100, {truth_many} queries",
        denominator="faiss flat",
        target=0.95,
        how="the same",
        measure=truth.many,
    ),
    Row(
        name="truth-memory",
        numerator="memory of that beyond the data",
        unit="MB",
        target=200.0,
        how="high-water mark of the resident memory while it runs, less what was there",
        measure=truth.many,
    ),
    Row(
        name="truth-two-threads",
        numerator="exact truth, {truth_many} queries, two threads",
        denominator="one thread",
        target=0.55,
        how="in turn in one process",
        measure=truth.two_threads,
    ),
    *(
        Row(
            name=f"truth-{metric}",
            numerator=f"exact truth, {{words_sized}} {metric}, {{truth_many}} queries",
            denominator="the matrix product alone",
            target=1.15,
            how="in turn in one process, one thread, one core",
            measure=truth.by_metric(metric),
        )
        for metric in ("euclidean", "dot")
    ),
    Row(
        name="truth-large",
        numerator="exact truth, {large} euclidean, {truth_few} queries",
        denominator="the matrix product alone",
        target=1.15,
        how="the same",
        measure=truth.large,
    ),
    Row(
        name="truth-large-memory",
        numerator="memory of that beyond the data",
        unit="MB",
        target=200.0,
        how="as truth-memory",
        measure=truth.large,
    ),
    Row(
        name="beside-10",
        numerator="harness per query beside the clock, k = 10",
        unit="µs",
        target=1.5,
        how=SLOPE,
        measure=searching.per_query_10,
    ),
    Row(
        name="beside-10-parent",
        numerator="the same by the parent's clock",
        unit="µs",
        how=SLOPE,
        measure=searching.per_query_10,
    ),
    Row(
        name="beside-100",
        numerator="harness per query beside the clock, k = 100",
        unit="µs",
        target=5.0,
        how=SLOPE,
        measure=searching.per_query_100,
    ),
    Row(
        name="floor-parent",
        numerator="floor of the parent's clock",
        unit="µs",
        target=1.5,
        how="median round trip of a do-nothing answer, stated in every measurement",
        measure=searching.fidelity,
    ),
    Row(
        name="floor-worker",
        numerator="floor of the worker's clock",
        unit="ns",
        how="median of two readings in a row",
        measure=searching.fidelity,
    ),
    *(
        Row(
            name=f"p50-worker-{name}",
            numerator=f"{name}: p50 by the worker's clock",
            denominator="a tight loop",
            target=1.02,
            how=PASSES,
            measure=searching.fidelity,
        )
        for name in ("bruteforce", "hnswlib", "annoy")
    ),
    *(
        Row(
            name=f"p50-parent-{name}",
            numerator=f"{name}: p50 by the parent's clock less its floor",
            denominator="a tight loop",
            target=1.03,
            how=PASSES,
            measure=searching.fidelity,
        )
        for name in ("bruteforce", "hnswlib", "annoy")
    ),
    Row(
        name="large-job",
        numerator=(
            "session of hnswlib, {words_sized}, one build, {large_job_settings} settings, "
            "{large_job_queries} queries × 3"
        ),
        denominator=RUNNER,
        target=0.35,
        how="whole processes in turn, a first look at the file each",
        measure=jobs.large,
    ),
    Row(
        name="small-job",
        numerator="session of hnswlib, {small}, 3 settings, {small_job_queries} queries × 3",
        denominator=RUNNER,
        target=0.6,
        how="whole processes in turn, a first look at the file each",
        measure=jobs.small,
    ),
    Row(
        name="paired",
        numerator="session of a paired comparison, {small}, {small_job_queries} queries",
        denominator="its builds and queries, as the implementation times them itself",
        target=1.2,
        how="hnswlib against its equal, ef = 300; whole sessions",
        measure=jobs.paired,
    ),
    Row(
        name="gate",
        numerator="session with a gate of one job, hnswlib, {gated}, {small_job_queries} queries",
        denominator="its builds, timed queries and batches",
        target=1.5,
        how="hnswlib against itself, five sessions, three settings; whole sessions",
        measure=gating.gate,
    ),
    Row(
        name="modal",
        numerator="session on the loopback plane, 8 jobs of 2 s on 3 datasets, nothing cached",
        denominator="its slowest job",
        target=1.1,
        how="tests/modal/eight_jobs.py, a new plane each turn",
        measure=sessions.modal,
    ),
    Row(
        name="plugin-import",
        numerator="plugin load, unused: import and options",
        unit="ms",
        target=2.0,
        how="CPU time inside fresh processes that have imported pytest",
        measure=sessions.plugin_import,
    ),
    Row(
        name="plugin-session",
        numerator="the same, a session with the plugin less one with an empty one",
        unit="ms",
        target=2.0,
        how="CPU time, the fastest of six each in turn",
        measure=sessions.plugin_session,
    ),
    Row(
        name="collect",
        numerator=COLLECT,
        unit="s",
        target=2.0,
        how="whole sessions in turn",
        measure=sessions.collected,
    ),
    Row(
        name="collect-ratio",
        numerator=COLLECT,
        denominator=COLLECT_EMPTY,
        how="the same",
        measure=sessions.collected,
    ),
    Row(
        name="collect-memory",
        numerator=f"memory of {COLLECT}",
        unit="MB",
        target=70.0,
        how="the kernel's high-water mark of the process",
        measure=sessions.collected,
    ),
    Row(
        name="collect-memory-ratio",
        numerator=f"memory of {COLLECT}",
        denominator=COLLECT_EMPTY,
        how="the same",
        measure=sessions.collected,
    ),
    Row(
        name="scoring",
        numerator=(
            "scoring and storing {scored_queries} × k = 100 answers of {scored_settings} settings"
        ),
        unit="s",
        target=0.3,
        how="100 dimensions, angular; as a job does it, in one process, on one core",
        measure=scoring.scored,
    ),
    Row(
        name="parent-peak",
        numerator="peak memory of the parent, {large}",
        unit="MB",
        target=90.0,
        how="anonymous memory, looked at every 50 ms, of the sessions of wall-large",
        measure=sessions.large,
    ),
    Row(
        name="worker-beyond",
        numerator="peak memory of the worker beyond its index, {large}",
        unit="MB",
        target=40.0,
        how="the same",
        measure=sessions.large,
    ),
    Row(
        name="import",
        numerator="annmodal import of {imported} with {imported_queries} queries",
        denominator="2 copies of the file and the exact truth alone",
        target=1.0,
        how="fbin in the page cache; the copy is timed until it is on the disk",
        measure=importing.imported,
    ),
    Row(
        name="import-memory",
        numerator="peak memory of annmodal import, {imported}",
        unit="MB",
        target=1000.0,
        how="anonymous memory of its processes, looked at every 50 ms",
        measure=importing.imported,
    ),
)
