"""The site: ``tox run -e docs`` builds it from this folder, without a network."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import reference_pages  # noqa: E402 -- it lies beside this file

from pytest_annmodal import __version__  # noqa: E402

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "pytest-annmodal"
author = "the pytest-annmodal authors"
project_copyright = author
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"{project} {release}"
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0060a0", "color-brand-content": "#0060a0"},
    "dark_css_variables": {"color-brand-primary": "#56b4e9", "color-brand-content": "#56b4e9"},
}
html_static_path = ["_static"]
html_css_files = ["site.css"]
highlight_language = "none"
pygments_style, pygments_dark_style = "tango", "monokai"
myst_heading_anchors = 4  # the anchors that a forge gives: all links to them are checked
napoleon_use_ivar = True
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
exclude_patterns = ["_static"]

ENTRY = re.compile(r"^- \[[^]]+\]\((?P<page>[^)#]+)\.md\)", re.MULTILINE)


def navigation(text: str) -> str:
    """The hidden tables of contents: the headings and links of the list in index.md."""
    parts = []
    for section in text.partition("\n## All pages\n")[2].split("\n### ")[1:]:
        caption, _, rest = section.partition("\n")
        pages = [match["page"] for match in ENTRY.finditer(rest)]
        parts.append(
            "\n".join(("```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```"))
        )
    return "\n\n".join(parts)


def _with_navigation(_app: Sphinx, name: str, source: list[str]) -> None:
    if name == "index":
        source[0] = f"{source[0]}\n{navigation(source[0])}\n"


def setup(app: Sphinx) -> None:
    reference_pages.write(HERE / "reference")
    app.connect("source-read", _with_navigation)
