"""Which images cannot be built, and why: the end of their build logs."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable

import modal

from pytest_annmodal.executors.modal import container
from pytest_annmodal.executors.modal.definitions import APP_NAME
from pytest_annmodal.executors.modal.images import Requirements, image_for

LOG_LINES = 15


def unbuildable(images: Iterable[Requirements]) -> dict[Requirements, str]:
    """The images that fail on their own, each with the end of its log.

    Asked for only after an app did not open: what can be built is cached by then.
    """
    found = {}
    for requirements in dict.fromkeys(images):
        log = _try(requirements)
        if log is not None:
            found[requirements] = log
    return found


def _try(requirements: Requirements) -> str | None:
    app = modal.App(APP_NAME)
    app.function(image=image_for(requirements), include_source=False)(container.run_benchmark)
    shown = io.StringIO()
    try:
        with contextlib.redirect_stdout(shown), modal.enable_output(), app.run():
            return None
    except modal.exception.RemoteError as error:
        lines = [line.rstrip() for line in shown.getvalue().splitlines() if line.strip()]
        return "\n".join(["  " + line for line in lines[-LOG_LINES:]] or [f"  {error}"])


def why_unbuildable(requirements: Requirements, log: str) -> str:
    """What a test says whose image could not be built."""
    return (
        "The container's image could not be built. Besides what the harness needs it installs "
        f"{', '.join(requirements)} (from the header's dependencies): check them there. "
        f"The end of the build log:\n{log}"
    )
