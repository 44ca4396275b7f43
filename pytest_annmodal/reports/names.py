"""Short distinct names of cases for lists."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_annmodal.reports.escape import printable, without_commands
from pytest_annmodal.results.rows import Row

MAX_NAME = 60
CUT = "…"


def short_names(rows: Mapping[str, Row]) -> dict[str, str]:
    """Returns a name for each row: its label, with test, dataset and k where these differ.

    Args:
        rows: by pytest's id of their tests.
    """
    tests = {test: test.partition("[")[0].rpartition("::")[2] for test in rows}
    several_tests = len(set(tests.values())) > 1
    several_datasets = len({row.dataset for row in rows.values()}) > 1
    several_ks = len({row.k for row in rows.values()}) > 1
    whole = {}
    for test, row in rows.items():
        parts = [row.label]
        parts[:0] = [tests[test]] if several_tests else []
        parts += [row.dataset] if several_datasets else []
        parts += [f"k={row.k}"] if several_ks else []
        whole[test] = without_commands(printable(" ".join(parts)))
    cut = {test: _cut(name) for test, name in whole.items()}
    return cut if len(set(cut.values())) == len(set(whole.values())) else whole


def _cut(name: str) -> str:
    """Returns a name's beginning and end, where settings differ."""
    if len(name) <= MAX_NAME:
        return name
    half = (MAX_NAME - len(CUT)) // 2
    return name[: MAX_NAME - len(CUT) - half] + CUT + name[-half:]
