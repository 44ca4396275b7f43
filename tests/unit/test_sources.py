"""Sources of dataset files: a new kind is one class."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_annmodal.datasets import locate
from pytest_annmodal.datasets.lines import Reporter
from pytest_annmodal.datasets.sources import sources
from pytest_annmodal.datasets.sources.sources import Source, source_of
from pytest_annmodal.datasets.volume.stamp import hash_file
from pytest_annmodal.datasets.volume.volume import LocalVolume, resolve
from pytest_annmodal.model import Dataset
from pytest_annmodal.settings.config import Settings

PACKAGE = Path(sources.__file__).parents[2]


def of(source: str) -> Source:
    return source_of(Dataset(name="x", source=source))


@pytest.mark.parametrize(
    ("source", "remote"),
    [
        ("https://x/y.hdf5", True),
        ("http://x/y.hdf5", True),
        ("file:/x", False),
        ("package:x", False),
        ("generate:euclidean", False),
        ("volume:x.hdf5", False),
        ("ftp://x", False),
    ],
)
def test_only_a_url_needs_the_network(source: str, remote: bool) -> None:
    """The word before the first colon is the kind; an unknown kind fetches nothing."""
    assert of(source).is_remote is remote
    assert sources.is_address(source) is remote


def test_a_users_own_file_stays_where_it_is() -> None:
    """A user's file is used in place; its path may have colons."""
    assert of(sources.OwnFile.named("/data/a:b.hdf5")).own_file == Path("/data/a:b.hdf5")
    assert of("package:x").own_file is None


def test_nothing_but_the_table_knows_a_source_by_how_it_begins() -> None:
    """No other module of the package looks for a scheme in a text."""
    tests = [f'startswith("{scheme}' for scheme in sources.KINDS]
    tests += [f'startswith(("{scheme}' for scheme in sources.KINDS]
    tests += [f'removeprefix("{scheme}:' for scheme in sources.KINDS]
    found = {
        path.name
        for path in PACKAGE.rglob("*.py")
        if any(test in path.read_text(encoding="utf-8") for test in tests)
    }
    assert found == set()


def test_a_kind_that_is_added_is_brought_like_the_others(
    small_dataset: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new class is found as an argument, reports lines, and its file is checked and stamped."""
    monkeypatch.setattr(sources, "KINDS", dict(sources.KINDS))
    (tmp_path / "shelf").mkdir()
    shelf = small_dataset(directory=tmp_path / "shelf")

    @sources.registered
    class Shelf(Source):
        schemes = ("shelf",)
        is_remote = True

        def bring(self, target, *, check, base_urls, log):
            log.tell("download")
            shutil.copyfile(shelf.parent / self.rest, target)
            log.reporter.progress(1, 1)
            return sources.Brought(path=target, sha256=hash_file(target), info=check(target))

    (dataset,) = locate.find_datasets("shelf:small-8-euclidean.hdf5", {}, Settings())
    lines, seen = [], []
    reporter = Reporter(line=lines.append, progress=lambda *counts: seen.append(counts))
    volume = LocalVolume(tmp_path / "volume")
    first = resolve(dataset, volume, reporter=reporter)
    assert (first.was_present, first.info.dim, seen) == (False, 8, [(1, 1)])
    assert "   Downloading now (this is a ONE-TIME operation)..." in lines
    assert "✅ Downloaded and verified:" in lines
    assert resolve(dataset, volume, reporter=reporter).was_present
