"""A Markdown summary for the page of a CI run: the fastest settings, tables, failures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_annmodal.figures import rate, share
from pytest_annmodal.reports import escape, gates
from pytest_annmodal.reports.text_tables import caption, markdown
from pytest_annmodal.results.choice import asked_of
from pytest_annmodal.results.stored import StoredCase

LEVELS = (0.9, 0.95, 0.99)
MAX_BYTES = 900_000  # GitHub takes 1 MiB for a step
MAX_NAMES = 3


def step_summary(cases: Sequence[StoredCase]) -> str:
    """Returns the fastest setting at each recall, all figures, and each failure once."""
    measured = [case for case in cases if case.failure is None]
    failed = [case for case in cases if case.failure is not None]
    head = "## ANN benchmarks\n"
    verdicts = gates.markdown(_gated(measured))
    best = "\n".join(_best(members) for members in _groups(measured))
    tables = markdown(measured)
    failures = "\n".join(_failures(failed))
    parts = [verdicts, head, best, tables, failures]
    if sum(len(part.encode()) for part in parts) > MAX_BYTES:
        n_measured = f"{len(measured):,} results are too many for this page: see the store.\n"
        parts = [verdicts, head, best, n_measured, failures[: MAX_BYTES // 2]]
    return "\n".join(part for part in parts if part) + "\n"


def _gated(cases: Iterable[StoredCase]) -> list[gates.Block]:
    return gates.blocks(
        (f"{case.build_label} on {case.dataset}, k={case.k}", case.gate)
        for case in cases
        if case.gate is not None
    )


def _groups(cases: Iterable[StoredCase]) -> list[list[StoredCase]]:
    groups: dict[tuple[object, ...], list[StoredCase]] = {}
    for case in cases:
        groups.setdefault(asked_of(case), []).append(case)
    return list(groups.values())


def _best(cases: Sequence[StoredCase]) -> str:
    """Returns a table of the fastest setting with at least each recall."""
    lines = [
        f"**Fastest on {escape.markdown(caption(cases))}**",
        "",
        "| recall of at least | setting | recall | QPS |",
        "|---|---|---:|---:|",
    ]
    for level in LEVELS:
        reached = [case for case in cases if case.recall is not None and case.recall >= level]
        if not reached:
            lines.append(f"| {level:g} | not reached | | |")
            continue
        best = max(reached, key=lambda case: case.qps or 0.0)
        label = escape.markdown(best.label)
        lines.append(f"| {level:g} | {label} | {share(best.recall)} | {rate(best.qps)} |")
    return "\n".join(lines) + "\n"


def _failures(cases: Sequence[StoredCase]) -> Iterable[str]:
    """Yields each failure once, with its settings."""
    alike: dict[tuple[str, str], list[str]] = {}
    for case in cases:
        assert case.failure is not None
        what = case.failure.kind, case.failure.message
        alike.setdefault(what, []).append(f"{case.label} on {case.dataset}")
    if alike:
        yield "**Failed**\n"
    for (kind, message), names in alike.items():
        rest = len(names) - MAX_NAMES
        shown = ", ".join(map(escape.markdown, names[:MAX_NAMES]))
        more = f" and {rest} more" if rest > 0 else ""
        yield f"- {shown}{more}: {escape.markdown(f'{kind}: {message}')}"
