"""Hides tracebacks of the client's internal tasks.

When a connection is lost, the client's pending calls end in its event loop with errors that no
code awaits; asyncio logs each with a traceback, after our own message. ``MODAL_TRACEBACK=1``,
the client's own setting, shows them.
"""

from __future__ import annotations

import importlib.util
import logging
import traceback
from pathlib import Path

import modal

SPECS = map(importlib.util.find_spec, ("modal", "grpclib", "synchronicity"))
CLIENT = tuple(str(Path(spec.origin).parent) for spec in SPECS if spec and spec.origin)


def hide_tracebacks() -> None:
    """Hides them from now on; has an effect once per process."""
    logger = logging.getLogger("asyncio")
    if not modal.config.config.get("traceback") and _is_not_of_the_client not in logger.filters:
        logger.addFilter(_is_not_of_the_client)


def _is_not_of_the_client(record: logging.LogRecord) -> bool:
    """Whether a log record of asyncio is not about the client's own tasks."""
    error = record.exc_info[1] if record.exc_info else None
    files = [record.getMessage()]
    while error is not None:
        files += [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
        error = error.__cause__ or error.__context__
    return not any(package in text for text in files for package in CLIENT)
