"""How often a gate's verdict is wrong: the table in docs/regressions.md.

    python tests/statistics/simulate.py [RUNS]

Sessions' log ratios are drawn by a seed, and looked at after 5, 8 and 11 of them as a gate does. Where
nothing has changed, *worse* and *better* are wrong; where the candidate is slower by 8 or 4 %, *better*
and *no change* are; just at the bound, *no change* is.
"""

from __future__ import annotations

import math
import random
import sys
from collections import Counter
from collections.abc import Callable, Sequence

from pytest_annmodal.finding import BETTER, CANNOT_TELL, NO_CHANGE, WORSE, Word
from pytest_annmodal.gate import statistics

SPREAD = 0.01  # of one session's log ratio, as measured on a quiet machine with two cores
BOUND = -math.log(1 - 0.03)
MOST = statistics.LOOKS[-1]
Draw = Callable[[random.Random], list[float]]


def independent(one: Callable[[random.Random], float]) -> Draw:
    return lambda rng: [one(rng) for _ in range(MOST)]


def student(rng: random.Random, df: int = 3) -> float:
    return rng.gauss(0, 1) / math.sqrt(rng.gammavariate(df / 2, 2) / df)


def autocorrelated(rho: float) -> Draw:
    def draw(rng: random.Random) -> list[float]:
        values = [rng.gauss(0, 1)]
        while len(values) < MOST:
            values.append(rho * values[-1] + math.sqrt(1 - rho * rho) * rng.gauss(0, 1))
        return values

    return draw


def one_in_ten(far: Callable[[random.Random], float]) -> Draw:
    """One session in ten is off by 20 %."""
    return independent(
        lambda rng: rng.gauss(0, 1) + (far(rng) * 0.2 / SPREAD if rng.random() < 0.1 else 0.0)
    )


SHAPES: dict[str, Draw] = {
    "normal": independent(lambda rng: rng.gauss(0, 1)),
    "normal, twice the spread": independent(lambda rng: rng.gauss(0, 2)),
    "t with 3 degrees of freedom": independent(student),
    "lag-1 correlation 0.3": autocorrelated(0.3),
    "lag-1 correlation 0.5": autocorrelated(0.5),
    "one in ten off by 20 %, either way": one_in_ten(lambda rng: rng.choice((-1.0, 1.0))),
    "one in ten 20 % slower": one_in_ten(lambda _rng: -1.0),
}


def drawn(shape: str, runs: int) -> list[list[float]]:
    """Log ratios of each run's sessions, whose middle is 0."""
    rng = random.Random(shape)
    return [[SPREAD * value for value in SHAPES[shape](rng)] for _ in range(runs)]


def verdict(log_ratios: Sequence[float]) -> Word:
    """What is said at the first look that decides."""
    for n in statistics.LOOKS:
        found = statistics.estimate(log_ratios[:n], len(statistics.LOOKS))
        word = statistics.word(found, bound=BOUND)
        if word != CANNOT_TELL:
            return word
    return CANNOT_TELL


def excludes_zero(log_ratios: Sequence[float]) -> bool:
    """Whether an interval at any look leaves out that nothing has changed, however small the change."""
    n_looks = len(statistics.LOOKS)
    return any(statistics.estimate(log_ratios[:n], n_looks).p <= 0.01 for n in statistics.LOOKS)


def shares(runs: Sequence[Sequence[float]], slower: float = 0.0) -> dict[Word, float]:
    """How often each word is said where the candidate is slower by so much."""
    shift = math.log(1 - slower)
    words = Counter(verdict([value + shift for value in run]) for run in runs)
    return {word: words[word] / len(runs) for word in (WORSE, BETTER, NO_CHANGE, CANNOT_TELL)}


def main(n_runs: int) -> None:
    print(f"{n_runs:,} runs a row\n")
    print(
        "| sessions | interval misses 0 | worse | better | cannot tell | at the bound: no change "
        "| 8 %: worse | better | 4 %: worse | better, no change |"
    )
    print("|---|" + "---|" * 9)
    for shape in SHAPES:
        runs = drawn(shape, n_runs)
        same, bound, eight, four = (shares(runs, slower) for slower in (0, 0.02999, 0.08, 0.04))
        cells = (
            sum(map(excludes_zero, runs)) / n_runs,
            same[WORSE],
            same[BETTER],
            same[CANNOT_TELL],
            bound[NO_CHANGE],
            eight[WORSE],
            eight[BETTER],
            four[WORSE],
            four[BETTER] + four[NO_CHANGE],
        )
        print(f"| {shape} | " + " | ".join(f"{value:.2%}" for value in cells) + " |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
