"""What is shipped to a container, and what the container does with it."""

from __future__ import annotations

import dataclasses
import json
import threading

import pytest
from jobs import EXACT, make_job, measured, write

from pytest_annmodal.datasets import hdf5
from pytest_annmodal.datasets.catalog import CATALOG
from pytest_annmodal.datasets.hdf5 import checker
from pytest_annmodal.datasets.lines import Reporter
from pytest_annmodal.datasets.sources.sources import source_of
from pytest_annmodal.datasets.volume.volume import resolve
from pytest_annmodal.errors import DatasetError, ExecutorError
from pytest_annmodal.execution import run_job
from pytest_annmodal.executors.modal import container, shipping
from pytest_annmodal.executors.modal import volume as volume_module
from pytest_annmodal.executors.modal.attempts import Attempts
from pytest_annmodal.executors.modal.calls import Calls, outcomes_of
from pytest_annmodal.executors.modal.container import failures
from pytest_annmodal.executors.modal.volume import MountedVolume
from pytest_annmodal.manifests.builtin_paths import PACKAGE
from pytest_annmodal.model import Implementation, to_plain
from pytest_annmodal.outcome import Failure, outcome_to_plain
from pytest_annmodal.settings.config import Settings


def implementation(path, folder=None):
    return Implementation(name="x", path=str(path), class_name="X", folder=folder and str(folder))


def test_a_file_is_shipped_alone(tmp_path):
    write(tmp_path / "secret.txt", "x")
    shipped, files = shipping.ship(implementation(write(tmp_path / "a.py", "A")), 100)
    assert files == {"a.py": b"A"}
    assert shipped.path == "a.py"


def test_a_folder_is_shipped_without_links_and_caches(tmp_path):
    root = tmp_path / "mine"
    for name in ("sub", "__pycache__", ".git"):
        (root / name).mkdir(parents=True)
        write(root / name / "x.py", "x")
    (root / "link.py").symlink_to(write(tmp_path / "outside.py", "secret"))
    _, files = shipping.ship(implementation(write(root / "a.py", "A"), root), 100)
    assert sorted(files) == ["a.py", "sub/x.py"]


def test_a_shipped_folder_is_whole_where_its_worker_is_shut_in(tmp_path, small_dataset):
    """An isolated worker sees all files of the shipped folder."""
    (tmp_path / "mine").mkdir()
    write(tmp_path / "mine" / "beside.py", "WORD = 'seen'\n")
    source = write(tmp_path / "mine" / "a.py", EXACT + "\nimport beside\nprint(beside.WORD)\n")
    given = {"folder": str(source.parent), "trusted": False}
    job = make_job(small_dataset(), source, implementation=given, clock="parent")
    shipped, files = shipping.ship(job.implementation, 10_000)
    there = shipping.unpack(shipped, files, tmp_path / "there")
    (outcome,) = run_job(
        dataclasses.replace(job, implementation=there), tmp_path / "small-8-euclidean.hdf5"
    )
    assert measured(outcome).log_tail == "seen\n"


def test_a_folder_that_is_too_large_is_refused(tmp_path):
    path = write(tmp_path / "a.py", "A" * 101)
    with pytest.raises(ValueError, match="holds more than"):
        shipping.ship(implementation(path, tmp_path), 100)


def test_a_builtin_is_named_and_not_shipped():
    path = PACKAGE / "implementations" / "bruteforce.py"
    shipped, files = shipping.ship(implementation(path), 100)
    assert (shipped.path, files) == ("builtin:implementations/bruteforce.py", {})
    assert shipping.unpack(shipped, {}, path.parent).path == str(path)


@pytest.mark.parametrize("name", ["../evil.py", "/etc/evil.py", "a/../../evil.py"])
def test_a_shipped_file_cannot_leave_its_folder(tmp_path, name):
    with pytest.raises(ValueError, match="a shipped file is called"):
        shipping.unpack(implementation("a.py"), {name: b""}, tmp_path / "inside")
    assert not list(tmp_path.rglob("evil.py"))


@pytest.fixture
def job(tmp_path, small_dataset):
    return make_job(small_dataset(), write(tmp_path / "mine.py", EXACT), settings=[1, 2])


def test_memory_is_left_for_the_harness_so_that_the_worker_is_ended_and_not_the_container(job):
    path = container.Path(job.dataset.source.removeprefix("file:"))
    assert container.memory_left(job, path, {"memory_bytes": 0}) is None
    allowed = container.memory_left(job, path, {"memory_bytes": 2**30})
    assert 2**28 <= allowed < 2**29
    own = dataclasses.replace(job, limits=dataclasses.replace(job.limits, memory_bytes=5))
    assert container.memory_left(own, path, {"memory_bytes": 2**30}) == 5


def test_a_result_that_is_too_large_says_what_to_ask_less_of(job, monkeypatch):
    monkeypatch.setattr(container, "RESULT_LIMIT_BYTES", 50)
    text = container._result(job, failures(job, "x", "y", blame="submission"))
    for outcome in outcomes_of(job, text):
        assert "--ann-queries" in outcome.message
        assert outcome.blame == "infrastructure"


def test_a_dataset_that_is_missing_in_the_container_says_how_to_mend_it(job, tmp_path, capsys):
    volume = MountedVolume("no-such-volume", str(tmp_path / "data"))
    volume.reload = lambda: None
    dataset = dataclasses.replace(job.dataset, source="generate:euclidean")
    with pytest.raises(DatasetError, match="modal volume rm no-such-volume"):
        container.own_copy(dataset, volume, tmp_path, {}, None)


def test_an_uploaded_file_that_is_seen_late_is_waited_for(job, tmp_path, monkeypatch):
    """A volume may show an upload only some reloads later."""
    there = source_of(job.dataset).own_file
    aside = there.rename(tmp_path / "aside")

    class Late(MountedVolume):
        n_reloads = 0

        def reload(self):
            type(self).n_reloads += 1
            if self.n_reloads == 3:
                aside.rename(there)

        def commit(self):
            pass

    monkeypatch.setattr(container, "MountedVolume", Late)
    monkeypatch.setattr(volume_module, "COMMIT_PAUSES_S", (0.0,) * 6)
    where = {"volume": "late", "mount": str(tmp_path / "data")}
    found = container.download_dataset(to_plain(job.dataset), where, [])
    assert found["ok"], found


@pytest.mark.parametrize("spoil", [None, "another size", "no stamp", "an older stamp"])
def test_a_copy_of_what_was_checked_is_opened_without_another_look(
    job, tmp_path, monkeypatch, spoil
):
    """A file with a matching stamp is opened at once; another is checked first."""
    volume = MountedVolume("ours", str(tmp_path / "data"))
    volume.reload = volume.commit = lambda: None
    digits = CATALOG["digits-64-euclidean"]
    stamp = resolve(digits, volume, reporter=Reporter()).path.with_suffix(".json")
    data = json.loads(stamp.read_text())
    data |= {"another size": {"bytes": 5}, "an older stamp": {"checks": 1}}.get(spoil, {})
    stamp.write_text(json.dumps(data))
    if spoil == "no stamp":
        stamp.unlink()
    looks = []
    look = checker.CHECKER.look
    monkeypatch.setattr(
        checker.CHECKER, "look", lambda path, **how: looks.append(how) or look(path, **how)
    )
    copy = container.own_copy(digits, volume, tmp_path, {}, None)
    assert hdf5.load(copy).info.n_train == 1597
    assert looks == ([] if spoil is None else [{"whole": False}])


class Call:
    """A call whose result arrives after its log was read."""

    def __init__(self, *texts, error=None):
        self.object_id, self.logs, self.texts, self.error = "fc-1", self, texts, error
        self.read = threading.Event()

    def stream(self):
        try:
            yield from self.texts
        finally:
            self.read.set()
        if self.error is not None:
            raise self.error

    def get(self, timeout):
        assert self.read.wait(timeout)
        return "result"


@pytest.mark.parametrize(
    ("call", "lines"),
    [
        (Call("a\nb", "c\n", "d"), ["a", "bc", "d"]),
        (Call("a\r\nb\r", f"\n{container.END}\r\n", error=AssertionError()), ["a", "b"]),
        (Call("a\nb", error=ConnectionResetError()), ["a", "b"]),
        (Call("a\n", container.END + "\n", "of another", error=AssertionError()), ["a"]),
    ],
)
def test_log_lines_are_put_together_and_a_lost_log_ends_them(call, lines):
    found = []
    assert Calls().result_of(call, found.append) == "result"
    assert found == lines


class EndlessCall(Call):
    """A call whose log never ends, or never begins."""

    def stream(self):
        yield from self.texts
        self.read.set()
        threading.Event().wait()


@pytest.mark.parametrize("texts", [(), ("a\n",)], ids=["silent", "begun"])
def test_a_log_without_an_end_is_waited_for_once_in_a_session(texts, monkeypatch):
    calls, waits = Calls(), ("SILENCE_S", "LAST_LINES_S")
    for name in (*waits, "HURRY_S"):
        monkeypatch.setattr(f"pytest_annmodal.executors.modal.calls.{name}", 0.01)
    assert calls.result_of(EndlessCall(*texts), lambda _line: None) == "result"
    for name in waits:
        monkeypatch.setattr(f"pytest_annmodal.executors.modal.calls.{name}", threading.TIMEOUT_MAX)
    assert calls.result_of(EndlessCall(*texts), lambda _line: None) == "result"


def test_outcomes_come_back_as_they_were(job):
    sent = failures(job, "timeout", "late", blame="submission")
    assert [failure.case_id for failure in sent] == ["case-0", "case-1"]
    assert outcomes_of(job, json.dumps([outcome_to_plain(item) for item in sent])) == sent


@pytest.mark.parametrize("text", ["", "5", "[5]", '[{"kind": 1}]', "null", None, b"\xff"])
def test_a_result_that_cannot_be_read_is_an_error(job, text):
    with pytest.raises(ExecutorError, match="cannot be read"):
        outcomes_of(job, text)


def test_results_for_other_cases_are_an_error(job):
    other = [Failure(case_id="case-1", kind="x", message="")] * 2
    with pytest.raises(ExecutorError, match="not what was asked"):
        outcomes_of(job, json.dumps([outcome_to_plain(item) for item in other]))


def test_an_unreadable_submission_fails_without_a_request(job, tmp_path):
    """An unreadable submission fails as it does locally, and no request is sent."""
    implementation = dataclasses.replace(
        job.implementation, path=str(tmp_path), trusted=False, error="has no class"
    )
    job = dataclasses.replace(job, implementation=implementation)
    attempts = Attempts(Settings(), Calls(), lambda _line: None)
    found = attempts.run(job, cloud=None, runner=None)
    here = run_job(job, container.Path(job.dataset.source.removeprefix("file:")))
    assert found == here
    assert [failure.kind for failure in found] == ["unusable"] * 2
