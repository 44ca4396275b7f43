"""A figure is added in one place: this copy of the package has only one more row."""

from __future__ import annotations

import csv
import json
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from plugin_project import Project, lines_with

import pytest_annmodal

TABLE = "FIGURES: tuple[Figure, ...] = (\n"
ROW = 'Figure(name="tail", words="tail", value=lambda m: m.p99_s / m.p50_s, better="less"),\n'
RULES = """
datasets = ["small-8-euclidean.hdf5"]
k = 5
rounds = 1
queries = 4
fresh_queries = false
isolation = "process"

[[parts]]
name = "Is even"
points = 10
max_tail = 1e9

[gradescope]
leaderboard = ["tail"]
"""
TEST = """
import pytest

@pytest.mark.ann(max_tail=0)
def test_search(ann_benchmark, case):
    ann_benchmark(case)
"""


def test_one_row_is_seen_in_every_output(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Tables, records, JUnit, markers, grading's parts, CSV, Markdown, pages and Gradescope."""
    place = tmp_path_factory.mktemp("scratch")
    copy = shutil.copytree(Path(pytest_annmodal.__file__).parent, place / "pytest_annmodal")
    text = (copy / "figures.py").read_text(encoding="utf-8")
    assert text.count(TABLE) == 1
    (copy / "figures.py").write_text(text.replace(TABLE, TABLE + ROW), encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(place))
    project.write("grading.toml", RULES)
    project.write("test_it.py", TEST)
    one = (project.path / "mine/exact.py").read_text(encoding="utf-8").replace("[0, 1]", "[0]")
    project.write("handed_in/ada.py", one)
    outputs = ("--benchmark-json=out.json", "--junitxml=out.xml")
    result = project.run("--submission=handed_in/ada.py", "--ann-grade=grading.toml", *outputs)
    assert result.ret == 0, result.stdout.str()

    (missed,) = lines_with(result, "(missed by ")[:1]
    assert "tail " in missed
    assert "max_tail of @pytest.mark.ann" in missed
    summary, of_class = lines_with(result, " tail  recall ")
    assert summary.split()[:3] == ["implementation", "tail", "recall"]
    assert of_class.split()[:5] == ["rank", "submission", "score", "tail", "recall"]
    value = project.saved()[0]["extra_info"]["tail"]
    assert value >= 1
    properties = {
        item.get("name"): item.get("value") for item in ET.parse("out.xml").iter("property")
    }
    assert properties["tail"] == str(value)

    grades = project.path / "grades"
    (row,) = csv.DictReader((grades / "grades.csv").read_text(encoding="utf-8").splitlines())
    assert float(row["tail"]) == pytest.approx(value, rel=1e-5)
    (submission,) = json.loads((grades / "grades.json").read_text(encoding="utf-8"))["submissions"]
    assert submission["cases"][0]["figures"]["tail"] == value
    assert submission["parts"][0]["why"] == [
        f"tail {value:.4g}, wanted at most 1,000,000,000: reached"
    ]
    assert "| score | tail | recall | QPS |" in (grades / "summary.md").read_text(encoding="utf-8")
    assert '<th class="n">tail</th>' in (grades / "pages/ada.html").read_text(encoding="utf-8")
    told = json.loads((grades / "gradescope/ada.json").read_text(encoding="utf-8"))
    assert f"tail {value:.4g}, recall 1.0000" in told["tests"][-1]["output"]
    assert told["leaderboard"] == [{"name": "tail", "value": round(value, 4), "order": "asc"}]
