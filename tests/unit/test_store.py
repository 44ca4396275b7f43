"""The store: appended cases are read again, whatever else is in the files."""

from __future__ import annotations

import dataclasses
import json
import os
import stat
import threading
from pathlib import Path

import msgspec
import numpy as np
import pytest
from stored_cases import failed, measured, samples, stored

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.outcome import Failure, Measurement
from pytest_annmodal.results.reading import read_results
from pytest_annmodal.results.samples import SUFFIX
from pytest_annmodal.results.store import ResultStore, line_of
from pytest_annmodal.results.stored import SCHEMA, StoredCase

BY_QUERY = {"latencies_ns", "query_hits", "log_tail"}  # beside the line, or not kept


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    """Cases, failures and samples are equal after reading; pandas can read the lines."""
    path = stored(tmp_path, measured(1), failed(), measured(2))
    found = read_results([tmp_path])
    assert found.warnings == ()
    assert [case.label for case in found.cases] == [
        measured(1).label,
        "broken[0]",
        measured(2).label,
    ]
    assert dataclasses.replace(found.cases[0], samples=None) == measured(1)
    assert found.cases[1] == failed()
    for case in (found.cases[0], found.cases[2]):
        got = found.samples(case)
        assert got is not None
        assert got.query_hits is not None
        assert got.latencies_ns.tolist() == samples().latencies_ns.tolist()
        assert got.query_hits.tolist() == [20, 19, 20, 3]
        assert got.query_hits.dtype == np.uint8
    assert found.samples(found.cases[1]) is None
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert all(line["schema"] == SCHEMA for line in lines)
    assert max(len(line) for line in path.read_bytes().splitlines()) < 4096


def test_samples_are_numpy_files(tmp_path: Path) -> None:
    """Samples can be read with seek and ``numpy.load``, as documented."""
    path = stored(tmp_path, measured())
    line = json.loads(path.read_text(encoding="utf-8"))
    place = line["samples"]
    with (tmp_path / place["file"]).open("rb") as file:
        file.seek(place["query_hits"]["offset"])
        assert np.load(file).tolist() == [20, 19, 20, 3]
        file.seek(place["latencies_ns"]["offset"])
        assert np.load(file).shape == (2, 4)


def test_every_figure_of_a_measurement_is_kept() -> None:
    """Each field of a measurement is in the line under its name."""
    kept = {field.name for field in dataclasses.fields(StoredCase)}
    assert {field.name for field in dataclasses.fields(Measurement)} - BY_QUERY <= kept


@pytest.mark.parametrize("cut", [1, 20, 300])
def test_a_half_line(tmp_path: Path, cut: int) -> None:
    """After a crash in the last line all others are read, with a message."""
    path = stored(tmp_path, measured(1), measured(2))
    path.write_bytes(path.read_bytes()[: -cut - 1])
    found = read_results([path])
    assert [case.label for case in found.cases] == [measured(1).label]
    (said,) = found.warnings
    assert "line 2 is damaged and skipped" in said


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"[]", "damaged"),
        (b"nonsense", "damaged"),
        (b'{"schema": 1}', "damaged"),
        (b"\xff\xfe{}", "damaged"),
        (b"[" * 9999, "damaged"),
        (b'{"schema": "two"}', "damaged"),
        (b'{"schema": 1, "recall": NaN}', "damaged"),
        (line_of(measured()).replace(b'"k":10', b'"k":"ten"').strip(), "damaged"),
        (b'{"schema": 2, "who": "knows"}', "newer version of pytest-annmodal"),
        (line_of(measured(schema=SCHEMA + 1)).strip(), "newer version of pytest-annmodal"),
    ],
)
def test_a_line_that_cannot_be_read(tmp_path: Path, line: bytes, words: str) -> None:
    """A damaged line, or one of a newer version, is left out with one message."""
    path = stored(tmp_path, measured(1))
    path.write_bytes(line + b"\n" + path.read_bytes() + b"\n" + line + b"\n")
    found = read_results([tmp_path])
    assert [case.label for case in found.cases] == [measured(1).label]
    (said,) = found.warnings
    assert f"{path}: 2 lines (the first is line 1) are" in said
    assert words in said


def test_unknown_keys_of_the_same_edition_are_passed_over(tmp_path: Path) -> None:
    """Unknown keys are ignored, and missing ones have defaults."""
    line = json.loads(line_of(measured(3)))
    line["later"] = {"more": 1}
    del line["batch_qps"], line["notes"]
    (tmp_path / "a.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    assert read_results([tmp_path]).cases == (measured(3),)


def test_numbers_and_words_that_json_cannot_hold() -> None:
    """Numbers that are not finite become null; surrogates are escaped."""
    asked = {"seed": 10**30, "path": Path("/a"), "bad\udc80": [float("nan"), 2**63]}
    odd = measured(
        qps=float("inf"), recall=float("nan"), notes=("\udc80 \x00 \u2028",), asked=asked
    )
    line = line_of(odd)
    assert line.count(b"\n") == 1
    case = msgspec.json.decode(line, type=StoredCase)
    assert (case.qps, case.recall, case.notes) == (None, None, ("\\udc80 \x00 \u2028",))
    assert case.asked == {"seed": str(10**30), "path": "/a", "bad\\udc80": [None, str(2**63)]}
    assert msgspec.json.decode(line_of(measured(asked={"path": Path("/a")})))["asked"] == {
        "path": "/a"
    }


def test_damaged_samples(tmp_path: Path) -> None:
    """Damaged samples are an error, and the case is still read."""
    path = stored(tmp_path, measured())
    beside = path.with_suffix(SUFFIX)
    raw = bytearray(beside.read_bytes())
    raw[-1] ^= 1
    beside.write_bytes(raw)
    found = read_results([path])
    with pytest.raises(ConfigurationError, match="they are damaged"):
        found.samples(found.cases[0])
    beside.unlink()
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        found.samples(found.cases[0])


def test_merging(tmp_path: Path) -> None:
    """Files and folders of several machines are merged, each file once."""
    one = stored(tmp_path / "one", measured(1))
    stored(tmp_path / "two" / ".annmodal" / "results", measured(2), session="f" * 16)
    found = read_results([one, tmp_path / "two", tmp_path / "one"])
    assert [case.label for case in found.cases] == [measured(1).label, measured(2).label]
    assert all(found.samples(case) is not None for case in found.cases)


@pytest.mark.parametrize(("name", "words"), [("nowhere", "no such file"), ("", "no results in it")])
def test_nothing_to_read(tmp_path: Path, name: str, words: str) -> None:
    """A path without results is an error."""
    with pytest.raises(ConfigurationError, match=words):
        read_results([tmp_path / name])


def test_files_of_a_session(tmp_path: Path) -> None:
    """Files are made at the first case, readable by the owner only, and ignored by git."""
    folder = tmp_path / ".annmodal" / "results"
    store = ResultStore(folder, "0123456789abcdef")
    store.close()
    assert list(tmp_path.iterdir()) == []
    path = stored(folder, measured())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.with_suffix(SUFFIX).stat().st_mode) == 0o600
    ignored = tmp_path / ".annmodal" / ".gitignore"
    assert "*" in ignored.read_text(encoding="utf-8").splitlines()
    ignored.write_text("mine\n", encoding="utf-8")
    stored(folder, measured())
    assert ignored.read_text(encoding="utf-8") == "mine\n"
    stored(tmp_path / "elsewhere", measured())
    assert not (tmp_path / "elsewhere" / ".gitignore").exists()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """An unwritable folder gives one warning, and the session continues."""
    (tmp_path / "file").write_text("")
    said: list[str] = []
    store = ResultStore(tmp_path / "file" / "results", "0123456789abcdef", said.append)
    store.add([(measured(1), samples())])
    store.add([(measured(2), samples())])
    store.close()
    (text,) = said
    assert "Results are not kept" in text
    assert "--ann-results=DIR" in text
    assert [case.label for case in store.kept] == [measured(1).label, measured(2).label]


def test_a_full_disk_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that was written in part is removed."""
    store = ResultStore(tmp_path, "0123456789abcdef", lambda _text: None)
    store.add([(measured(1), samples())])
    write = os.write
    left = [100]

    def little(fd: int, data: memoryview) -> int:
        if not left[0]:
            raise OSError(28, "No space left on device")
        n_written = write(fd, data[: left[0]])
        left[0] -= n_written
        return n_written

    monkeypatch.setattr(os, "write", little)
    store.add([(measured(2), None)])
    monkeypatch.undo()
    store.close()
    found = read_results([tmp_path])
    assert [case.label for case in found.cases] == [measured(1).label]
    assert found.warnings == ()


def test_threads_and_sessions_side_by_side(tmp_path: Path) -> None:
    """Lines of several threads and sessions are complete, with their own samples."""
    stores = [ResultStore(tmp_path, "0123456789abcdef") for _ in range(2)]

    def keep(number: int) -> None:
        own = dataclasses.replace(samples(), query_hits=np.full(4, number))
        stores[number % 2].add([(measured(number), own)])

    threads = [threading.Thread(target=keep, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in stores:
        store.close()
    found = read_results([tmp_path])
    assert found.warnings == ()
    assert {case.label for case in found.cases} == {measured(n).label for n in range(20)}
    for case in found.cases:
        got = found.samples(case)
        assert got is not None
        assert got.query_hits is not None
        assert f"ef={got.query_hits[0]}]" in case.label


def test_failures_keep_kind_and_message() -> None:
    """A failure keeps kind and message, and has no figures."""
    case = msgspec.json.decode(line_of(failed()), type=StoredCase)
    assert isinstance(case.failure, Failure)
    assert (case.failure.kind, case.recall, case.qps) == ("raised", None, None)
