"""The values that a bisected argument may have, and which of them to try next.

These are pure functions of the recalls that are known. The bracket is the smallest value that
reached the target and the largest below it that did not. So it shrinks with every value that is
tried, even where a library's recall falls while its argument rises.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

CLOSE = 1.05  # ratio below which values on a logarithmic axis count as equal
CLOSE_SHARE = 0.01  # of a linear axis
FIRST = 0.35  # of the axis: the first value, when no recall is known
MOST_MISSES = 3  # in a row, before the end is tried
EDGE = 0.2  # of a bracket: at either end no value is tried
LEAST_MISSED = 1e-4  # keeps the height of a recall of 1 finite
MANY = 100
COARSE = 12  # steps: width of a bracket that is narrow enough for a guide
FAR = 4  # strides, at most, beyond known values
WIDE = 16  # steps: values this near count as one attempt
NARROW = 3  # steps: width of a bracket that is simply halved
FLAT = 1.0  # height over the whole axis: the least slope of a curve


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """Values from ``low`` to ``high``; a position is 0 at ``low`` and 1 at ``high``.

    Attributes:
        log: spaced evenly by ratio.
        whole: whole numbers only.
    """

    low: float
    high: float
    log: bool
    whole: bool

    @property
    def step(self) -> float:
        """The distance of two positions below which their values count as equal."""
        if self.low == self.high:
            return 1.0
        return math.log(CLOSE) / math.log(self.high / self.low) if self.log else CLOSE_SHARE

    def at(self, position: float) -> float:
        """Returns the value at a position, or at the nearer end."""
        position = min(max(position, 0.0), 1.0)
        if position in {0.0, 1.0}:
            return self.high if position else self.low
        if self.log:
            found = self.low * (self.high / self.low) ** position
        else:
            found = self.low + (self.high - self.low) * position
        return round(found) if self.whole else float(f"{found:.4g}")

    def position(self, value: float) -> float:
        if self.low == self.high:
            return 0.0
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def close(self, low: float, high: float, steps: float = 1) -> bool:
        """Whether two values are at most so many steps apart, or no whole number is between."""
        if self.whole and high - low <= 1:
            return True
        return self.position(high) - self.position(low) <= steps * self.step * 1.001

    def between(self, low: float, high: float, position: float) -> float:
        """Returns the value at a position, kept strictly between ``low`` and ``high``."""
        found = self.at(position)
        if low < found < high:
            return found
        if self.whole:
            return min(low + 1, self.high) if found <= low else max(high - 1, self.low)
        if math.isinf(low) or math.isinf(high):
            return self.low if math.isinf(low) else self.high
        return self.at((self.position(low) + self.position(high)) / 2)


Known = Mapping[float, float]  # value → recall


def bracket(known: Known, target: float) -> tuple[float | None, float | None]:
    """Returns the largest miss below the smallest value that reaches the target, and that value."""
    high = min((value for value, recall in known.items() if recall >= target), default=None)
    below = (value for value, recall in known.items() if high is None or value < high)
    return max((value for value in below if known[value] < target), default=None), high


def wanted(
    axis: Axis, known: Known, target: float, guide: Known | None = None, n_left: int = MANY
) -> float | None:
    """Returns the value to try next; None once the smallest is known or no value can reach it.

    Args:
        guide: recalls on other queries, whose curve is nearly the same; without it the whole
            axis is searched.
        n_left: how many values may still be tried, with this one.
    """
    low, high = bracket(known, target)
    if high is None and low is not None and low >= axis.high:
        return None
    if low is None and high is not None and high <= axis.low:
        return None
    steps = COARSE if guide is None else 1
    if low is not None and high is not None and axis.close(low, high, steps):
        return None
    if guide:
        return _guided(axis, known, target, guide, n_left)
    if high is None:
        return axis.at(FIRST) if low is None else _above(axis, known, low)
    return axis.low if low is None else _inside(axis, known, low, high, target)


def _above(axis: Axis, known: Known, low: float) -> float:
    """Returns a value above those that all missed the target: halfway to the end, then the end."""
    far = len(known) >= MOST_MISSES or axis.position(low) > 1 - FIRST
    found = axis.high if far else axis.at((1 + axis.position(low)) / 2)
    return found if found > low else axis.high


def _inside(axis: Axis, known: Known, low: float, high: float, target: float) -> float:
    """Returns the value where a straight line through both ends reaches the target."""
    left, right = axis.position(low), axis.position(high)
    miss, reach, goal = (_height(one) for one in (known[low], known[high], target))
    share = (goal - miss) / (reach - miss) if reach > miss else 0.5
    return axis.between(low, high, left + min(max(share, EDGE), 1 - EDGE) * (right - left))


def _guided(axis: Axis, known: Known, target: float, guide: Known, n_left: int) -> float:
    """Returns the value where the guide's curve, shifted to the nearest known recall, reaches it.

    It is at least a stride away from that value; the stride doubles with each value tried nearby.
    """
    low, high = bracket(known, target)
    curve = sorted((axis.position(value), _height(recall)) for value, recall in guide.items())
    near = high if high is not None else low
    moved = 0.0 if near is None else _height(known[near]) - _on(curve, axis.position(near))
    position = _reaches(curve, _height(target) - moved)
    if low is None and high is None:
        return axis.at(position)
    assert near is not None
    n_near = sum(abs(axis.position(one) - axis.position(near)) <= WIDE * axis.step for one in known)
    stride = axis.step * 2 ** (n_near - 1)
    own = _secant(axis, known, near, _height(target), else_=position)
    if high is None:
        assert low is not None
        left = axis.position(low)
        position = max(position + axis.step / 2, own, left + stride)
        position = min(position, left + FAR * stride)
        if n_left <= 1:  # a value that is too large is better than none
            position = left + FAR * stride
        return axis.between(low, math.inf, min(position, 1.0))
    right = axis.position(high)
    if low is None:
        position = max(min(position, own, right - stride), right - FAR * stride)
        return axis.between(-math.inf, high, max(position, 0.0))
    left = axis.position(low)
    width = right - left
    if width <= NARROW * axis.step:
        return axis.between(low, high, (left + right) / 2)
    edge = min(axis.step, width / 3)
    if not left + edge < position < right - edge:
        return _inside(axis, known, low, high, target)
    return axis.between(low, high, position)


def _secant(axis: Axis, known: Known, near: float, goal: float, *, else_: float) -> float:
    """Returns the position where the line through ``near`` and the next value reaches ``goal``."""
    others = [one for one in known if one != near]
    if not others:
        return else_
    other = min(others, key=lambda one: abs(axis.position(one) - axis.position(near)))
    run = axis.position(near) - axis.position(other)
    slope = (_height(known[near]) - _height(known[other])) / run
    return axis.position(near) + (goal - _height(known[near])) / slope if slope > 0 else else_


Curve = list[tuple[float, float]]  # positions, rising, and heights


def _line(curve: Curve, place: int) -> tuple[float, float, float]:
    """Returns the start (x, y) and the slope of the piece that begins at a point of a curve."""
    place = min(max(place, 0), len(curve) - 2)
    (x, y), (later, height) = curve[place : place + 2]
    return x, y, max((height - y) / (later - x), FLAT)


def _on(curve: Curve, position: float) -> float:
    """Returns the height at a position; beyond the ends the outer pieces are extended."""
    if len(curve) == 1:
        return curve[0][1] + FLAT * (position - curve[0][0])
    x, y, slope = _line(curve, sum(one <= position for one, _ in curve) - 1)
    return y + slope * (position - x)


def _reaches(curve: Curve, height: float) -> float:
    """Returns the first position at which a curve has this height."""
    if len(curve) == 1:
        return curve[0][0] + (height - curve[0][1]) / FLAT
    first = next((n for n, (_, one) in enumerate(curve) if one >= height), len(curve) - 1)
    x, y, slope = _line(curve, first - 1)
    return min(max(x + (height - y) / slope, 0.0), 1.0)


def _height(recall: float) -> float:
    """Returns -log(1 - recall), which is nearly linear in the logarithm of ``ef``."""
    return -math.log(max(1 - recall, LEAST_MISSED))
