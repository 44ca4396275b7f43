"""The verdict from a few sessions' ratios, and when there are enough of them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_annmodal import surprises
from pytest_annmodal.comparison.intervals import (
    RatioInterval,
    dependence,
    ratio_interval,
    widening,
)

Word = Literal["faster", "slower", "no difference", "cannot tell"]

LOOKS = (5, 8, 11)  # numbers of sessions after which the verdict is computed
ERROR = 0.05  # of all looks together
# The control compares the baseline with itself, but two builds can differ by 1 % permanently.
CONTROL_ALLOWED = 0.01
MUCH_WIDER = 2.0  # than for independent sessions: from there on the verdict says so


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A word, its interval, the control's interval, and the reason for "cannot tell"."""

    word: Word
    interval: RatioInterval
    control: RatioInterval
    why: str = ""

    @property
    def control_ok(self) -> bool:
        return control_ok(self.control)


def looks(max_sessions: int) -> tuple[int, ...]:
    """Returns the numbers of sessions to look after; with fewer than 5, (1,) and no verdict."""
    return tuple(n for n in LOOKS if n <= max_sessions) or (1,)


def confidence(max_sessions: int) -> float:
    """Returns the confidence of each look, so that all together err in at most 5 % (Bonferroni)."""
    return 1 - ERROR / len(looks(max_sessions))


def judge(
    log_ratios: Sequence[float],
    control_log_ratios: Sequence[float],
    *,
    difference: float,
    max_sessions: int,
) -> Verdict:
    """Returns the verdict after these sessions.

    Args:
        log_ratios: of queries per second, candidate over baseline, one per session.
        control_log_ratios: the same of the baseline's copy over the baseline.
        difference: the smallest that matters, 0.05 for 5 %.
        max_sessions: how many there could be; it determines the number of looks.
    """
    level = confidence(max_sessions)
    factor = widening(log_ratios)
    interval = ratio_interval(log_ratios, level, factor=factor)
    control = ratio_interval(control_log_ratios, level)
    if not control_ok(control):
        why = (
            "the control, the baseline against a copy of itself, shows a difference: "
            f"{control.ratio:.3f} [{control.low:.3f}, {control.high:.3f}]"
        )
        return Verdict(word="cannot tell", interval=interval, control=control, why=why)
    word = _word(interval, difference)
    why = ""
    if word == "cannot tell":
        why = f"after {len(log_ratios)} sessions it is {_bound(interval)}"
        why += _widened(log_ratios, factor)
    return Verdict(word=word, interval=interval, control=control, why=why)


def _widened(log_ratios: Sequence[float], factor: float) -> str:
    """Returns why the interval is so wide, if dependent sessions are the reason."""
    if factor < MUCH_WIDER:
        return ""
    correlation, skewness = dependence(log_ratios)
    text = (
        f" (its interval is {factor:.1f} times as wide as for independent sessions: their lag-1 "
        f"correlation is {correlation:.2f}, their skewness {skewness:.2f})"
    )
    return surprises.noted("dependent-sessions", text)


def control_ok(control: RatioInterval) -> bool:
    """Whether a control's interval includes 1, within the difference that two builds can have."""
    return control.low <= 1 + CONTROL_ALLOWED and control.high >= 1 / (1 + CONTROL_ALLOWED)


def _word(interval: RatioInterval, difference: float) -> Word:
    if interval.low >= 1 / (1 + difference) and interval.high <= 1 + difference:
        return "no difference"
    if interval.low > 1:
        return "faster"
    return "slower" if interval.high < 1 else "cannot tell"


def _bound(interval: RatioInterval) -> str:
    return f"at most {interval.high - 1:.1%} faster and at most {1 / interval.low - 1:.1%} slower"


def geometric_mean(log_ratios: Sequence[float]) -> float:
    return math.exp(statistics.fmean(log_ratios))
