"""From the command line, the environment and the ini file to Settings, checked once.

The command line wins over the environment (``ANNMODAL_NAME``), which wins over the ini file
(``annmodal_name``), which wins over the default.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.settings.config import OFF, OPTIONS, Settings
from pytest_annmodal.settings.nearest import nearest_names
from pytest_annmodal.settings.option import PREFIX

if TYPE_CHECKING:
    import pytest

MODAL_EXECUTOR = "modal"  # what --modal and --modal-plan stand for
# Where a TOML file has pytest's keys: pyproject.toml in two tables, pytest.toml in one.
TABLES = (("tool", "pytest", "ini_options"), ("tool", "pytest"), ("pytest",))


def resolve(
    *,
    cli: Callable[[str], Any],
    ini: Callable[[str], object],
    environ: Mapping[str, str],
    rootdir: Path = Path(),
    cwd: Path = Path(),
    rules: Mapping[str, Any] | None = None,
) -> Settings:
    """Settings from the command line, the environment and the ini file.

    Args:
        cli: option name → value, or None if it was not given.
        ini: ini key → text, or what a TOML file has instead; an empty text if it was not given.
        rootdir: what relative paths in the ini file start from.
        cwd: what relative paths on the command line and in the environment start from.
        rules: option name → value that a file named on the command line sets.

    Raises:
        ConfigurationError: a value that cannot be used, or a bad combination.
    """
    values: dict[str, Any] = {"rootdir": rootdir}
    for option in OPTIONS:
        value = option.default
        if given := option.from_cli(cli(option.name)):
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
    """What contradicts itself; a default in the ini file or environment just does not hold."""
    for flag, name in (("--ann-volume-dir", "volume_dir"), ("--download", "download")):
        if settings.executor == MODAL_EXECUTOR and cli(name):
            raise ConfigurationError(
                f"{flag} is for local runs and --modal was given too. Leave out one of them; "
                "with --modal, datasets are downloaded into the cloud volume by themselves."
            )
    named = cli("executor")
    if cli("modal") and named not in {None, MODAL_EXECUTOR}:
        raise ConfigurationError(f"--modal and --ann-executor {named}: choose one of them")
    if settings.download_only and cli("download"):
        raise ConfigurationError("--download and --download-only: choose one of them")
    for flag, name in (
        ("--ann-param", "param"),
        ("--ann-build-param", "build_param"),
        ("--ann-run-group", "run_group"),
        ("--ann-target-recall", "target_recall"),
    ):
        if cli(name) and settings.grade is not None:
            raise ConfigurationError(
                f"{flag} and --ann-grade: grading runs the settings that a submission names. "
                "Leave out one of them."
            )
    _refuse_bad_gates(settings, cli)
    _refuse_with_targets(settings)
    _refuse_bad_load(settings, cli)
    _refuse_with_fresh_queries(settings)
    if cli("reuse") and settings.results == OFF:
        raise ConfigurationError(
            "--ann-reuse takes results from the folder that --ann-results names, and that is off. "
            "Leave out one of them."
        )
    if cli("reuse") and settings.grade is not None:
        raise ConfigurationError(
            "--ann-reuse and --ann-grade: a grading goes on with --ann-resume, from its own "
            "journal. Leave out --ann-reuse."
        )
    if cli("resume") and settings.grade is None:
        raise ConfigurationError("--ann-resume goes on with a grading: name it (--ann-grade)")


def _refuse_bad_gates(settings: Settings, cli: Callable[[str], Any]) -> None:
    if cli("against") and settings.gate is not None and settings.baseline is not None:
        raise ConfigurationError(
            "--ann-against holds against stored results, and --ann-gate against a baseline that "
            "runs now. Do one after the other."
        )
    if not cli("gate") or (settings.against is not None and settings.baseline is None):
        return
    if settings.baseline is None:
        raise ConfigurationError(
            "--ann-gate holds everything against a baseline: name it with --ann-baseline"
        )
    if settings.sessions == 1:
        raise ConfigurationError(
            "--ann-gate needs five sessions or more for a verdict, and --ann-sessions 1 was given. "
            "Leave it out."
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
            "--ann-rate auto and rates of your own: auto chooses the rates. Leave out one of them."
        )
    if settings.fresh_queries and (settings.rate or settings.concurrency):
        raise ConfigurationError(
            "--ann-rate and --ann-concurrency ask the same queries again and again, and with "
            "--ann-fresh-queries none is asked twice. Leave out one of them."
        )
    if cli("at_p99_ms") and not settings.rate:
        raise ConfigurationError(
            "--ann-at-p99-ms looks for a rate among those that are offered: name some with "
            "--ann-rate, such as --ann-rate auto"
        )


def _refuse_with_targets(settings: Settings) -> None:
    """What a recall to be reached does not go with."""
    for flag, name in (("--ann-baseline", "baseline"), ("--ann-fresh-queries", "fresh_queries")):
        if settings.target_recall and getattr(settings, name) and settings.grade is None:
            raise ConfigurationError(
                f"--ann-target-recall and {flag}: a setting is looked for with queries that are "
                "asked again and again, and by itself. Leave out one of them."
            )


def _refuse_with_fresh_queries(settings: Settings) -> None:
    """Fresh ones are drawn for the session, from the dataset, at random."""
    for flag, given in (
        ("--ann-queries FILE", isinstance(settings.queries, str)),
        ("--ann-query-order", settings.query_order != "file"),
    ):
        if given and settings.fresh_queries:
            raise ConfigurationError(
                f"{flag} and fresh queries: those are drawn for this session at random, from the "
                "dataset. Leave out one of them (in a file of rules: fresh_queries = false)."
            )


def unused_variables(environ: Mapping[str, str]) -> list[str]:
    """One line for each variable that is called like an option's and is none."""
    known = {option.env.removeprefix(PREFIX) for option in OPTIONS}
    found = sorted(name.removeprefix(PREFIX) for name in environ if name.startswith(PREFIX))
    return [
        f"The environment variable {PREFIX}{name} was not used: no option has it"
        f"{nearest_names(name, known, before=PREFIX)}"
        for name in found
        if name not in known
    ]


def ini_of(config: pytest.Config) -> Callable[[str], object]:
    """What pytest's ini file says of a key, in the types of a TOML file where it is one."""

    def ini(key: str) -> object:
        with warnings.catch_warnings():  # pytest 9.2 warns of a list where it expects a text
            warnings.simplefilter("ignore")
            try:
                return config.getini(key)
            except Exception:  # noqa: BLE001 -- TypeError, UsageError: each version its own
                return _in_toml(config.inipath, key)

    return ini


def _in_toml(path: Path | None, key: str) -> object:
    """A value that pytest refuses because it is not a text: in ``[tool.pytest]`` since 9.0."""
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
