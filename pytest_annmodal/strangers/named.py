"""Whether a submission is named: all of this room that a session without one needs."""

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
PLACES: pytest.StashKey[Places] = pytest.StashKey()  # where they lie, once doors.py has looked


def typed(config: pytest.Config) -> list[str]:
    """The command line with ``PYTEST_ADDOPTS`` before it, as pytest puts it, without an ini's."""
    before = shlex.split(os.environ.get("PYTEST_ADDOPTS", ""))
    return expanded([*before, *map(str, config.invocation_params.args)])


def names_any(config: pytest.Config) -> bool:
    """Whether a submission is named anywhere; most sessions have nothing to do with any."""
    return bool(
        any(FLAG in word for word in (*typed(config), *config.getini("addopts")))
        or os.environ.get("ANNMODAL_SUBMISSION")
        or ini_of(config)("annmodal_submission")
        or getattr(config.option, "annmodal_submission", None)  # in a worker of pytest-xdist
    )
