"""Gates of real processes where the truth is known: the tables in docs/regressions.md.

    python tests/statistics/gates.py same --gates 100
    python tests/statistics/gates.py slower-8 --gates 20 --burners 2 --impl hnswlib
    python tests/statistics/gates.py same --minutes 4 --append gates.jsonl    # a part, and later on another
    python tests/statistics/gates.py table gates.jsonl                       # of all parts together

``same``: identical code on both sides. ``slower-8``, ``slower-4``: a wrapper spins inside of ``query``,
so that 8 or 4 % fewer queries are answered in a second. ``recall-100``, ``recall-300``: it replaces one
id in a hundred, or in three hundred, by a wrong one. The implementations take turns.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pytest_annmodal.datasets import synthetic
from pytest_annmodal.execution import run_job
from pytest_annmodal.finding import (
    BETTER,
    CANNOT_TELL,
    NO_CHANGE,
    NOT_GATED,
    WORSE,
    Finding,
    Gated,
)
from pytest_annmodal.manifests import manifest
from pytest_annmodal.model import Baseline, Dataset, Gate, Implementation, Job, Limits, Search
from pytest_annmodal.outcome import Measurement
from pytest_annmodal.tolerances import TOLERANCES

IMPLEMENTATIONS = ("hnswlib", "faiss-ivf", "annoy", "bruteforce")
N_TRAIN, N_QUERIES, N_RECALL_QUERIES, K = 2_000, 500, 10_000, 10
MAX_SESSIONS = 11
NEVER = 0.999999  # a recall that nothing reaches: speed is not asked for
KINDS = ("same", "slower-8", "slower-4", "recall-100", "recall-300")
BURNER = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"
SLOWER = """

class Planted({base}):
    def query(self, v, k):
        import time
        start = time.perf_counter_ns()
        found = super().query(v, k)
        end = time.perf_counter_ns()
        end += int((end - start) * {share})
        while time.perf_counter_ns() < end:
            pass
        return found
"""
WRONG = """

class Planted({base}):
    def query(self, v, k):
        self.n_ids = getattr(self, "n_ids", 0) + k
        found = [int(one) for one in super().query(v, k)]
        if self.n_ids >= {every}:
            self.n_ids -= {every}
            found[-1] = next(one for one in range(k + 1) if one not in found)
        return found
"""


def planted(kind: str, builtin: Implementation, folder: Path) -> Implementation:
    """The implementation with what is planted into a copy of its text."""
    alone = dataclasses.replace(builtin, variants=())
    what, _, number = kind.partition("-")
    if what == "same":
        return alone
    text = Path(builtin.path).read_text(encoding="utf-8")
    if what == "recall":
        wrapper = WRONG.format(base=builtin.class_name, every=number)
    else:
        slower = int(number) / 100
        wrapper = SLOWER.format(base=builtin.class_name, share=slower / (1 - slower))
    path = folder / f"planted_{kind.replace('-', '_')}_{Path(builtin.path).name}"
    path.write_text(text + wrapper, encoding="utf-8")
    return dataclasses.replace(alone, name="planted", path=str(path), class_name="Planted")


def beside(kind: str) -> str:
    """What the baseline is: a wrapper too, which adds nothing, where the candidate has one that spins.

    The wrapper itself costs 6 % of a query of 15 µs.
    """
    return "slower-0" if kind.startswith("slower") else "same"


def gated(kind: str, builtin: Implementation, data: Path) -> list[Gated]:
    """One gate of its first build with all settings, and what it found of each."""
    build = builtin.variants[0].build
    settings = tuple(v.search for v in builtin.variants if v.build == build)
    of_recall = kind.startswith("recall")
    tolerances = {**TOLERANCES, "max_build_rise": None} if of_recall else dict(TOLERANCES)
    job = Job(
        dataset=Dataset(name=data.stem, source=f"file:{data}"),
        implementation=planted(kind, builtin, data.parent),
        build=build,
        searches=tuple(
            Search(case_id=f"{number}", arguments=search, k=K, rounds=1)
            for number, search in enumerate(settings)
        ),
        limits=Limits(),
        baseline=Baseline(
            implementation=planted(beside(kind), builtin, data.parent),
            build=build,
            searches=settings,
            max_sessions=5 if of_recall else MAX_SESSIONS,
            difference=0.05,
            gate=Gate(
                at_recall=NEVER if of_recall else 0.95, asked_for=of_recall, tolerances=tolerances
            ),
        ),
    )
    outcomes = run_job(job, data)
    assert all(isinstance(outcome, Measurement) for outcome in outcomes), outcomes
    return [
        outcome.gate for outcome in outcomes if isinstance(outcome, Measurement) and outcome.gate
    ]


@contextlib.contextmanager
def burners(number: int) -> Iterator[None]:
    """So many processes that compute without end; they end with this one."""
    with contextlib.ExitStack() as stack:
        for _ in range(number):
            process = stack.enter_context(subprocess.Popen([sys.executable, "-c", BURNER]))
            stack.callback(process.kill)
        yield


def words_of(findings: Sequence[Finding]) -> dict[str, str]:
    """By figure the most telling word."""
    order = (WORSE, BETTER, CANNOT_TELL, NO_CHANGE, NOT_GATED)
    found: dict[str, str] = {}
    for finding in findings:
        known = found.get(finding.figure, NOT_GATED)
        found[finding.figure] = min(known, finding.word, key=order.index)
    return found


def lines(asked: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Run gates until there are enough of them or their time is over; what each has found."""
    known = {item.name: item for item in manifest.builtin()}
    names, began = itertools.cycle(asked.impl or IMPLEMENTATIONS), time.monotonic()
    longest_s = 0.0
    with tempfile.TemporaryDirectory() as folder, burners(asked.burners):
        data = Path(folder) / "clusters-64-euclidean.hdf5"
        n_queries = N_RECALL_QUERIES if asked.kind.startswith("recall") else N_QUERIES
        synthetic.generate(data, "euclidean", n_train=N_TRAIN, n_queries=n_queries)
        for number, name in zip(range(asked.gates), names, strict=False):
            start = time.monotonic()
            if number and start - began + longest_s > 60 * asked.minutes:
                return
            found = [one for gate in gated(asked.kind, known[name], data) for one in gate.findings]
            seconds = time.monotonic() - start
            longest_s = max(longest_s, seconds)
            speed = next((one.brief for one in found if one.figure == "speed" and one.low), "")
            yield {
                "kind": asked.kind,
                "burners": asked.burners,
                "implementation": name,
                "seconds": round(seconds, 1),
                "sessions": max(one.sessions for one in found),
                "words": words_of(found),
                "speed": speed,
                "load_1min": round(os.getloadavg()[0], 1),
            }


def table(known: Sequence[dict[str, Any]]) -> Iterator[str]:
    """What was found where, in Markdown."""
    figures = ("speed", "recall")
    words = (WORSE, BETTER, NO_CHANGE, CANNOT_TELL)
    head = ["what is there", "beside", "gates", "any figure: worse, better"]
    head += [f"{figure}: {word}" for figure in figures for word in words]
    yield f"| {' | '.join((*head, 'sessions', 'seconds'))} |"
    yield "|---" * (len(head) + 2) + "|"
    for kind, number in sorted(
        {(one["kind"], one["burners"]) for one in known},
        key=lambda row: (KINDS.index(row[0]), row[1]),
    ):
        ones = [one for one in known if (one["kind"], one["burners"]) == (kind, number)]
        counts = Counter((figure, word) for one in ones for figure, word in one["words"].items())
        of_any = [sum(word in one["words"].values() for one in ones) for word in (WORSE, BETTER)]
        row = [kind, f"{number} burners" if number else "nothing", str(len(ones))]
        row.append(", ".join(map(str, of_any)))
        row += [str(counts[figure, word]) for figure in figures for word in words]
        for field in ("sessions", "seconds"):
            row.append(f"{sum(one[field] for one in ones) / len(ones):.1f}")
        yield f"| {' | '.join(row)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("kind", choices=(*KINDS, "table"))
    parser.add_argument("files", nargs="*", type=Path, help="of table: what --append has written")
    parser.add_argument("--gates", type=int, default=100, help="at most so many")
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="begin none that may last longer"
    )
    parser.add_argument("--append", type=Path, help="add what each gate found to this file")
    parser.add_argument("--burners", type=int, default=0, help="processes that compute beside it")
    parser.add_argument("--impl", action="append", help="instead of all four, in turn")
    asked = parser.parse_args()
    known: list[dict[str, Any]] = []
    if asked.kind == "table":
        for file in asked.files:
            known += map(json.loads, file.read_text(encoding="utf-8").splitlines())
    else:
        for line in lines(asked):
            known.append(line)
            print(f"{len(known)} {line}", flush=True)
            if asked.append:
                with asked.append.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(line) + "\n")
    print("\n".join(table(known)))


if __name__ == "__main__":
    main()
