"""The lines below a table: comparisons, speeds at a recall, and notes with their rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pytest_annmodal import surprises
from pytest_annmodal.figures import counted, duration, share
from pytest_annmodal.outcome import Measurement
from pytest_annmodal.reports.aligned import columns_of, left
from pytest_annmodal.reports.escape import printable
from pytest_annmodal.results.rows import Row

MAX_NAMES = 3  # of rows that a note is for
MAX_VERSIONS = 8  # of distributions in an environment
SPEC_SIGN = "@"  # in NAME@SPEC
BATCH_RECALL_DIFFERS = 0.005
# Notes of a measurement that the table shows in another way.
SHOWN_ELSEWHERE = ("noisy:", "answers had fewer than k ids", " not reached: ")


class Measured(NamedTuple):
    """A row that has figures."""

    row: Row
    outcome: Measurement

    @property
    def label(self) -> str:
        return printable(self.row.label)

    @property
    def build(self) -> str:
        return printable(self.row.build)

    @property
    def noisy(self) -> bool:
        return any(note.startswith("noisy:") for note in self.outcome.notes)


def comparisons(measured: Sequence[Measured]) -> Iterator[str]:
    """Yields one line a case: ``annoy[…]  × hnswlib 0.42 [0.40, 0.44] slower``."""
    found = [(one.label, one.outcome.comparison) for one in measured if one.outcome.comparison]
    width = max((columns_of(label) for label, _ in found), default=0)
    for label, comparison in found:
        yield f"{left(label, width)}  {comparison.words} · {comparison.circumstances}"


def versions(measured: Sequence[Measured]) -> list[str]:
    """Returns a line with the installed versions for each ``NAME@SPEC``, also of a baseline."""
    found: dict[str, Mapping[str, str]] = {}
    for one in measured:
        seen = one.outcome.environment
        name, beside = one.label.split("[")[0], seen.get("baseline") or {}
        if SPEC_SIGN in name:
            found.setdefault(name, seen.get("versions") or {})
        if beside:
            found.setdefault(printable(beside["name"]), beside["versions"])
    return [f"{name}: {_listed(installed)}" for name, installed in found.items()]


def _listed(installed: Mapping[str, str]) -> str:
    own = {printable(name): printable(version) for name, version in installed.items()}
    python = own.pop("python", "")
    numpy = own.pop("numpy", "")
    own = {**dict(sorted(own.items())), **({"numpy": numpy} if numpy else {})}
    shown = [f"{name} {version}" for name, version in own.items()]
    if len(shown) > MAX_VERSIONS:
        shown = [*shown[:MAX_VERSIONS], f"{len(shown) - MAX_VERSIONS} more"]
    return ", ".join([*shown, f"Python {python}"])


def levels(measured: Sequence[Measured]) -> Iterator[str]:
    """Yields one line a build: its queries per second at the wanted recall.

    Build parameters are shown if an implementation has several builds.
    """
    asked: dict[str, tuple[float, float | None]] = {}
    recalls: dict[str, list[float]] = {}
    for one in measured:
        recalls.setdefault(one.build, []).append(one.outcome.recall)
        if one.outcome.at_recall is not None:
            asked[one.build] = one.outcome.at_recall, one.outcome.qps_at_recall
    names = [build.split("[")[0] for build in asked]
    for name, (build, (level, qps)) in zip(names, asked.items(), strict=True):
        called = build if names.count(name) > 1 else name
        told_of = f"{called} at recall {level:g}"
        if qps is None:
            yield f"{told_of}: unknown, because {_side(recalls[build], level)}"
        else:
            yield f"{told_of}: {qps:,.0f} queries/s (interpolated)"


def _side(recalls: Sequence[float], asked: float) -> str:
    """Returns why no settings of a build bracket a level."""
    if max(recalls) < asked:
        return f"the highest recall of its settings is {share(max(recalls))}"
    if min(recalls) > asked:
        return f"the lowest recall of its settings is {share(min(recalls))}"
    return "its settings below that recall are slower than one above it"


def notes(measured: Sequence[Measured]) -> list[str]:
    """Returns one line per kind of note, with its rows unless it is for all rows."""
    holders: dict[str, list[str]] = {}
    for one in measured:
        for note in one.outcome.notes:
            if not any(words in note for words in SHOWN_ELSEWHERE):
                holders.setdefault(printable(note), []).append(one.label)
    plain = [
        note if len(labels) == len(measured) else f"{_some(labels)}: {note}"
        for note, labels in holders.items()
    ]
    return [
        *versions(measured),
        *_noise(measured),
        *_clocks(measured),
        *_short(measured),
        *_batch(measured),
        *plain,
    ]


def _some(labels: Sequence[str]) -> str:
    """Returns the first few of them, and how many more there are."""
    distinct = list(dict.fromkeys(labels))
    shown = ", ".join(distinct[:MAX_NAMES])
    rest = len(distinct) - MAX_NAMES
    return f"{shown} and {rest} more" if rest > 0 else shown


def _noise(measured: Sequence[Measured]) -> list[str]:
    noisy = [one.outcome.environment for one in measured if one.noisy]
    if not noisy:
        return []

    def most(name: str) -> float:
        return max(float(seen.get(name, 0.0)) for seen in noisy)

    uncertain = max(one.outcome.uncertain_share or 0.0 for one in measured)
    held_up = most("throttled_s")
    waited = duration(most("worker_waited"))  # all its threads together
    cores = noisy[0].get("affinity_cores", noisy[0].get("cores", "?"))
    n_switches = int(most("involuntary_switches") + most("parent_switches"))
    switches = counted(n_switches, "involuntary context switch", "involuntary context switches")
    facts = (
        (n_switches, f"up to {switches} while queries were timed"),
        (most("worker_waited") >= 0.005, f"up to {waited} waiting for a core in each second"),
        (uncertain >= 0.0005, f"{uncertain:.1%} of the samples uncertain"),
        (held_up > 0, f"stopped for {duration(held_up)} by the CPU quota"),
        (True, f"load average up to {most('load_1min'):.1f} on {cores} cores"),
    )
    causes = ", ".join(text for holds, text in facts if holds)
    return [f"~ noisy: {causes}; latencies may be too high"]


def _clocks(measured: Sequence[Measured]) -> list[str]:
    by_parent = [one for one in measured if one.outcome.clock == "parent"]
    if len(by_parent) in (0, len(measured)):
        return []
    names = _some([one.label.split("[")[0] for one in by_parent])
    return [f"clock: the parent's for {names} (times include the mailbox), else the worker's"]


def _short(measured: Sequence[Measured]) -> list[str]:
    by_bound: dict[str, list[Measured]] = {}
    for one in measured:
        if one.outcome.n_short_answers:
            by_bound.setdefault(one.outcome.bounded_by, []).append(one)
    return [_short_by(bound, ones) for bound, ones in by_bound.items()]


def _short_by(bound: str, short: Sequence[Measured]) -> str:
    """Returns the note for the rows whose answers the same parameter bounds."""
    worst = max((one.outcome for one in short), key=lambda seen: seen.n_short_answers)
    total = worst.n_queries * worst.rounds
    by = f" ({printable(bound)} bounds them)" if bound else ""
    return (
        f"short answers: up to {worst.n_short_answers:,} of {total:,} had fewer than k ids{by}, "
        f"and recall counts missing ids as misses ({_some([one.label for one in short])}) "
        f"{surprises.see('missing-answers')}"
    )


def _batch(measured: Sequence[Measured]) -> list[str]:
    found = []
    for one in measured:
        alone, batch = one.outcome.recall, one.outcome.batch_recall
        if batch is not None and abs(batch - alone) > BATCH_RECALL_DIFFERS:
            found.append(f"{one.label}: the batch's answers have recall {share(batch)}")
    return found
