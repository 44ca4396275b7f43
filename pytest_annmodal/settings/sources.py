"""Makes Settings from the command line, the environment and the ini file, and checks them.

The command line wins over the environment (``ANNMODAL_NAME``), which wins over the ini file
(``annmodal_name``), which wins over the default.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.settings.config import OFF, OPTIONS, Settings
from pytest_annmodal.settings.nearest import nearest_names
from pytest_annmodal.settings.option import PREFIX

if TYPE_CHECKING:
    import pytest

MODAL_EXECUTOR = "modal"  # chosen by --modal and --modal-plan
# The tables of a TOML file with pytest's keys: two in pyproject.toml, one in pytest.toml.
TABLES = (("tool", "pytest", "ini_options"), ("tool", "pytest"), ("pytest",))
INI_KEYS = tuple(option.ini for option in OPTIONS)


def resolve(
    *,
    cli: Callable[[str], Any],
    ini: Callable[[str], object],
    environ: Mapping[str, str],
    rootdir: Path = Path(),
    cwd: Path = Path(),
    rules: Mapping[str, Any] | None = None,
) -> Settings:
    """Returns the settings from the command line, the environment and the ini file.

    Args:
        cli: option name → value, or None if it was not given.
        ini: ini key → text or a value of TOML; an empty text if it was not given.
        rootdir: start of relative paths in the ini file.
        cwd: start of relative paths on the command line and in the environment.
        rules: option name → value, of the rules file in a grading.

    Raises:
        ConfigurationError: a bad value, or a bad combination.
    """
    values: dict[str, Any] = {"rootdir": rootdir}
    for option in OPTIONS:
        value = option.default
        given = option.from_cli(cli(option.name))
        if given or given is False:
            value = option.located(given, cwd, option.flag)
        elif rules is not None and option.name in rules:
            value = rules[option.name]
        elif text := environ.get(option.env, ""):
            value = option.located(option.parse(text, option.env), cwd, option.env)
        elif (said := ini(option.ini)) != "":
            value = option.located(option.parse(said, option.ini), rootdir, option.ini)
        values[option.name] = tuple(value) if option.many else value
    if values["fresh_queries"] and not values["fresh_seed"] and not values["grade"]:
        import secrets

        values["fresh_seed"] = secrets.randbits(128) + 1  # a submission could try all of 2**31
    if values["modal"] or values["modal_plan"]:
        values["executor"] = MODAL_EXECUTOR
    settings = Settings(**values)
    _refuse_bad_combinations(settings, cli)
    return settings


def _refuse_bad_combinations(settings: Settings, cli: Callable[[str], Any]) -> None:
    """Refuses contradictions; defaults of an ini file or variable give way to the command line."""
    for flag, name in (("--ann-volume-dir", "volume_dir"), ("--download", "download")):
        if settings.executor == MODAL_EXECUTOR and cli(name):
            raise ConfigurationError(
                f"{flag} is for local runs and --modal was given too. Leave out one of them; "
                "with --modal, missing datasets are always downloaded, into the cloud volume."
            )
    named = cli("executor")
    if cli("modal") and named not in {None, MODAL_EXECUTOR}:
        raise ConfigurationError(f"--modal and --ann-executor {named}: choose one of them")
    if settings.download_only and cli("download"):
        raise ConfigurationError("--download and --download-only: choose one of them")
    if settings.grade is not None:
        _refuse_in_a_grading(cli)
    _refuse_bad_gates(settings, cli)
    _refuse_with_targets(settings)
    _refuse_bad_load(settings, cli)
    _refuse_with_fresh_queries(settings)
    if cli("reuse") and settings.results == OFF:
        raise ConfigurationError(
            "--ann-reuse needs the folder of --ann-results, and --ann-results is off. "
            "Leave out one of them."
        )
    if cli("resume") and settings.grade is None:
        raise ConfigurationError("--ann-resume needs a grading to continue: add --ann-grade FILE")


def _refuse_in_a_grading(cli: Callable[[str], Any]) -> None:
    for flag, name in (
        ("--ann-param", "param"),
        ("--ann-build-param", "build_param"),
        ("--ann-run-group", "run_group"),
        ("--ann-target-recall", "target_recall"),
    ):
        if cli(name):
            raise ConfigurationError(
                f"{flag} and --ann-grade: grading runs the settings that a submission names. "
                "Leave out one of them."
            )
    if cli("cold"):
        raise ConfigurationError(
            "--ann-cold and --ann-grade: what a submission reads lies in memory, and no file is "
            "behind it, so nothing can be dropped. Leave out --ann-cold."
        )
    if cli("reuse"):
        raise ConfigurationError(
            "--ann-reuse and --ann-grade: a grading is continued from its own journal, with "
            "--ann-resume. Leave out --ann-reuse."
        )


def _refuse_bad_gates(settings: Settings, cli: Callable[[str], Any]) -> None:
    if cli("against") and settings.gate is not None and settings.baseline is not None:
        raise ConfigurationError(
            "--ann-against compares with stored results, and --ann-gate with a baseline that "
            "runs now. Use one after the other."
        )
    if not cli("gate") or (settings.against is not None and settings.baseline is None):
        return
    if settings.baseline is None:
        raise ConfigurationError(
            "--ann-gate compares everything with a baseline: name it with --ann-baseline"
        )
    if settings.sessions == 1:
        raise ConfigurationError(
            "--ann-gate needs five sessions or more for a verdict, and --ann-sessions 1 was given. "
            "Leave out --ann-sessions."
        )
    for flag, value in (("--ann-grade", settings.grade), ("--ann-reuse", settings.reuse)):
        if value:
            raise ConfigurationError(
                f"--ann-gate and {flag}: a gate measures both sides now. Leave out one of them."
            )


def _refuse_bad_load(settings: Settings, cli: Callable[[str], Any]) -> None:
    given = [one for values in settings.rate for one in values]
    if given and any(not values for values in settings.rate):
        raise ConfigurationError(
            "--ann-rate auto was given together with other rates. Leave out auto or the rates."
        )
    if settings.fresh_queries and (settings.rate or settings.concurrency):
        raise ConfigurationError(
            "--ann-rate and --ann-concurrency ask queries repeatedly, and --ann-fresh-queries "
            "asks each only once. Leave out one of them."
        )
    slowest = min(given, default=None)
    if slowest is not None and slowest * settings.load_s < 1:
        raise ConfigurationError(
            f"--ann-rate {slowest:g}: no query would come in the {settings.load_s:g} s of a level. "
            "Offer more, or give a level more time (--ann-load-time)."
        )
    if (settings.rate or settings.concurrency) and settings.load_s >= settings.timeout_s:
        raise ConfigurationError(
            f"--ann-load-time {settings.load_s:g}: a level would last as long as --ann-timeout, "
            f"{settings.timeout_s:g} s, lets it, and fail. Make it shorter, or that longer."
        )
    if cli("at_p99_ms") and not settings.rate:
        raise ConfigurationError(
            "--ann-at-p99-ms chooses among the rates of --ann-rate, and none is given. Add some, "
            "such as --ann-rate auto."
        )


def _refuse_with_targets(settings: Settings) -> None:
    """Refuses options that cannot be combined with ``--ann-target-recall``."""
    for flag, name in (("--ann-baseline", "baseline"), ("--ann-fresh-queries", "fresh_queries")):
        if settings.target_recall and getattr(settings, name) and settings.grade is None:
            raise ConfigurationError(
                f"--ann-target-recall and {flag}: finding a setting asks queries repeatedly, and "
                "without a baseline. Leave out one of them."
            )


def _refuse_with_fresh_queries(settings: Settings) -> None:
    """Refuses options that choose or order queries, since fresh ones are drawn at random."""
    for flag, given in (
        ("--ann-queries FILE", isinstance(settings.queries, str)),
        ("--ann-query-order", settings.query_order != "file"),
    ):
        if given and settings.fresh_queries:
            raise ConfigurationError(
                f"{flag} and fresh queries: fresh queries are drawn at random from the dataset. "
                "Leave out one of them (in a rules file: fresh_queries = false)."
            )


def unused_variables(environ: Mapping[str, str]) -> list[str]:
    """Returns one line for each variable that has our prefix but belongs to no option."""
    known = {option.env.removeprefix(PREFIX) for option in OPTIONS}
    found = sorted(name.removeprefix(PREFIX) for name in environ if name.startswith(PREFIX))
    return [
        f"The environment variable {PREFIX}{name} was ignored: it belongs to no option"
        f"{nearest_names(name, known, before=PREFIX)}"
        for name in found
        if name not in known
    ]


def ini_of(config: pytest.Config, keys: Iterable[str] = INI_KEYS) -> Callable[[str], object]:
    """Reads keys of pytest's ini file; TOML values keep their type.

    Returns:
        A function that gives the value of one of the keys.
    """
    with warnings.catch_warnings():  # pytest 9.2 warns about a list where it expects a text
        warnings.simplefilter("ignore")
        return {key: _ini_value(config, key) for key in keys}.__getitem__


def _ini_value(config: pytest.Config, key: str) -> object:
    try:
        return config.getini(key)
    except Exception:  # noqa: BLE001 -- TypeError, UsageError: each version its own
        return _in_toml(config.inipath, key)


def _in_toml(path: Path | None, key: str) -> object:
    """Reads a value that pytest refuses as it is not a text, in ``[tool.pytest]`` since 9.0."""
    import tomllib

    assert path is not None
    written = tomllib.loads(path.read_text(encoding="utf-8"))
    for names in TABLES:
        table: Any = written
        for name in names:
            table = table.get(name, {})
        if key in table:
            return table[key]
    raise AssertionError(f"pytest found {key} in {path}, and it is not there")
