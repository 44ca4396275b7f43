"""A class graded on Modal gets the grades that it gets here."""

import json
import shutil

from product import ROOT

CLASS = ROOT / "examples" / "class" / "submissions"
# Of the example class those whose fate hangs on no time, and no points for speed.
HANDED_IN = ("cells", "crash", "exact", "one_short", "typo")
RULES = """
datasets = ["digits-64-euclidean"]
rounds = 1
queries = 40
timeout_s = 100
allow = ["numpy"]

[[parts]]
name = "Runs"
points = 10
min_recall = 0.1

[[parts]]
name = "Finds the neighbours"
points = 90
min_recall = { none_at = 0.5, full_at = 0.9 }
"""
TEST = "def test_search(ann_benchmark, case):\n    ann_benchmark(case)\n"


def grades(product, folder):
    """Who got which points, and where things went wrong."""
    book = json.loads((product.folder / folder / "grades.json").read_text())
    return {
        entry["name"]: [
            entry["score"],
            entry["reason"].partition(":")[0],
            *((part["name"], part["points"], part["status"]) for part in entry["parts"]),
        ]
        for entry in book["submissions"]
    }


def test_grades_are_the_same_here_and_there(product):
    for name in HANDED_IN:
        (product.folder / "handed-in").mkdir(exist_ok=True)
        shutil.copy(CLASS / f"{name}.py", product.folder / "handed-in")
    product.write("grading.toml", RULES)
    product.write("test_it.py", TEST)
    arguments = ("--submission=handed-in/*", "--ann-grade=grading.toml")
    there = product.pytest(*arguments, "--ann-grade-dir=there")
    here = product.finish(
        product.start("-m", "pytest", "-W", "error", *arguments, "--ann-grade-dir=here")
    )
    for done in (here, there):
        assert done.code == 0, done.text
        assert "All 5 submissions are graded." in done.text
    assert grades(product, "there") == grades(product, "here")
    scores = {name: entry[0] for name, entry in grades(product, "there").items()}
    assert scores == {"cells": 100, "exact": 100, "crash": 0, "one_short": 0, "typo": 0}
    sent = len(HANDED_IN) - 1  # what cannot be read stays here
    assert len(product.containers("ask_submission")) == sent
    assert len(product.containers("referee")) == 1
