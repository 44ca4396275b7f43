"""The pytest plugin: hooks and fixtures, thin over ``session.py``.

It is loaded by every pytest run on the machine where it is installed, so nothing but
``config`` is imported until a test asks for a benchmark.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any

import pytest

from pytest_annmodal.config import Settings
from pytest_annmodal.errors import AnnModalError, ConfigurationError, ExecutorError
from pytest_annmodal.options import OPTIONS

if TYPE_CHECKING:
    from pytest_annmodal.model import Case, Dataset
    from pytest_annmodal.outcome import Measurement
    from pytest_annmodal.session import BenchSession

SESSION = pytest.StashKey["BenchSession"]()
CASE = pytest.StashKey["Case"]()
OUTCOME = pytest.StashKey[dict[str, Any]]()
ROWS = pytest.StashKey[list[dict[str, Any]]]()


class Hooks:
    """Hooks that other plugins and conftest files may implement."""

    @pytest.hookspec
    def pytest_annmodal_datasets(self) -> Iterable[Dataset]:  # type: ignore[empty-body]
        """Return more ``pytest_annmodal.model.Dataset`` rows for the catalogue."""


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(Hooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    for option in OPTIONS:
        group = parser.getgroup(option.group)
        how: dict[str, Any] = {"dest": f"annmodal_{option.name}", "help": option.help}
        if option.kind is None:
            how.update(action="store_true", default=False)
        else:
            how.update(action="append" if option.many else "store", default=None)
            how["metavar"] = option.metavar or "|".join(option.choices or ())
        group.addoption(option.flag, **how)
        parser.addini(option.ini, f"Default of {option.flag} (or ${option.env}).", default="")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "ann(k, rounds, min_recall, min_qps, max_p50_ms, max_p95_ms, max_p99_ms, max_build_s, "
        "max_index_mb): settings and thresholds of an ANN benchmark.",
    )
    config.stash[ROWS] = []
    try:
        _settings(config)
    except ConfigurationError as error:
        raise pytest.UsageError(str(error)) from error


def _settings(config: pytest.Config) -> Settings:
    return Settings.resolve(
        cli=lambda name: config.getoption(f"annmodal_{name}"),
        ini=config.getini,
        environ=os.environ,
        rootdir=config.rootpath,
    )


def _session(config: pytest.Config) -> BenchSession:
    """The session's state, made at the first need."""
    if SESSION not in config.stash:
        from pytest_annmodal.session import BenchSession
        from pytest_annmodal.terminal import make_local, make_modal

        extra = [dataset for rows in config.hook.pytest_annmodal_datasets() for dataset in rows]
        config.stash[SESSION] = BenchSession(
            _settings(config),
            extra_datasets=extra,
            make_local=lambda session: make_local(session, config),
            make_modal=lambda session: make_modal(session, config),
        )
    return config.stash[SESSION]


def _marker(node: pytest.Item) -> dict[str, Any]:
    """The arguments of the ``ann`` markers on a test, the closest one winning."""
    arguments: dict[str, Any] = {}
    for mark in reversed(list(node.iter_markers("ann"))):
        if mark.args:
            raise pytest.UsageError("@pytest.mark.ann takes keyword arguments only")
        arguments.update(mark.kwargs)
    return arguments


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize ``case``, or whichever of ``implementation`` and ``dataset`` is left open."""
    names = metafunc.fixturenames
    if "ann_benchmark" not in names:
        return
    explicit = {
        name.strip()
        for mark in metafunc.definition.iter_markers("parametrize")
        for name in _argnames(mark)
    }
    paired = {"implementation", "dataset"} & set(names)
    try:
        session = _session(metafunc.config)
        if "case" in names and not paired and "case" not in explicit:
            cases = session.generate(_marker(metafunc.definition))
            metafunc.parametrize("case", [c.id for c in cases], indirect=True)
        if "implementation" in paired - explicit:
            labels = [v for i in session.implementations for v in _labels(i)]
            metafunc.parametrize("implementation", labels)
        if "dataset" in paired - explicit:
            metafunc.parametrize("dataset", [d.name for d in session.datasets])
    except ConfigurationError as error:
        raise pytest.UsageError(str(error)) from error


def _argnames(mark: pytest.Mark) -> list[str]:
    names = mark.args[0] if mark.args else mark.kwargs.get("argnames", "")
    return names.split(",") if isinstance(names, str) else list(names)


def _labels(implementation: Any) -> list[str]:
    from pytest_annmodal.selection import labels

    return labels(implementation)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Find each item's case, drop pairs that do not fit, put cases of one build together."""
    wanted = [item for item in items if "ann_benchmark" in getattr(item, "fixturenames", ())]
    if not wanted:
        return
    from pytest_annmodal.replay import ReplayClock

    session, dropped = _session(config), []
    for item in wanted:
        try:
            case = _case_of(item, session)
        except ConfigurationError as error:
            raise pytest.UsageError(f"{item.nodeid}: {error}") from error
        if case is not None:
            item.stash[CASE] = case
        elif {"implementation", "dataset"} <= set(_parameters(item)):
            dropped.append(item)
        kwargs: dict[str, Any] = {}
        for mark in reversed(list(item.iter_markers("benchmark"))):
            kwargs.update(mark.kwargs)
        kwargs["timer"] = ReplayClock()
        item.add_marker(pytest.mark.benchmark(**kwargs), append=False)
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in dropped]
    _group_by_build(items)


def _parameters(item: pytest.Item) -> dict[str, Any]:
    callspec = getattr(item, "callspec", None)
    return dict(callspec.params) if callspec is not None else {}


def _case_of(item: pytest.Item, session: BenchSession) -> Case | None:
    parameters = _parameters(item)
    if "case" in parameters:
        return session.cases[parameters["case"]]
    if not {"implementation", "dataset"} <= set(parameters):
        return None
    return session.named(parameters["implementation"], parameters["dataset"], _marker(item))


def _group_by_build(items: list[pytest.Item]) -> None:
    """Keep the order, but put every case beside the first that its build serves."""
    first: dict[Any, int] = {}
    for position, item in enumerate(items):
        if CASE in item.stash:
            first.setdefault(item.stash[CASE].build_key, position)
    positions = {
        id(item): first[item.stash[CASE].build_key] if CASE in item.stash else position
        for position, item in enumerate(items)
    }
    items.sort(key=lambda item: positions[id(item)])


def pytest_collection_finish(session: pytest.Session) -> None:
    """Plan jobs for what is still selected; on Modal, start all of them."""
    config = session.config
    if SESSION not in config.stash or config.option.collectonly:
        return
    bench = config.stash[SESSION]
    cases = [item.stash[CASE] for item in session.items if CASE in item.stash]
    if not cases or bench.settings.download_only or bench.settings.modal_plan:
        return
    jobs = bench.plan(cases)
    if bench.executor.concurrent:
        from pytest_annmodal.terminal import submit_all

        try:
            submit_all(bench, jobs, config)
        except (ConfigurationError, ExecutorError) as error:
            raise pytest.UsageError(str(error)) from error


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """With ``--download-only`` or ``--modal-plan``, do that instead of running the tests."""
    config = session.config
    settings = _settings(config)
    if not (settings.download_only or settings.modal_plan) or config.option.collectonly:
        return None
    from pytest_annmodal.terminal import download_only, show_plan

    cases = [item.stash[CASE] for item in session.items if CASE in item.stash]
    try:
        if settings.modal_plan:
            show_plan(_session(config), cases, config)
        else:
            session.testsfailed = download_only(_session(config), cases, config)
    except (ConfigurationError, ExecutorError) as error:
        raise pytest.UsageError(str(error)) from error
    return True


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Case | None:
    """The case of this test: an implementation's variant on a dataset at k."""
    found: Case | None = request.node.stash.get(CASE, None)
    return found


@pytest.fixture(scope="session")
def ann_datasets(request: pytest.FixtureRequest) -> Callable[[str], Any]:
    """``ann_datasets(name)``: the path of a dataset, resolved through the volume once."""
    bench = _session(request.config)

    def resolve(name: str) -> Any:
        from pytest_annmodal.selection import find_datasets

        (dataset,) = find_datasets(name, bench.known, bench.settings.rootdir)[:1]
        return bench.local.prepare(dataset)

    return resolve


@pytest.fixture
def ann_benchmark(request: pytest.FixtureRequest, benchmark: Any) -> Callable[..., Measurement]:
    """``ann_benchmark(case)`` or ``ann_benchmark(implementation=…, dataset=…, k=…)``.

    Measures, checks the thresholds of ``@pytest.mark.ann`` and returns the Measurement.
    """
    from pytest_annmodal.benchmarking import Benchmarker

    bench = Benchmarker(request.node, benchmark, _session(request.config), _marker(request.node))
    bench.refuse_workers(is_worker=getattr(request.config, "workerinput", None) is not None)
    if CASE in request.node.stash:
        bench.fetch(request.node.stash[CASE])  # here, so that infrastructure faults are errors
    return bench


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Carry the outcome with the report, so that it crosses from xdist's workers too."""
    report = yield
    if call.when == "call" and OUTCOME in item.stash:
        report.annmodal = item.stash[OUTCOME]  # type: ignore[attr-defined]
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    row = getattr(report, "annmodal", None)
    if row is not None and _CONFIG:
        _CONFIG[-1].stash[ROWS].append(row)


_CONFIG: list[pytest.Config] = []  # logreport is not told its config; nested runs stack up


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    _CONFIG.append(session.config)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """On -x, Ctrl-C or a crash nothing keeps running or billing."""
    if session.config in _CONFIG:
        _CONFIG.remove(session.config)
    if SESSION in session.config.stash:
        try:
            session.config.stash[SESSION].close()
        except AnnModalError as error:
            session.config.issue_config_time_warning(pytest.PytestWarning(str(error)), stacklevel=1)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    config = terminalreporter.config
    if config.stash[ROWS] or SESSION in config.stash:
        from pytest_annmodal.terminal import write_summary

        write_summary(terminalreporter, config.stash[ROWS], config.stash.get(SESSION, None))
