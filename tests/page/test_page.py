"""The page in a real browser, cut off from every network."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page
from stored_cases import failed, measured, stored

from pytest_annmodal.outcome import Failure
from pytest_annmodal.page.content import LEVELS
from pytest_annmodal.page.files import write_page
from pytest_annmodal.reports.export import as_csv, as_json
from pytest_annmodal.results.reading import read_results

Opened = Callable[..., Page]  # the fixture `opened`
MARKUP = '</script><img src=x onerror="document.title=1"><b>'


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of two datasets, two implementations, a failure and a submission's markup."""
    folder = tmp_path_factory.mktemp("page")
    cases = [measured(number) for number in range(6)]
    cases += [
        measured(
            number,
            key=f"other{number}",
            implementation="annoy",
            label=f"annoy[n_trees={number},a_parameter_of_a_long_name=100,another_of_a_longer_name=200]",
            qps=2e4 / (1 + number),
            build_s=1.5 * (1 + number),
        )
        for number in range(1, 4)
    ]
    cases += [measured(3, key="exact", implementation=MARKUP, label=MARKUP, recall=1.0)]
    cases += [measured(2, key="d2", dataset="other-8-dot", metric="dot", dim=8)]
    wrong = failed().failure
    assert isinstance(wrong, Failure)
    cases.append(failed(label=MARKUP))
    stored(folder, *cases)
    write_page(folder / "page.html", read_results([folder]))
    return folder / "page.html"


@pytest.fixture(scope="module")
def untouched(opened_once: Opened, written: Path) -> Page:
    """The page as it is when it is opened, for tests that only look."""
    return opened_once(written)


def marks(page: Page, chart: str, kind: str) -> list[str]:
    """The texts that a screen reader gets for a chart's marks."""
    return [
        text or ""
        for text in page.locator(f"#{chart} g.mark-{kind} [aria-label]").evaluate_all(
            "found => found.map(mark => mark.getAttribute('aria-label'))"
        )
    ]


def redrawn(page: Page) -> Iterator[None]:
    """Waits until the changes are drawn."""
    before = page.locator("html").get_attribute("data-drawn")
    yield
    page.wait_for_selector(f"html:not([data-drawn='{before}'])")


def table(page: Page) -> list[list[str]]:
    rows: list[list[str]] = page.locator("#all tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return rows


def test_the_page_loads_nothing_and_shows_every_case_once(untouched: Page) -> None:
    """Each case is shown once, markup in names is text, and nothing is loaded."""
    page = untouched
    assert len(table(page)) == 11
    assert page.locator("#failures tbody tr").count() == 1
    assert page.title().startswith("Nearest-neighbour")
    assert page.locator("img").count() == 0
    assert MARKUP in page.locator("#implementations").inner_text()


def test_the_slider_ranks_again(opened: Opened, written: Path) -> None:
    """A higher recall reranks the bars and lists those that do not reach it."""
    page = opened(written)
    before = marks(page, "ranks", "text")
    wait = redrawn(page)
    next(wait)
    page.locator("#level").fill(str(LEVELS.index(0.97)))
    next(wait, None)
    assert page.locator("#level_words").inner_text() == "0.97"
    assert "Not reached: annoy (best 0.9375)" in page.locator("#unreached").inner_text()
    after = page.locator("#ranks").inner_text()
    assert after != before
    assert "hnswlib" in after


def test_switches_change_the_frontier(opened: Opened, written: Path) -> None:
    """Each switch (figure, axis, other settings, implementation, dataset) redraws the frontier."""
    page = opened(written)
    chart = page.locator("#frontier")
    assert "speed (queries/s)" in chart.inner_text()
    page.locator("#figure").select_option("p50_ms")
    chart.get_by_text("median latency (ms)").wait_for()
    assert "down" in page.locator("#direction").inner_text()
    page.locator("#nines").uncheck()
    chart.get_by_text("recall", exact=True).wait_for()
    wait = redrawn(page)
    next(wait)
    page.locator("#implementations label", has_text="annoy").locator("input").uncheck()
    next(wait, None)
    assert not any("annoy" in text for text in marks(page, "frontier", "symbol"))
    wait = redrawn(page)
    next(wait)
    page.locator("#group").select_option("1")
    next(wait, None)
    assert len(set(marks(page, "costs", "symbol"))) == 1


def test_hovering_shows_every_parameter_and_figure(opened: Opened, written: Path) -> None:
    """A point's tooltip has its setting, figures and machine."""
    page = opened(written)
    page.locator("#frontier g.mark-symbol path[aria-label*='ef=5']").first.hover(force=True)
    tip = page.locator("#vg-tooltip-element")
    tip.get_by_text("hnswlib[M=12,ef=5]").wait_for()
    words = tip.inner_text()
    for expected in ("0.9844", "16,670", "build time", "0.25", "Processor, 2 cores"):
        assert expected in words
    assert "null" not in words


def test_headings_sort_the_table(opened: Opened, written: Path) -> None:
    """A heading sorts numbers descending, then ascending, and says which."""
    page = opened(written)
    head = page.locator("#all thead th", has_text="speed (queries/s)").first
    column = 4
    head.locator("button").click()
    found = [float(row[column]) for row in table(page)]
    assert found == sorted(found, reverse=True)
    assert head.get_attribute("aria-sort") == "descending"
    head.locator("button").press("Enter")
    found = [float(row[column]) for row in table(page)]
    assert found == sorted(found)


def test_ticked_settings_are_drawn(opened: Opened, written: Path) -> None:
    """Tail and histogram show exactly the ticked settings."""
    page = opened(written)
    row = page.locator("#all tbody tr", has_text="ef=1]").first
    row.locator("input").check()
    page.locator("#chosen", has_text="hnswlib[M=12,ef=1].").wait_for()
    assert "annoy" not in page.locator("#chosen").inner_text()


def value_of(cell: str) -> float | str:
    """A number's text as a number, since JavaScript writes ``100000`` for ``100000.0``."""
    try:
        return float(cell)
    except ValueError:
        return cell


def test_downloads_equal_the_data(opened: Opened, written: Path) -> None:
    """CSV and JSON have the same rows; charts are saved as SVG and PNG."""
    page = opened(written)
    saved: dict[str, bytes] = {}
    for selector in (
        "#csv",
        "#json",
        "[data-chart=frontier][data-format=svg]",
        "[data-chart=frontier][data-format=png]",
    ):
        with page.expect_download() as waiting:
            page.locator(selector).click()
        saved[waiting.value.suggested_filename] = waiting.value.path().read_bytes()
    rows = list(csv.DictReader(io.StringIO(saved["results.csv"].decode())))
    same: list[dict[str, Any]] = json.loads(saved["results.json"])
    assert len(rows) == len(same) == 12
    assert [float(row["recall"] or "nan") for row in rows] == [
        pytest.approx(case["recall"] if case["recall"] is not None else math.nan, nan_ok=True)
        for case in same
    ]
    exported = json.loads(as_json(read_results([written.parent]).cases))
    assert same == exported
    wanted = csv.DictReader(io.StringIO(as_csv(read_results([written.parent]).cases).decode()))
    assert [[*map(value_of, row.values())] for row in rows] == [
        [*map(value_of, row.values())] for row in wanted
    ]
    assert saved["frontier.svg"].startswith(b"<svg")
    assert saved["frontier.png"].startswith(b"\x89PNG")


def test_nothing_is_wider_than_the_window(untouched: Page, opened: Opened, written: Path) -> None:
    """On a phone the page scrolls down only; tables scroll in their frames."""
    for page, width in ((untouched, 1280), (opened(written, 390, "dark"), 390)):
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_everything_can_be_reached_by_keyboard(untouched: Page) -> None:
    """Controls have names, charts descriptions, and the tab order is the page's."""
    page = untouched
    unnamed = page.locator("input, select, button").evaluate_all(
        "all => all.filter(one => !(one.labels?.length || one.ariaLabel || one.textContent.trim())).length"
    )
    assert unnamed == 0
    assert page.locator(".chart:not([role][aria-label])").count() == 0
    assert page.locator("[tabindex]").evaluate_all("all => all.every(one => one.tabIndex <= 0)")
