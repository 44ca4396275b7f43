"""Refuses sessions in which pytest would read or run a submission before any test runs.

It checks twice: while this plugin is loaded, before later plugins and any conftest file, and
again when all options are known. docs/security.md lists what happens before that, which a
plugin cannot prevent.
"""

from __future__ import annotations

import glob
import os
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.settings.config import Settings
from pytest_annmodal.settings.given import after_a_space, given
from pytest_annmodal.settings.sources import ini_of, resolve
from pytest_annmodal.strangers.imports import Guard, imported_already
from pytest_annmodal.strangers.named import FLAG, PLACES, typed
from pytest_annmodal.strangers.places import Places

CHECKED = pytest.StashKey[bool]()
MAX_NAMES = 3
QUOTE = f"{FLAG}='submissions/*'"


def close(config: pytest.Config) -> None:
    """Finds the submissions, refuses sessions configured by one, and guards the imports.

    Raises:
        pytest.UsageError: a file of a submission affects this session.
    """
    try:
        settings = _settings(config)
        places = Places(settings.submission)
        _refuse_configuration(config, places)
        _refuse_python_path(places, grading=settings.grade is not None)
    except ConfigurationError as error:
        raise pytest.UsageError(str(error)) from error
    config.stash[PLACES] = places
    guard = Guard(places)
    guard.install()
    config.add_cleanup(guard.remove)


def check(config: pytest.Config) -> None:
    """Refuses tests, conftest files and configuration inside of submissions.

    Raises:
        pytest.UsageError: pytest would import a submission or look for its ini file there.
    """
    if CHECKED in config.stash:
        return
    config.stash[CHECKED] = True
    places, options = config.stash[PLACES], config.known_args_namespace
    try:
        words = typed(config)
        named = [str(arg).split("::")[0] for arg in options.file_or_dir]
        _refuse_filled_in(words)
        collected = [_absolute(config, arg) for arg in named]
        for path in collected or _default_paths(config):
            _refuse_collection(path, places, conftest=not options.noconftest)
        if not options.inifilename:
            _refuse_looking(config, words, collected)
    except ConfigurationError as error:
        raise pytest.UsageError(str(error)) from error


def _settings(config: pytest.Config) -> Settings:
    """Resolves the settings while this plugin is loaded, before pytest has parsed its options."""
    written = given([*config.getini("addopts"), *typed(config)])
    return resolve(
        cli=lambda name: written[name] or getattr(config.option, f"annmodal_{name}", None),
        ini=ini_of(config),
        environ=os.environ,
        rootdir=config.rootpath,
        cwd=config.invocation_params.dir,
    )


def _refuse_configuration(config: pytest.Config, places: Places) -> None:
    for what, path in (("configuration", config.inipath), ("root folder", config.rootpath)):
        place = None if path is None else places.holder(path)
        if place is not None:
            raise ConfigurationError(
                f"pytest found its {what} at {path}, inside the submission {place}, "
                "before this plugin could prevent it. Nothing was measured, but plugins that such "
                "a configuration names have already run, outside any sandbox. "
                f"{_instead(config, places)}"
            )


def _instead(config: pytest.Config, places: Places) -> str:
    """Returns what to do so that pytest does not look there."""
    if places.holder(config.invocation_params.dir) is not None:
        return "Start pytest in another folder."
    spaced = after_a_space(typed(config), FLAG)
    if spaced:
        return f"Put an equals sign between option and path: {FLAG}={shlex.quote(spaced[0][0])}"
    return "Name a file of your own with -c, and your own folder with --rootdir."


def _refuse_python_path(places: Places, *, grading: bool) -> None:
    """Refuses submissions on Python's path, and modules imported from one before the guard."""
    for folder in sys.path:
        place = places.holder(folder)
        if place is not None:
            raise ConfigurationError(
                f"Python looks for modules in {os.path.abspath(folder)}, inside the "  # noqa: PTH100
                f"submission {place}, so nothing was run. Remove it from PYTHONPATH, or start "
                "pytest in another folder (python -m pytest adds the current folder to the path)."
            )
    for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if grading else ():
        if folder and places.directly_in(folder):
            raise ConfigurationError(
                f"PYTHONPATH names {folder}, which holds submissions, so every Python process of "
                "the grading could import one by its name. Remove it from PYTHONPATH."
            )
    early = imported_already(places)
    if early is not None:
        raise ConfigurationError(
            f"The module {early[0]} was imported from the submission's file {early[1]} before "
            "this plugin could prevent it. Do not trust this process or its files. Name "
            f"submissions with an equals sign ({FLAG}=…), and start pytest in another folder."
        )


def _refuse_filled_in(words: Sequence[str]) -> None:
    """Refuses an unquoted pattern: pytest takes all paths of it after the first for tests."""
    for value, following in after_a_space(words, FLAG):
        more = [word for word in following if _could_match_with(value, word)]
        if more:
            names = ", ".join(more[:MAX_NAMES]) + (", …" if len(more) > MAX_NAMES else "")
            raise ConfigurationError(
                f"{FLAG} takes one path, {value}, and pytest takes the next words ({names}) for "
                "tests, so it would import them instead of measuring them. If the shell expanded "
                f"a pattern, quote the pattern: {QUOTE}. If these are your tests, name them "
                "before the options."
            )


def _could_match_with(value: str, word: str) -> bool:
    """Whether one pattern can match both: they are equally deep, or in one folder."""
    if len(Path(value).parts) == len(Path(word.split("::", maxsplit=1)[0]).parts):
        return value.endswith("/") == word.endswith("/")
    folder = Path(value).parent
    return folder != Path() and folder in Path(word).parents


def _default_paths(config: pytest.Config) -> list[Path]:
    """Returns the paths that pytest collects if no test is named."""
    here = config.invocation_params.dir
    testpaths = config.getini("testpaths") if here == config.rootpath else []
    found = [Path(path) for text in testpaths for path in glob.glob(str(here / text))]  # noqa: PTH207
    return found or [here]


def _refuse_collection(path: Path, places: Places, *, conftest: bool) -> None:
    place = places.holder(path)
    if place is not None:
        raise ConfigurationError(
            f"pytest would collect tests from {path}, which is or lies in the submission {place}, "
            "and import it instead of measuring it. Name the folder of your own tests, such as "
            f"pytest benchmarks/, and quote the pattern of submissions: {QUOTE}."
        )
    for file in _conftests(path) if conftest else ():
        place = places.holder(file)
        if place is not None and file.is_file():
            raise ConfigurationError(
                f"pytest would import {file}, which is or lies in the submission {place}, so "
                "nothing was run. Name the folder of your own tests, such as pytest benchmarks/, "
                "and keep submissions in another."
            )


def _conftests(path: Path) -> Iterator[Path]:
    """Yields the conftest files that pytest imports before it collects.

    They are in a path, its parents and its ``test*`` folders.
    """
    folders: Iterable[Path] = (path, *path.parents) if path.is_dir() else path.parents
    if path.is_dir():
        folders = (*folders, *(folder for folder in path.glob("test*") if folder.is_dir()))
    return (folder / "conftest.py" for folder in folders)


def _refuse_looking(config: pytest.Config, words: Sequence[str], collected: Sequence[Path]) -> None:
    """Refuses a command with which pytest would use a submission's ``pytest.ini``.

    It is refused even if there is none: with a harmful one it would be too late.
    """
    spaced = after_a_space(words, FLAG)
    grading = bool(spaced) and _settings(config).grade is not None
    for value, _ in spaced:
        path = _absolute(config, value)
        if (path.exists() and grading) or path.is_dir():
            folder = path if path.is_dir() else path.parent
            if not _is_own(config, folder, path, collected) and not _is_passed_over(
                config, folder, words, collected
            ):
                raise ConfigurationError(
                    f"{FLAG} {value}: pytest looks for its own configuration in a path after a "
                    "space, and runs plugins that a pytest.ini there names, before a plugin can "
                    f"prevent it. {_found_there(config, folder)} Put an equals sign "
                    f"between option and path: {FLAG}={shlex.quote(value)}"
                )


def _found_there(config: pytest.Config, folder: Path) -> str:
    """Says what has already happened because pytest looked into the folder."""
    ini = config.inipath
    if ini is None or folder not in ini.parents:
        return "It found none, and nothing was run."
    return f"It read {ini}, and ran the plugins named there, outside any sandbox."


def unread(places: Places) -> Iterator[str]:
    """Yields a line about ignored pytest files in submissions."""
    files = places.unread()
    if files:
        names = ", ".join(map(str, files[:MAX_NAMES])) + (", …" if len(files) > MAX_NAMES else "")
        yield f"Not read, since submissions do not configure pytest: {names}"


def _is_own(config: pytest.Config, folder: Path, path: Path, collected: Sequence[Path]) -> bool:
    """Whether a folder is the organiser's: it holds the current folder or the named tests."""
    here = config.invocation_params.dir
    if path != folder and folder in (here, *here.parents):
        return True
    return any(folder in (test, *test.parents) for test in collected if test.exists())


def _is_passed_over(
    config: pytest.Config, folder: Path, words: Sequence[str], collected: Sequence[Path]
) -> bool:
    """Whether pytest finds the organiser's ini file before it looks into the folder.

    pytest begins in the common parent of all paths on the command line, and goes up from there.
    """
    ini = config.inipath
    paths = [_absolute(config, word) for word in words if not word.startswith("-")]
    return (
        ini is not None
        and ini.parent in folder.parents
        and any(test.exists() for test in collected)
        and all(ini.parent in (path, *path.parents) for path in paths if path.exists())
    )


def _absolute(config: pytest.Config, word: str) -> Path:
    """Returns the absolute path as pytest makes it, without resolving links."""
    return Path(os.path.abspath(config.invocation_params.dir / word))  # noqa: PTH100
