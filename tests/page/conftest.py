"""A real browser without a network, and pages made of stored cases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import needs
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

DRAWN_MS = 60_000  # of a busy machine: what a page may take until its charts are there


@pytest.fixture(scope="module")  # closed before the process turns to tests of something else
def browser() -> Iterator[Browser]:
    found = needs.chromium()
    assert found, needs.problem()
    arguments = ["--no-sandbox"]  # the tests may run as root
    with (
        sync_playwright() as driver,
        driver.chromium.launch(executable_path=found, args=arguments) as browser,
    ):
        yield browser


@pytest.fixture
def opened(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a page and waits until it is drawn; afterwards checks that it loaded and logged nothing."""
    with _opening(browser) as open_page:
        yield open_page


@pytest.fixture(scope="module")
def opened_once(browser: Browser) -> Iterator[Callable[..., Page]]:
    """The same for a page that several tests look at and none changes."""
    with _opening(browser) as open_page:
        yield open_page


@contextmanager
def _opening(browser: Browser) -> Iterator[Callable[..., Page]]:
    contexts: list[BrowserContext] = []
    seen: list[str] = []

    def open_page(path: Path, width: int = 1280, scheme: str = "light") -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if scheme == "dark" else "light",
            offline=True,
            accept_downloads=True,
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: seen.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: seen.append(f"error: {error}"))
        page.on("request", lambda request: seen.append(f"request: {request.url}"))
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-drawn]", timeout=DRAWN_MS)
        assert seen.pop(0) == f"request: {path.as_uri()}"
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [
        line for line in seen if not line.startswith(("request: blob:", "request: data:"))
    ] == []
