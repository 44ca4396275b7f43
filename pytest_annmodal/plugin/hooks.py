"""The pytest plugin: hooks and fixtures, a thin layer over ``session``.

Every pytest run on the machine loads it, so heavy imports wait until a test uses a benchmark.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import pytest

from pytest_annmodal.errors import AnnModalError, ConfigurationError, ExecutorError
from pytest_annmodal.plugin import collecting
from pytest_annmodal.plugin.collecting import CASE, SESSION, SETTINGS
from pytest_annmodal.plugin.hookspecs import Hooks
from pytest_annmodal.plugin.summary import OWN_FAILURE, ROW, Summary
from pytest_annmodal.settings.config import OPTIONS, Settings
from pytest_annmodal.settings.given import expanded, given, parser_arguments, told_apart
from pytest_annmodal.settings.sources import ini_of, resolve
from pytest_annmodal.strangers import named

if TYPE_CHECKING:
    from pytest_annmodal.executors.registry import ExecutorSetup
    from pytest_annmodal.model import Case
    from pytest_annmodal.plugin.fixture import AnnBenchmark
    from pytest_annmodal.protocols import Executor
    from pytest_annmodal.session.keeping import Keeper
    from pytest_annmodal.session.listener import Listener
    from pytest_annmodal.session.state import BenchSession

LISTENERS: pytest.StashKey[list[Listener]] = pytest.StashKey()
STREAM: pytest.StashKey[TextIO] = pytest.StashKey()  # where pytest's terminal reporter writes to
RAN: pytest.StashKey[bool] = pytest.StashKey()  # of an item that a plugin may run again


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(Hooks)


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    for option in OPTIONS:
        shown = (
            {}
            if option.kind is None
            else {"metavar": option.metavar or "|".join(option.choices or ())}
        )
        for flag in option.flags:
            help_ = option.help if flag == option.flag else f"Turns {option.flag} off."
            how = {**parser_arguments(option, flag), **shown, "help": help_}
            parser.getgroup(option.group).addoption(flag, **how)
        parser.addini(option.ini, f"Default of {option.flag} (or ${option.env}).", default="")
    config: Any = pluginmanager.get_plugin("pytestconfig")
    if named.names_any(config):
        from pytest_annmodal.strangers import doors

        doors.close(config)  # as early as a plugin can


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    _free_paths(early_config, args)
    _check_doors(early_config)


def _free_paths(config: pytest.Config, args: list[str]) -> None:
    """Gives pytest back a path that follows ``--ann-gate`` without a value."""
    apart, paths = told_apart(expanded(args))
    if paths:
        args[:] = apart
        config.known_args_namespace.file_or_dir.extend(paths)  # their conftest files are read next


def _check_doors(config: pytest.Config) -> None:
    if named.PLACES in config.stash:
        from pytest_annmodal.strangers import doors

        doors.check(config)


def pytest_configure(config: pytest.Config) -> None:
    _check_doors(config)  # where a conftest file loaded this plugin, the hook above is not called
    arguments = ["k", "rounds", "param", "build_param"]
    if config.option.markers:  # pytest shows them; the table of figures is not imported otherwise
        from pytest_annmodal.figures import THRESHOLDS

        arguments += THRESHOLDS
    config.addinivalue_line(
        "markers", f"ann({', '.join(arguments)}): settings and thresholds of an ANN benchmark."
    )
    if getattr(config.option, "help", False):  # pytest-benchmark's has characters beyond ASCII
        from pytest_annmodal.reports import nearest

        nearest.install()
    config.stash[STREAM], config.stash[LISTENERS] = sys.stdout, []
    _let_comparisons_warn()
    try:
        config.stash[SETTINGS] = _resolve(config)
        if config.stash[SETTINGS].report:
            from pytest_annmodal.page.files import require

            require()  # now, not after an hour of measuring
    except ConfigurationError as error:
        raise pytest.UsageError(str(error)) from error
    config.pluginmanager.register(Summary(config))
    if named.PLACES in config.stash:
        config.pluginmanager.register(collecting.NotTheirs(config.stash[named.PLACES]))


def _let_comparisons_warn() -> None:
    """Keeps pytest-benchmark's warnings about stored results from becoming errors.

    Otherwise pytest would end in a traceback where warnings are errors.
    """
    for message in ("Can't compare", "Benchmark machine_info is different"):
        warnings.filterwarnings("default", message=message, category=pytest.PytestWarning)


def _resolve(config: pytest.Config) -> Settings:
    """Returns the settings; in a grading, only from allowed sources, and registers its plugin."""

    def parsed(name: str) -> Any:
        return config.getoption(f"annmodal_{name}")

    places: dict[str, Any] = {
        "environ": os.environ,
        "rootdir": config.rootpath,
        "cwd": config.invocation_params.dir,
    }
    ini = ini_of(config)
    settings = resolve(cli=parsed, ini=ini, **places)
    if settings.grade is None:
        return settings
    from pytest_annmodal.grading.plugin import GradingPlugin
    from pytest_annmodal.grading.rules import read_rules
    from pytest_annmodal.settings.strictness import Strictness

    sources = Strictness(
        parsed=parsed,
        typed=given(named.typed(config)),
        addopts=given(config.getini("addopts")),
        ini=ini,
    )
    rules = read_rules(Path(settings.grade)).option_values()
    settings = resolve(cli=sources.cli, ini=sources.ini, rules=rules, **places)
    grading = GradingPlugin(
        config, not_taken=sources.ignored, has_result=lambda report: hasattr(report, ROW)
    )
    config.stash[LISTENERS].append(grading)
    config.pluginmanager.register(grading)
    return settings


@pytest.hookimpl(trylast=True)
def pytest_annmodal_make_executor(name: str, setup: ExecutorSetup) -> Executor | None:
    """Makes the built-in executors."""
    from pytest_annmodal.executors import registry

    return registry.make(name, setup)


def _keeper(bench: BenchSession) -> Keeper:
    from pytest_annmodal.plugin import keeping

    return keeping.make_keeper(bench)


def _session(config: pytest.Config) -> BenchSession:
    """Returns the session's state, made on first use."""
    if SESSION not in config.stash:
        _expect_workers(config)
        from pytest_annmodal.plugin.interruption import Interruption
        from pytest_annmodal.reports import nearest
        from pytest_annmodal.session.orchestration import make_executor
        from pytest_annmodal.session.state import BenchSession

        interruption = Interruption()
        config.pluginmanager.register(interruption)
        interruption.install()
        nearest.install([config.stash[STREAM]])
        extra = [dataset for rows in config.hook.pytest_annmodal_datasets() for dataset in rows]
        settings, listeners = config.stash[SETTINGS], config.stash[LISTENERS]
        config.stash[SESSION] = BenchSession(
            settings,
            extra_datasets=extra,
            make_executor=lambda name: make_executor(name, settings, config),
            listeners=listeners,
            make_keeper=_keeper,
        )
    return config.stash[SESSION]


def _expect_workers(config: pytest.Config) -> None:
    """Starts the process that workers are copied from: it imports numpy while tests are collected.

    Only where workers of trusted code will be needed, as far as that is known by now.
    """
    settings = config.stash[SETTINGS]
    here = settings.executor == "local" and not hasattr(config, "workerinput")
    if here and not (
        settings.submission or _runs_nothing(settings) or collecting.only_lists(config)
    ):
        from pytest_annmodal.sandbox import template

        template.expect(trusted=True, threads=settings.threads)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrizes ``case``, or ``implementation`` and ``dataset`` where the test does not."""
    if "ann_benchmark" in metafunc.fixturenames:
        collecting.parametrize(metafunc, _session(metafunc.config))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Finds each item's case, drops pairs that do not fit, puts cases of one build together."""
    wanted = [item for item in items if collecting.uses_benchmark(item)]
    if not wanted:
        return
    try:
        collecting.attach(config, items, wanted, _session(config))
    except ConfigurationError as error:
        if not hasattr(config, "workerinput"):
            raise pytest.UsageError(str(error)) from error
        config.stash[collecting.PROBLEM] = str(error)  # xdist would lose a worker that raises


def pytest_collection_finish(session: pytest.Session) -> None:
    """Plans jobs for the selected tests; on Modal, starts all of them."""
    config = session.config
    if SESSION not in config.stash or not collecting.will_run(session):
        return
    bench = config.stash[SESSION]
    if _runs_nothing(bench.settings):
        return
    try:
        bench.begin({i.nodeid: i.stash[CASE] for i in session.items if CASE in i.stash})
        cases = collecting.runnable(session.items, bench)
        if hasattr(config, "workerinput"):
            return
        jobs = bench.plan(cases)
        if jobs and bench.executor.concurrent:
            from pytest_annmodal.session.orchestration import submit_all

            submit_all(bench, jobs)
    except (ConfigurationError, ExecutorError) as error:
        raise pytest.UsageError(str(error)) from error


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Downloads or plans instead of running tests, with ``--download-only`` or a plan option."""
    config = session.config
    settings = config.stash[SETTINGS]
    if not _runs_nothing(settings) or config.option.collectonly:
        return None
    if getattr(config.option, "numprocesses", None):  # xdist: only its workers know the tests
        raise pytest.UsageError(
            "--download-only, --ann-plan and --modal-plan run no tests: leave out -n"
        )
    from pytest_annmodal.session.orchestration import download_only, show_costs, show_plan

    cases = collecting.planned(session.items, graded=settings.grade is not None)
    try:
        if settings.plan or settings.plan_json:
            show_costs(_session(config), cases, config)
        elif settings.modal_plan:
            show_plan(_session(config), cases, config)
        else:
            session.testsfailed = download_only(_session(config), cases, config)
    except (ConfigurationError, ExecutorError) as error:
        raise pytest.UsageError(str(error)) from error
    return True


def _runs_nothing(settings: Settings) -> bool:
    planned = settings.plan or settings.plan_json or settings.modal_plan
    return bool(settings.download_only or planned)


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Case | None:
    """The case of this test: an implementation's variant on a dataset at k."""
    found: Case | None = request.node.stash.get(CASE, None)
    return found


@pytest.fixture(scope="session")
def ann_datasets(request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """``ann_datasets(name)``: the path of a dataset, resolved through the volume once."""
    bench = _session(request.config)

    def resolve(name: str) -> Path:
        from pytest_annmodal.datasets.locate import find_datasets

        asked = f"ann_datasets({name!r})"
        (dataset, *_) = find_datasets(name, bench.known, bench.settings, bench.stored, asked=asked)
        found = bench.local.prepare(dataset)
        assert isinstance(found, Path), f"the local executor gave {found!r} for {name}"
        return found

    return resolve


@pytest.fixture
def ann_benchmark(request: pytest.FixtureRequest, benchmark: Any) -> AnnBenchmark:
    """``ann_benchmark(case)`` or ``ann_benchmark(implementation=…, dataset=…, k=…)``.

    Measures, checks the thresholds of ``@pytest.mark.ann`` and returns the Measurement.
    """
    from pytest_annmodal.plugin.fixture import AnnBenchmark

    node, session = request.node, _session(request.config)
    bench = AnnBenchmark(node, benchmark, session, collecting.marker_of(node))
    if CASE in node.stash:
        if node.stash.get(RAN, False):
            session.forget_fault(node.stash[CASE])
        node.stash[RAN] = True
        bench.fetch_early(node.stash[CASE])
    return bench


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fails a benchmark that cannot be measured here, before its fixtures are made."""
    if collecting.uses_benchmark(item):
        reason = collecting.refusal(item)
        if reason is not None:
            from pytest_annmodal.reports import escape

            pytest.fail(escape.told(reason), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the outcome to the report, which also carries it from xdist's workers."""
    report = yield
    if call.when == "call" and collecting.OUTCOME in item.stash:
        setattr(report, ROW, item.stash[collecting.OUTCOME].plain())
    if report.failed and collecting.uses_benchmark(item):
        setattr(report, OWN_FAILURE, True)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Ends all jobs, so that after -x, Ctrl-C or a crash nothing keeps running or billing."""
    if SESSION in session.config.stash:
        bench = session.config.stash[SESSION]
        try:
            bench.close()
        except AnnModalError as error:
            session.config.issue_config_time_warning(pytest.PytestWarning(str(error)), stacklevel=1)
        if bench.kept is not None:
            from pytest_annmodal.plugin import keeping

            keeping.finish(bench.kept, bench.settings, session.config.invocation_params.args)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter,
) -> Generator[None, object, object]:
    """Writes the last lines, below the tables of :class:`Summary` and of grading."""
    try:
        return (yield)
    finally:
        if SESSION in terminalreporter.config.stash:
            from pytest_annmodal.plugin.endings import last_lines

            bench = terminalreporter.config.stash[SESSION]
            for line in last_lines(terminalreporter.config, bench):
                terminalreporter.write_line(line)
