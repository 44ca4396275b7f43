"""Text of a submission stays text in each format; hypothesis searches for exceptions."""

from __future__ import annotations

import csv
import io
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pytest_annmodal.grading.outputs import page
from pytest_annmodal.reports import escape

PIECES = st.sampled_from(
    ["<script>", "</pre>", "`", "```", "|", "\n", "\r", "\t", "=1+1", "@me", "-", "+", "::error::",
     "##[command]", "##vso[", "##teamcity[", "#", "\x1b[2J", "\x07", "\u202e", "\udc80", "\ufffe", "\x00", "]]>", "&amp;",
     "'", '"',
     "[a](javascript:x)", "![i](http://x)", "http://x.y", "www.x.y", "**", "_", "\\", "1. ", "# ",
     "> ", "~~", "$x$", "../", "/", "CON", ".", "🙂", "ａ", "a"]
)  # fmt: skip
COMMAND = re.compile(r"##\w*\[")  # to the runner of GitHub, Azure, TeamCity
TEXTS = st.one_of(st.text(), st.lists(PIECES | st.text(max_size=3), max_size=12).map("".join))


class Tags(HTMLParser):
    """The tags and the text that a browser would see."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@given(TEXTS)
def test_html(text: str) -> None:
    """In an HTML page, in attributes and text, the words are unchanged."""
    template = page.environment().from_string("<p title='{{ text }}'>{{ text }}</p>")
    parser = Tags()
    parser.feed(template.render(text=text))
    parser.close()
    assert parser.tags == ["p"]
    assert parser.text == escape.visible(text, keep="\n")
    ET.fromstring(template.render(text=text))


@given(TEXTS)
def test_markdown(text: str) -> None:
    """In a table cell and a paragraph the words are unchanged, without markup."""
    markdown = MarkdownIt("gfm-like", {"linkify": False, "html": True})
    cell = escape.markdown(text)
    assert "\n" not in cell
    tokens = markdown.parse(f"| a |\n|---|\n| {cell} |\n")
    inlines = [token for token in tokens if token.type == "inline"]
    assert len(inlines) == 2
    kinds = {child.type for child in inlines[1].children or ()}
    assert kinds <= {"text", "text_special"}
    shown = "".join(child.content for child in inlines[1].children or ())
    assert shown.strip() == escape.line(text).strip()
    paragraph = [token.type for token in markdown.parse(cell)]
    assert paragraph in (["paragraph_open", "inline", "paragraph_close"], [])


@given(TEXTS)
def test_csv(text: str) -> None:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerow([escape.csv_cell(text), "end"])
    assert stream.getvalue().count("\n") == 1
    (row,) = csv.reader(io.StringIO(stream.getvalue()))
    assert len(row) == 2
    assert not row[0].startswith(escape.FORMULA_STARTS)


@given(TEXTS)
def test_terminal(text: str) -> None:
    safe = escape.terminal(text)
    assert all(char.isprintable() or char == "\n" for char in safe)
    assert not any(line.lstrip().startswith("::") for line in safe.splitlines())
    assert not COMMAND.search(safe)
    safe.encode("utf-8")


@given(TEXTS)
def test_line(text: str) -> None:
    short = escape.line(text, 20)
    assert len(short) <= 20
    assert short.isprintable()
    assert not COMMAND.search(escape.line(text))


@given(st.lists(TEXTS, max_size=8))
def test_file_names(texts: list[str]) -> None:
    names = escape.file_names(texts)
    assert set(names) == set(texts)
    assert len({name.casefold() for name in names.values()}) == len(names)
    for name in names.values():
        assert name.isascii()
        assert "/" not in name
        assert not name.startswith((".", "-"))
        assert 0 < len(name) <= 100
        assert name.lower() not in {"con", "nul", "aux"}


def test_bounds() -> None:
    assert escape.block("\n".join("abcd"), max_lines=2) == "a\nb\n…"
    assert escape.block("\n".join("abcd"), max_lines=2, last=True) == "…\nc\nd"
    assert len(escape.block("x" * 10**6)) == escape.MAX_LINE
    assert len(escape.line("x" * 10**6)) == escape.MAX_LINE


@given(TEXTS)
def test_quoted(text: str) -> None:
    """Every line is behind the bar; a message that begins with our words has the bar from its second line."""
    for line in escape.quoted(text).split("\n"):
        assert line.startswith(escape.BAR.rstrip())
        assert line.isprintable()
        assert not COMMAND.search(line)
    first, *more = escape.told(f"ours: {text}").split("\n")
    assert first.startswith("ours: ")
    assert all(line.startswith(escape.BAR.rstrip()) for line in more)
