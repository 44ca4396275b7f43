"""``--ann-rate`` and ``--ann-concurrency``: levels below the table, in JSON, in the store."""

from __future__ import annotations

import json

import pytest
from plugin_project import EXACT, Project, lines_with

ONE = ("--impl", "exact[extra=0]")


def test_levels_stand_below_the_table_in_the_json_and_in_the_store(project: Project) -> None:
    """Each with its figures and its recall."""
    result = project.run(
        *("--ann-implementations", "mine", "--dataset", "small-8-euclidean.hdf5", *ONE),
        *(
            "--ann-rate=100,200",
            "--ann-load-time=0.1",
            "--ann-at-p99-ms=9000",
            "--ann-generator-bound",
            "--ann-concurrency=1",
        ),
        "--benchmark-json=out.json",
    )
    result.assert_outcomes(passed=1)
    assert lines_with(result, "exact[extra=0], under load: poisson arrivals")
    (start,) = [n for n, line in enumerate(result.outlines) if "offered/s  answered/s" in line]
    rows = [line.split() for line in result.outlines[start + 1 : start + 3]]
    assert [row[0] for row in rows] == ["100", "200"]
    assert lines_with(result, "99 % within 9 s: 200 queries/s")
    assert lines_with(result, "by clients at once (")
    (saved,) = project.saved()
    (file,) = (project.path / ".annmodal" / "results").glob("*.jsonl")
    (kept,) = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    for load in (saved["extra_info"]["load"], kept["load"]):
        assert [level["offered_qps"] for level in load["levels"]] == [100, 200, None]
        assert {level["recall"] for level in load["levels"]} == {1.0}
    assert saved["extra_info"]["rate_at_p99_qps"] == kept["rate_at_p99_qps"] == 200


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--ann-rate=0"], "--ann-rate '0': expected queries per second above 0"),
        (["--ann-rate=100,-5"], "--ann-rate '100,-5': expected queries per second above 0"),
        (["--ann-rate=1e10"], "at most 1,000,000,000 (one in a nanosecond)"),
        (["--ann-rate=inf"], "at most 1,000,000,000"),
        (["--ann-rate=nan"], "--ann-rate 'nan': expected queries per second"),
        (["--ann-rate=quick"], "or auto"),
        (["--ann-rate=auto", "--ann-rate=100"], "given together with other rates"),
        (["--ann-concurrency=0"], "--ann-concurrency '0': expected whole numbers from 1"),
        (["--ann-concurrency=2,x"], "such as 1,2,4,8"),
        (["--ann-arrivals=never"], "expected poisson, uniform"),
        (["--ann-load-time=0"], "--ann-load-time '0': expected a number above 0"),
        (["--ann-load-queue=0"], "--ann-load-queue '0': expected a whole number of at least 1"),
        (["--ann-at-p99-ms=5"], "Add some, such as --ann-rate auto"),
        (["--ann-rate=100", "--ann-fresh-queries"], "asks each only once"),
        (["--ann-rate=100,0.1"], "--ann-rate 0.1: no query would come in the 5 s of a level"),
        (["--ann-rate=0.1", "--ann-load-time=60"], ""),
        (["--ann-rate=9", "--ann-load-time=4000"], "as long as --ann-timeout, 3600 s"),
        (["--ann-concurrency=2", "--ann-load-time=1e9"], "as long as --ann-timeout, 3600 s"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_offered_is_refused(arguments: list[str], words: str) -> None:
    """It ends before anything runs, with what was expected."""
    from pytest_annmodal.errors import ConfigurationError
    from pytest_annmodal.settings.config import OPTIONS
    from pytest_annmodal.settings.sources import resolve

    known = {option.flag: option for option in OPTIONS}
    given: dict[str, object] = {}
    for argument in arguments:
        flag, _, text = argument.partition("=")
        option = known[flag]
        if option.many:
            given.setdefault(option.name, []).append(text)  # type: ignore[attr-defined]
        else:
            given[option.name] = text or True
    if not words:
        resolve(cli=given.get, ini=lambda _key: "", environ={})
        return
    with pytest.raises(ConfigurationError) as caught:
        resolve(cli=given.get, ini=lambda _key: "", environ={})
    assert words in str(caught.value)


def test_ctrl_c_in_a_level_keeps_what_was_done(project: Project) -> None:
    """The levels done are in the table and in the store; no further case is measured."""
    project.write("conftest.py", 'import os\nos.environ["SESSION_OF_TEST"] = str(os.getpid())\n')
    asked = 50 + 2 * 20 + 50 + 20 + 50 + 5  # warm-up, rounds, and in the second level the fifth
    text = EXACT.replace("import numpy", "import os, signal\nimport numpy").replace(
        "        return",
        "        self.asked = getattr(self, 'asked', 0) + 1\n"
        f"        if self.asked == {asked}:\n"
        "            os.kill(int(os.environ['SESSION_OF_TEST']), signal.SIGINT)\n"
        "        return",
    )
    project.write("mine/exact.py", text)
    result = project.bench("--ann-rate=100,200,300", "--ann-load-time=0.2")
    assert result.ret == 2
    assert lines_with(result, "Ctrl-C in a level of load: finished levels are kept")
    assert lines_with(result, "ended by Ctrl-C during a level: earlier levels are kept")
    (file,) = (project.path / ".annmodal" / "results").glob("*.jsonl")
    (kept,) = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert kept["load"]["interrupted"] is True
    assert [level["offered_qps"] for level in kept["load"]["levels"]] == [100]
