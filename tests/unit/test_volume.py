"""``resolve``: messages, checks, stored files, and concurrent runs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from http_server import Fault

from pytest_annmodal.datasets import hdf5
from pytest_annmodal.datasets.catalog import CATALOG, dataset_from_argument
from pytest_annmodal.datasets.hdf5 import checker
from pytest_annmodal.datasets.lines import LINES, Reporter
from pytest_annmodal.datasets.sources import transfer
from pytest_annmodal.datasets.volume import resolution
from pytest_annmodal.datasets.volume.stamp import check_and_hash, hash_file
from pytest_annmodal.datasets.volume.stored import LocalStored
from pytest_annmodal.datasets.volume.volume import (
    LocalVolume,
    default_volume_dir,
    is_present,
    resolve,
)
from pytest_annmodal.errors import (
    ChecksumError,
    CommitError,
    ConfigurationError,
    DatasetError,
    DatasetFormatError,
    DownloadError,
    ReloadError,
    VolumeError,
)
from pytest_annmodal.model import Dataset

ROOT = Path(__file__).parents[2]
DIGITS = CATALOG["digits-64-euclidean"]


@pytest.fixture
def volume(tmp_path):
    return LocalVolume(tmp_path / "volume")


@pytest.fixture
def content(small_dataset, tmp_path):
    return small_dataset(directory=tmp_path / "elsewhere").read_bytes()


@pytest.fixture
def remote(http_server, content):
    """A dataset on the test's server."""
    url = http_server.serve("small.hdf5", content)
    return Dataset(
        name="small",
        source=url,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
    )


def listed(directory):
    return sorted(path.name for path in directory.iterdir())


def run(dataset, volume, *, progress=lambda done, total: None, **options):
    lines = []
    reporter = Reporter(line=lines.append, progress=progress)
    return resolve(dataset, volume, reporter=reporter, **options), lines


def names(volume):
    return [name for name in listed(volume.path) if not name.startswith(".")]


def test_a_download_says_what_the_mission_says(remote, volume):
    resolved, lines = run(remote, volume)
    assert lines == [
        "📦 Checking for dataset in volume 'ann-datasets'...",
        "   ✓ Reloaded volume to check for latest changes",
        "⚠️  Dataset 'small' not found in volume 'ann-datasets'",
        "   Downloading now (this is a ONE-TIME operation)...",
        f"📥 Downloading small from {remote.source}",
        f"   Saving to volume: 'ann-datasets' at path: {volume.path}/small.hdf5",
        "✅ Downloaded and verified:",
        "   Train: (300, 8)",
        "   Test: (20, 8)",
        "💾 Committing dataset to volume 'ann-datasets'...",
        "✅ Dataset 'small' persisted to volume!",
        "   Future runs will use the cached version (no download needed)",
    ]
    assert (resolved.was_present, resolved.name) == (False, "small")
    assert (resolved.sha256, resolved.size_bytes) == (remote.sha256, remote.size_bytes)
    assert resolved.info == hdf5.inspect(resolved.path)
    assert resolved.seconds > 0


def test_the_second_run_uses_the_file_and_says_so(http_server, remote, volume):
    first, _ = run(remote, volume)
    second, lines = run(remote, volume)
    assert lines == [
        "📦 Checking for dataset in volume 'ann-datasets'...",
        "   ✓ Reloaded volume to check for latest changes",
        "✅ Dataset 'small' found in volume 'ann-datasets'!",
        "   Using cached dataset (no download needed)",
        f"   Path: {volume.path}/small.hdf5",
    ]
    assert second.was_present
    assert dataclasses.replace(second, was_present=False, seconds=first.seconds) == first
    assert len(http_server.asked("small.hdf5")) == 1


def test_the_volume_holds_the_file_its_stamp_and_nothing_unfinished(remote, volume):
    run(remote, volume)
    assert names(volume) == ["small.hdf5", "small.json"]
    assert listed(volume.path / ".incoming") == []
    stamp = json.loads((volume.path / "small.json").read_text())
    assert stamp["sha256"] == remote.sha256
    assert stamp["bytes"] == remote.size_bytes
    assert stamp["source"] == remote.source
    assert stamp["checked_at"].endswith("+00:00")


def test_a_cached_dataset_is_found_without_reading_it_or_importing_anything(remote, volume):
    run(remote, volume)
    code = """
import sys
from pathlib import Path
from pytest_annmodal.model import Dataset
from pytest_annmodal.datasets.volume.volume import LocalVolume, Reporter, resolve
path = Path(sys.argv[1])
(path / "small.hdf5").chmod(0)
resolve(Dataset(name="small", source=sys.argv[2]), LocalVolume(path), reporter=Reporter())
print([m for m in ("numpy", "h5py", "requests", "filelock", "rich") if m in sys.modules])
"""
    command = [sys.executable, "-c", code, volume.path, remote.source]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["digits-64-euclidean", "clusters-64-angular"])
def test_packaged_and_generated_datasets_go_the_same_way(volume, name):
    resolved, lines = run(CATALOG[name], volume)
    assert not resolved.was_present
    assert lines[-2] == f"✅ Dataset '{name}' persisted to volume!"
    assert not any("Download" in line for line in lines)
    assert resolved.info.n_train == CATALOG[name].n_train
    assert run(CATALOG[name], volume)[0].was_present


def test_a_source_of_no_known_kind_is_refused(volume):
    with pytest.raises(ConfigurationError, match="unknown source: ftp"):
        run(Dataset(name="x", source="ftp://x"), volume)


def test_mirrors_are_tried_first_and_a_wrong_one_falls_back(http_server, remote, volume, content):
    http_server.serve("mirror/small.hdf5", content[:-1] + b"?")
    _, lines = run(remote, volume, base_urls=[f"{http_server.base_url}/mirror/"])
    downloading = [line for line in lines if line.startswith("📥")]
    assert downloading == [
        f"📥 Downloading small from {http_server.base_url}/mirror/small.hdf5",
        f"📥 Downloading small from {remote.source}",
    ]
    assert any("cannot be used" in line for line in lines)


def test_progress_is_passed_on(remote, volume):
    seen = []
    run(remote, volume, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (remote.size_bytes, remote.size_bytes)


def test_a_reload_that_fails_is_noted_and_nothing_more(remote, tmp_path):
    class Busy(LocalVolume):
        def reload(self):
            raise ReloadError("there are open files")

    _, lines = run(remote, Busy(tmp_path / "volume"))
    assert lines[1] == "Note: Volume reload skipped (there are open files)"
    assert lines[-2] == "✅ Dataset 'small' persisted to volume!"


def test_a_commit_that_fails_is_an_error_and_the_next_run_commits(http_server, remote, tmp_path):
    class Failing(LocalVolume):
        def commit(self):
            raise CommitError("volume is gone")

    with pytest.raises(CommitError, match="volume is gone"):
        run(remote, Failing(tmp_path / "volume"))
    volume = LocalVolume(tmp_path / "volume")
    assert names(volume) == ["small.hdf5"]
    assert run(remote, volume)[0].was_present
    assert names(volume) == ["small.hdf5", "small.json"]
    assert len(http_server.asked("small.hdf5")) == 1


def test_a_file_put_there_by_hand_is_verified_stamped_and_used(
    http_server, remote, volume, content
):
    volume.path.mkdir()
    (volume.path / "small.hdf5").write_bytes(content)
    resolved, lines = run(remote, volume)
    assert (resolved.was_present, resolved.sha256) == (True, remote.sha256)
    assert "   Verifying a file that has no stamp yet: " in lines[2]
    assert names(volume) == ["small.hdf5", "small.json"]
    assert http_server.asked("small.hdf5") == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[:5000],
        lambda content: b"",
        lambda content: b"<html>" + content,
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
    ],
    ids=["truncated", "empty", "not-hdf5", "other-hash"],
)
def test_a_bad_file_is_set_aside_and_fetched_again(remote, volume, content, spoil):
    volume.path.mkdir()
    bad = spoil(content)
    for number in range(1, 3):
        (volume.path / "small.hdf5").write_bytes(bad)
        (volume.path / "small.json").unlink(missing_ok=True)
        resolved, lines = run(remote, volume)
        assert not resolved.was_present
        assert resolved.path.read_bytes() == content
        aside = f"small.hdf5.corrupt{'' if number == 1 else '-2'}"
        assert (volume.path / aside).read_bytes() == bad
        assert any(f"was set aside as {aside}: " in line for line in lines)


def test_a_stamped_file_of_another_length_is_checked_again(remote, volume, content):
    run(remote, volume)
    os.truncate(volume.path / "small.hdf5", 5000)
    resolved, _ = run(remote, volume)
    assert resolved.path.read_bytes() == content
    assert "small.hdf5.corrupt" in names(volume)


def test_a_file_is_hashed_while_it_is_checked(tmp_path):
    """The digest is of the whole file; a failed check leaves out the rest and is passed on."""
    path = tmp_path / "file"
    path.write_bytes(b"content")
    assert check_and_hash(path, str) == (str(path), hashlib.sha256(b"content").hexdigest())
    assert hash_file(path, stopped=lambda: True) == hashlib.sha256(b"").hexdigest()

    def damaged(path):
        raise DatasetFormatError("damaged")

    with pytest.raises(DatasetFormatError, match="damaged"):
        check_and_hash(path, damaged)


def test_a_file_with_another_time_is_hashed_once_and_then_known(remote, volume, monkeypatch):
    """Copied, restored from a CI cache, or stamped by a version that noted no time."""
    run(remote, volume)
    os.utime(volume.path / "small.hdf5", ns=(1, 1))
    assert run(remote, volume)[0].was_present
    monkeypatch.setattr(resolution, "hash_file", None)
    assert run(remote, volume)[0].was_present


def test_a_users_own_file_that_was_changed_in_the_volume_is_checked_again(volume, content):
    """A changed file that the user put there is checked again, not called damaged."""
    volume.path.mkdir()
    path = volume.path / "small.hdf5"
    path.write_bytes(content)
    own = Dataset(name="small", source="https://nobody.invalid/small.hdf5")
    first, _ = run(own, volume)
    with h5py.File(path, "r+") as file:
        file["test"][0, 0] = np.nextafter(file["test"][0, 0], np.float32(9))
    again, lines = run(own, volume)
    assert again.was_present
    assert again.sha256 != first.sha256
    assert f"   Verifying a file that has changed since it was checked: {path}" in lines


def test_a_file_put_into_the_volume_is_found_by_its_name(volume, small_dataset):
    """A file put into the volume is found by name; its content or stamp gives the metric."""
    volume.path.mkdir()
    written = small_dataset("odd-dot", directory=volume.path)
    assert list(LocalStored(volume).names()) == ["odd-dot"]
    for _time in range(2):
        dataset = LocalStored(volume).dataset("odd-dot")
        assert (dataset.metric, dataset.dim, dataset.n_train) == ("euclidean", 8, 300)
        assert run(dataset, volume)[0].path == written


def test_a_lost_file_that_was_put_there_by_hand_is_an_error(volume, small_dataset):
    """A lost or damaged file that was put there by hand is an error."""
    volume.path.mkdir()
    small_dataset("mine", directory=volume.path)
    dataset = LocalStored(volume).dataset("mine")
    (volume.path / "mine.hdf5").write_bytes(b"damaged")
    with pytest.raises(
        DatasetError, match=r"no longer holds a usable mine\.hdf5.* put it there again"
    ):
        run(dataset, volume)
    assert names(volume) == ["mine.hdf5.corrupt"]


def test_a_download_is_found_by_its_name_alone(remote, volume):
    """A downloaded file is found by its name, wherever it came from."""
    run(remote, volume)
    assert run(LocalStored(volume).dataset("small"), volume)[0].was_present


@pytest.mark.parametrize("stamp", ["", "{}", "[]", '{"version": 99}', '{"version": 1}'])
def test_a_stamp_that_says_nothing_is_written_anew(remote, volume, stamp):
    run(remote, volume)
    (volume.path / "small.json").write_text(stamp)
    assert run(remote, volume)[0].was_present
    assert json.loads((volume.path / "small.json").read_text())["version"] == 1


def test_a_file_that_an_earlier_version_checked_is_checked_again(http_server, remote, volume):
    """A file checked by an earlier version is checked again; its source is kept."""
    run(remote, volume)
    place = volume.path / "small.json"
    stamp = json.loads(place.read_text())
    assert stamp.pop("checks") == hdf5.CHECKS
    place.write_text(json.dumps(stamp))
    resolved, lines = run(remote, volume)
    assert resolved.was_present
    assert "   Verifying again a file that an earlier version checked less: " in lines[2]
    again = json.loads(place.read_text())
    assert (again["checks"], again["source"]) == (hdf5.CHECKS, stamp["source"])
    assert "Verifying" not in "".join(run(remote, volume)[1])
    assert len(http_server.asked("small.hdf5")) == 1


@pytest.fixture
def packed(http_server, tmp_path, monkeypatch):
    """A dataset on the server that needs a filter which is not installed."""
    from h5py import h5d, h5p, h5s, h5t

    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "hdf5plugin.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    checker.CHECKER.close()
    with h5py.File(tmp_path / "packed-euclidean.hdf5", "w") as container:
        plist = h5p.create(h5p.DATASET_CREATE)
        plist.set_chunk((9, 4))
        plist.set_filter(32001, 1, (0,))
        space = h5s.create_simple((9, 4))
        made = h5d.create(container.id, b"train", h5t.IEEE_F32LE, space, plist)
        made.write_direct_chunk((0, 0), b"packed")
        container["test"] = np.ones((2, 4), "<f4")
    content = (tmp_path / "packed-euclidean.hdf5").read_bytes()
    yield dataset_from_argument(http_server.serve("packed-euclidean.hdf5", content))
    monkeypatch.undo()
    checker.CHECKER.close()


def test_a_download_that_only_this_machine_cannot_read_is_not_thrown_away(
    http_server, packed, volume
):
    """A download that needs a missing filter is kept, and not requested again."""
    for _ in range(2):
        with pytest.raises(DatasetError, match="filter Blosc") as caught:
            run(packed, volume)
        assert type(caught.value) is DatasetError
    assert len(http_server.asked("packed-euclidean.hdf5")) == 1
    assert names(volume) == []


def test_a_file_that_only_this_machine_cannot_read_is_not_set_aside(packed, volume, tmp_path):
    """A stored file that needs a missing filter is not renamed as damaged."""
    volume.path.mkdir()
    kept = volume.path / f"{packed.name}.hdf5"
    kept.write_bytes((tmp_path / "packed-euclidean.hdf5").read_bytes())
    with pytest.raises(DatasetError, match="pip install hdf5plugin"):
        run(packed, volume)
    assert names(volume) == [kept.name]


@pytest.mark.parametrize("cut", [5000, 9000])
def test_a_damaged_download_does_not_block_the_next_one(http_server, volume, content, cut):
    """After a damaged download the next one starts from the beginning."""
    url = http_server.serve("small.hdf5", content[:cut])
    with pytest.raises(DatasetFormatError):
        run(dataset_from_argument(url), volume)
    http_server.serve("small.hdf5", content)
    assert run(dataset_from_argument(url), volume)[0].path.read_bytes() == content


def test_a_file_that_is_not_what_is_pinned_now_is_replaced(
    http_server, remote, volume, small_dataset
):
    run(remote, volume)
    newer = small_dataset(seed=1).read_bytes()
    http_server.serve("small.hdf5", newer)
    pinned = dataclasses.replace(remote, sha256=hashlib.sha256(newer).hexdigest())
    resolved, _ = run(pinned, volume)
    assert resolved.path.read_bytes() == newer


def test_secrets_in_a_url_are_neither_kept_nor_shown(http_server, remote, volume):
    """Tokens in a URL are not stored or shown; another query in the URL is another file."""
    address = f"{http_server.base_url.removeprefix('http://')}/small.hdf5"
    named = dataclasses.replace(remote, sha256=None)
    run(dataclasses.replace(named, source=f"http://me:pass@{address}?key=1"), volume)
    again, _ = run(dataclasses.replace(named, source=f"http://{address}?key=1#x"), volume)
    assert again.was_present
    with pytest.raises(DatasetError, match=r"already holds small\.hdf5 from") as caught:
        run(dataclasses.replace(named, source=f"http://me:pass@{address}?key=2"), volume)
    for text in (str(caught.value), (volume.path / "small.json").read_text()):
        assert "pass" not in text
        assert "key=" not in text


def test_the_same_name_from_another_url_is_not_taken_for_it(http_server, remote, volume):
    run(dataclasses.replace(remote, sha256=None), volume)
    other = Dataset(name="small", source=f"{http_server.base_url}/other/small.hdf5")
    with pytest.raises(DatasetError, match=r"already holds small\.hdf5 from"):
        run(other, volume)


def test_a_digest_that_is_not_known_is_recorded(remote, volume):
    resolved, _ = run(dataclasses.replace(remote, sha256=None, size_bytes=None), volume)
    assert resolved.sha256 == remote.sha256


def test_a_download_with_a_wrong_digest_leaves_nothing_behind(remote, volume):
    wrong = dataclasses.replace(remote, sha256="0" * 64)
    with pytest.raises(ChecksumError):
        run(wrong, volume)
    assert names(volume) == []
    assert not is_present(wrong, volume)


def test_a_download_that_is_no_dataset_leaves_nothing_behind(http_server, volume, tmp_path):
    import h5py

    with h5py.File(tmp_path / "odd.hdf5", "w") as container:
        container["something"] = np.zeros(3)
        container.attrs["distance"] = "euclidean"
    url = http_server.serve("odd.hdf5", (tmp_path / "odd.hdf5").read_bytes())
    with pytest.raises(DatasetFormatError, match="it lacks train and test; it has something"):
        run(dataset_from_argument(url), volume)
    assert names(volume) == []


def test_without_validation_only_the_structure_is_looked_at(http_server, volume, small_dataset):
    path = small_dataset(distances=np.zeros((20, 10), np.float32))
    url = http_server.serve("odd.hdf5", path.read_bytes())
    with pytest.raises(DatasetFormatError):
        run(dataset_from_argument(url), volume)
    assert run(dataset_from_argument(url), volume, validate=False)[0].info.k_truth == 10


def test_a_download_that_was_cut_is_resumed_by_the_next_run(
    http_server, volume, monkeypatch, content
):
    monkeypatch.setattr(transfer, "CHUNK_BYTES", 1000)
    url = http_server.serve("cut.hdf5", content, Fault(close_at=10_000), *[Fault(status=403)])
    with pytest.raises(DownloadError):
        monkeypatch.setattr("pytest_annmodal.datasets.sources.http.time.sleep", lambda _s: None)
        run(dataset_from_argument(url), volume)
    assert not is_present(dataset_from_argument(url), volume)
    run(dataset_from_argument(url), volume)
    assert [r.status for r in http_server.asked("cut.hdf5")] == [200, 403, 206]


def test_an_unfinished_download_may_lie_on_another_disk(remote, volume, tiny_disk):
    resolved, _ = run(remote, volume, temp_dir=tiny_disk)
    assert resolved.path.parent == volume.path
    assert listed(tiny_disk) == []
    assert names(volume) == ["small.hdf5", "small.json"]


def test_a_users_file_is_used_where_it_is_and_nothing_is_written_beside_it(volume, small_dataset):
    path = small_dataset(directory=volume.path.parent / "mine")
    dataset = dataset_from_argument(str(path))
    resolved, lines = run(dataset, volume)
    assert resolved.path == path
    assert lines == [
        f"✅ Dataset '{dataset.name}': using your file where it is (no download needed)",
        f"   Path: {path}",
    ]
    assert listed(path.parent) == [path.name]
    assert names(volume) == []


def test_a_users_file_is_checked_once_and_again_when_it_changed(volume, small_dataset, monkeypatch):
    path = small_dataset()
    dataset = dataset_from_argument(str(path))
    first, _ = run(dataset, volume)
    with monkeypatch.context() as patch:
        patch.setattr(hdf5, "validate", None)
        assert run(dataset, volume)[0].sha256 == first.sha256
    os.utime(path, ns=(1, 1))
    path.write_bytes(b"no longer a dataset")
    with pytest.raises(DatasetFormatError, match="not an HDF5 file"):
        run(dataset, volume)
    assert path.exists()


def test_a_users_file_that_is_missing_is_named(volume, tmp_path):
    with pytest.raises(DatasetError, match=r"gone\.hdf5: there is no such file"):
        run(dataset_from_argument(str(tmp_path / "gone.hdf5")), volume)


def test_present_means_the_file_is_there_and_not_empty(remote, volume, small_dataset):
    assert not is_present(remote, volume)
    run(remote, volume)
    assert is_present(remote, volume)
    (volume.path / "small.hdf5").write_bytes(b"")
    assert not is_present(remote, volume)
    assert is_present(dataset_from_argument(str(small_dataset())), volume)


def test_a_read_only_volume_serves_what_it_holds(read_only, remote, volume, content):
    run(remote, volume)
    with read_only(volume.path):
        assert run(remote, volume)[0].was_present
    (volume.path / "small.json").unlink()
    with read_only(volume.path):
        resolved, lines = run(remote, volume)
    assert resolved.was_present
    assert any("Note: Volume is read-only, the check of 'small'" in line for line in lines)


def test_a_read_only_volume_cannot_take_a_new_dataset_and_says_so(read_only, remote, volume):
    volume.path.mkdir()
    with read_only(volume.path), pytest.raises(VolumeError, match=r"--ann-volume-dir"):
        run(remote, volume)
    with read_only(volume.path), pytest.raises(VolumeError, match="cannot be written"):
        run(DIGITS, volume)


def test_a_read_only_volume_with_a_bad_file_says_what_to_do(read_only, remote, volume):
    volume.path.mkdir()
    (volume.path / "small.hdf5").write_bytes(b"bad")
    with read_only(volume.path), pytest.raises(VolumeError, match="could not be set aside"):
        run(remote, volume)


def test_a_full_disk_is_named(tiny_disk):
    with pytest.raises((VolumeError, DownloadError), match=r"--ann-volume-dir"):
        run(DIGITS, LocalVolume(tiny_disk / "volume"))
    assert names(LocalVolume(tiny_disk / "volume")) == []


def test_a_volume_that_is_a_file_is_named(remote, tmp_path):
    (tmp_path / "volume").write_text("in the way")
    with pytest.raises(VolumeError, match="cannot be written"):
        run(remote, LocalVolume(tmp_path / "volume"))


RESOLVE = """
import sys
from pathlib import Path
from pytest_annmodal.model import Dataset
from pytest_annmodal.datasets.volume.volume import LocalVolume, Reporter, resolve
resolved = resolve(
    Dataset(name="small", source=sys.argv[2]),
    LocalVolume(Path(sys.argv[1])),
    reporter=Reporter(line=lambda line: print(line, flush=True)),
)
print("was present:", resolved.was_present)
"""


def test_two_runs_at_once_make_one_download(http_server, volume, content):
    hold = Fault(hold_at=1000)
    url = http_server.serve("small.hdf5", content, hold)
    command = [sys.executable, "-c", RESOLVE, volume.path, url]
    options = {"cwd": ROOT, "text": True, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **options) as first:
        assert hold.held.wait(60)
        with subprocess.Popen(command, **options) as second:
            seen = ""
            while LINES["waiting"] not in seen:
                line = second.stdout.readline()
                assert line, seen
                seen += line
            hold.go_on.set()
            assert "was present: False" in first.communicate()[0]
            assert "was present: True" in second.communicate()[0]
    assert len(http_server.asked("small.hdf5")) == 1


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"XDG_CACHE_HOME": "/c", "HOME": "/h"}, "/c/annmodal/volumes/ann-datasets"),
        ({"HOME": "/h"}, "/h/.cache/annmodal/volumes/ann-datasets"),
        ({"XDG_CACHE_HOME": "", "HOME": "/h"}, "/h/.cache/annmodal/volumes/ann-datasets"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/h"}, "/h/.cache/annmodal/volumes/ann-datasets"),
    ],
)
def test_the_local_volume_is_below_the_users_cache(environ, expected):
    assert default_volume_dir(environ) == Path(expected)
