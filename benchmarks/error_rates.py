"""How often the verdict of a comparison is wrong: the table in docs/measurement.md.

    python -m benchmarks.error_rates [RUNS]

Sessions' ratios are drawn whose true mean is 1, with a spread of 10 %: *faster* and *slower* are
wrong then. Beside it, how often a true difference is found.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable

from pytest_annmodal.comparison import verdict
from pytest_annmodal.comparison.intervals import ratio_interval

SPREAD = 0.1
DIFFERENCE = 0.05
MOST = verdict.LOOKS[-1]
CONTROL = [0.001, -0.001] * MOST
Draw = Callable[[random.Random], list[float]]


def autocorrelated(rho: float) -> Draw:
    def draw(rng: random.Random) -> list[float]:
        values = [rng.gauss(0, 1)]
        while len(values) < MOST:
            values.append(rho * values[-1] + (1 - rho * rho) ** 0.5 * rng.gauss(0, 1))
        return values

    return draw


def independent(one: Callable[[random.Random], float]) -> Draw:
    return lambda rng: [one(rng) for _ in range(MOST)]


SHAPES: dict[str, Draw] = {
    "normal": independent(lambda rng: rng.gauss(0, 1)),
    "one in ten five times as far": independent(
        lambda rng: rng.gauss(0, 5 if rng.random() < 0.1 else 1)
    ),
    "lag-1 correlation 0.3": autocorrelated(0.3),
    "lag-1 correlation 0.5": autocorrelated(0.5),
    "lag-1 correlation 0.7": autocorrelated(0.7),
    "exponential": independent(lambda rng: rng.expovariate(1) - 1),
    "lognormal": independent(lambda rng: rng.lognormvariate(0, 1) - 2.718281828459045**0.5),
}


def told(log_ratios: list[float]) -> bool:
    """Whether the verdict is *faster* or *slower*, at the first look that decides."""
    for n in verdict.looks(MOST):
        word = verdict.judge(
            log_ratios[:n], CONTROL[:n], difference=DIFFERENCE, max_sessions=MOST
        ).word
        if word != "cannot tell":
            return word != "no difference"
    return False


def plainly_told(log_ratios: list[float]) -> bool:
    """The same by Student's t alone."""
    for n in verdict.looks(MOST):
        found = ratio_interval(log_ratios[:n], verdict.confidence(MOST))
        if found.low > 1 or found.high < 1:
            return True
    return False


def rates(shape: str, runs: int, *, shift: float = 0.0) -> tuple[float, float]:
    """Shares of the runs in which a difference is told: by Student's t alone, and by the verdict.

    Args:
        shift: the true difference, in spreads.
    """
    rng = random.Random(shape)  # noqa: S311 -- a simulation
    drawn = [[SPREAD * (value + shift) for value in SHAPES[shape](rng)] for _ in range(runs)]
    return (
        sum(map(plainly_told, drawn)) / runs,
        sum(map(told, drawn)) / runs,
    )


def main(runs: int) -> None:
    print("| sessions' ratios | wrong, by Student's t | wrong | found: 1.5 spreads | 3 spreads |")
    print("|---|---|---|---|---|")
    for shape in SHAPES:
        plain, wrong = rates(shape, runs)
        found = [rates(shape, runs, shift=shift)[1] for shift in (1.5, 3.0)]
        cells = (plain, wrong, *found)
        print(f"| {shape} | " + " | ".join(f"{value:.1%}" for value in cells) + " |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4000)
