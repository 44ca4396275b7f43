"""Reads ``grading.toml``: what is measured, what earns points, what a submission may use."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.figures import BY_NAME, THRESHOLDS
from pytest_annmodal.grading.threshold import Threshold, read_threshold
from pytest_annmodal.settings.config import OPTIONS
from pytest_annmodal.settings.nearest import nearest_names, not_there
from pytest_annmodal.settings.option import Option, expanded, is_dataset_file
from pytest_annmodal.settings.toml_table import Table

FORMULAS = ("thresholds", "recall-qps-memory")
COUNTED = ("best", "each-part", "first")
FEEDBACK = ("full", "kind")
VISIBILITIES = ("visible", "hidden", "after_due_date", "after_published")
LEADERBOARD = ("score", *BY_NAME)
DEFAULT_MAX_SUBMISSION_MB = 5.0
DEFAULT_MAX_VARIANTS = 20
DEFAULT_POINTS = 100.0
DEFAULT_MIN_RECALL = 0.9
DEFAULT_TITLE = "ANN search"
# A smaller index scores no better: log10 of 10 MB is 1, and the logarithm of 1 MB or less
# would be zero or negative.
DEFAULT_MEMORY_FLOOR_MB = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of the grade, with points and thresholds.

    Attributes:
        datasets: names of its datasets; None for all.
        thresholds: the smallest share of them is the share of the part's points.
        visibility: Gradescope's visibility, or None for that of the rules.
    """

    name: str
    points: float
    thresholds: tuple[Threshold, ...]
    datasets: tuple[str, ...] | None = None
    visibility: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The formula of the score and its parameters; see ``formulas`` and docs/grading.md."""

    formula: str = "thresholds"
    counts: str = "best"
    min_recall: float = DEFAULT_MIN_RECALL
    memory_floor_mb: float = DEFAULT_MEMORY_FLOOR_MB
    full_at: float | None = None
    points: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """One grading.toml, checked.

    Attributes:
        datasets: as written: names, globs, files or URLs.
        settings: values of options by name, used where the command line gives none.
        weights: dataset name → weight; 1 if it is missing.
        allow: requirements that a submission may have; None for all that is installed.
        feedback: what a student's page shows of errors: all (``full``) or only their ``kind``.
        sha256: of the file, so that grades record their rules.
    """

    path: Path
    title: str = DEFAULT_TITLE
    datasets: tuple[str, ...]
    parts: tuple[Part, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    score: Score = Score()
    allow: tuple[str, ...] | None = None
    max_submission_mb: float = DEFAULT_MAX_SUBMISSION_MB
    max_variants: int = DEFAULT_MAX_VARIANTS
    feedback: str = "full"
    visibility: str = "visible"
    leaderboard: tuple[str, ...] = ()
    sha256: str = ""

    @property
    def max_score(self) -> float | None:
        """The highest possible score; None for a formula without a maximum."""
        if self.score.formula == "thresholds":
            return sum(part.points for part in self.parts)
        return self.score.points

    def option_values(self) -> dict[str, Any]:
        """Returns the file's values of options, by option name.

        Queries are fresh unless it sets ``fresh_queries`` or names a file of queries.
        """
        fresh = not isinstance(self.settings.get("queries"), str)
        return {"fresh_queries": fresh, **self.settings, "dataset": self.datasets}


def read_rules(path: Path) -> Rules:
    """Reads and checks a grading.toml.

    Raises:
        ConfigurationError: it cannot be read, or has a bad key or value.
    """
    try:
        raw = path.read_bytes()
        values = tomllib.loads(raw.decode("utf-8"))
    except FileNotFoundError as error:
        raise ConfigurationError(f"--ann-grade {path}: {not_there(path.absolute())}") from error
    except OSError as error:
        raise ConfigurationError(
            f"--ann-grade {path}: the file cannot be read: {error.strerror or error}"
        ) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path.name} is not a TOML file: {error}") from error
    table = Table(values, path.name)
    rules = _read(table, path, hashlib.sha256(raw).hexdigest())
    table.finish()
    return rules


def _read(table: Table, path: Path, digest: str) -> Rules:
    max_mb = table.number("max_submission_mb", DEFAULT_MAX_SUBMISSION_MB, above=0)
    max_variants = table.take("max_variants", int, DEFAULT_MAX_VARIANTS)
    if max_variants < 1:
        raise table.error("max_variants", "expected at least 1")
    gradescope = table.table("gradescope")
    rules = Rules(
        path=path,
        title=table.take("title", str, DEFAULT_TITLE),
        datasets=_datasets(table, path.parent),
        settings=_settings(table, path.parent),
        weights=_weights(table.table("weights")),
        score=_score(table.table("score")),
        parts=tuple(_part(part) for part in table.tables("parts")),
        allow=_allow(table),
        max_submission_mb=max_mb or DEFAULT_MAX_SUBMISSION_MB,
        max_variants=max_variants,
        feedback=table.choice("feedback", FEEDBACK, "full"),
        visibility=gradescope.choice("visibility", VISIBILITIES, "visible"),
        leaderboard=_leaderboard(gradescope),
        sha256=digest,
    )
    gradescope.finish()
    _check_parts(rules, table)
    return rules


def _datasets(table: Table, folder: Path) -> tuple[str, ...]:
    """Reads ``datasets``; paths of files are relative to the TOML file."""
    names = table.texts("datasets")
    if not names:
        raise table.error("datasets", "expected a list of at least one dataset")
    return tuple(
        str(expanded(name, folder, f"{table.where}: datasets:").absolute())
        if is_dataset_file(name)
        else name
        for name in names
    )


def _settings(table: Table, folder: Path) -> dict[str, Any]:
    found = {}
    for option in OPTIONS:
        value = table.anything(option.name) if option.grading == "rules" else None
        if value is not None:
            found[option.name] = _setting(option, value, table, folder)
    return found


def _setting(option: Option, value: Any, table: Table, folder: Path) -> Any:
    """Checks a value as the option itself does; a path is relative to the TOML file."""
    if isinstance(value, (dict, list)) or isinstance(value, bool) != (option.kind is None):
        raise table.error(option.name, f"expected a value of {option.flag}, not {value!r}")
    if option.kind is None:
        return value
    source = f"{table.where}: {option.name}"
    return option.located(option.parse(str(value), source), folder.absolute(), source)


def _weights(table: Table) -> dict[str, float]:
    weights = {}
    for name, value in table.rest().items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not 0 <= value < float("inf"):
            raise table.error(name, f"expected a number of at least 0, not {value!r}")
        weights[name] = float(value)
    return weights


def _score(table: Table) -> Score:
    formula = table.choice("formula", FORMULAS, "thresholds")
    counts = table.choice("counts", COUNTED, "best")
    score = Score(formula=formula, counts=counts)
    if formula == "recall-qps-memory":
        full_at = table.number("full_at", above=0)
        points = table.number("points", DEFAULT_POINTS if full_at else None, above=0)
        if points and not full_at:
            raise table.error("points", "needs full_at: the value that earns all points")
        score = Score(
            formula=formula,
            counts=counts,
            min_recall=table.number("min_recall", DEFAULT_MIN_RECALL) or 0.0,
            memory_floor_mb=table.number("memory_floor_mb", DEFAULT_MEMORY_FLOOR_MB, above=1)
            or DEFAULT_MEMORY_FLOOR_MB,
            full_at=full_at,
            points=points,
        )
    table.finish()
    return score


def _part(table: Table) -> Part:
    name = table.take("name", str)
    if not name:
        raise table.error("name", "expected a text, the name of the part")
    points = table.number("points", above=0)
    if points is None:
        raise table.error("points", "expected a number above 0")
    thresholds = tuple(read_threshold(table, key) for key in THRESHOLDS if key in table)
    visibility = (
        table.choice("visibility", VISIBILITIES, "visible") if "visibility" in table else None
    )
    part = Part(
        name=name,
        points=points,
        thresholds=thresholds,
        datasets=table.texts("datasets"),
        visibility=visibility,
    )
    for key in THRESHOLDS:  # makes them known, for suggestions for a misspelt key
        table.anything(key)
    table.anything("visibility")
    table.finish()
    if not thresholds:
        raise table.error(name, f"expected a threshold: {', '.join(THRESHOLDS)}")
    return part


def _allow(table: Table) -> tuple[str, ...] | None:
    from packaging.requirements import InvalidRequirement, Requirement

    allow = table.texts("allow")
    for text in allow or ():
        try:
            Requirement(text)
        except InvalidRequirement as error:
            raise table.error("allow", f"{text!r} is not a requirement: {error}") from error
    return allow


def _leaderboard(table: Table) -> tuple[str, ...]:
    names = table.texts("leaderboard") or ()
    for name in names:
        if name not in LEADERBOARD:
            hint = nearest_names(name, LEADERBOARD)
            raise table.error(
                "leaderboard", f"there is no figure {name!r}{hint} Known: {', '.join(LEADERBOARD)}."
            )
    return names


def _check_parts(rules: Rules, table: Table) -> None:
    if rules.score.formula == "thresholds" and not rules.parts:
        raise table.error("parts", "expected at least one [[parts]] with points and a threshold")
    if rules.score.formula != "thresholds" and rules.parts:
        raise table.error(
            "parts", f"the formula {rules.score.formula} has no parts; leave them out"
        )
    names = [part.name for part in rules.parts]
    for name in names:
        if names.count(name) > 1:
            raise table.error("parts", f"two parts are called {name!r}")
