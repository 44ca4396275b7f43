"""The journal of a grading survives crashes, foreign lines and changed submissions."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest
from grading_data import failed, measured, plan, rules

from pytest_annmodal.errors import ConfigurationError, VolumeError
from pytest_annmodal.grading import outputs
from pytest_annmodal.grading.grader import Grader
from pytest_annmodal.grading.submissions import TooLargeError, gather, hash_files
from pytest_annmodal.manifests.handed_in import handed_in
from pytest_annmodal.manifests.manifest import read_submission
from pytest_annmodal.outcome import Outcome
from pytest_annmodal.results.journal import FILE, Journal
from pytest_annmodal.results.key import key_of
from pytest_annmodal.settings.config import Settings


def case_of(number: int = 0) -> object:
    return plan(number).cases["tiny-8-euclidean"][0]


def test_resume(tmp_path: Path) -> None:
    """A continued journal keeps its cases; a new one renames the old one."""
    first = Journal.open(tmp_path, resume=False)
    one, two, three = (case_of(number) for number in range(3))
    first.add("one", measured(one))
    first.add("two", failed(two, evidence={"log_tail": "\udc80\x00\u2028"}))
    first.add("three", failed(three, blame="infrastructure"))
    first.close()
    again = Journal.open(tmp_path, resume=True)
    again.close()
    assert again.known == {
        "one": measured(one),
        "two": failed(two, evidence={"log_tail": "\udc80\x00\u2028"}),
    }
    assert (again.session, again.secret) == (first.session, first.secret)
    assert first.secret not in first.session  # which the grades show to everybody
    assert first.path.stat().st_mode & 0o077 == 0
    (tmp_path / "grades.json").write_text("earlier")
    fresh = Journal.open(tmp_path, resume=False, beside=["grades.json"])
    assert (fresh.known, fresh.aside, fresh.path.exists()) == ({}, None, True)
    assert fresh.session != first.session
    fresh.add("one", measured(one))
    fresh.close()
    (aside,) = tmp_path.glob("earlier-*")
    assert fresh.aside == aside
    assert Journal.open(aside, resume=True).known == again.known
    assert (aside / "grades.json").read_text() == "earlier"
    last = Journal.open(tmp_path, resume=False)
    last.begin()
    last.close()
    assert len(list(tmp_path.glob("earlier-*"))) == 2
    with pytest.raises(VolumeError, match="the session has ended"):
        last.add("one", measured(one))


def test_a_session_that_comes_to_nothing_changes_nothing(tmp_path: Path) -> None:
    """A session that is refused, interrupted or without dataset leaves journal and grades unchanged."""
    made = plan(0)
    (case,) = made.cases["tiny-8-euclidean"]
    folder = tmp_path / "grades"

    def session(*outcomes: Outcome, resume: bool = False, finished: bool = True) -> Grader:
        settings = Settings(grade="grading.toml", resume=resume)
        journal = Journal.open(folder, resume=resume, beside=outputs.NAMES)
        grader = Grader(
            settings=settings, rules=rules(tmp_path), plans=[made], datasets=[], journal=journal
        )
        grader.known()
        for outcome in outcomes:
            grader.record(outcome)
        grader.finish({}, finished=finished)
        return grader

    def files() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    fault = failed(case, blame="infrastructure")
    assert not session(fault, finished=False).writes
    assert files() == {}
    assert session(measured(case)).writes
    before = files()
    assert {path.name for path in before} >= {"journal.jsonl", "grades.json", "student.html"}
    for came_to_nothing in (
        session(finished=False),
        session(finished=False, resume=True),
        session(fault),
        session(fault, finished=False),
    ):
        assert not came_to_nothing.writes
        assert files() == before
    resumed = session(resume=True)  # by changed rules, it may be
    assert (resumed.writes, resumed.n_resumed, resumed.n_unlike) == (True, 1, 0)
    made = dataclasses.replace(made, submission=dataclasses.replace(made.submission, digest="1"))
    assert session(resume=True, finished=False).n_unlike == 1
    again = session(measured(case, qps=3000.0), finished=False)
    kept = {
        path.relative_to(again.journal.aside): path
        for path in files()
        if again.journal.aside in path.parents
    }
    assert set(kept) == {path.relative_to(folder) for path in before}


def test_torn(tmp_path: Path) -> None:
    """A journal that ends at any byte of its last line keeps all lines before."""
    journal = Journal.open(tmp_path, resume=False)
    journal.add("one", measured(case_of(0)))
    size = journal.path.stat().st_size
    journal.add("two", measured(case_of(1)))
    journal.close()
    whole = journal.path.read_bytes()
    for end in (*range(size, len(whole), 97), len(whole) - 1):
        journal.path.write_bytes(whole[:end])
        torn = Journal.open(tmp_path, resume=True)
        assert (set(torn.known), torn.n_ignored) == ({"one"}, int(end > size))
        torn.add("two", measured(case_of(1)))
        torn.close()
        mended = Journal.open(tmp_path, resume=True)
        mended.close()
        assert (set(mended.known), mended.n_ignored) == ({"one", "two"}, 0)


@pytest.mark.parametrize(
    "line", ["[]", "3", "{}", '{"key": 1, "outcome": {}}', "\x00\x00", "[" * 9999]
)
def test_foreign_lines(tmp_path: Path, line: str) -> None:
    """Foreign and damaged lines are ignored."""
    journal = Journal.open(tmp_path, resume=False)
    journal.begin()
    journal.close()
    with journal.path.open("a") as file:
        file.write(line + "\n")
    again = Journal.open(tmp_path, resume=True)
    again.close()
    assert (again.known, again.n_ignored, again.session) == ({}, 1, journal.session)


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that cannot be written completely is removed."""
    journal = Journal.open(tmp_path, resume=False)
    journal.begin()
    before = journal.path.read_bytes()
    write = os.write
    calls: list[int] = []

    def fill(fd: int, data: bytes) -> int:
        calls.append(1)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return write(fd, bytes(data)[:10])

    monkeypatch.setattr(os, "write", fill)
    with pytest.raises(VolumeError, match="No space left"):
        journal.add("one", measured(case_of()))
    monkeypatch.undo()
    assert journal.path.read_bytes() == before
    journal.add("one", measured(case_of()))
    journal.close()
    assert [json.loads(line).get("key") for line in journal.path.read_text().splitlines()] == [
        None,
        "one",
    ]


def test_key() -> None:
    """The key depends on content, setting, dataset and measuring options, not on selection."""
    case, settings = case_of(), Settings()
    key = key_of(case, "a", settings)
    assert key == key_of(
        case, "a", settings.replaced(submission=("b",), resume=True, grade_dir="x")
    )
    others = {
        key_of(case, "b", settings),
        key_of(case_of(1), "a", settings),
        key_of(case, "a", settings, beside="hnswlib-0.8-x"),
        key_of(dataclasses.replace(case, k=3), "a", settings),
        key_of(dataclasses.replace(case, rounds=1), "a", settings),
        *(key_of(case, "a", settings.replaced(**{name: value})) for name, value in (
            ("queries", 7), ("threads", 2), ("modal", True), ("isolation", "strict"),
            ("timeout_s", 1.0), ("fresh_seed", 3), ("memory_mb", 9), ("subset", 8),
        )),
    }  # fmt: skip
    assert len(others) == 13
    assert key not in others


def test_unwritable(tmp_path: Path) -> None:
    """A journal that cannot be written is an error."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"--ann-grade-dir .* cannot be written"):
        Journal.open(tmp_path / "file", resume=False)
    assert FILE == "journal.jsonl"


def test_hash(tmp_path: Path) -> None:
    """The hash covers names and bytes of regular files, up to the limits."""
    folder = tmp_path / "a"
    (folder / "b").mkdir(parents=True)
    (folder / "b" / "c.py").write_text("x")
    seen = {hash_files(folder, max_bytes=99)}
    changes = [
        lambda: (folder / "b" / "c.py").write_text("y"),
        lambda: (folder / "b" / "c.py").rename(folder / "c.py"),
        lambda: (folder / "l").symlink_to("/etc/passwd"),
        lambda: os.mkfifo(folder / "pipe"),
        lambda: (folder / "loop").symlink_to("."),
    ]
    for number, change in enumerate(changes, 2):
        change()
        seen.add(hash_files(folder, max_bytes=99))
        assert len(seen) == number
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "c.pyc").write_text("compiled")
    assert hash_files(folder, max_bytes=99) in seen
    with pytest.raises(TooLargeError, match=r"larger than 5e-06 MB"):
        hash_files(folder, max_bytes=5)
    with pytest.raises(TooLargeError):
        hash_files(folder / "__pycache__" / "c.pyc", max_bytes=7)


def test_a_submission_in_another_is_none_of_its_own(tmp_path: Path) -> None:
    """A submission inside another one's folder is refused."""
    folder = tmp_path / "ann"
    folder.mkdir()
    file = folder / "submission.py"
    file.write_text("class A:\n    def fit(self, X): pass\n    def query(self, v, k): pass\n")
    with pytest.raises(ConfigurationError, match=r"lies in .*, which is a submission too"):
        gather(
            handed_in(Settings(submission=(str(folder), str(file)))),
            read_submission(folder),
            rules(tmp_path),
        )
