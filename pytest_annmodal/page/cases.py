"""Turns stored cases into the content of the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pytest_annmodal.datasets import linted
from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.figures import FIGURES
from pytest_annmodal.finding import BETTER, CANNOT_TELL, NOT_GATED, WORSE, Finding
from pytest_annmodal.outcome import Comparison
from pytest_annmodal.page import loads
from pytest_annmodal.page.content import TAIL_SHARES, Broken, Content, Group, Point, Raced
from pytest_annmodal.reports import escape
from pytest_annmodal.reports.columns import figure_of
from pytest_annmodal.reports.text_tables import WERE_NOISY
from pytest_annmodal.results.choice import latest
from pytest_annmodal.results.reading import Results
from pytest_annmodal.results.samples import Samples
from pytest_annmodal.results.stored import StoredCase

HARDEST = 0.1  # the share of the queries with the lowest recall, shown separately
MAX_EVIDENCE_LINES = 20
Key = tuple[str, str | None, int | None, int, tuple[str, str, int | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cases:
    """The cases that are shown, and what distinguishes their names.

    Attributes:
        lost: why samples of single queries could not be read; filled while they are read.
    """

    results: Results
    kept: tuple[StoredCase, ...]
    reused: frozenset[str]
    n_replaced: int
    machines: tuple[str, ...]
    threads: frozenset[int | None]
    lost: list[str]

    def samples(self, case: StoredCase) -> Samples | None:
        try:
            return self.results.samples(case)
        except ConfigurationError as error:
            self.lost.append(f"Latencies of some single queries are missing: {error}")
            return None

    def series(self, case: StoredCase) -> str:
        """Returns the name of a line: the implementation, with machine and threads if several."""
        parts: list[str] = [case.source] if case.is_foreign else []
        if len(self.machines) > 1 and case.machine in self.machines:
            parts.append(f"machine {self.machines.index(case.machine) + 1}")
        if len(self.threads) > 1 and case.threads:
            parts.append(f"{case.threads} thread{'s' if case.threads > 1 else ''}")
        name = escape.line(case.implementation, 80)
        return f"{name} ({', '.join(parts)})" if parts else name


def content_of(results: Results, *, command: str = "", reused: Iterable[str] = ()) -> Content:
    """Returns everything that the page shows.

    Of a case that was measured several times in the same way, the latest is shown.

    Args:
        reused: keys of the cases that were taken from an earlier session.
    """
    cases = _selected(results, frozenset(reused))
    groups = sorted(_grouped(cases.kept).items(), key=lambda item: repr(item[0]))
    made = [_group(members, cases) for _, members in groups]
    return Content(
        groups=_with_distinct_labels(made),
        machines=tuple(
            f"{number}: {escape.line(name)}" if len(cases.machines) > 1 else escape.line(name)
            for number, name in enumerate(cases.machines, 1)
        ),
        versions=_versions(cases.kept),
        banner=(*_banner(cases, made), *map(escape.line, cases.lost[:1])),
        verdicts=_verdicts(cases.kept),
        cases=cases.kept,
        sources=tuple(escape.line(path) for path in sorted(map(str, results.folders.values()))),
        began=_period(cases.kept),
        command=escape.line(command),
    )


def _selected(results: Results, reused: frozenset[str]) -> _Cases:
    kept = tuple(latest(results.cases))
    measured = [case for case in kept if case.failure is None]
    return _Cases(
        results=results,
        kept=kept,
        reused=reused,
        lost=[],
        n_replaced=len(results.cases) - len(kept),
        machines=tuple(sorted({case.machine for case in measured if case.machine})),
        threads=frozenset(case.threads for case in measured if not case.is_foreign),
    )


def _group_key(case: StoredCase) -> Key:
    queries = case.queries, case.query_order, case.n_queries
    return _named(case), case.dataset_sha256, case.subset, case.k, queries


def _named(case: StoredCase) -> str:
    """Returns the dataset's name, with sample, own queries and query order if there are any."""
    parts = [
        f"sample of {case.subset:,}" if case.subset else "",
        f"queries {case.queries}" if case.queries else "",
        f"sample of {case.query_sample:,} queries" if case.query_sample else "",
        f"queries {case.query_order}" if case.query_order != "file" else "",
        "after a cold first pass" if case.cold else "",
    ]
    words = ", ".join(filter(None, parts))
    return f"{case.dataset} ({words})" if words else case.dataset


def _grouped(cases: Iterable[StoredCase]) -> Mapping[Key, list[StoredCase]]:
    """Groups cases by dataset, k and queries; a failure, which lacks some of it, joins a group."""
    groups: dict[Key, list[StoredCase]] = {}
    for case in sorted(cases, key=lambda case: case.failure is not None):
        key = _group_key(case)
        if case.failure is not None:
            alike = (known for known in groups if (known[0], known[3]) == (key[0], key[3]))
            key = next(alike, key)
        groups.setdefault(key, []).append(case)
    return groups


def _group(members: Sequence[StoredCase], cases: _Cases) -> Group:
    measured = [case for case in members if case.failure is None]
    first = measured[0] if measured else members[0]
    return Group(
        dataset=escape.line(_named(first), 120),
        content=first.dataset_sha256 or "",
        metric=first.metric or "",
        n_train=first.n_train or 0,
        dim=first.dim or 0,
        n_queries=first.n_queries or 0,
        k=first.k,
        points=tuple(_point(case, cases) for case in measured),
        broken=tuple(_broken(case) for case in members if case.failure is not None),
        raced=tuple(_raced(measured)),
        loads=tuple(loads.rows(measured)),
        linted=tuple(_linted(first)),
    )


def _linted(case: StoredCase) -> Iterable[tuple[str, str]]:
    """Yields stored results of ``annmodal lint`` for the same rows and queries."""
    found = linted.kept(case.dataset_sha256 or "", case.k) if case.subset is None else None
    if found is None or (found["n_queries"], found["metric"]) != (case.n_queries, case.metric):
        return
    for label, value in linted.rows(found):
        yield escape.line(label), escape.line(value)


def _point(case: StoredCase, cases: _Cases) -> Point:
    samples = cases.samples(case)
    return Point(
        implementation=cases.series(case),
        setting=escape.line(_setting(case)),
        values={figure.name: figure_of(figure, case) for figure in FIGURES},
        n_answers=max(case.k * (case.n_queries or 1), 1),
        tail_s=tail_s(samples),
        recalls=recall_counts(samples, k=case.k, rounds=case.rounds or 0),
        hardest_tenth=_hardest(samples, k=case.k, rounds=case.rounds or 0),
        marks=tuple(_marks(case, cases.reused)),
        machine=escape.line(case.machine),
    )


def _setting(case: StoredCase) -> str:
    """Returns the setting without the implementation's name; a tuned one as it was found."""
    if case.tuned is not None:
        build = case.build_label.removeprefix(case.implementation)[1:-1]
        return ",".join(filter(None, (build, case.tuned.words)))
    setting = case.label.removeprefix(case.implementation)
    return setting[1:-1] if setting.startswith("[") else setting


def tail_s(samples: Samples | None) -> tuple[float, ...]:
    """Returns the seconds that each share in :data:`TAIL_SHARES` of the latencies reaches.

    Shares of less than one latency are left out.
    """
    if samples is None or not samples.latencies_ns.size:
        return ()
    shares = [share for share in TAIL_SHARES if share * samples.latencies_ns.size >= 1]
    found = np.quantile(samples.latencies_ns, [1 - share for share in shares])
    return tuple((found * 1e-9).tolist())


def recall_counts(samples: Samples | None, *, k: int, rounds: int) -> tuple[int, ...]:
    """Returns how many queries found 0 to k of their neighbours, averaged over the rounds."""
    if samples is None or samples.query_hits is None or not rounds:
        return ()
    found = np.rint(samples.query_hits / rounds).astype(np.int64).clip(0, k)
    return tuple(np.bincount(found, minlength=k + 1).tolist())


def _hardest(samples: Samples | None, *, k: int, rounds: int) -> float | None:
    if samples is None or samples.query_hits is None or not samples.query_hits.size:
        return None
    n = -(-samples.query_hits.size // round(1 / HARDEST))
    lowest = np.partition(samples.query_hits, n - 1)[:n]
    return float(lowest.mean() / (k * max(rounds, 1)))


def _marks(case: StoredCase, reused: frozenset[str]) -> Iterable[str]:
    if case.is_noisy:
        yield "noisy"
    if float(case.environment.get("throttled_s") or 0.0) > 0:
        yield "throttled"
    if case.key in reused:
        yield "reused"
    if case.is_foreign:
        yield "foreign"


def _broken(case: StoredCase) -> Broken:
    assert case.failure is not None
    seen = (
        f"{name}: {escape.block(value, max_lines=MAX_EVIDENCE_LINES, last=True)}"
        for name, value in case.failure.evidence.items()
    )
    return Broken(
        label=escape.line(case.label),
        kind=case.failure.kind,
        blame=case.failure.blame,
        message=escape.block(case.failure.message, max_lines=MAX_EVIDENCE_LINES),
        evidence="\n".join(seen),
    )


def _raced(cases: Iterable[StoredCase]) -> Iterable[Raced]:
    for case in cases:
        if case.gate is not None:
            for finding in case.gate.findings:
                yield from _found(case, case.gate.baseline, finding)
    controls: set[Raced] = set()
    for case in cases:
        made = case.comparison
        if made is None:
            continue
        if (control := _control(made)) not in controls:
            controls.add(control)
            yield control
        yield Raced(
            label=escape.line(case.label),
            baseline=escape.line(made.baseline),
            ratio=made.ratio,
            low=made.low,
            high=made.high,
            difference=made.difference,
            verdict=made.verdict or "one session: no verdict",
        )


def _found(case: StoredCase, baseline: str, finding: Finding) -> Iterable[Raced]:
    """Yields a gate's finding as ratios of the baseline's value; nothing for recall."""
    if not finding.row.is_ratio or finding.low is None or finding.high is None:
        return
    label = f"{case.build_label} {finding.name}"
    control = finding.control
    sides = [(label, finding.change, finding.low, finding.high, finding.word, False)]
    if control is not None:
        ends = (control.change, control.low, control.high)
        sides.append((f"control: {label}", *ends, NOT_GATED, True))
    for name, change, low, high, word, is_control in sides:
        yield Raced(
            label=escape.line(name),
            baseline=escape.line(baseline),
            ratio=1 + change,
            low=1 + low,
            high=1 + high,
            difference=finding.bound or 0.0,
            verdict="control" if is_control else word,
            is_control=is_control,
        )


def _control(made: Comparison) -> Raced:
    return Raced(
        label=f"control: {escape.line(made.baseline)}",
        baseline=escape.line(made.baseline),
        ratio=made.control_ratio,
        low=made.control_low,
        high=made.control_high,
        difference=made.difference,
        verdict="may be 1" if made.control_ok else "is not 1",
        is_control=True,
    )


def _verdicts(cases: Iterable[StoredCase]) -> tuple[str, ...]:
    return tuple(
        f"{escape.line(case.label)} on {escape.line(case.dataset)}: {escape.line(words)}"
        for case in cases
        for words in _words(case)
    )


def _words(case: StoredCase) -> Iterable[str]:
    """Yields the verdicts of a comparison, and those of a gate but for "no change"."""
    if case.comparison is not None and case.comparison.verdict is not None:
        yield case.comparison.words
    if case.gate is not None:
        for finding in case.gate.findings:
            if finding.word in {WORSE, BETTER}:
                yield f"{finding.word}: {finding.says(case.gate.baseline)}"
            elif finding.word == CANNOT_TELL:
                yield f"{finding.word}: {finding.name} beside {case.gate.baseline}, {finding.why}"


def _banner(cases: _Cases, groups: Sequence[Group]) -> Iterable[str]:
    points = [point for group in groups for point in group.points]
    if len(cases.machines) > 1:
        yield f"{len(cases.machines)} machines are mixed: compare within one of them."
    if any("foreign" in point.marks for point in points):
        yield "Results of other programs are shown too, measured on other machines."
    for mark, words in (
        ("noisy", WERE_NOISY),
        ("throttled", "were stopped at times by a CPU quota."),
        ("reused", "were measured in an earlier session."),
    ):
        n = sum(mark in point.marks for point in points)
        if n:
            yield f"{n} of {len(points)} settings {words}"
    names = [(group.dataset, group.k) for group in groups if group.points]
    if len(set(names)) < len(names):
        yield "Datasets with one name but different content or queries are shown separately."
    if cases.n_replaced:
        yield f"{cases.n_replaced} earlier measurements of the same cases are not shown."


def _with_distinct_labels(groups: Sequence[Group]) -> tuple[Group, ...]:
    """Makes the groups' names distinct, by adding what differs to equal names."""
    alike: dict[tuple[str, int], list[Group]] = {}
    for group in groups:
        alike.setdefault((group.dataset, group.k), []).append(group)
    return tuple(_with_distinct_label(group, alike[group.dataset, group.k]) for group in groups)


def _with_distinct_label(group: Group, alike: Sequence[Group]) -> Group:
    facts = {
        "content": group.content[:8] or "content unknown",
        "n_train": f"{group.n_train:,} vectors",
        "n_queries": f"{group.n_queries:,} queries",
    }
    differs = [name for name in facts if len({getattr(other, name) for other in alike}) > 1]
    if not differs:
        return group
    words = ", ".join(facts[name] for name in differs)
    return replace(group, dataset=f"{group.dataset} ({words})")


def _versions(cases: Iterable[StoredCase]) -> Mapping[str, str]:
    found: dict[str, set[str]] = {}
    for case in cases:
        for name, version in dict(case.environment.get("versions") or {}).items():
            found.setdefault(escape.line(name), set()).add(escape.line(version))
    return {name: ", ".join(sorted(versions)) for name, versions in sorted(found.items())}


def _period(cases: Iterable[StoredCase]) -> str:
    times = sorted(case.measured_at for case in cases if case.measured_at)
    if not times:
        return ""
    first, last = (time[:16].replace("T", " ") for time in (times[0], times[-1]))
    return f"{first} UTC" if first == last else f"{first} to {last} UTC"
