"""Warns where an option's value made pytest read another project's ini file.

pytest looks for its root folder and ini file before it knows the options of plugins. So in
``--dataset /elsewhere/x.hdf5`` it takes the value for the path of a test, and looks there.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pytest_annmodal import surprises
from pytest_annmodal.settings.config import OPTIONS
from pytest_annmodal.settings.given import after_a_space
from pytest_annmodal.strangers.named import typed

# Names of ini files, and the table that must be in them; none if the name is enough.
INI_FILES = (
    ("pytest.toml", ""),
    (".pytest.toml", ""),
    ("pytest.ini", ""),
    (".pytest.ini", ""),
    ("pyproject.toml", "[tool.pytest"),
    ("tox.ini", "[pytest]"),
    ("setup.cfg", "[tool:pytest]"),
)


def lines(config: pytest.Config) -> Iterator[str]:
    """Returns one line if the ini file of the tests was not read because of an option's value."""
    if config.option.inifilename or getattr(config.option, "rootdir", None):
        return
    here = config.invocation_params.dir
    spaced = [
        (option.flag, value)
        for option in OPTIONS
        if option.kind is not None
        for value, _ in after_a_space(typed(config), option.flag)
        if (here / value).exists()
    ]
    if not spaced:
        return
    own = _own_ini(here, config.option.file_or_dir)
    if own is not None and own != config.inipath:
        flag, value = spaced[0]
        yield (
            f"{own} was not read: pytest takes a path after a space for tests, so "
            f"{flag} {shlex.quote(value)} made it look for its configuration elsewhere "
            f"({config.inipath or 'there is none'}). Write {flag}={shlex.quote(value)} "
            f"{surprises.see('ini-file-elsewhere')}"
        )


def _own_ini(here: Path, tests: Sequence[str]) -> Path | None:
    """Returns the ini file that pytest reads if only tests are named."""
    named = [os.path.abspath(here / str(test).split("::")[0]) for test in tests]  # noqa: PTH100
    start = Path(os.path.commonpath(named)) if named else here
    for folder in (start, *start.parents):
        for name, table in INI_FILES:
            path = folder / name
            if path.is_file() and table in path.read_text(encoding="utf-8", errors="replace"):
                return path
    return None
