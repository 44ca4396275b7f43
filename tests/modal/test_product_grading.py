"""The example class gets the same grades on Modal as locally."""

import json
import re

import example_class
import pytest

TEST = "def test_search(ann_benchmark, case):\n    ann_benchmark(case)\n"
# Points for speed are another matter: here two cores serve all containers, and none can be told.
TIMED = re.compile(r'(?ms)^\[\[parts\]\]\nname = "Is (fast|ready soon)"\n.*?(?=^\[|\Z)')
AT_ONCE = 2


def grades(product, folder):
    """Points of each submission, and place and reason of each failure."""
    book = json.loads((product.folder / folder / "grades.json").read_text())
    return {
        entry["name"]: [
            *((part["name"], part["points"], part["status"]) for part in entry["parts"]),
            *(case["failure"]["kind"] for case in entry["cases"] if case["status"] == "failed"),
        ]
        for entry in book["submissions"]
    }


@pytest.fixture(scope="module")
def graded(product):
    """Grades the class locally and on Modal, on the smaller of its two datasets."""
    example_class.hand_in(product.folder / "handed-in")
    rules = TIMED.sub("", example_class.rules()).replace("timeout_s = 15", "timeout_s = 10")
    product.write("grading.toml", rules)
    product.write("test_it.py", TEST)
    arguments = ("--submission=handed-in/*", "--ann-grade=grading.toml", "--ann-fresh-seed=7")
    here = product.start("-m", "pytest", "-W", "error", *arguments, "--ann-grade-dir=here")
    there = product.pytest(*arguments, "--ann-grade-dir=there", f"--modal-max-containers={AT_ONCE}")
    for done in (product.finish(here), there):
        assert done.code == 0, done.text
        assert "All 10 submissions are graded." in done.text
    return there


def test_grades_are_the_same_here_and_there(graded, product):
    assert grades(product, "there") == grades(product, "here")
    recalls = {name: points[1][1] for name, points in grades(product, "there").items()}
    assert recalls == {
        **dict.fromkeys(("cells", "exact", "slow"), 40),
        **dict.fromkeys(
            ("chatty", "crash", "endless", "one_short", "peeking", "sample", "typo"), 0
        ),
    }


def test_what_cannot_be_read_stays_here(graded, product):
    assert len(product.containers("ask_submission")) == len(grades(product, "there")) - 1
    assert len(product.containers("referee")) == 1


def test_no_more_run_at_once_than_allowed(graded):
    running, most = set(), 0
    for name, phase in re.findall(r"(?m)^ *(\w+) on digits-64-euclidean: (.*)$", graded.text):
        (running.discard if phase == "done" else running.add)(name)
        most = max(most, len(running))
    assert most == AT_ONCE
