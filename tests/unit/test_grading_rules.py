"""grading.toml: how it is read, and the errors for an unusable one."""

from __future__ import annotations

from pathlib import Path

import pytest
from grading_data import RULES, rules

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.grading import requirements
from pytest_annmodal.model import Implementation


def test_read(tmp_path: Path) -> None:
    text = 'k = 5\nqueries = 40\nallow = ["numpy"]\n' + RULES.replace(
        '["tiny', '["mine.hdf5", "v/x.fvecs", "tiny'
    )
    found = rules(tmp_path, text + "[weights]\ntiny-8-euclidean = 2\n")
    assert found.datasets == (
        str(tmp_path / "mine.hdf5"),
        str(tmp_path / "v/x.fvecs"),
        "tiny-8-euclidean",
    )
    assert found.option_values() == {
        "k": 5, "queries": 40, "dataset": found.datasets, "fresh_queries": True,
    }  # fmt: skip
    assert found.max_score == 40
    assert found.weights == {"tiny-8-euclidean": 2.0}
    first, second = found.parts
    assert (first.thresholds[0].none_at, first.thresholds[0].full_at) == (0.5, 0.9)
    assert [t.name for t in second.thresholds] == ["min_recall", "min_qps"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "min_qps",
            "min_qsp",
            r"parts\[2\]: min_qsp: there is no such key; did you mean 'min_qps'",
        ),
        ("points = 10", "", r"parts\[2\]: points: expected a number above 0"),
        ("points = 10", "points = 0", r"points: expected a number above 0, not 0"),
        ("points = 10", "points = true", r"points: expected a number, not True"),
        ("points = 10", "points = nan", r"points: expected a finite number"),
        ('name = "Fast"', "name = 3", "name: expected text in quotes, not 3"),
        ('name = "Fast"', 'name = "Finds"', "two parts are called 'Finds'"),
        ("none_at = 0.5", "none_at = 0.95", "min_recall: none_at must be below full_at"),
        ("none_at = 0.5, ", "", "min_recall: expected both levels"),
        (
            "none_at = 0.5",
            "none = 0.5",
            "min_recall: none: there is no such key; did you mean 'none_at'",
        ),
        ("datasets", "data", "datasets: expected a list of at least one dataset"),
        ('["tiny-8-euclidean"]', "[]", "datasets: expected a list of at least one dataset"),
        ('["tiny-8-euclidean"]', "[3]", "datasets: expected a list of texts in quotes, not 3"),
        ("[[parts]]", "k = 0\n[[parts]]", "k '0': expected a whole number"),
        ("[[parts]]", "k = true\n[[parts]]", "k: expected a value of --ann-k, not True"),
        ("[[parts]]", "round = 3\n[[parts]]", "round: there is no such key; did you mean 'rounds'"),
        ("[[parts]]", 'score.formula = "threshold"\n[[parts]]', "did you mean 'thresholds'"),
        ("[[parts]]", 'score.formula = "recall-qps-memory"\n[[parts]]', "has no parts"),
        ("[[parts]]", 'weights.a = "x"\n[[parts]]', "weights: a: expected a number of at least 0"),
        ("[[parts]]", 'allow = ["a b"]\n[[parts]]', "allow: 'a b' is not a requirement"),
        ("[[parts]]", 'gradescope.leaderboard = ["qsp"]\n[[parts]]', "did you mean 'qps'"),
        ("[[parts]]", "max_variants = 0\n[[parts]]", "max_variants: expected at least 1"),
        ("[[parts]]", "[[parts]", "is not a TOML file"),
    ],
)
def test_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    text = words and new.join(RULES.rsplit(old, 1) if old != "[[parts]]" else RULES.split(old, 1))
    with pytest.raises(ConfigurationError, match=words) as caught:
        rules(tmp_path, text)
    assert "grading.toml" in str(caught.value)


def test_formula_rules(tmp_path: Path) -> None:
    head = 'datasets = ["a"]\n[score]\nformula = "recall-qps-memory"\n'
    assert rules(tmp_path, head).max_score is None
    assert rules(tmp_path, head + "full_at = 2\n").max_score == 100
    with pytest.raises(ConfigurationError, match="memory_floor_mb: expected a number above 1"):
        rules(tmp_path, head + "memory_floor_mb = 1\n")
    with pytest.raises(ConfigurationError, match="points: needs full_at"):
        rules(tmp_path, head + "points = 2\n")


@pytest.mark.parametrize(
    ("asked", "allow", "refused"),
    [
        (("numpy>=1",), (), False),
        (("NumPy",), (), False),
        (("Scikit_Learn>=1.2",), ("scikit-learn",), False),
        (("requests",), ("scikit-learn",), True),
        (("numpy @ file:///tmp/evil",), (), True),
        (("numpy[all]",), ("numpy",), True),
        (("numpy[all]",), ("numpy[all]",), False),
        (("no good=",), ("numpy",), True),
        (("surely-not-installed",), None, True),
        (("numpy",), None, False),
    ],
)
def test_requirements(
    asked: tuple[str, ...], allow: tuple[str, ...] | None, *, refused: bool
) -> None:
    item = Implementation(name="a", path="/a.py", class_name="A", requirements=asked)
    assert (requirements.refusal(item, allow) is not None) == refused


@pytest.mark.parametrize(("module", "refused"), [("json", False), ("yaml", True), ("numpy", False)])
def test_modules(module: str, *, refused: bool) -> None:
    item = Implementation(name="a", path="/a.py", class_name="A", modules=(module,))
    assert (requirements.refusal(item, ()) is not None) == refused
    assert requirements.refusal(item, ("pyyaml",)) is None
