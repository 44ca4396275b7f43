"""A bar in a terminal, a line per tenth elsewhere."""

from __future__ import annotations

import io

from rich.console import Console

from pytest_annmodal.reports.progress import download_bar, tenths


def test_elsewhere_there_is_a_line_per_tenth():
    out = io.StringIO()
    with download_bar("gist", Console(file=out, width=100)) as on_progress:
        for done in range(0, 10_000_001, 10_000):
            on_progress(done, 10_000_000)
    lines = out.getvalue().splitlines()
    assert len(lines) == 11
    assert lines[3] == "   gist:  30 %  3.0 of 10.0 MB"


def test_without_a_total_there_is_a_line_per_hundred_megabytes():
    lines = []
    on_progress = tenths("gist", lines.append)
    for done in range(0, 250_000_001, 10_000_000):
        on_progress(done, None)
    assert lines == ["   gist: 0.0 MB", "   gist: 100.0 MB", "   gist: 200.0 MB"]


def test_in_a_terminal_the_bar_comes_with_the_first_bytes_and_goes_at_the_end():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, legacy_windows=False)
    with download_bar("gist", console) as on_progress:
        assert out.getvalue() == ""
        on_progress(5_000_000, 10_000_000)
        on_progress(10_000_000, 10_000_000)
    assert "gist" in out.getvalue()


def test_a_bar_that_never_got_bytes_shows_nothing():
    out = io.StringIO()
    with download_bar("gist", Console(file=out, force_terminal=True)):
        pass
    assert "gist" not in out.getvalue()
