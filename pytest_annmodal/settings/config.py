"""The Settings that the options of ``options.py`` make, checked once.

The command line wins over the environment (``ANNMODAL_NAME``), which wins over the ini file
(``annmodal_name``), which wins over the default. This module is imported by every pytest run
on the machine, so it imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.settings.options import OPTIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the options say, checked once; field names are those of :data:`OPTIONS`."""

    impl: tuple[str, ...] = ()
    param: tuple[tuple[str, tuple[str, ...]], ...] = ()
    run_group: tuple[str, ...] = ()
    dataset: tuple[str, ...] = ()
    submission: tuple[str, ...] = ()
    implementations: tuple[str, ...] = ()
    k: int = 10
    rounds: int = 3
    max_search_s: float = 60.0
    queries: int | None = None
    threads: int = 1
    clock: str = "auto"
    timeout_s: float = 3600.0
    isolation: str = "auto"
    fresh_queries: bool = False
    fresh_seed: int | None = None
    memory_mb: int | None = None
    subset: int | None = None
    download: bool = False
    download_only: bool = False
    volume_dir: str | None = None
    base_url: tuple[str, ...] = ()
    modal: bool = False
    modal_plan: bool = False
    modal_max_minutes: float | None = None
    modal_max_containers: int | None = None
    modal_cpu: float = 2.0
    modal_memory_mb: int = 16384
    modal_timeout_s: int = 3600
    modal_silence_s: float = 45.0
    modal_region: str | None = None
    modal_volume: str = "ann-datasets"
    modal_usd_core_hour: float = 0.0473
    modal_usd_gib_hour: float = 0.008
    baseline: str | None = None
    sessions: int = 11
    difference: float = 5.0
    at_recall: float | None = None
    grade: str | None = None
    grade_dir: str = "grades"
    resume: bool = False
    rootdir: Path = Path()

    @classmethod
    def resolve(
        cls,
        *,
        cli: Callable[[str], Any],
        ini: Callable[[str], str],
        environ: Mapping[str, str],
        rootdir: Path = Path(),
        cwd: Path = Path(),
        rules: Mapping[str, Any] | None = None,
    ) -> Settings:
        """Settings from the command line, the environment and the ini file.

        Args:
            cli: option name → value, or None if it was not given.
            ini: ini key → text, empty if it was not given.
            rootdir: what relative paths in the ini file start from.
            cwd: what relative paths on the command line and in the environment start from.
            rules: option name → value that a file named on the command line sets.

        Raises:
            ConfigurationError: a value that cannot be used, or a bad combination.
        """
        values: dict[str, Any] = {"rootdir": rootdir}
        known = {field.name for field in fields(cls)}
        for option in OPTIONS:
            assert option.name in known, option.name
            value = option.default
            if given := option.from_cli(cli(option.name)):
                value = option.located(given, cwd, option.flag)
            elif rules is not None and option.name in rules:
                value = rules[option.name]
            elif text := environ.get(option.env, ""):
                value = option.located(option.parse(text, option.env), cwd, option.env)
            elif text := ini(option.ini):
                value = option.located(option.parse(text, option.ini), rootdir, option.ini)
            values[option.name] = tuple(value or ()) if option.many else value
        if values["fresh_queries"] and not values["fresh_seed"] and not values["grade"]:
            import secrets

            values["fresh_seed"] = secrets.randbits(128) + 1  # a submission could try all of 2**31
        values["modal"] = values["modal"] or values["modal_plan"]
        settings = cls(**values)
        settings._refuse_bad_combinations(cli)
        return settings

    def _refuse_bad_combinations(self, cli: Callable[[str], Any]) -> None:
        """What contradicts itself; a default in the ini file or environment just does not hold."""
        for flag, name in (("--ann-volume-dir", "volume_dir"), ("--download", "download")):
            if self.modal and cli(name):
                raise ConfigurationError(
                    f"{flag} is for local runs and --modal was given too. Leave out one of them; "
                    "with --modal, datasets are downloaded into the cloud volume by themselves."
                )
        if self.download_only and cli("download"):
            raise ConfigurationError("--download and --download-only: choose one of them")
        for flag, name in (("--ann-param", "param"), ("--ann-run-group", "run_group")):
            if cli(name) and self.grade is not None:
                raise ConfigurationError(
                    f"{flag} and --ann-grade: grading runs the settings that a submission names. "
                    "Leave out one of them."
                )
        if cli("resume") and self.grade is None:
            raise ConfigurationError("--ann-resume goes on with a grading: name it (--ann-grade)")


def nearest_names(name: str, names: Iterable[str]) -> str:
    """``; did you mean 'x' or 'y'?``, or a full stop: the end of a sentence."""
    import difflib

    close = difflib.get_close_matches(name, list(names), n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(map(repr, close))}?" if close else "."
