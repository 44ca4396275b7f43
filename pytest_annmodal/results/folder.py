"""Where a session's results go."""

from __future__ import annotations

from pathlib import Path

from pytest_annmodal.settings.config import OFF, Settings

DEFAULT = Path(".annmodal") / "results"  # under the root folder of a project


def folder_of(settings: Settings) -> Path | None:
    """The folder, absolute; None where nothing is to be kept."""
    if settings.results == OFF:
        return None
    return (settings.rootdir / (settings.results or DEFAULT)).absolute()
