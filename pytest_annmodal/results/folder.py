"""Finds the folder of a session's results."""

from __future__ import annotations

from pathlib import Path

from pytest_annmodal.settings.config import OFF, Settings

DEFAULT = Path(".annmodal") / "results"  # under the root folder of a project


def folder_of(settings: Settings) -> Path | None:
    """Returns the folder, absolute; None if results are not to be stored."""
    if settings.results == OFF:
        return None
    return (settings.rootdir / (settings.results or DEFAULT)).absolute()
