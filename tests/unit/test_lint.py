"""``annmodal lint``: figures of a dataset, and warnings."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import skew
from small_data import write_small
from stored_cases import measured, stored

from pytest_annmodal.cli.main import main
from pytest_annmodal.datasets import hdf5, linted
from pytest_annmodal.datasets.catalog import CATALOG
from pytest_annmodal.datasets.volume.stamp import hash_file
from pytest_annmodal.distances import exact
from pytest_annmodal.jobs import dataset_lint
from pytest_annmodal.page.cases import content_of
from pytest_annmodal.page.content import Content
from pytest_annmodal.page.page import render
from pytest_annmodal.results.reading import read_results

N, QUERIES, DIM, K = 600, 120, 8, 10


def made(folder: Path, metric: str = "euclidean", **arrays: np.ndarray) -> hdf5.LoadedDataset:
    path = write_small(
        folder,
        f"x-{metric}",
        metric=metric,
        n_train=N,
        n_queries=QUERIES,
        dim=DIM,
        k=K + 1,
        **arrays,
    )
    return hdf5.load(path, k=K + 1)


def rows(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, DIM)).astype("f4")


def test_figures_are_those_of_their_definitions(tmp_path: Path) -> None:
    """Figures equal their definitions, computed here without blocks."""
    train, test = rows(N) + 1, rows(QUERIES, 1) + 1
    train[5], train[[7, 9, 11]], train[:, 3] = 0, train[8], 2.5
    test[4], test[6] = train[20], test[7]
    test[:, 3] = 2.5
    data = made(tmp_path, train=train, test=test)
    found = dataset_lint.figures(data, K)
    lengths = np.linalg.norm(train.astype("f8"), axis=1)
    assert found["norm_min"] == pytest.approx(lengths.min())
    assert found["norm_median"] == pytest.approx(np.median(lengths))
    assert (found["duplicates"], found["most_copied"], found["zero_rows"]) == (3, 4, 0)
    assert (found["constant_columns"], found["queries_in_train"], found["equal_queries"]) == (
        1,
        1,
        1,
    )
    far = np.sort(np.linalg.norm(test[:, None].astype("f8") - train, axis=2), axis=1)
    assert found["ties_at_k"] == pytest.approx(
        np.mean(far[:, K] - far[:, K - 1] <= 1e-6 * far[:, K - 1])
    )
    near = far[far[:, 0] > 0, : K + 1]
    assert found["intrinsic_dimension"] == pytest.approx(
        1 / np.log(near[:, -1:] / near[:, :-1]).mean(), rel=1e-3
    )
    assert found["relative_contrast"] == pytest.approx(far.mean() / far[:, 0].mean(), rel=0.05)
    ids, _ = exact.knn(train, test, K, "euclidean")
    assert found["hubness"] == pytest.approx(skew(np.bincount(ids.ravel(), minlength=N)))


@pytest.mark.parametrize("dim", [2, 5])
def test_intrinsic_dimension_is_that_of_the_plane(dim: int, tmp_path: Path) -> None:
    """The intrinsic dimension of points in a plane is 2, whatever the columns."""
    turn = rows(dim, 7)
    plane = np.random.default_rng(0).random((N + QUERIES, dim)).astype("f4") @ turn
    data = made(tmp_path, train=plane[:N], test=plane[N:])
    found = dataset_lint.figures(data, K)["intrinsic_dimension"]
    assert found == pytest.approx(dim, rel=0.3)


def test_what_a_metric_does_not_say(tmp_path: Path) -> None:
    """Inner products are no distances, so some figures are missing."""
    dot = dataset_lint.figures(made(tmp_path, "dot"), K)
    assert dot["intrinsic_dimension"] is None
    assert dot["relative_contrast"] is None
    angular = dataset_lint.figures(made(tmp_path, "angular"), K)
    assert 5 < angular["intrinsic_dimension"] < 11
    assert angular["relative_contrast"] > 1


def spoiled(name: str) -> dict[str, np.ndarray]:
    """Arrays with one fault."""
    train, test = rows(N) + 1, rows(QUERIES, 1) + 1
    if name == "overlap":
        test[3] = train[4]
    elif name == "equal-queries":
        test[:5] = test[9]
    elif name == "ties":
        train = np.round(train)
        test = np.round(test)
        test += 0.25
    elif name == "constant-columns":
        train[:, 2] = test[:, 2] = 4
    elif name == "lengths":
        train[9] *= 1e5
    elif name == "contrast":
        wide = np.random.default_rng(0).standard_normal((N + QUERIES, 2000)).astype("f4")
        train, test = wide[:N], wide[N:]
    elif name == "few-queries":
        test = test[:50]
    elif name == "hubs":  # a dozen rows among the queries, and all others far away
        train = np.concatenate((rows(12), 100 + rows(3000, 2)))
        test = rows(QUERIES, 1)
    return {"train": train, "test": test}


@pytest.mark.parametrize("row", dataset_lint.WARNINGS, ids=lambda row: row.name)
def test_each_warning_is_given_where_it_holds(row: dataset_lint.Warned, tmp_path: Path) -> None:
    """Each warning is given for its fault, and not for good data."""
    data = made(tmp_path, **spoiled(row.name))
    found = dataset_lint.figures(data, K)
    assert row.holds(found), found
    assert row.why.format(**found) in [*dataset_lint.warnings(data, found)]
    good = made(tmp_path, **spoiled("nothing"))
    assert [*dataset_lint.warnings(good, dataset_lint.figures(good, K))] == []


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Text and JSON have the same figures; the status is 1 if there is a warning."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = write_small(tmp_path, **spoiled("constant-columns"), k=5)
    volume = ["--volume", str(tmp_path / "volume")]
    assert main(["lint", str(path), *volume]) == 1
    said = capsys.readouterr().out
    assert "constant columns" in said
    assert "⚠ 1 of 8 columns are constant" in said
    assert main(["lint", str(path), "--json", "--k", "7", *volume]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["dataset"], told["k"], told["constant_columns"]) == (path.stem, 7, 1)
    assert len(told["warnings"]) == 1
    good = write_small(tmp_path, "good-8-dot", metric="dot", **spoiled("nothing"))
    assert main(["lint", str(good), *volume]) == 0
    assert "Nothing here spoils a comparison" in capsys.readouterr().out


def test_the_page_shows_what_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page shows the figures of the same content, metric, queries and k, and reads no dataset."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = write_small(tmp_path, **spoiled("constant-columns"), k=5)
    main(["lint", str(path), "--volume", str(tmp_path / "volume")])
    said = capsys.readouterr().out
    alike = {
        "dataset_sha256": hash_file(path),
        "n_queries": QUERIES,
        "metric": "euclidean",
        "label": "seen",
    }
    others = (
        {"k": 11},
        {"subset": 9},
        {"metric": "dot"},
        {"n_queries": 7},
        {"dataset_sha256": "0" * 64},
        {"dataset_sha256": None},
    )
    path.unlink()
    cases = [measured(0, **alike)]
    cases += [
        measured(number, **alike | other | {"label": f"other{number}"})
        for number, other in enumerate(others, 1)
    ]
    stored(tmp_path / "results", *cases)
    groups = content_of(read_results([tmp_path / "results"])).groups
    (shown,) = [group.linted for group in groups if group.linted]
    for label, value in shown:
        assert re.search(rf"^ *{re.escape(label)} +{re.escape(value)}$", said, re.MULTILINE)
    assert dict(shown)["constant columns"] == "1"
    html = render(Content(groups=groups))
    assert all(f'<td>{label}</td><td class="n">{value}</td>' in html for label, value in shown)


def test_what_is_kept_may_be_missing_or_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without stored figures the page shows none, and lint computes them again."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = dict.fromkeys(linted.LABELS, 1.5) | {"k": K, "norm_max": float("inf")}
    assert linted.kept("ab", K) is None
    linted.keep("ab", found)
    assert linted.kept("ab", K) == {**found, "norm_max": None}
    (file,) = (tmp_path / "annmodal" / "lint").iterdir()
    whole = file.read_text()
    for text in ("", "[]", whole[:-9], whole.replace("1,", "2,", 1), whole.replace("hub", "tub")):
        file.write_text(text)
        assert linted.kept("ab", K) is None
    assert linted.kept("../ab", K) is None
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    linted.keep("ab", found)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sift-128-euclidean"], "is not in volume 'ann-datasets' at"),
        (["nonsense"], "no such dataset"),
        (["sift*"], "datasets (sift"),
        (["digits-64-euclidean", "--k", "0"], "--k 0: expected a whole number of at least 1"),
    ],
)
def test_what_cannot_be_looked_at(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dataset that is not here is refused, without a download."""
    assert main(["lint", *arguments, "--volume", str(tmp_path)]) == 2
    assert words in capsys.readouterr().err


def test_every_name_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``annmodal datasets`` lists the catalogue and other names in the volume."""
    write_small(tmp_path, "mine-8-euclidean", n_train=N, n_queries=QUERIES, dim=DIM)
    (tmp_path / "broken-9.hdf5").write_bytes(b"no HDF5")
    assert main(["datasets", "--volume", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines[1:-1]]
    assert sorted(names) == sorted([*CATALOG, "mine-8-euclidean", "broken-9"])
    (mine,) = [line.split() for line in lines if line.startswith("mine-8")]
    assert mine[1:] == ["euclidean", "600", "8", "120", "in", "the", "volume"]
    assert str(tmp_path) in lines[-1]
