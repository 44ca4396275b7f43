"""Checks whether a submission is named; a session without one imports nothing else from here."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

import pytest

from pytest_annmodal.settings.given import expanded
from pytest_annmodal.settings.sources import ini_of

if TYPE_CHECKING:
    from pytest_annmodal.strangers.places import Places

FLAG = "--submission"
INI = "annmodal_submission"
PLACES: pytest.StashKey[Places] = pytest.StashKey()  # the submissions' places, set by doors.py


def typed(config: pytest.Config) -> list[str]:
    """Returns ``PYTEST_ADDOPTS`` and the command line, without ``addopts`` of an ini file."""
    before = shlex.split(os.environ.get("PYTEST_ADDOPTS", ""))
    return expanded([*before, *map(str, config.invocation_params.args)])


def names_any(config: pytest.Config) -> bool:
    """Whether any option source names a submission; most sessions have none."""
    return bool(
        any(FLAG in word for word in (*typed(config), *config.getini("addopts")))
        or os.environ.get("ANNMODAL_SUBMISSION")
        or ini_of(config, [INI])(INI)
        or getattr(config.option, "annmodal_submission", None)  # in a worker of pytest-xdist
    )
