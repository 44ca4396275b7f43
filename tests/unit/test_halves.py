"""A job in two halves gives the scores of the whole job."""

from __future__ import annotations

import dataclasses
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from jobs import EXACT, failed, index, make_job, measured, write
from small_data import write_small

from pytest_annmodal.channel import wire
from pytest_annmodal.comparison.compare import compare
from pytest_annmodal.datasets import hdf5
from pytest_annmodal.errors import DatasetError, ProtocolViolationError
from pytest_annmodal.execution import run_job
from pytest_annmodal.executors.modal import bytes_only
from pytest_annmodal.executors.modal import restricted as far_side
from pytest_annmodal.executors.modal.volume import MountedVolume
from pytest_annmodal.jobs import training_data
from pytest_annmodal.jobs.halves import answers as answers_format
from pytest_annmodal.jobs.halves import questions
from pytest_annmodal.jobs.halves.halves import answer, score
from pytest_annmodal.levels import Load
from pytest_annmodal.outcome import outcome_from_plain, outcome_to_plain

SAME = ("recall", "recall_ids", "n_train", "n_queries", "n_short_answers", "rounds", "k")
WRONG_BATCH = """
    def batch_query(self, X, k):
        return [self.near(v, k) for v in X[::-1]]
"""


def published(rows):
    return {"train": "train.f32", "n_rows": len(rows), "n_bytes": rows.nbytes}


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """Run a job in two halves, everything between them as bytes; a job is run once for all tests."""
    folder = tmp_path_factory.mktemp("halves")
    path = write_small(folder)
    whole = hdf5.load(path).train
    whole.tofile(folder / "train.f32")
    ran = {}

    def halves(body="pass", **options):
        key = body, repr(options)
        if key not in ran:
            source = write(folder / f"mine{len(ran)}.py", index(body))
            job = make_job(path, source, implementation={"trusted": False}, **options)
            data = training_data.load(job, path, None)
            asked = questions.questions(job, data, **published(whole)).pack()
            vectors = questions.Questions.unpack(asked).vectors(folder / "train.f32")
            blind = questions.without_secret(job)
            answers = answer(blind, vectors, compare=compare, notes=(), on_phase=lambda _text: None)
            ran[key] = job, data, answers
        return ran[key]

    return halves


def in_one(job):
    """Outcomes of the same job with the truth."""
    return run_job(job, Path(job.dataset.source.removeprefix("file:")))


@pytest.mark.parametrize("fresh", [None, 7], ids=["the-files-queries", "fresh"])
def test_both_halves_give_what_the_whole_gives(halves, fresh):
    """Recall and counts equal those of the whole job."""
    job, data, answers = halves(WRONG_BATCH, settings=[1, 2], clock="parent", fresh_seed=fresh)
    whole = map(measured, in_one(job))
    for mine, other in zip(score(job, data, answers), whole, strict=True):
        assert [getattr(measured(mine), n) for n in SAME] == [getattr(other, n) for n in SAME]
        assert mine.recall == 1.0
        assert mine.batch_recall == other.batch_recall < 1.0
        assert outcome_from_plain(outcome_to_plain(mine)) == mine


def test_answers_under_load_are_scored_on_the_other_side(halves):
    """A level's answers are scored by the referee; wrong answers fail that level."""
    body = """
        asked = 0
        def query(self, v, k):
            self.asked += 1
            found = self.near(v, k)
            return found if self.asked <= 50 + 20 + 50 + 10 else found * 0
    """
    load = Load(rates_qps=(100.0, 200.0), level_s=0.1)
    job, data, answers = halves(body, clock="parent", isolation="process", load=load)
    (mine,) = score(job, data, answers)
    first, second = measured(mine).load.levels
    assert (first.n_answered, first.recall, first.failure) == (10, 1.0, "")
    assert (second.recall, second.failure) == (None, "invalid-result")
    assert outcome_from_plain(outcome_to_plain(mine)) == mine


def test_a_failure_arrives_as_it_was(halves):
    """A failure keeps its message, phase and evidence."""
    job, data, answers = halves("def query(self, v, k): raise ValueError('no')")
    (mine,), (other,) = score(job, data, answers), in_one(job)
    assert (failed(mine).kind, mine.message, mine.phase) == (other.kind, other.message, other.phase)
    assert "no" in mine.evidence["traceback"]


def test_what_is_asked_has_neither_truth_nor_secret(halves):
    """The questions hold neither truth, held-out rows nor the seed."""
    job, data, _ = halves(fresh_seed=7)
    assert questions.without_secret(job).limits.fresh_seed == 0
    asked = questions.questions(job, data, train="train.f32", n_rows=300, n_bytes=9600)
    assert len(asked.kept) == len(data.train) == 240
    names = {field.name for field in dataclasses.fields(asked)}
    assert not names & {"neighbors", "distances"}


def test_a_file_that_is_not_what_was_published_is_refused(halves, tmp_path):
    job, data, _ = halves()
    data.train.tofile(tmp_path / "train.f32")
    asked = questions.questions(job, data, train="train.f32", n_rows=301, n_bytes=9632)
    with pytest.raises(DatasetError, match="has 9600 bytes, but 9632 were published"):
        asked.vectors(tmp_path / "train.f32")


def altered(answers, change):
    message = wire.unpack(answers, answers_format.KIND)
    row = message.fields["rows"][0]
    arrays = [array.copy() for array in message.arrays]
    change(row, arrays)
    return wire.pack(answers_format.KIND, {"rows": [row]}, arrays)


def put(name, value):
    return lambda row, arrays: row["observed"].update({name: value})


@pytest.mark.parametrize(
    "change",
    [
        put("build_s", "fast"),
        put("build_s", float("nan")),
        put("index_bytes", -1),
        put("notes", [1]),
        put("environment", []),
        put("environment", {"load_1min": "none"}),
        put("environment", {"threads": [1]}),
        put("environment", {"worker_cores": 3}),
        lambda row, arrays: row["observed"].pop("log_tail"),
        lambda row, arrays: row.update(batch_s=-1.0),
        lambda row, arrays: row.update(comparison={"ratio": 99.0}),
        lambda row, arrays: row.update(type="failure", failure={"kind": 5, "message": "x"}),
        lambda row, arrays: row.update(type="other"),
        put("n_left_out", True),
        put("environment", {"load_1min": float("inf")}),
        lambda row, arrays: arrays.append(arrays[0]),
        lambda row, arrays: arrays.pop(),
        lambda row, arrays: arrays.__setitem__(0, arrays[0][:, :-1]),
        lambda row, arrays: arrays.__setitem__(0, -arrays[0] - 1),
        lambda row, arrays: arrays.__setitem__(2, arrays[2] + 1),
    ],
)
def test_answers_that_are_not_what_was_asked_are_refused(halves, change):
    """Answers with another shape or content are refused: a container may be hostile."""
    job, data, answers = halves()
    (outcome,) = score(job, data, altered(answers, change))
    assert failed(outcome).kind == "protocol"
    assert outcome.blame == "submission"


@pytest.mark.parametrize("blob", [b"", b"ANNM", b"\x80\x04N.", bytes(100)])
def test_bytes_that_are_no_answers_are_refused(halves, blob):
    job, data, _ = halves()
    with pytest.raises(ProtocolViolationError):
        wire.unpack(blob, answers_format.KIND)
    assert failed(score(job, data, blob)[0]).kind == "protocol"


def test_ids_out_of_range_are_invalid_answers(halves):
    """An id out of range is an invalid answer with its query."""
    job, data, answers = halves()

    def change(row, arrays):
        arrays[1][0, 3, 0] = 10**6

    (outcome,) = score(job, data, altered(answers, change))
    assert failed(outcome).kind == "invalid-result"
    assert "1000000 for query 3" in outcome.message


@pytest.mark.parametrize("size", [0, 23, 24, 255, 256, 65535, 65536, 70000])
def test_bytes_are_read_out_of_cbor_and_of_a_pickle(size):
    """Plain bytes are read from CBOR and pickle as Modal's client writes them."""
    cbor2 = pytest.importorskip("cbor2")
    content = np.random.default_rng(0).bytes(size)
    assert bytes_only.cbor_string(cbor2.dumps(content)) == content
    for protocol in (4, 5):
        assert bytes_only.pickled_string(pickle.dumps(content, protocol)) == content


@pytest.mark.parametrize(
    "data", [b"", b"\xa0", b"\x63abc", b"\x43ab", b"\x42abc", b"\x5f\x41a\xff"]
)
def test_other_cbor_is_not_read(data):
    """Other CBOR (texts, lists, bytes in pieces) is refused."""
    assert bytes_only.cbor_string(data) is None


@pytest.mark.parametrize("value", [None, "text", [b"x"], bytearray(b"x"), 5, len, (b"x", b"y")])
def test_other_pickles_are_not_read(value):
    """Other pickles are refused, also those that begin with bytes."""
    assert bytes_only.pickled_string(pickle.dumps(value, 4)) is None
    before = pickle.dumps(b"abc", 4)
    assert bytes_only.pickled_string(before[:-1] + pickle.dumps(value, 4)[2:]) is None
    for cut in range(len(before)):
        assert bytes_only.pickled_string(before[:cut]) is None


class TestWholeVolume:
    """A service that mounts the whole volume instead of one directory."""

    @pytest.fixture
    def volume(self, tmp_path):
        data = tmp_path / "data"
        (data / far_side.PUBLISHED).mkdir(parents=True)
        write(data / far_side.PUBLISHED / "x.f32", "rows")
        volume = MountedVolume("v", str(data))
        volume.reload = lambda: None
        return volume

    @pytest.fixture
    def job(self, small_dataset, tmp_path):
        return make_job(small_dataset(), write(tmp_path / "mine.py", EXACT))

    def test_is_noted(self, volume, job, tmp_path):
        path, notes = far_side._published("x.f32", volume, tmp_path, job)
        assert path.read_text() == "rows"
        assert "the ground truth is in the container" in notes[0]

    def test_is_refused_by_strict(self, volume, job, tmp_path):
        limits = dataclasses.replace(job.limits, isolation="strict")
        with pytest.raises(DatasetError, match="strict does not allow that"):
            far_side._published("x.f32", volume, tmp_path, dataclasses.replace(job, limits=limits))

    def test_is_not_noted_for_a_directory_alone(self, volume, job, tmp_path):
        folder = volume.path / far_side.PUBLISHED
        shutil.move(folder / "x.f32", volume.path / "x.f32")
        assert far_side._published("x.f32", volume, tmp_path, job)[1] == ()
