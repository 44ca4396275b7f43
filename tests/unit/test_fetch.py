"""Downloads over real HTTP: resumed, retried, verified, and never left incomplete."""

from __future__ import annotations

import hashlib
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from http_server import Fault

from pytest_annmodal import __version__
from pytest_annmodal.datasets.lines import Log, Reporter
from pytest_annmodal.datasets.sources import transfer
from pytest_annmodal.datasets.sources.http import fetch, without_secrets
from pytest_annmodal.errors import ChecksumError, DatasetFormatError, DownloadError

CONTENT = transfer.SIGNATURE + bytes(range(256)) * 1200
DIGEST = hashlib.sha256(CONTENT).hexdigest()
HTML = b"<!DOCTYPE html><title>Sign in</title>"
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(transfer, "CHUNK_BYTES", 4096)


@pytest.fixture
def target(tmp_path):
    return tmp_path / "x.hdf5"


def listed(directory):
    return sorted(path.name for path in directory.iterdir())


def get(urls, target, *, told=None, progress=lambda done, total: None, **options):
    """Downloads; messages are collected in ``told``."""
    log = Log(reporter=Reporter(line=[].append if told is None else told.append, progress=progress))
    return fetch([urls] if isinstance(urls, str) else urls, target, log=log, backoff_s=0, **options)


def events(told):
    """The messages, without those on the URL and the destination."""
    return [line for line in told if not line.startswith(("📥", "   Saving"))]


def begun(url, target, **options):
    """A download that was cut after a part had arrived."""
    with pytest.raises(DownloadError):
        get(url, target, retries=0, **options)
    part = target.with_name(target.name + ".part")
    assert part.exists()
    assert not target.exists()
    return part.stat().st_size


def test_a_file_is_fetched_whole_and_nothing_else_is_left(http_server, target):
    url = http_server.serve("x.hdf5", CONTENT)
    fetched = get(url, target, sha256=DIGEST, size_bytes=len(CONTENT))
    assert (fetched.sha256, fetched.size_bytes, fetched.url) == (DIGEST, len(CONTENT), url)
    assert target.read_bytes() == CONTENT
    assert listed(target.parent) == ["x.hdf5"]


def test_the_user_agent_is_ours_and_no_compression_is_asked_for(http_server, target):
    get(http_server.serve("x.hdf5", CONTENT), target)
    headers = http_server.asked("x.hdf5")[0].headers
    assert headers["user-agent"] == f"pytest-annmodal/{__version__}"
    assert headers["accept-encoding"] == "identity"


def test_progress_ends_with_all_bytes(http_server, target):
    seen = []
    get(
        http_server.serve("x.hdf5", CONTENT),
        target,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == sorted(seen)
    assert seen[-1] == (len(CONTENT), len(CONTENT))


@pytest.mark.parametrize("status", [403, 404, 410])
def test_what_the_server_will_not_give_is_not_asked_for_twice(http_server, target, status):
    url = http_server.serve("x.hdf5", CONTENT, *[Fault(status=status)] * 3)
    with pytest.raises(DownloadError, match=rf"answered {status} .*--ann-base-url") as caught:
        get(url, target)
    assert not caught.value.retryable
    assert len(http_server.asked("x.hdf5")) == 1
    assert listed(target.parent) == []


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(http_server, target, status):
    told = []
    url = http_server.serve("x.hdf5", CONTENT, *[Fault(status=status)] * 2)
    get(url, target, told=told)
    assert target.read_bytes() == CONTENT
    assert len(events(told)) == 2
    assert "(1 of 5)" in events(told)[0]


def test_retries_come_to_an_end(http_server, target):
    url = http_server.serve("x.hdf5", CONTENT, *[Fault(status=500)] * 9)
    with pytest.raises(DownloadError, match=r"Given up after 3 attempts.*Run it again") as caught:
        get(url, target, retries=2)
    assert caught.value.retryable
    assert len(http_server.asked("x.hdf5")) == 3


def test_waits_double_and_heed_retry_after(http_server, target, monkeypatch):
    waits = []
    monkeypatch.setattr("pytest_annmodal.datasets.sources.http.time.sleep", waits.append)
    faults = [Fault(status=503)] * 3 + [Fault(status=429, headers={"Retry-After": "30"})]
    faults += [Fault(status=503, headers={"Retry-After": "86400"})]
    fetch([http_server.serve("x.hdf5", CONTENT, *faults)], target, backoff_s=0.5)
    assert waits == [0.5, 1, 2, 30, 60]


@pytest.mark.parametrize("fault", [{"reset_at": 100_000}, {"close_at": 100_000}])
def test_a_cut_connection_is_resumed_where_it_was_cut(http_server, target, fault):
    url = http_server.serve("x.hdf5", CONTENT, Fault(**fault))
    fetched = get(url, target)
    assert fetched.sha256 == DIGEST
    first, second = http_server.asked("x.hdf5")
    assert first.range is None
    assert 0 < int(second.range.removeprefix("bytes=").removesuffix("-")) <= 100_000
    assert second.status == 206
    assert "if-range" in second.headers


def test_failures_that_bring_bytes_do_not_use_up_the_retries(http_server, target, monkeypatch):
    monkeypatch.setattr("pytest_annmodal.datasets.sources.http.PROGRESS_BYTES", 4096)
    url = http_server.serve("x.hdf5", CONTENT, *[Fault(close_at=50_000)] * 6)
    get(url, target, retries=1)
    assert target.read_bytes() == CONTENT


def test_the_next_run_goes_on_where_the_last_one_stopped(http_server, target):
    url = http_server.serve("x.hdf5", CONTENT, Fault(close_at=100_000))
    size = begun(url, target)
    get(url, target)
    assert target.read_bytes() == CONTENT
    assert http_server.asked("x.hdf5")[1].range == f"bytes={size}-"


def test_a_server_that_ignores_range_starts_the_file_again(http_server, target):
    url = http_server.serve("x.hdf5", CONTENT, Fault(close_at=100_000), Fault(ignore_range=True))
    get(url, target)
    assert target.read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_is_fetched_anew(http_server, target):
    url = http_server.serve("x.hdf5", CONTENT, Fault(close_at=100_000))
    begun(url, target)
    changed = transfer.SIGNATURE + b"other" * 50_000
    http_server.serve("x.hdf5", changed)
    get(url, target)
    assert target.read_bytes() == changed


def test_a_server_that_continues_a_changed_file_is_caught(http_server, target):
    url = http_server.serve("x.hdf5", CONTENT, Fault(close_at=100_000))
    begun(url, target)
    changed = transfer.SIGNATURE + CONTENT[8:][::-1]
    http_server.serve("x.hdf5", changed, Fault(ignore_if_range=True))
    get(url, target)
    assert target.read_bytes() == changed


@pytest.mark.parametrize("said", ["bytes 0-9/10", "bytes 5-", "nonsense"])
def test_a_wrong_content_range_is_not_appended(http_server, target, said):
    wrong = Fault(headers={"Content-Range": said})
    url = http_server.serve("x.hdf5", CONTENT, Fault(close_at=100_000), wrong)
    get(url, target)
    assert target.read_bytes() == CONTENT


def test_a_file_that_became_shorter_is_fetched_anew(http_server, target):
    url = http_server.serve("x.hdf5", CONTENT, Fault(close_at=100_000))
    begun(url, target)
    http_server.serve("x.hdf5", CONTENT[:50_000], Fault(ignore_if_range=True))
    get(url, target)
    assert target.read_bytes() == CONTENT[:50_000]
    assert [request.status for request in http_server.asked("x.hdf5")] == [200, 416, 200]


def test_without_etag_and_digest_a_part_is_not_trusted(http_server, target):
    bare = {"ETag": None}
    url = http_server.serve("x.hdf5", CONTENT, Fault(close_at=100_000, headers=bare))
    begun(url, target)
    get(url, target)
    assert http_server.asked("x.hdf5")[1].range is None


def test_without_etag_a_digest_allows_to_resume(http_server, target):
    bare = {"ETag": None}
    url = http_server.serve("x.hdf5", CONTENT, Fault(close_at=100_000, headers=bare))
    begun(url, target, sha256=DIGEST)
    get(url, target, sha256=DIGEST)
    assert http_server.asked("x.hdf5")[1].status == 206


def test_a_weak_etag_is_not_used_but_the_date_is(http_server, target):
    headers = {"ETag": 'W/"1"', "Last-Modified": "Tue, 01 Jul 2025 00:00:00 GMT"}
    url = http_server.serve("x.hdf5", CONTENT, Fault(close_at=100_000, headers=headers))
    begun(url, target)
    get(url, target)
    assert http_server.asked("x.hdf5")[1].headers["if-range"] == headers["Last-Modified"]
    assert target.read_bytes() == CONTENT


def test_a_part_from_another_url_is_not_mixed_in(http_server, target):
    begun(
        http_server.serve(
            "old/x.hdf5",
            CONTENT[::-1][:-8],
            Fault(body=transfer.SIGNATURE + b"old" * 90_000, close_at=100_000),
        ),
        target,
    )
    get(http_server.serve("new/x.hdf5", CONTENT), target)
    assert http_server.asked("new/x.hdf5")[0].range is None
    assert target.read_bytes() == CONTENT


def test_a_damaged_part_is_noticed_by_the_digest_and_fetched_anew(http_server, target):
    url = http_server.serve("x.hdf5", CONTENT, Fault(close_at=100_000))
    begun(url, target, sha256=DIGEST)
    with target.with_name("x.hdf5.part").open("r+b") as part:
        part.seek(500)
        part.write(b"damage")
    told = []
    get(url, target, sha256=DIGEST, told=told)
    assert target.read_bytes() == CONTENT
    assert any("wrong sha256" in event for event in events(told))


def test_a_part_that_was_complete_needs_no_request(http_server, target):
    url = http_server.serve("x.hdf5", CONTENT)

    def killed(_path):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(url, target, check=killed)
    assert not target.exists()
    assert get(url, target).sha256 == DIGEST
    assert len(http_server.asked("x.hdf5")) == 1


def test_a_wrong_digest_is_refused_with_both_digests(http_server, target):
    url = http_server.serve("x.hdf5", CONTENT)
    with pytest.raises(ChecksumError) as caught:
        get(url, target, sha256="0" * 64)
    assert (caught.value.expected, caught.value.actual) == ("0" * 64, DIGEST)
    assert caught.value.url == url
    assert listed(target.parent) == []


@pytest.mark.parametrize("content", [HTML, b"\n\n <html>", b'{"error": "quota"}'])
def test_something_else_than_hdf5_is_named_with_its_first_bytes(http_server, target, content):
    url = http_server.serve("x.hdf5", content, Fault(headers={"Content-Type": "text/html"}))
    with pytest.raises(DownloadError, match=r"a web page \(text/html, beginning with b'") as caught:
        get(url, target)
    assert not caught.value.retryable
    assert listed(target.parent) == []


def test_an_empty_answer_is_refused(http_server, target):
    with pytest.raises(DownloadError, match="sent 0 bytes"):
        get(http_server.serve("x.hdf5", b""), target)


def test_a_wrong_length_is_refused_before_anything_is_downloaded(http_server, target):
    url = http_server.serve("x.hdf5", CONTENT)
    with pytest.raises(DownloadError, match=r"offers 307,208 bytes, expected 999: it is another"):
        get(url, target, size_bytes=999)


def test_without_a_length_the_known_size_decides(http_server, target):
    silent = Fault(headers={"Content-Length": None}, close_at=100_000)
    url = http_server.serve("x.hdf5", CONTENT, silent)
    get(url, target, size_bytes=len(CONTENT), sha256=DIGEST)
    assert target.read_bytes() == CONTENT


def test_more_bytes_than_the_known_size_are_refused(http_server, target):
    silent = Fault(headers={"Content-Length": None})
    url = http_server.serve("x.hdf5", CONTENT, silent)
    with pytest.raises(DownloadError, match="bytes of 1,000"):
        get(url, target, size_bytes=1000)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=404),
        Fault(body=HTML),
        Fault(body=CONTENT + b"more"),
        Fault(body=CONTENT[:-4] + b"evil"),
    ],
    ids=["404", "html", "length", "hash"],
)
def test_a_wrong_mirror_falls_back_to_the_next_url(http_server, target, fault):
    mirror = http_server.serve("mirror/x.hdf5", CONTENT, fault)
    origin = http_server.serve("x.hdf5", CONTENT)
    told = []
    fetched = get(
        [mirror, origin],
        target,
        sha256=DIGEST,
        size_bytes=len(CONTENT),
        told=told,
    )
    assert fetched.url == origin
    assert [line.split()[-1] for line in told if line[0] == "📥"] == [mirror, origin]
    assert "cannot be used" in events(told)[-1]
    assert target.read_bytes() == CONTENT


def test_a_mirror_that_is_down_keeps_the_part_of_the_next_url(http_server, target):
    origin = http_server.serve("x.hdf5", CONTENT, Fault(close_at=100_000))
    begun(origin, target)
    get([f"{http_server.base_url}/gone.hdf5", origin], target)
    assert http_server.asked("x.hdf5")[1].status == 206


def test_a_file_that_fails_its_check_makes_the_url_a_wrong_one(http_server, target):
    urls = [http_server.serve(f"{name}/x.hdf5", CONTENT) for name in "ab"]
    seen = []

    def check(path):
        seen.append(path.read_bytes())
        if len(seen) == 1:
            raise DatasetFormatError("it lacks neighbors")

    assert get(urls, target, check=check).url == urls[1]
    assert seen == [CONTENT] * 2


def test_when_nothing_works_each_url_is_listed_with_its_reason(http_server, target):
    urls = [http_server.serve("a.hdf5", HTML), f"{http_server.base_url}/b.hdf5"]
    with pytest.raises(DownloadError) as caught:
        get(urls, target)
    lines = str(caught.value).splitlines()
    assert "none of its 2 URLs" in lines[0]
    assert urls[0] in lines[1]
    assert "a web page" in lines[1]
    assert urls[1] in lines[2]
    assert "404" in lines[2]
    assert not caught.value.retryable


def test_a_refused_connection_may_be_tried_again(target):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/x.hdf5"
        with pytest.raises(DownloadError, match="Connection refused") as caught:
            get(url, target, retries=1)
    assert caught.value.retryable
    assert caught.value.__cause__ is not None


def test_a_server_that_falls_silent_is_given_up(http_server, target, monkeypatch):
    monkeypatch.setattr(transfer, "READ_S", 0.05)
    silent = Fault(hold_at=100_000)
    with pytest.raises(DownloadError, match="Given up"):
        get(http_server.serve("x.hdf5", CONTENT, silent), target, retries=0)


@pytest.mark.parametrize("url", ["http://", "http://[", "http://127.0.0.1:99999/x.hdf5"])
def test_a_url_that_is_none_is_not_retried(target, url):
    with pytest.raises(DownloadError) as caught:
        get(url, target)
    assert not caught.value.retryable


def test_an_unknown_host_is_soon_given_up(target):
    """An unknown host fails after few tries, and both alternatives are named."""
    told = []
    words = r"Given up after 3 attempts\. Check the network.*--ann-base-url"
    with pytest.raises(DownloadError, match=words) as caught:
        get("http://nowhere.invalid/x.hdf5", target, told=told)
    assert caught.value.retryable
    assert "(2 of 2)" in events(told)[-1]


def test_an_endless_redirect_is_not_retried(http_server, target):
    url = http_server.serve("x.hdf5", CONTENT)
    http_server.scripts["x.hdf5"] = [Fault(status=302, headers={"Location": url})] * 40
    with pytest.raises(DownloadError, match="redirects") as caught:
        get(url, target)
    assert not caught.value.retryable


def test_a_redirect_is_followed(http_server, target):
    there = http_server.serve("there.hdf5", CONTENT)
    url = http_server.serve("x.hdf5", b"", Fault(status=302, headers={"Location": there}))
    assert get(url, target).sha256 == DIGEST


def test_secrets_in_a_url_are_not_shown(http_server, target):
    url = http_server.base_url.replace("//", "//user:secret@") + "/x.hdf5?token=secret"
    assert without_secrets(url) == f"{http_server.base_url}/x.hdf5"
    with pytest.raises(DownloadError) as caught:
        get(url, target)
    assert "secret" not in str(caught.value)


def test_a_file_larger_than_the_disk_is_not_begun(http_server, target):
    huge = Fault(headers={"Content-Length": str(10**18)})
    url = http_server.serve("x.hdf5", CONTENT, huge)
    with pytest.raises(DownloadError, match="needs 1,000,000,000,000,000,000 more bytes") as caught:
        get(url, target)
    assert not caught.value.retryable


def test_a_disk_that_fills_up_is_named_and_the_part_is_kept(http_server, tiny_disk):
    large = CONTENT * 3
    url = http_server.serve("x.hdf5", large, Fault(headers={"Content-Length": None}))
    mirror = http_server.serve("mirror.hdf5", large)
    with pytest.raises(DownloadError, match=r"tiny is full: x\.hdf5\.part holds") as caught:
        get([url, mirror], tiny_disk / "x.hdf5")
    assert not caught.value.retryable
    assert not (tiny_disk / "x.hdf5").exists()
    assert http_server.asked("mirror.hdf5") == []  # it would not fit either


def test_a_limit_on_file_size_is_a_full_disk_too(http_server, target):
    url = http_server.serve("x.hdf5", CONTENT)
    ran = subprocess.run(
        [sys.executable, "-c", CLIENT, url, target],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )
    assert "LocalDiskError" in ran.stderr
    assert "is full" in ran.stderr
    assert not target.exists()


def test_a_read_only_directory_is_named(read_only, http_server, tmp_path):
    directory = tmp_path / "ro"
    directory.mkdir()
    with read_only(directory), pytest.raises(DownloadError, match="cannot be written") as caught:
        get(http_server.serve("x.hdf5", CONTENT), directory / "x.hdf5")
    assert not caught.value.retryable


CLIENT = """
import sys
from pathlib import Path
from pytest_annmodal.datasets.lines import Log, Reporter
from pytest_annmodal.datasets.sources import http as fetch, transfer
transfer.CHUNK_BYTES = 4096
def show(done, total):
    print(done, flush=True)
fetch.fetch([sys.argv[1]], Path(sys.argv[2]), log=Log(reporter=Reporter(progress=show)))
"""


def test_a_download_killed_in_the_middle_is_resumed_by_the_next_run(http_server, target):
    hold = Fault(hold_at=200_000)
    url = http_server.serve("x.hdf5", CONTENT, hold)
    command = [sys.executable, "-c", CLIENT, url, target]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE) as child:
        while int(child.stdout.readline()) < 150_000:
            pass
        child.send_signal(signal.SIGKILL)
    hold.go_on.set()
    assert not target.exists()
    get(url, target, sha256=DIGEST)
    assert target.read_bytes() == CONTENT
    second = http_server.asked("x.hdf5")[1]
    assert second.status == 206
    assert (
        int(second.range.removeprefix("bytes=").removesuffix("-")) >= 100_000
    )  # less a buffer, of 128 kB in 3.14
