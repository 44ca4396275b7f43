"""The site: its list of pages, and the pages that are made of the tables in the code."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

import pytest_annmodal
from pytest_annmodal import errors
from pytest_annmodal.cli.main import SUBCOMMANDS
from pytest_annmodal.datasets.catalog import CATALOG
from pytest_annmodal.distances.metrics import METRICS
from pytest_annmodal.doctor.examination import Examination
from pytest_annmodal.figures import FIGURES
from pytest_annmodal.reports.columns import COLUMNS
from pytest_annmodal.reports.export import FORMATS
from pytest_annmodal.settings.config import OPTIONS

DOCS = Path(__file__).parents[2] / "docs"
BASES = (errors.AnnModalError, errors.SubmissionError)
ERRORS = [
    error.__name__
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, errors.AnnModalError) and error not in BASES
]
INDEX = (DOCS / "index.md").read_text(encoding="utf-8")


def module(name: str) -> ModuleType:
    """Imports a file of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    return made


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    return module("reference_pages")


@pytest.fixture(scope="module")
def navigation() -> set[str]:
    """The pages of the list in docs/index.md, from which the site makes its navigation."""
    path = sys.path.copy()
    found = module("conf").navigation(INDEX)
    sys.path[:] = path
    blocks = found.split("```{toctree}")[1:]
    return {line for block in blocks for line in block.split("\n\n")[1].split("\n") if line} - {
        "```"
    }


def test_every_page_is_in_the_list(navigation, reference):
    """A new page of docs/ needs a line in docs/index.md, under "All pages"."""
    written = {path.stem for path in DOCS.glob("*.md")} - {"index"}
    made = {f"reference/{name}" for name in reference.MAKERS}
    missing = sorted((written | made) - navigation)
    assert not missing, f"add to the list in docs/index.md: {', '.join(missing)}"
    gone = sorted(navigation - written - made)
    assert not gone, f"docs/index.md lists pages that are not there: {', '.join(gone)}"


def test_a_link_says_what_it_leads_to():
    """A link's text is words and not a file's name."""
    root = DOCS.parent
    texts = {
        path: path.read_text(encoding="utf-8") for path in (*root.glob("*.md"), *DOCS.glob("*.md"))
    }
    found = [
        f"{path.name}: {match[0]}"
        for path, text in texts.items()
        for match in re.finditer(r"\[[^]\n]*\.md\]\([^)]*\)", text)
        if path.name != "CHANGELOG.md"
    ]
    assert not found, f"give these links words: {', '.join(found)}"


def test_every_example_can_be_copied_from_the_site(reference):
    """The site has every example file, since users of the package have no clone."""
    text = reference.pages()["files-to-copy"]
    examples = DOCS.parent / "examples"
    left_out = examples / "class" / "submissions"
    for path in examples.rglob("*"):
        if path.is_file() and left_out not in path.parents and "__pycache__" not in path.parts:
            assert f"`{path.relative_to(DOCS.parent)}`" in text


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("options", [word for row in OPTIONS for word in (*row.flags, row.env, row.ini)]),
        ("figures", [word for row in FIGURES for word in (row.name, row.threshold)]),
        ("metrics", list(METRICS)),
        ("datasets", list(CATALOG)),
        ("formats", [*FORMATS, *(column.name for column in COLUMNS)]),
        (
            "outcomes",
            ERRORS,
        ),
        ("commands", [f"annmodal {row.name}" for row in SUBCOMMANDS]),
        ("doctor", list(Examination(0).checks)),
        ("names", pytest_annmodal.__all__),
    ],
)
def test_tables_are_whole(reference, page, names):
    """Each row of the code's table is on its page, without empty cells."""
    text = reference.pages()[page]
    for name in names:
        assert name in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert not [row for row in rows if "|  |" in row]


SITE = {
    "index.html": '<p id="here"></p><a href="other.html#there"></a><a href="#here"></a>'
    '<a href="https://example.org/x"></a><img src="a.png">',
    "other.html": '<h1 id="there"></h1>',
    "a.png": "",
}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("", []),
        ('<a href="gone.html"></a>', ["index.html: gone.html leads to no file"]),
        ('<a href="other.html#gone"></a>', ["index.html: other.html#gone leads to no anchor"]),
        (
            '<script src="https://example.org/x.js"></script>',
            ["index.html: loads https://example.org/x.js"],
        ),
    ],
)
def test_check_of_the_site(tmp_path, more, said):
    """Dead links, missing anchors and files from the network are named."""
    for name, text in SITE.items():
        (tmp_path / name).write_text(text + (more if name == "index.html" else ""))
    assert list(module("check_site").problems(tmp_path)) == said


def test_places_in_contributing_exist():
    """CONTRIBUTING.md names only files and folders that exist."""
    root = DOCS.parent
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    recipes, _, places = text.partition("## Where do I change")
    starts = {recipes: root, places.partition("## Rules")[0]: root / "pytest_annmodal"}
    missing = [
        name
        for part, start in starts.items()
        for name in re.findall(r"`(\w[\w.]*/[\w./]*)`", part)
        if not (start / name).exists() and not (root / "pytest_annmodal" / name).exists()
    ]
    assert not missing


def test_the_sentence_below_the_attacks_counts_their_table():
    """docs/security.md counts the rows that each level stops and leaves open as its table has them."""
    text = (DOCS / "security.md").read_text(encoding="utf-8")
    table = text.partition("| attack (`tests/hostile/")[2].partition("\n\n")[0]
    rows = [line.strip("|").split("|")[1:] for line in table.splitlines()[2:]]
    numbers = map(
        int, re.findall(r"\d+", re.search(r"Of these \d+ rows.*?\*\*", text, re.DOTALL)[0])
    )
    n_rows, *counts = numbers
    by_level = list(zip(*rows, strict=True))
    marks = [[cell.strip()[0] for cell in level].count("✘") for level in by_level]
    assert n_rows == len(rows)
    assert counts[0] == n_rows - marks[0]
    assert counts[1:4] == [counts[1], n_rows - counts[1] - marks[1], marks[1]]
    assert counts[4:] == [counts[4], n_rows - counts[4] - marks[2], marks[2]]
