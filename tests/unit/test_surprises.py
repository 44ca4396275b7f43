"""The table of surprises, its page, and the notes that name its rows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from pytest_annmodal import surprises
from pytest_annmodal.datasets import hdf5
from pytest_annmodal.jobs import dataset_notes, equal_settings
from pytest_annmodal.session import selection
from pytest_annmodal.settings.config import Settings

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"\(see surprises: ([\w-]+)\)$")


def named(path: Path, k: int = 10) -> list[str]:
    """The rows that the notes of a dataset name, in order."""
    found = (NAMED.search(note) for note in dataset_notes.notes(hdf5.load(path, k=k), k))
    return [match[1] for match in found if match]


def test_the_page_is_the_list() -> None:
    """docs/surprises.md is generated from the table, in tables of at most a screen."""
    text = (ROOT / "docs" / "surprises.md").read_text(encoding="utf-8")
    assert text == surprises.page(), "python -m pytest_annmodal.surprises > docs/surprises.md"
    subjects = [row.subject for row in surprises.SURPRISES]
    assert max(map(subjects.count, subjects)) <= 8
    assert subjects == [
        row for subject in dict.fromkeys(subjects) for row in [subject] * subjects.count(subject)
    ]


def test_every_row_is_complete() -> None:
    """Names are unique, cells are not empty, and files of commands exist."""
    assert len({row.name for row in surprises.SURPRISES}) == len(surprises.SURPRISES)
    for row in surprises.SURPRISES:
        assert all(row), row.name
        assert not any("|" in cell or "\n" in cell for cell in row), row.name
        for path in re.findall(r"(?:findings|tests)/\S+", row.shown_by):
            assert (ROOT / path).is_file(), path
        words = shlex.split(row.shown_by)
        if "--impl" in words:
            named = words[words.index("--impl") + 1]
            assert selection.select_implementations(Settings(impl=(named,), rootdir=ROOT))


def test_the_list_of_findings_is_the_folder() -> None:
    """findings/README.md has one row per script."""
    listed = re.findall(
        r"^\| \[([\w-]+)\]\(\1\.sh\)",
        (ROOT / "findings/README.md").read_text("utf-8"),
        re.MULTILINE,
    )
    assert sorted(listed) == sorted(path.stem for path in (ROOT / "findings").glob("*.sh"))


def test_every_name_in_the_code_is_a_row() -> None:
    """Every name in the code is a row."""
    used = set()
    for path in (ROOT / "pytest_annmodal").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        used |= set(re.findall(r"surprises\.(?:noted|see)\(\s*['\"]([\w-]+)", text))
    assert used
    assert used <= {row.name for row in surprises.SURPRISES}
    with pytest.raises(KeyError):
        surprises.see("ef-below-kk")


def gaussian(n: int = 1000, d: int = 16) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, d)).astype(np.float32)


def clusters() -> np.ndarray:
    return np.repeat(5 * gaussian(25), 40, axis=0) + gaussian()


def copies() -> np.ndarray:
    train = gaussian()
    train[500:750] = train[0]
    return train


@pytest.mark.parametrize(
    ("train", "metric", "rows"),
    [
        (gaussian(), "euclidean", []),
        (gaussian(), "dot", []),
        (clusters(), "euclidean", ["sorted-rows"]),
        (clusters(), "angular", ["sorted-rows"]),
        (np.random.default_rng(0).permutation(clusters()), "euclidean", []),
        (copies(), "euclidean", ["copies"]),
        (gaussian() + 1000, "euclidean", ["far-from-origin"]),
        (gaussian() * np.float32(1e-5), "dot", ["tiny-products"]),
        (gaussian() * np.float32(1e-5), "euclidean", []),
    ],
)
def test_a_note_appears_on_data_made_for_it(small_dataset, train, metric, rows) -> None:
    """Each peculiarity of a dataset gives its own note, and no other."""
    test = np.ascontiguousarray(train[::50])
    assert named(small_dataset(train=train, test=test, metric=metric)) == rows


def test_the_share_of_answers_that_are_copies_is_exact(small_dataset) -> None:
    """The share of copies counts the true neighbours within k."""
    train = copies()
    data = hdf5.load(small_dataset(train=train, test=train[[0, 1]]), k=4)
    (note,) = dataset_notes.notes(data, 4)
    assert "duplicate rows in train: 250 (25%), the most frequent row 251 times" in note
    share = np.isin(data.neighbors[:, :4], [0, *range(500, 750)]).mean()
    assert share >= 0.5
    assert f"; {share:.1%} of the true neighbours are rows that have copies" in note


@pytest.mark.parametrize(
    ("rule", "row"),
    [("max(ef, k)", "ef-below-k"), ("min(ef, n // 39)", "cells-need-rows"), ("min(ef, 2)", None)],
)
def test_what_a_library_makes_of_a_setting_names_its_row(rule, row) -> None:
    """A note on a changed setting names the row of k or of the number of rows."""
    note = equal_settings._change("ef", 10, 3, rule)
    found = NAMED.search(note)
    assert (found[1] if found else None) == row
    assert note.startswith(f"ef=10 counts as 3, since the library makes it {rule}")
