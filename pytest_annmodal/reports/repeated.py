"""Shows a failure that many benchmarks share once, with the number of tests.

Only on the terminal: a JUnit file has each test's own text.

pytest has no hook that chooses the failures of its summary. With a category of their own
(``pytest_report_teststatus``) equal failures would be missing in the count of failed tests and in
the short summary, and with a short ``longrepr`` each would still have a heading. So the lists in
``stats`` are replaced while pytest shows failures, and restored before it counts them.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any

import pytest

OWN = pytest.StashKey[list[pytest.TestReport]]()
WHOLE = pytest.StashKey[dict[str, list[Any]]]()
KINDS = ("failed", "error")
MAX_NAMES = 5


def note(config: pytest.Config, report: pytest.TestReport) -> None:
    """Notes the report of a failed benchmark, which may be folded into an equal one."""
    if OWN not in config.stash:
        config.stash[OWN] = []
        config.pluginmanager.register(Before())
        config.pluginmanager.register(After())
    config.stash[OWN].append(report)


class Before:
    """Folds equal reports before pytest's own summary."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> Generator[None, Any, Any]:
        stats, stash = terminalreporter.stats, terminalreporter.config.stash
        stash[WHOLE] = {kind: stats[kind] for kind in KINDS if kind in stats}
        stats.update({kind: folded(all_, stash[OWN]) for kind, all_ in stash[WHOLE].items()})
        return (yield)


class After:
    """Restores all reports after the failures, before the short summary and the counts."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.stats.update(terminalreporter.config.stash[WHOLE])


def folded(reports: Iterable[Any], own: Iterable[Any]) -> list[Any]:
    """Returns the reports without those of ``own`` that equal an earlier one, which names them."""
    ours = {id(report) for report in own}
    alike: dict[Any, list[Any]] = {}
    for report in reports:
        foldable = id(report) in ours and hasattr(report.longrepr, "addsection")
        what = (str(report.longrepr), *report.sections) if foldable else id(report)
        alike.setdefault(what, []).append(report)
    for first, *others in alike.values():
        if others:
            names = [str(other.head_line) for other in others[:MAX_NAMES]]
            more = ["…"] if len(others) > MAX_NAMES else []
            many = "s" if len(others) > 1 else ""
            title = f"the same in {len(others)} more test{many}"
            first.longrepr.addsection(title, "\n".join(names + more))
    return [first for first, *_ in alike.values()]
