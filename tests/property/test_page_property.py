"""For any outcomes the page is valid and has each case once."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_annmodal.outcome import Failure
from pytest_annmodal.page.files import write_page
from pytest_annmodal.results.reading import Results
from pytest_annmodal.results.stored import StoredCase

WORDS = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ("</script><script>", "<!--", "]]>", "{{ 7 * 7 }}", "&amp;", "\x1b[31m", "\u202e", '"')
)
NUMBERS = st.floats(min_value=0, allow_nan=False) | st.sampled_from((0.0, 1e-300, 1e300))
FIGURE = NUMBERS | st.none() | st.sampled_from((float("nan"), float("inf")))
DATASETS = st.sampled_from(("a-4-euclidean", "b-4-dot"))


@st.composite
def measurements(draw: st.DrawFn) -> StoredCase:
    names = ("qps", "batch_qps", "p50_s", "p95_s", "p99_s", "build_s")
    figures: dict[str, Any] = {name: draw(FIGURE) for name in names}
    return StoredCase(
        case_id=draw(WORDS),
        key=draw(st.none() | st.uuids().map(str)),
        implementation=draw(WORDS),
        label=draw(WORDS),
        build_label=draw(WORDS),
        dataset=draw(DATASETS),
        dataset_sha256=draw(st.none() | st.sampled_from(("ab" * 32, "cd" * 32))),
        machine=draw(WORDS),
        measured_at=draw(st.sampled_from(("", "2026-01-01T00:00:00Z"))),
        metric="euclidean",
        dim=4,
        n_train=draw(st.integers(1, 9)),
        n_queries=draw(st.integers(1, 9)),
        k=draw(st.integers(1, 3)),
        rounds=1,
        recall=draw(st.floats(0, 1) | st.just(1.0)),
        index_bytes=draw(st.none() | st.integers(0, 10**15)),
        peak_rss_bytes=draw(st.none() | st.integers(0, 10**15)),
        notes=tuple(draw(st.lists(WORDS, max_size=1))),
        **figures,
    )


@st.composite
def failures(draw: st.DrawFn) -> StoredCase:
    label = draw(WORDS)
    return StoredCase(
        case_id=label,
        implementation=label,
        label=label,
        build_label=label,
        dataset=draw(DATASETS),
        k=draw(st.integers(1, 3)),
        failure=Failure(
            case_id=label,
            kind=draw(st.sampled_from(("crashed", "raised"))),
            message=draw(WORDS),
            evidence={"traceback": draw(WORDS)},
        ),
    )


class Reader(HTMLParser):
    """Collects table rows, scripts and forbidden elements of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.n_rows = {"numbers": 0, "failures": 0}
        self.section = ""
        self.in_body = False
        self.scripts: list[str] = []
        self.open: list[str] = []
        self.unexpected: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        if tag == "section":
            self.section = known.get("id") or ""
        if tag == "tbody":
            self.in_body = True
        if tag == "tr" and self.in_body and self.section in self.n_rows:
            self.n_rows[self.section] += 1
        if tag == "script":
            self.scripts.append("")
            self.open.append(tag)
        if tag in {"img", "iframe", "object"} or any(name.startswith("on") for name in known):
            self.unexpected.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag == "tbody":
            self.in_body = False
        if tag == "script":
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open:
            self.scripts[-1] += data


@settings(max_examples=10)  # each draws every chart of a page
@given(cases=st.lists(measurements() | failures(), min_size=1, max_size=8))
def test_any_outcomes_make_a_page(cases: list[StoredCase], tmp_path_factory: Any) -> None:
    """The page parses, its data is JSON, each case is one row, and no text is markup."""
    path: Path = tmp_path_factory.mktemp("page") / "page.html"
    content = write_page(path, Results(cases=tuple(cases), folders={}))
    reader = Reader()
    text = path.read_text(encoding="utf-8")
    assert (
        re.search(r"\b1 (implementations|settings|datasets)\b", text.split("</header>")[0]) is None
    )
    reader.feed(text)
    reader.close()
    assert reader.unexpected == []
    assert len(reader.scripts) == 3
    data = json.loads(reader.scripts[0])
    n_points = sum(group.n_points for group in content.groups)
    n_broken = sum(len(group.broken) for group in content.groups)
    replaced = [line for line in content.banner if "earlier measurement" in line]
    n_replaced = int(replaced[0].split()[0]) if replaced else 0
    assert n_points + n_broken + n_replaced == len(cases)
    assert reader.n_rows == {"numbers": n_points, "failures": n_broken}
    assert sum(len(group["points"]["label"]) for group in data["groups"]) == n_points
    assert len(data["table"]["rows"]) == n_points + n_broken
