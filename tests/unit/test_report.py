"""The summary table, compared as exact text."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pytest_annmodal.figures import duration, rate, share, size
from pytest_annmodal.outcome import Failure, Measurement, Outcome
from pytest_annmodal.reports.aligned import columns_of
from pytest_annmodal.reports.tables import summary
from pytest_annmodal.results.rows import Row


def row_of(label: str, outcome: Outcome, *, where: str = "local", **change: Any) -> Row:
    values = {"build": re.sub(r",ef=\d+", "", label), "search": "", "dataset": "digits", "k": 10}
    return Row(label=label, where=where, outcome=outcome, **{**values, **change})


def measured(label: str, *, row: dict[str, Any] | None = None, **change: Any) -> Row:
    environment = {"threads": 1, "cores": 2, "load_1min": 0.4, "involuntary_switches": 0}
    environment.update(change.pop("environment", {}))
    outcome: dict[str, Any] = {
        "case_id": label,
        "k": 10,
        "rounds": 3,
        "metric": "euclidean",
        "dim": 64,
        "n_train": 1597,
        "n_queries": 200,
        **dict.fromkeys(("recall", "recall_ids", "recall_ann_benchmarks"), 1.0),
        "latencies_ns": (),
        "qps": 13087.3,
        "mean_s": 34e-6,
        "p50_s": 33.5e-6,
        "p95_s": 43.7e-6,
        "p99_s": 135e-6,
        "batch_qps": None,
        "batch_recall": None,
        "build_s": 142e-6,
        "first_query_ns": 1,
        "index_bytes": 400_000,
        "reported_index_bytes": None,
        "peak_rss_bytes": 1,
        "clock": "worker",
        "clock_floor_ns": 1,
        "mailbox_floor_ns": 1,
        "environment": environment,
    }
    where = change.pop("where", "local")
    outcome |= change
    outcome["notes"] = tuple(outcome.get("notes", ()))
    return row_of(label, Measurement(**outcome), where=where, **(row or {}))


def failed(label: str, message: str = "build raised ValueError: no (line 7)") -> Row:
    return row_of(label, Failure(case_id=label, kind="raised", message=message))


ROWS = [
    failed("mine", "build raised ValueError: no (line 7)\nand more"),
    measured("slow[n=10]", qps=960.4, recall=0.98764, p50_s=1.2e-3, build_s=75.25),
    measured(
        "bruteforce",
        batch_qps=21231.0,
        notes=["noisy: 6 involuntary context switches in 0.046 s of timed queries"],
        environment={"involuntary_switches": 6, "load_1min": 3.21},
    ),
]


def test_text_of_submissions() -> None:
    """Text of a hostile container adds no line or command to the table."""
    forged = "\nPASSED test_it.py\n::error::x ##[error]y ##vso[task.complete]z"
    rows = [measured(f"a{forged}", clock=forged, notes=[forged]), failed(f"b{forged}", forged)]
    text = summary(rows, width=None, color=False)
    assert not any(line.startswith(("PASSED", ":")) for line in text.splitlines())
    assert not re.search(r"##\w*\[", text)


def test_table() -> None:
    """The fastest row is first, failures are last, columns are aligned, noise is told once."""
    assert (
        summary(ROWS, width=None, color=False)
        == """\
digits · 1,597 × 64 · euclidean · k=10 · 200 queries × 3 · 1 thread · local · clock: worker
  implementation  recall     QPS      p50      p95     p99  batch QPS   build   index
─────────────────────────────────────────────────────────────────────────────────────
~ bruteforce      1.0000  13,087  33.5 µs  43.7 µs  135 µs     21,231  142 µs  400 kB
  slow[n=10]      0.9876     960   1.2 ms  43.7 µs  135 µs          –  75.2 s  400 kB
  mine            failed (raised): build raised ValueError: no (line 7)
  ~ noisy: up to 6 involuntary context switches while queries were timed, load average up\
 to 3.2 on 2 cores; latencies may be too high"""
    )


def test_narrow_terminal() -> None:
    """On 80 columns no line is longer: a label that does not fit has a line of its own."""
    text = summary(ROWS, width=80, color=False)
    assert (
        text
        == """\
digits · 1,597 × 64 · euclidean · k=10 · 200 queries × 3 · 1 thread · local ·
    clock: worker
  implementation
      recall     QPS      p50      p95     p99  batch QPS   build   index
─────────────────────────────────────────────────────────────────────────
~ bruteforce
      1.0000  13,087  33.5 µs  43.7 µs  135 µs     21,231  142 µs  400 kB
  slow[n=10]
      0.9876     960   1.2 ms  43.7 µs  135 µs          –  75.2 s  400 kB
  mine  failed (raised): build raised ValueError: no (line 7)
  ~ noisy: up to 6 involuntary context switches while queries were timed, load
  average up to 3.2 on 2 cores; latencies may be too high"""
    )
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("width", range(60, 100))
def test_the_first_line_is_broken_in_time(width: int) -> None:
    """The title is broken before the part that does not fit."""
    text = summary([measured("a")], width=width, color=False)
    facts = text.partition("\n  implementation")[0]
    assert max(map(len, facts.splitlines())) <= width
    assert (
        " ".join(facts.split()) == summary([measured("a")], width=None, color=False).split("\n")[0]
    )


def test_wide_characters() -> None:
    """Names with characters two columns wide keep the columns aligned."""
    header, _, first, second = summary(
        [measured("王小明[n=1]"), measured("Zoë[n=1]", qps=5.0)], width=None, color=False
    ).splitlines()[1:]
    assert columns_of(first) == columns_of(second) == columns_of(header)
    assert (
        first
        == "  王小明[n=1]     1.0000  13,087  33.5 µs  43.7 µs  135 µs          –  142 µs  400 kB"
    )


def test_long_labels() -> None:
    """A label of 72 characters is beside its figures, a longer one above them."""
    long = f"ivf[{'n' * 67}]"
    lines = summary([measured(long), measured(long + "x")], width=None, color=False).splitlines()
    assert lines[3].startswith(f"  {long}  1.0000  13,087")
    assert lines[4] == f"  {long}x"
    assert lines[5] == " " * 74 + lines[3][74:]


def test_missing_figures() -> None:
    """Missing, NaN and infinite figures are a dash; such rows are last."""
    nothing = dict.fromkeys(("recall", "qps", "p50_s", "index_bytes"), float("nan"))
    rows = [measured("b", **nothing, p95_s=None, build_s=float("inf")), measured("a")]
    lines = summary(rows, width=None, color=False).splitlines()
    assert lines[3].startswith("  a ")
    assert lines[4].split() == ["b", "–", "–", "–", "–", "135", "µs", "–", "–", "–"]


def test_only_failures() -> None:
    """Without figures there is no header; long messages are cut, and paths shortened."""
    rows = [
        failed("mine", "query returned " + "many words " * 20),
        failed("empty", ""),
        failed("gone", "/a/long way/gone.py: no such file"),
    ]
    assert (
        summary(rows, width=60, color=False)
        == """\
digits · k=10
  mine
    failed (raised): query returned many words many words…
  empty  failed (raised)
  gone  failed (raised): gone.py: no such file"""
    )


def test_notes() -> None:
    """Each kind of note has one line, with the labels it is for unless it is for all."""
    zero = "zero vectors: 3 in train, 0 in test"
    short = "7 answers had fewer than k ids; missing ids count as misses"
    rows = [
        measured("a[n=1]", notes=[zero], batch_qps=5.0, batch_recall=0.9),
        measured("b[n=1]", qps=9.0, notes=[zero, short, "odd"], n_short_answers=7, clock="parent"),
        measured("b[n=2]", qps=8.0, notes=[zero], n_short_answers=2, clock="parent", where="modal"),
    ]
    lines = summary(rows, width=200, color=False).splitlines()
    assert lines[0].endswith("1 thread · local/modal · clock: parent/worker")
    assert lines[6:] == [
        "  clock: the parent's for b (times include the mailbox), else the worker's",
        (
            "  short answers: up to 7 of 600 had fewer than k ids, and recall counts missing"
            " ids as misses (b[n=1], b[n=2]) (see surprises: missing-answers)"
        ),
        "  a[n=1]: the batch's answers have recall 0.9000",
        "  zero vectors: 3 in train, 0 in test",
        "  b[n=1]: odd",
    ]


def test_many_labels_in_a_note() -> None:
    """A note for many rows, but not all, names three of them."""
    rows = [measured(f"i{n}", notes=["odd"] if n < 6 else []) for n in range(7)]
    assert summary(rows, width=None, color=False).endswith("  i0, i1, i2 and 3 more: odd")


def test_groups_and_repetition() -> None:
    """Each dataset and k has a table; a case of several tests is one row."""
    other = measured("a", row={"k": 5})
    shared = [measured("a", p95_s=float("nan"), notes=notes) for notes in ([], ["odd"], ["even"])]
    text = summary([*shared, other], width=None, color=False)
    assert [table.splitlines()[0].split(" · ")[3] for table in text.split("\n\n")] == [
        "k=10",
        "k=5",
    ]
    assert text.count("\n  a ") == 2
    assert re.findall("odd|even", text) == ["odd", "even"]


def test_varying_rounds() -> None:
    """If rows have different rounds, the title has the range."""
    text = summary([measured("a", rounds=1), measured("b")], width=None, color=False)
    assert "200 queries × 1–3" in text


def test_color() -> None:
    """Colours are used when asked for, and leave the text as it is."""
    text = summary(ROWS, width=None, color=True)
    assert "\x1b[31m  mine" in text
    assert text.startswith("\x1b[1mdigits")
    for code in ("\x1b[31m", "\x1b[1m", "\x1b[2m", "\x1b[0m"):
        text = text.replace(code, "")
    assert text == summary(ROWS, width=None, color=False)


def test_control_characters() -> None:
    """Names and messages of a submission cannot move the cursor or start a line."""
    rows = [failed("a\x1b[2J", "x\x1b]0;title\x07"), measured("b\nc", notes=["d\re"])]
    text = summary(rows, width=None, color=False)
    assert "a?[2J" in text
    assert "b?c" in text
    assert text.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (duration(999.4e-9), "999 ns"),
        (duration(999.6e-9), "1 µs"),
        (duration(0.0), "0 ns"),
        (duration(1.234), "1.23 s"),
        (duration(75_000), "75,000 s"),
        (size(0), "0 kB"),
        (size(36_400), "36 kB"),
        (size(1_250_000), "1.2 MB"),
        (size(3_840_000_000), "3.8 GB"),
        (rate(0.123), "0.12"),
        (rate(12_345.6), "12,346"),
        (share(0.99999), "0.9999"),
        (share(0.9985), "0.9985"),
        (share(1.0), "1.0000"),
    ],
)
def test_units(shown: str, expected: str) -> None:
    """Figures have three digits and a unit; recall is never rounded up to a perfect one."""
    assert shown == expected


def test_speed_at_a_recall_names_what_was_built() -> None:
    """One line per build, with the arguments that distinguish it."""
    rows = [
        measured("graph[M=8,ef=10]", at_recall=0.9, qps_at_recall=2500.0),
        measured("graph[M=8,ef=100]", at_recall=0.9, qps_at_recall=2500.0),
        measured("graph[M=32,ef=10]", at_recall=0.9, qps_at_recall=None),
        measured("graph[M=64,ef=10]", at_recall=0.9, qps_at_recall=None, recall=0.8056),
        measured("graph[M=96,ef=10]", at_recall=0.9, qps_at_recall=None, recall=0.8),
        measured("graph[M=96,ef=99]", at_recall=0.9, qps_at_recall=None, recall=0.95),
        measured("trees[n=3,ef=10]", at_recall=0.9, qps_at_recall=800.0),
    ]
    text = summary(rows, width=None, color=False)
    slower = "its settings below that recall are slower than one above it"
    assert [line.strip() for line in text.splitlines() if "at recall" in line] == [
        "graph[M=8] at recall 0.9: 2,500 queries/s (interpolated)",
        "graph[M=32] at recall 0.9: unknown, because the lowest recall of its settings is 1.0000",
        "graph[M=64] at recall 0.9: unknown, because the highest recall of its settings is 0.8056",
        f"graph[M=96] at recall 0.9: unknown, because {slower}",
        "trees at recall 0.9: 800 queries/s (interpolated)",
    ]


def test_rows_of_one_setting_are_shown_once() -> None:
    """Equal settings are one row, and a line names the others."""
    rows = [
        measured(f"graph[M=8,ef={ef}]", case_id=f"ef={ef}", row={"search": f"ef={ef}"}, **same)
        for ef, same in (
            (10, {"measured_as": "ef=50", "asked": {"ef": 10}, "effective": {"ef": 50}}),
            (30, {"measured_as": "ef=50", "asked": {"ef": 30}, "effective": {"ef": 50}}),
            (50, {"asked": {"ef": 50}, "effective": {"ef": 50}}),
        )
    ]
    text = summary(rows, width=None, color=False)
    assert [line.split()[0] for line in text.splitlines()[3:]] == ["graph[M=8,ef=50]"] * 2
    assert text.splitlines()[-1] == (
        "  graph[M=8,ef=50] also stands for ef=10, ef=30: the library makes these ef=50"
    )
    alone = summary(rows[:1], width=None, color=False)  # the other's test was not run
    assert "graph[M=8,ef=10]  1.0000" in alone
    assert "stands for" not in alone


def test_short_answers_are_noted_with_the_limiting_parameter() -> None:
    """Short answers have one line per limiting parameter, with its rows."""
    rows = [
        measured("cells[n=1]", n_short_answers=20, bounded_by="n"),
        measured("cells[n=2]", n_short_answers=5, bounded_by="n"),
        measured("graph", n_short_answers=7),
    ]
    text = summary(rows, width=None, color=False)
    by, end = "(n bounds them)", "and recall counts missing ids as misses"
    row = "(see surprises: missing-answers)"
    told = " ".join(text.split())
    cells = f"up to 20 of 600 had fewer than k ids {by}, {end} (cells[n=1], cells[n=2]) {row}"
    assert f"short answers: {cells}" in told
    assert f"short answers: up to 7 of 600 had fewer than k ids, {end} (graph) {row}" in told
    assert told.count("short answers") == 2


def test_threads_are_shown_with_their_cores() -> None:
    """A line says on how many cores builds, batches and single queries ran."""

    def title(**environment: Any) -> str:
        row = measured("fast", environment=environment)
        return summary([row], width=None, color=False).splitlines()[0]

    assert " · 1 thread · " in title(worker_cores=[1], query_cores=1)
    both = title(threads=2, worker_cores=[0, 1], query_cores=1)
    assert " · 2 threads (single queries: 1 core) · " in both
    few = title(threads=4, worker_cores=[0, 1], query_cores=1)
    assert " · 4 threads on 2 cores (single queries: 1 core) · " in few
    assert " · 4 threads (single queries: 4 cores) · " in title(
        threads=4, worker_cores=[0, 1, 2, 3], query_cores=4
    )
    assert " · 2 threads · " in title(threads=2)  # a system without core pinning


def test_throttling_is_part_of_the_note_on_noise() -> None:
    """The note on noise names throttling, and the load beside the cores."""
    waits = {"involuntary_switches": 1, "worker_waited": 1.37}
    environment = {**waits, "throttled_s": 0.25, "load_1min": 1.0, "cores": 1, "affinity_cores": 8}
    row = measured("slow", notes=["noisy: the CPU quota"], environment=environment)
    words = "~ noisy: up to 1 involuntary context switch while queries were timed, up to 1.37 s "
    words += "waiting for a core in each second, stopped for 250 ms by the CPU quota, load average up to 1.0 on 8 cores"
    assert words in summary([row], width=400, color=False)
