"""Constraints in a header refuse settings before they run."""

from __future__ import annotations

import dataclasses

import pytest

from pytest_annmodal.datasets.catalog import CATALOG
from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.manifests import constraints, expression, header, manifest
from pytest_annmodal.model import Arguments, Dataset, Implementation, Variant
from pytest_annmodal.session import fitting


def item(*rules: str, values: dict[str, list[object]] | None = None) -> Implementation:
    rows = header.grid(values or {"M": [8, 12], "ef": [5, 10]}, "search")
    variants = tuple(Variant(build=Arguments(), search=row) for row in rows)
    return Implementation(
        name="a", path="/a.py", class_name="A", metrics=("euclidean",), constraints=rules,
        variants=variants,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "values"),
    [
        ("k <= ef", "k=10, ef=5"),
        ("dim % M == 0", "dim=65, M=8"),
        ("M < dim and ef > 2 * k", "M=8, dim=65, ef=5, k=10"),
        ("1 <= ef < k", None),
        ("not (1 < ef <= k)", "ef=5, k=10"),
        ("M != 8 or ef == max(5, 6)", "M=8, ef=5"),
        ("ef <= k", None),
        ("n >= 39 * M", None),  # nobody knows n
        ("M % (k - 10) == 0", None),  # nothing can be said
    ],
)
def test_a_constraint_says_what_does_not_hold(rule: str, values: str | None) -> None:
    """A broken constraint is shown with its values; unknown values refuse nothing."""
    own = item(rule)
    found = constraints.broken(own, own.variants[0], k=10, n=None, dim=65)
    assert found == (None if values is None else (rule, values))


def test_a_text_and_a_missing_parameter_refuse_nothing() -> None:
    """Texts and missing parameters cannot be compared, so they refuse nothing."""
    own = item("ef > 1", "M > 100", values={"ef": ["fast"]})
    assert constraints.broken(own, own.variants[0], k=10, n=5, dim=5) is None


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("k <= eff", "'eff' is not a parameter; known are M, ef, k, n, dim"),
        ("ef", "'ef' is neither true nor false"),
        ("k <= ef or __import__('os')", "'__import__' is not a parameter"),
        ("k <= ef or ef.real", "'ef.real' is neither true nor false"),
        ("k <= ef and [k]", r"'[k]' is neither"),
        ("k in ef", "'k in ef' is neither"),
        ("k <= 1.5", "'1.5' is not allowed"),
        ("k <= ef <", "is not a constraint such as 'k <= ef'"),
        ("k <= " + "9" * 200, "longer than 200 characters"),
        ("k < ef ** 99", "is not allowed"),
    ],
)
def test_anything_else_is_no_constraint(rule: str, words: str) -> None:
    """Other expressions are refused with the allowed ones, and never run."""
    with pytest.raises(ConfigurationError) as caught:
        expression.check_constraint(rule, ["M", "ef"])
    assert words in str(caught.value)


def test_a_header_names_constraints() -> None:
    """Each is checked, and named by its place."""
    text = "# /// script\n# [tool.annmodal]\n# search.ef = [1, 50]\n# constraints = {}\n# ///\n"
    head = header.parse(text.format('["k <= ef", "ef < n"]'))
    assert head is not None
    assert head.constraints == ("k <= ef", "ef < n")
    for value, words in [
        ('"k <= ef"', "constraints: expected a list"),
        ('["k <= ef", 3]', r"constraints\[1\]: expected text in quotes, not 3"),
        ('["k <= eff"]', r"constraints\[0\]: 'eff' is not a parameter"),
    ]:
        with pytest.raises(ConfigurationError, match=words):
            header.parse(text.format(value))


def test_what_is_left_out() -> None:
    """Settings that fit are cases; others have a reason, and an unserved metric has one for all."""
    own = item("k <= ef", "n > M")
    data = [
        Dataset(name="e", source="generate:e", metric="euclidean", n_train=100, dim=8),
        Dataset(name="a", source="generate:a", metric="angular", n_train=100, dim=8),
    ]
    cases = fitting.expand([own], data, k=10, rounds=1)
    assert [case.id for case in cases] == ["a[M=8,ef=10]-e-k10", "a[M=12,ef=10]-e-k10"]
    found = list(fitting.left_out([own], data, k=10, subset=10))
    assert [(one.dataset, one.settings, f"{one.reason} ({one.values})") for one in found] == [
        ("e", "M=8,ef=5", "k <= ef does not hold (k=10, ef=5)"),
        ("e", "M=12,ef=5", "k <= ef does not hold (k=10, ef=5)"),
        ("e", "M=12,ef=10", "n > M does not hold (n=10, M=12)"),
        ("a", "all settings", "it does not serve angular (only euclidean) ()"),
    ]
    twice = [*found[:3], dataclasses.replace(found[0], dataset="f", values="k=10, ef=6")]
    assert fitting.lines(twice) == [
        "a: 2 settings on e, f: k <= ef does not hold (such as k=10, ef=5)",
        "a: M=12,ef=10 on e: n > M does not hold (n=10, M=12)",
    ]
    far = [dataclasses.replace(found[0], dataset=str(n)) for n in range(5)]
    assert fitting.lines(far)[0].startswith("a: M=8,ef=5 on 0, 1, 2 and 2 more: k <= ef")
    many = [dataclasses.replace(found[0], reason=str(n)) for n in range(20)]
    assert fitting.first_lines(many)[0] == "Left out: a: M=8,ef=5 on e: 0 (k=10, ef=5)"
    assert fitting.first_lines(many)[7:] == ["… and 13 more reasons; --ann-plan shows all"]
    every = fitting.expand([own], data, k=10, rounds=1, constrained=False)
    assert len(every) == 4


def test_nothing_fits() -> None:
    """If no setting fits, the error has the constraint or the metrics."""
    data = [Dataset(name="e", source="generate:e", metric="euclidean", n_train=100, dim=8)]
    told = fitting.nothing_fits([item("k <= ef")], data, k=100, subset=None)
    assert told.startswith("nothing to measure: a: 4 settings on e: k <= ef does not hold (such")
    other = dataclasses.replace(item(), metrics=("dot",))
    told = fitting.nothing_fits([other], data, k=10, subset=None)
    assert told.startswith("nothing to measure: the selected implementations serve dot, and not")


def test_the_built_ins_declare_theirs() -> None:
    """Built-ins declare what their libraries would change or refuse."""
    rows = {own.name: own.constraints for own in manifest.builtin()}
    assert rows["hnswlib"] == rows["faiss-hnsw"] == ("k <= ef",)
    bits = "n * dim <= 64000000000"
    assert rows["usearch"] == ("k <= expansion_search", bits)
    assert rows["faiss-ivf"] == ("n_list <= n", "n_probe <= n_list")
    assert rows["pynndescent"] == ("n_neighbors < n", bits)
    assert rows["scikit-learn"] == ("n * dim <= 1000000000",)


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("gist-960-euclidean", True),
        ("word2bits-800-hamming", True),
        ("kosarak-jaccard", False),
        ("movielens10m-jaccard", False),
    ],
)
def test_sets_that_would_not_fit_as_a_matrix_are_refused_before(name: str, *, fits: bool) -> None:
    """Sets too large for scikit-learn's dense matrix are refused before the build."""
    (own,) = (own for own in manifest.builtin() if own.name == "scikit-learn")
    found = fitting.why_not(own, own.variants[0], CATALOG[name], k=10, subset=None)
    assert (found is None) == fits
    if found is not None:
        assert found[0] == "n * dim <= 1000000000"
    assert fitting.why_not(own, own.variants[0], CATALOG[name], k=10, subset=10_000) is None
