"""Where pages and pictures are written: whole, or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from pytest_annmodal.durable import write_bytes
from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.page.cases import content_of
from pytest_annmodal.page.content import Content
from pytest_annmodal.results.reading import Results

NEEDED = ("altair", "jinja2", "vl_convert")  # the extra `report`


def write_page(
    path: Path, results: Results, *, command: str = "", reused: Iterable[str] = ()
) -> Content:
    """Write the page of these results.

    Args:
        command: that measured them, as the page shows it.
        reused: keys of the cases that were taken from an earlier session.

    Returns:
        What is on it.

    Raises:
        ConfigurationError: a package of the extra ``report`` is missing, or the file cannot be
            written.
    """
    require()
    from pytest_annmodal.page.page import render

    content = content_of(results, command=command, reused=reused)
    write(path, render(content).encode("utf-8"))
    return content


def require() -> None:
    """Look whether a page can be made here, before anything is measured for it.

    Raises:
        ConfigurationError: a package of the extra ``report`` is missing.
    """
    for name in NEEDED:
        if find_spec(name) is None:
            raise ConfigurationError(
                f"{name} is not installed, which pages and pictures need. "
                "Run: pip install 'pytest-annmodal[report]'"
            )


def can_draw() -> bool:
    """Whether the extra ``report`` is installed."""
    return all(find_spec(name) is not None for name in NEEDED)


def write(path: Path, raw: bytes) -> None:
    """Put a finished file in its place.

    Raises:
        ConfigurationError: it cannot be written; what was there before is still there.
    """
    try:
        write_bytes(path, raw)
    except OSError as error:
        raise ConfigurationError(
            f"{path}: cannot be written: {error.strerror or error}."
        ) from error
