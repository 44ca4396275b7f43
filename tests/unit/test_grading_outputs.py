"""Outputs of a grading, from hostile data, are parsed again and have the intended content."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from grading_data import DATASET, RULES, failed, measured, plan, rules

from pytest_annmodal.grading import outputs
from pytest_annmodal.grading.outputs import gradescope, markdown, page
from pytest_annmodal.grading.outputs.gradebook import Book, rank, score_text
from pytest_annmodal.grading.outputs.terminal import table
from pytest_annmodal.grading.score import grade
from pytest_annmodal.model import Arguments, Variant

BAD = "<script>alert(1)</script>\n=1+1|`\x1b[2J\u202e\udc80\x00::error::'\"]]>"


def book(tmp_path: Path, text: str = RULES) -> Book:
    ours = rules(tmp_path, text)
    good, bad, open_ = plan(name="good"), plan(name="bad"), plan(name="open")
    (g,), (b,) = (made.cases[DATASET.name] for made in (good, bad))
    evidence = {
        "traceback": f'  File "/class/bad.py", line 3, in {BAD}\n    {BAD}\n',
        "log_tail": BAD,
    }
    outcomes = {
        g.id: measured(g, qps=float("inf"), notes=(BAD,), environment={BAD: [BAD, float("nan")]}),
        b.id: failed(b, message=BAD, evidence=evidence, phase="build"),
    }
    plans = (bad, open_, good)
    graded = [(made.submission, grade(made, ours, outcomes, {})) for made in plans]
    return Book(
        rules=ours, entries=rank(graded), session="s", where="local", datasets=(DATASET.name,),
        k=10, rounds=1, finished=True, written="2026-01-01T00:00:00Z",
    )  # fmt: skip


def test_all(tmp_path: Path) -> None:
    made = book(tmp_path)
    folder = tmp_path / "grades"
    summary = tmp_path / "step.md"
    summary.write_text("before\n")
    stale = folder / "pages" / "left.html"
    stale.parent.mkdir(parents=True)
    stale.touch()
    assert outputs.write_all(folder, made, {"GITHUB_STEP_SUMMARY": str(summary)}) == []
    files = sorted(str(file.relative_to(folder)) for file in folder.rglob("*.*"))
    assert files == [
        "grades.csv", "grades.json", "gradescope/bad.json", "gradescope/good.json",
        "gradescope/open.json", "pages/bad.html", "pages/good.html", "pages/open.html",
        "summary.md",
    ]  # fmt: skip
    assert summary.read_text().startswith("before\n## Grades")
    for file in folder.rglob("*.*"):
        text = file.read_text(encoding="utf-8")
        assert all(char.isprintable() or char == "\n" for char in text), file

    grades = json.loads((folder / "grades.json").read_text(), parse_constant=pytest.fail)
    assert [item["status"] for item in grades["submissions"]] == ["graded", "graded", "incomplete"]
    assert grades["complete"] is False
    assert grades["submissions"][0]["cases"][0]["figures"]["qps"] is None
    assert grades["submissions"][1]["cases"][0]["failure"]["line"] == 3
    rows = list(csv.DictReader(io.StringIO((folder / "grades.csv").read_text())))
    assert [row["submission"] for row in rows] == ["good", "bad", "open"]


def test_page(tmp_path: Path) -> None:
    made = book(tmp_path)
    tags: list[str] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            tags.append(tag)

    text = page.text(made, made.entries[1])
    Tags().feed(text)
    assert {"script", "img", "a"}.isdisjoint(tags)
    assert "default-src &#x27;none&#x27;" in text or "default-src 'none'" in text
    assert "bad.py, line 3" in text
    hidden = book(tmp_path, RULES.replace("[[", 'feedback = "kind"\n[[', 1))
    for entry in hidden.entries:
        assert "alert" not in page.text(hidden, entry)
        assert "alert" not in gradescope.text(hidden, entry)


def test_pictures(tmp_path: Path) -> None:
    """A student's results are drawn over the class's best; labels are text."""
    made = book(tmp_path)
    (good, *others) = made.entries
    (tried,) = good.grade.tried
    variant = Variant(build=Arguments(), search=Arguments(kwargs={"<img>": "</svg>"}))
    case = replace(tried.case, variant=variant)
    outcome = measured(case, latencies_ns=(100, 200, 300), query_hits=(10, 9, 3), n_queries=3)
    own = replace(
        good, grade=replace(good.grade, tried=(replace(tried, case=case, outcome=outcome),))
    )
    text = page.text(replace(made, entries=(own, own, own, own, *others)), own)
    assert text.count("<svg") == text.count("</svg>") == 1
    assert "best of all submissions" in text
    assert "<img>" not in text
    assert len(text) < 300_000
    alone = page.text(replace(made, entries=(own, *others)), own)
    assert "yours" in alone
    assert "best of all submissions" not in alone


def test_gradescope(tmp_path: Path) -> None:
    text = (
        RULES
        + '[gradescope]\nvisibility = "after_due_date"\nleaderboard = ["score", "p50_ms", "qps"]\n'
    )
    made = book(tmp_path, text)
    good, bad, open_ = (gradescope.results(made, entry) for entry in made.entries)
    assert (good["score"], bad["score"], open_["score"]) == (40, 0, 0)
    assert {test["visibility"] for test in good["tests"]} == {"after_due_date"}
    assert [item["value"] for item in bad["leaderboard"]] == [0, "–", "–"]
    assert good["leaderboard"][1] == {"name": "p50_ms", "value": 0.5, "order": "asc"}
    assert "INCOMPLETE" in open_["output"]
    assert good["tests"][0] == {
        "name": "Finds",
        "score": 30.0,
        "max_score": 30.0,
        "status": "passed",
        "output": "recall 1, wanted at least 0.9: reached",
        "visibility": "after_due_date",
    }


def test_tables(tmp_path: Path) -> None:
    made = book(tmp_path)
    for width in (120, 80):
        lines = table(made, width=width)
        assert all(len(line) <= width and line.isprintable() for line in lines)
        assert lines[1].split()[:3] == ["1", "good", "40/40"]
        assert len(lines) == (4 if width == 120 else 6)  # what went wrong needs lines of its own
        assert "incomplete: not measured" in lines[-1]
    assert markdown.text(made, max_rows=1).count("\n| ") == 2
    assert "2 more are in grades.csv" in markdown.text(made, max_rows=1)


def test_one_bad_place_costs_only_itself(tmp_path: Path) -> None:
    """An output that cannot be written does not prevent the others."""
    folder = tmp_path / "grades"
    (folder / "grades.csv").mkdir(parents=True)
    problems = outputs.write_all(folder, book(tmp_path), {"GITHUB_STEP_SUMMARY": "/no/such/place"})
    assert len(problems) == 2
    assert (folder / "pages" / "good.html").exists()


def test_score_text() -> None:
    assert [score_text(x) for x in (40.0, 36.25, 0.0, None, 1 / 3)] == [
        "40",
        "36.25",
        "0",
        "–",
        "0.33",
    ]
