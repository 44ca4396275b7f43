"""Stored cases as CSV, JSON, Parquet, Markdown and LaTeX."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from stored_cases import failed, measured

from pytest_annmodal.cli.main import main
from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.figures import FIGURES
from pytest_annmodal.reports.columns import COLUMNS
from pytest_annmodal.reports.export import FORMATS
from pytest_annmodal.reports.step_summary import step_summary
from pytest_annmodal.reports.text_tables import escape_latex
from pytest_annmodal.results.choice import latest
from pytest_annmodal.results.store import line_of

NAMES = [column.name for column in COLUMNS]
SIGNS = "".join(map(chr, range(32, 127)))
EVIL = SIGNS + "é漢\x00\x1b[31m\u202e\n\\end{document}\\input{/etc/passwd}"


def evil(text: str = EVIL) -> list[object]:
    """A measurement and a failure whose texts all come from a hostile submission."""
    failure = failed().failure
    assert failure is not None
    return [
        measured(2, label=text, implementation=text, dataset=text, notes=(text,)),
        failed(label=text, dataset=text, failure=dataclasses.replace(failure, message=text)),
    ]


def rows(text: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.decode())))


def test_csv_and_json_have_the_same_columns() -> None:
    """One row per case; figures are named with units; missing ones are empty or null."""
    cases = [measured(1), measured(2, qps=float("nan"), p50_s=float("inf")), failed()]
    table, objects = rows(FORMATS["csv"](cases)), json.loads(FORMATS["json"](cases))
    assert list(table[0]) == list(objects[0]) == NAMES
    assert {figure.name for figure in FIGURES} <= set(NAMES)
    assert [float(row["recall"] or -1) for row in table] == [0.75, 0.875, -1]
    assert (objects[1]["qps"], objects[1]["p50_ms"], table[1]["qps"]) == (None, None, "")
    assert objects[0]["p50_ms"] == pytest.approx(0.018)
    assert (objects[0]["index_mb"], objects[0]["key"]) == (3.0, measured(1).key)
    assert (table[2]["failure"], table[2]["message"]) == ("raised", "ValueError: no")
    assert json.loads(objects[0]["parameters"]) == {"M": 12, "ef": 1}


def test_a_format_is_added_in_one_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """A row of the table is a choice of the command line, named in its help, and written."""
    monkeypatch.setitem(FORMATS, "names", lambda cases: b"".join(c.label.encode() for c in cases))
    path = tmp_path / "a.jsonl"
    path.write_bytes(line_of(measured(1)))
    assert main(["export", "--format=names", str(path)]) == 0
    assert capsysbinary.readouterr().out == measured(1).label.encode()
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    assert b"names" in capsysbinary.readouterr().out


def test_parquet_has_them_too() -> None:
    """Parquet has the same columns, each with a type also if it is empty."""
    from pyarrow import parquet

    cases = [measured(1), failed()]
    table = parquet.read_table(io.BytesIO(FORMATS["parquet"](cases)))
    assert table.column_names == NAMES
    assert table.to_pylist() == json.loads(FORMATS["json"](cases))
    assert str(table.schema.field("batch_qps").type) == "double"


def test_parquet_without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where pyarrow is not installed, the error says what to install."""
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ConfigurationError, match="pip install pyarrow"):
        FORMATS["parquet"]([measured()])


def test_no_cell_starts_a_formula() -> None:
    """Names of submissions are text in a spreadsheet, on one line."""
    table = rows(FORMATS["csv"](evil('=cmd|"/c calc"!A1\nx')))
    for row in table:
        assert row["label"].startswith("'=cmd")
        assert "\n" not in "".join(row.values())


def test_tables_to_be_read() -> None:
    """One table for each content and machine, best recall first, failures below."""
    other = measured(3, dataset_sha256="cd" * 32)
    foreign = measured(5, source="vibe", machine="", where="", dataset_sha256=None)
    text = FORMATS["markdown"](
        [
            measured(1),
            measured(4, recall=0.99999),
            failed(machine=measured().machine, dataset_sha256="ab" * 32),
            other,
            foreign,
        ]
    ).decode()
    captions = [line for line in text.splitlines() if line.startswith("**")]
    assert len(captions) == 3
    assert "content abababab" in captions[0]
    assert "content cdcdcdcd" in captions[1]
    assert "measured by vibe, on another machine" in captions[2]
    head = next(line for line in text.splitlines() if line.startswith("| setting"))
    assert (
        head
        == "| setting | recall | QPS | p50 (ms) | p95 (ms) | p99 (ms) | build (s) | index (MB) | peak (MB) |"
    )
    first, second = re.findall(r"^\| hnswlib.*", text, flags=re.MULTILINE)[:2]
    assert "| 0.9999 | 20,000 | 0.045 |" in first
    assert "| 0.7500 |" in second
    assert "- broken\\[0\\]: raised: ValueError: no" in text


@pytest.mark.parametrize("format_name", ["markdown", "latex"])
def test_a_table_says_which_part_of_it_is_noisy(format_name: str) -> None:
    """Noisy times are marked, since a paper must not present them as reliable."""
    noisy = measured(2, notes=("noisy: load average 6.3 on 2 cores before the job",))
    told = "1 of 2 settings were noisy: other processes used the core"
    assert told in FORMATS[format_name]([measured(1), noisy]).decode()
    assert "noisy" not in FORMATS[format_name]([measured(1)]).decode()


def test_markdown_of_submissions() -> None:
    """Texts of submissions become no markup, links or rows."""
    text = FORMATS["markdown"](evil("a|b](http://x) <img>\n| x |")).decode()
    assert "<img>" not in text
    assert re.search(r"(?<!\\)\]\(", text) is None
    assert not any(line.startswith("| x") for line in text.splitlines())


def test_latex_of_submissions() -> None:
    """LaTeX is ASCII, and no text of a submission becomes a command, comment or cell."""
    safe = escape_latex(EVIL)
    assert safe.isascii()
    assert "\n" not in safe
    bare = re.sub(r"\\(text[a-z]+\{\}|['`^~\"rcv]\{[A-Za-z]\}|[&%$#_{}])", "", safe)
    assert not set(bare.replace("{-}", "").replace("{[}", "").replace("{]}", "")) & set("\\&%$#_~^")
    assert escape_latex("12 × 3") == r"12 $\times$ 3"
    assert escape_latex("é漢") == r"\'{e}\textless{}U+6F22\textgreater{}"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_latex_compiles(tmp_path: Path) -> None:
    """LaTeX compiles alone and inside a document, with hostile texts."""
    cases = [measured(1), measured(2, label="*x"), measured(3, label="[2pt]"), *evil()]
    (tmp_path / "part.tex").write_bytes(FORMATS["latex"](cases))
    (tmp_path / "whole.tex").write_text(
        "\\documentclass{article}\\begin{document}\\input{part.tex}\\typeout{CAME BACK}\\end{document}"
    )
    for name in ("part", "whole"):
        done = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-draftmode", f"{name}.tex"],
            cwd=tmp_path,
            capture_output=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    assert b"CAME BACK" in done.stdout


def test_step_summary(tmp_path: Path) -> None:
    """The fastest setting at each recall, every figure, and each failure once."""
    cases = [measured(n, dataset=name) for n in (1, 3, 5) for name in ("one", "two")]
    cases += [failed(n, dataset="one") for n in range(5)]
    text = step_summary(cases)
    assert text.count("**Fastest on one, ") == text.count("**Fastest on two, ") == 1
    assert "| 0.9 | hnswlib\\[M=12,ef=3\\] | 0.9375 | 25,000 |" in text
    assert "| 0.95 | hnswlib\\[M=12,ef=5\\] | 0.9843 | 16,667 |" in text
    assert "| 0.99 | not reached | | |" in text
    (line,) = [line for line in text.splitlines() if "ValueError: no" in line]
    assert line.endswith("and 2 more: raised: ValueError: no")
    many = [measured(n, label=f"{n}" + "x" * 400) for n in range(3000)]
    assert len(step_summary(many).encode()) < 2**20
    assert "are too many for this page" in step_summary(many)


def test_the_newest_of_each_setting() -> None:
    """Another machine or content is another case; a changed text is not."""
    old, new = measured(1, measured_at="2026-01-01T00:00:00Z"), measured(1, key="0" * 64)
    others = [measured(1, machine="Another"), measured(1, dataset_sha256="cd" * 32), measured(2)]
    assert latest([old, new, *others]) == [new, *others]
    assert latest([new, old]) == [new]
    asked = [measured(1, query_sample=2), measured(1, query_order="random"), measured(1, cold=True)]
    assert latest([new, *asked]) == [new, *asked]
    broken = dataclasses.replace(failed(), label=new.label, machine=new.machine)
    assert latest([broken]) == [broken]


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """``annmodal export`` merges files, selects cases, and writes to a file or the terminal."""
    from stored_cases import stored

    monkeypatch.chdir(tmp_path)
    stored(tmp_path / "one", measured(1, measured_at="2025-01-01T00:00:00Z"), failed())
    stored(tmp_path / "two", measured(1), measured(2, dataset="other"), session="fedc" * 4)

    def exported(*arguments: str) -> list[str]:
        assert main(["export", *arguments, "one", "two"]) == 0
        return [row["label"] for row in rows(capfdbinary.readouterr().out)]

    assert len(exported()) == 3
    assert len(exported("--all")) == 4
    assert exported("--session", "fedc") == [measured(1).label, measured(2).label]
    assert exported("--dataset", "oth*") == [measured(2).label]
    assert exported("--impl", "bro*", "--impl", "x") == ["broken[0]"]
    assert main(["export", "--format", "json", "-o", "out.json", "one"]) == 0
    assert len(json.loads((tmp_path / "out.json").read_text())) == 2
    for arguments in (["--impl", "nobody", "one"], ["-o", "no/folder.csv", "one"]):
        assert main(["export", *arguments]) == 2
    said = capfdbinary.readouterr().err.decode()
    assert "none of the 2 results matches --session, --dataset and --impl" in said
    assert "no/folder.csv cannot be written: No such file or directory" in said
