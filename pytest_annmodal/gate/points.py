"""Chooses the settings of both sides at which speed is compared; pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_annmodal.figures import share
from pytest_annmodal.model import Arguments, Gate, Search
from pytest_annmodal.scoring import operating_points
from pytest_annmodal.scoring.operating_points import Level, logit

MOST_BEYOND = 0.5  # of the distance between two settings: the limit of extrapolation


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """One or two settings of each side, asked in pairs.

    Attributes:
        pairs: the candidate's and the baseline's; the pair of lower recall first.
        recall: the recall that speeds are interpolated at; None for the setting's own speed.
        words: ``at recall 0.95``, ``at ef=50``.
    """

    pairs: tuple[tuple[Search, Arguments], ...]
    recall: float | None
    words: str

    @property
    def search(self) -> Search:
        """The candidate's setting that shows the verdict on speed."""
        return self.pairs[-1][0]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoPoints:
    """Why speeds cannot be compared."""

    why: str


def shared(searches: Sequence[Search], settings: Sequence[Arguments]) -> list[Search]:
    """Returns the candidate's searches whose arguments the baseline has too."""
    keys = {arguments.key for arguments in settings}
    return [search for search in searches if search.arguments.key in keys]


def choose(
    mine: Sequence[tuple[Search, Level]],
    theirs: Sequence[tuple[Arguments, Level]],
    gate: Gate,
    *,
    name: str,
    n_answers: int,
) -> Points | NoPoints:
    """Returns the settings around the wanted recall, or one that both sides have.

    Args:
        mine, theirs: settings with their recall and speed.
        name: the baseline's.
        n_answers: number of ids that a recall was counted over.
    """
    mine_at, theirs_at = (
        operating_points.bracket(
            _numbered([level for _, level in side]), gate.at_recall, n_answers=n_answers
        )
        for side in (mine, theirs)
    )
    if mine_at is not None and theirs_at is not None:
        searches = [mine[level.index][0] for level in (mine_at.lower, mine_at.upper)]
        opponents = [theirs[level.index][0] for level in (theirs_at.lower, theirs_at.upper)]
        pairs = list(zip(searches, opponents, strict=True))
        if pairs[0] == pairs[1]:
            pairs.pop()
        return Points(
            pairs=tuple(pairs), recall=gate.at_recall, words=f"at recall {gate.at_recall:g}"
        )
    both = shared([search for search, _ in mine], [arguments for arguments, _ in theirs])
    if not gate.asked_for and both:
        recalls = {search.case_id: level.recall for search, level in mine}
        search = min(both, key=lambda one: abs(recalls[one.case_id] - gate.at_recall))
        label = search.arguments.label
        return Points(
            pairs=((search, search.arguments),),
            recall=None,
            words=f"at {label}" if label else "",
        )
    side = ("the candidate", mine) if mine_at is None else (name, theirs)
    return NoPoints(why=_why(side[0], [level.recall for _, level in side[1]], gate.at_recall))


def _numbered(levels: Sequence[Level]) -> list[Level]:
    return [
        Level(recall=level.recall, qps=level.qps, index=index) for index, level in enumerate(levels)
    ]


def _why(name: str, recalls: Sequence[float], asked: float) -> str:
    if not recalls:
        return f"no setting of {name} was measured"
    if max(recalls) < asked:
        return f"{name} never reaches recall {asked:g}: its settings reach {share(max(recalls))}"
    if min(recalls) > asked:
        return (
            f"every setting of {name} is above recall {asked:g}: the lowest has "
            f"{share(min(recalls))}"
        )
    return f"the settings of {name} below recall {asked:g} are slower than those above it"


def rate_at(rates: Sequence[tuple[float, float]], recall: float | None, n_answers: int) -> float:
    """Returns log QPS at a recall, from recall and log QPS of one or two settings.

    Linear over logit recall. Since builds vary, the recall may lie just outside of the two
    settings: the line is extrapolated by at most half of their distance.
    """
    (low, slow), (high, fast) = rates[0], rates[-1]
    if recall is None:
        return fast
    start, end, wanted = (logit(value, n_answers) for value in (low, high, recall))
    if abs(end - start) < 1e-9:
        return (slow + fast) / 2
    way = min(max((wanted - start) / (end - start), -MOST_BEYOND), 1 + MOST_BEYOND)
    return (1 - way) * slow + way * fast
