"""Finds the cases of collected tests: parametrizes, attaches cases, orders items by build.

Bad options or markers are found while a file is collected, where pytest would show them as
that file's error, with a traceback. So they are kept, and :func:`attach` raises them once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.settings.config import Settings

if TYPE_CHECKING:
    from pytest_annmodal.model import Case
    from pytest_annmodal.results.rows import Row
    from pytest_annmodal.session.state import BenchSession
    from pytest_annmodal.strangers.places import Places

SETTINGS: pytest.StashKey[Settings] = pytest.StashKey()
SESSION: pytest.StashKey[BenchSession] = pytest.StashKey()
CASE: pytest.StashKey[Case] = pytest.StashKey()
OUTCOME: pytest.StashKey[Row] = pytest.StashKey()  # for the summary
PROBLEM: pytest.StashKey[str] = pytest.StashKey()  # why the session cannot run
UNABLE: pytest.StashKey[str] = pytest.StashKey()  # why one test cannot run
PAIR = {"implementation", "dataset"}
REPEATED = "__pytest_repeat_step_number"  # the parameter of pytest-repeat's --count


class NotTheirs:
    """Ignores the tests and ``conftest.py`` of submissions, which would run outside the sandbox."""

    def __init__(self, places: Places) -> None:
        self._places = places

    @pytest.hookimpl(tryfirst=True)
    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        return True if self._places.holder(collection_path) is not None else None


def uses_benchmark(item: pytest.Item) -> bool:
    return "ann_benchmark" in getattr(item, "fixturenames", ())


def marker_of(node: pytest.Item) -> dict[str, Any]:
    """The arguments of the ``ann`` markers on a test, the closest one winning."""
    arguments: dict[str, Any] = {}
    for mark in reversed(list(node.iter_markers("ann"))):
        if mark.args:
            raise ConfigurationError("@pytest.mark.ann takes keyword arguments only, like k=10")
        arguments.update(mark.kwargs)
    return arguments


def parametrize(metafunc: pytest.Metafunc, session: BenchSession) -> None:
    """Parametrizes ``case``, or ``implementation`` and ``dataset`` where the test does not."""
    names = set(metafunc.fixturenames)
    explicit = {
        name.strip()
        for mark in metafunc.definition.iter_markers("parametrize")
        for name in _argnames(mark)
    }
    wanted = names & PAIR or names & {"case"}
    for name in sorted(wanted - explicit):
        values: list[str | None]
        try:
            values = list(_values(name, metafunc, session))
        except ConfigurationError as error:
            metafunc.config.stash.setdefault(PROBLEM, str(error))
            values = [None]
        from pytest_annmodal.plugin import ids as ids_of
        from pytest_annmodal.reports import escape

        named = (ids_of.short(escape.without_commands(str(value))) for value in values)
        ids = None if None in values else list(named)
        metafunc.parametrize(name, values, indirect=[name] if name == "case" else False, ids=ids)


def _argnames(mark: pytest.Mark) -> list[str]:
    names = mark.args[0] if mark.args else mark.kwargs.get("argnames", "")
    return names.split(",") if isinstance(names, str) else list(names)


def _values(name: str, metafunc: pytest.Metafunc, session: BenchSession) -> list[str]:
    if name == "case":
        return [case.id for case in session.generate(marker_of(metafunc.definition))]
    if name == "dataset":
        return [dataset.name for dataset in session.datasets]
    from pytest_annmodal.session.selection import labels

    chosen = session.with_values(session.implementations, marker_of(metafunc.definition))
    return [label for item in chosen for label in labels(item)]


def attach(
    config: pytest.Config,
    items: list[pytest.Item],
    wanted: list[pytest.Item],
    session: BenchSession,
) -> None:
    """Finds each item's case, drops pairs that do not fit, puts cases of one build together.

    Raises:
        ConfigurationError: a bad option, marker or name.
    """
    from pytest_annmodal.plugin import endings

    config.pluginmanager.register(endings.Ending(config))  # before anything is refused
    if PROBLEM in config.stash:
        raise ConfigurationError(config.stash[PROBLEM])
    if _has_pytest_benchmark(config):
        endings.refuse_what_fails_at_the_end(config)
    dropped = []
    for item in wanted:
        item.add_marker(pytest.mark.ann(), append=False)  # so that -m ann selects it
        try:
            session.marked(marker_of(item))
            case = _case_of(item, session)
        except ConfigurationError as error:
            raise ConfigurationError(f"{item.nodeid}: {error}") from error
        if case is not None:
            item.stash[CASE] = case
        elif set(_parameters(item)) >= PAIR:
            dropped.append(item)
        if _has_pytest_benchmark(config):
            _give_clock(item)
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        left = set(dropped)
        items[:] = [item for item in items if item not in left]
    _group_by_build(items)


def _has_pytest_benchmark(config: pytest.Config) -> bool:
    return hasattr(config.option, "benchmark_skip")  # under whatever name it was loaded


def test_of(item: pytest.Item) -> str:
    """The test function of an item, whatever its parameters are."""
    parent = item.parent.nodeid if item.parent is not None else ""
    return f"{parent}::{getattr(item, 'originalname', None) or item.name}"


def planned(items: Iterable[pytest.Item], *, graded: bool) -> list[Case]:
    """Returns the cases of the items, with the repetitions that pytest-repeat asks for.

    Other repetitions (``--reruns``) are known only when they happen.
    """
    asked: Counter[tuple[str, str]] = Counter()
    further: Counter[str] = Counter()
    cases = []
    for item in items:
        if CASE not in item.stash:
            continue
        case = item.stash[CASE]
        if REPEATED in _parameters(item) and not graded:
            key = test_of(item), case.id
            asked[key] += 1
            if asked[key] > 1:  # numbered as ``BenchSession.next_measurement`` does
                further[case.id] += 1
                case = replace(case, repetition=further[case.id])
        cases.append(case)
    return cases


def _give_clock(item: pytest.Item) -> None:
    """Adds the replay clock to the arguments of the test's own ``benchmark`` markers."""
    from pytest_annmodal.plugin.replay import ReplayClock

    kwargs: dict[str, Any] = {}
    for mark in reversed(list(item.iter_markers("benchmark"))):
        kwargs.update(mark.kwargs)
    kwargs["timer"] = ReplayClock()
    item.add_marker(pytest.mark.benchmark(**kwargs), append=False)


def _parameters(item: pytest.Item) -> dict[str, Any]:
    callspec = getattr(item, "callspec", None)
    return dict(callspec.params) if callspec is not None else {}


def _case_of(item: pytest.Item, session: BenchSession) -> Case | None:
    parameters = _parameters(item)
    if set(parameters) >= PAIR:
        return session.named(parameters["implementation"], parameters["dataset"], marker_of(item))
    case = parameters.get("case")  # may be a parameter of the test's own
    return session.cases.get(case) if isinstance(case, str) else None


def _group_by_build(items: list[pytest.Item]) -> None:
    """Keeps the order, but moves every case next to the first one of its build."""
    first: dict[Any, int] = {}
    for position, item in enumerate(items):
        if CASE in item.stash:
            first.setdefault(item.stash[CASE].build_key, position)
    positions = {
        id(item): first[item.stash[CASE].build_key] if CASE in item.stash else position
        for position, item in enumerate(items)
    }
    items.sort(key=lambda item: positions[id(item)])


def will_run(session: pytest.Session) -> bool:
    """Whether the selected tests are about to be run, and not only listed or planned."""
    if only_lists(session.config):
        return False
    return not session.testsfailed or bool(session.config.option.continue_on_collection_errors)


def only_lists(config: pytest.Config) -> bool:
    """Whether pytest was asked to show tests or fixtures and to run nothing."""
    listing = ("collectonly", "setupplan", "showfixtures", "show_fixtures_per_test")
    return any(getattr(config.option, name, False) for name in listing)


def runnable(items: list[pytest.Item], session: BenchSession) -> list[Case]:
    """Returns the cases of the items that can run; marks the others with the reason."""
    wanted = []
    for item in items:
        if CASE not in item.stash:
            continue
        reason = session.why_skip(item.stash[CASE])
        if getattr(item.config.option, "benchmark_skip", False):
            reason = "Skipping benchmark (--benchmark-skip active)."
        unable = session.why_unable(item.stash[CASE])
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))
        elif unable:
            item.stash[UNABLE] = unable
        else:
            wanted.append(item)
    return planned(wanted, graded=session.settings.grade is not None)


def refusal(item: pytest.Item) -> str | None:
    """Returns why this test, or any ANN benchmark, cannot run in this session; else None."""
    if hasattr(item.config, "workerinput"):
        return (
            "ANN benchmarks measure time, so they cannot run in parallel: leave out -n, "
            "or use -n 0. (With --modal, all of them run at once anyway.)"
        )
    if not _has_pytest_benchmark(item.config):
        return (
            "ANN benchmarks need the plugin pytest-benchmark, which is switched off: run them "
            "without -p no:benchmark."
        )
    return item.config.stash.get(PROBLEM, None) or item.stash.get(UNABLE, None)
