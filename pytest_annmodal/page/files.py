"""Writes pages and images, each file completely or not at all."""

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
    """Writes the page of these results.

    Args:
        command: the command that measured them, which the page shows.
        reused: keys of the cases that were taken from an earlier session.

    Returns:
        The page's content.

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
    """Checks that a page can be made here, before anything is measured for it.

    Raises:
        ConfigurationError: a package of the extra ``report`` is missing.
    """
    for name in NEEDED:
        if find_spec(name) is None:
            raise ConfigurationError(
                f"{name} is not installed, but pages and images need it. "
                "Run: pip install 'pytest-annmodal[report]'"
            )


def can_draw() -> bool:
    """Whether the extra ``report`` is installed."""
    return all(find_spec(name) is not None for name in NEEDED)


def write(path: Path, raw: bytes) -> None:
    """Writes a complete file.

    Raises:
        ConfigurationError: it cannot be written; an older file of this name is kept.
    """
    try:
        write_bytes(path, raw)
    except OSError as error:
        raise ConfigurationError(
            f"{path}: cannot be written: {error.strerror or error}."
        ) from error
