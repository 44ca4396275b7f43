"""The finding of one check, and whether figures can be trusted with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """Whether figures of this machine can be trusted, by one check."""

    GOOD = "good"
    DOUBTFUL = "doubtful"
    BAD = "bad"


SIGNS: Mapping[State, str] = {State.GOOD: "✓", State.DOUBTFUL: "!", State.BAD: "✗"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of an examination.

    Attributes:
        found: what was found.
        means: its effect on figures.
        advice: what to do about it; empty if nothing is needed.
        figures: the finding as plain data, for ``--json``.
    """

    state: State
    found: str
    means: str
    advice: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)


def good(found: str, means: str, **figures: Any) -> Finding:
    return Finding(state=State.GOOD, found=found, means=means, figures=figures)


def doubtful(found: str, means: str, advice: str, **figures: Any) -> Finding:
    return Finding(state=State.DOUBTFUL, found=found, means=means, advice=advice, figures=figures)


def bad(found: str, means: str, advice: str, **figures: Any) -> Finding:
    return Finding(state=State.BAD, found=found, means=means, advice=advice, figures=figures)
