"""The grammar of values: in headers, on the command line and in markers."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.manifests import header
from pytest_annmodal.plugin.ids import MAX_CHARS, short
from pytest_annmodal.session import marker as markers
from pytest_annmodal.settings import grid
from pytest_annmodal.settings.option import parameter_values

MEANT = [
    ("20,50,100", (20, 50, 100)),
    ("8..64:log4", (8, 16, 32, 64)),
    ("1..4", (1, 2, 3, 4)),
    ("10..30:lin3", (10, 20, 30)),
    ("1..3:log9", (1, 2, 3)),  # whole numbers, each once
    ("0.1..0.4:lin4", (0.1, 0.2, 0.3, 0.4)),
    ("0.001..1:log4", (0.001, 0.01, 0.1, 1.0)),
    ("-2..2:lin3", (-2, 0, 2)),
    ("1e1..1e3:log3", (10.0, 100.0, 1000.0)),
    ("5,8..16:log2", (5, 8, 16)),
    ("true,fast,[1,2]", (True, "fast", [1, 2])),
    ('"8..64"', ("8..64",)),
    ("1.5,../x,1..x", (1.5, "../x", "1..x")),
]


@pytest.mark.parametrize(("text", "meant"), MEANT)
def test_one_grammar(text: str, meant: tuple[Any, ...]) -> None:
    """Command line and marker read a text in the same way, and headers have the same ranges."""
    _, texts = parameter_values(f"p={text}")
    assert grid.values(texts) == meant
    assert grid.values(dict(grid.of_marker({"p": text}, "param"))["p"]) == meant
    listed = [grid.read(one) if ".." not in one or '"' in one else one for one in texts]
    if '"' not in text:
        found = header.grid({"p": listed}, "search")
        assert tuple(one.kwargs["p"] for one in found) == meant
    assert [type(one) for one in grid.values(texts)] == [type(one) for one in meant]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("8..4", "second number to be larger"),
        ("8..8", "second number to be larger"),
        ("0..8:log3", "a log range must begin above 0"),
        ("1..8:log1", "expected from 2 to 1,000 values"),
        ("1..8:lin1001", "expected from 2 to 1,000 values"),
        ("1..2000", r"has 2,000 values, and at most 1,000 are allowed. .* 1\.\.2000:lin10"),
        ("0.1..0.9", r"expected A\.\.B \(whole numbers\)"),
        ("1..8:sqrt3", r"expected A\.\.B"),
        ("1..8:log", r"expected A\.\.B"),
        ("1..1e999:lin3", "too large"),
    ],
)
def test_a_range_that_cannot_be_made(text: str, words: str) -> None:
    """An invalid range is explained, and never expands to a million values."""
    with pytest.raises(ConfigurationError, match=words):
        grid.values([text])


@pytest.mark.parametrize(
    ("marker", "words"),
    [
        ({"param": "ef=20"}, r"@pytest.mark.ann param='ef=20': expected names and values"),
        ({"param": {"ef": []}}, "param: ef=.*at least one value"),
        ({"build_param": {"ef": "1,,2"}}, "build_param: ef='1,,2'.*no empty value"),
        ({"param": {"ef": {1}}}, "expected a value that JSON has"),
        ({"param": {"ef": float("nan")}}, "expected a value that JSON has"),
        ({"parm": {"ef": 1}}, "no argument 'parm'; did you mean 'param'"),
    ],
)
def test_a_marker_that_cannot_be_read(marker: dict[str, Any], words: str) -> None:
    """The error names the marker's argument and what was expected."""
    with pytest.raises(ConfigurationError, match=words):
        markers.check(marker)


def test_a_long_id_is_shortened() -> None:
    """A long id is shortened inside its brackets; different cases keep different ids."""
    end = "]-gist-960-euclidean-k10"
    ids = [f"name[{','.join(f'parameter{n}={m}' for n in range(20))}{end}" for m in (1, 2)]
    found = [short(one) for one in ids]
    assert len(set(found)) == 2
    for one in found:
        assert len(one) == MAX_CHARS
        assert one.startswith("name[parameter0=")
        assert one.endswith(end)
    assert found == [short(one) for one in ids]
    for text in ("x" * 300, "[" * 300, "a[b]" + "é" * 200, "é" * 90, "a[" + "\n" * 200 + "]-d"):
        assert len(short(text).encode("unicode_escape")) <= MAX_CHARS
    assert short("hnswlib[ef=10]-d-k10") == "hnswlib[ef=10]-d-k10"
