"""Faults of Modal in a session: each gives one message that says what to do."""

import contextlib
import re
import shutil

import pytest
from grpclib.const import Status
from http_server import Fault, FaultyServer
from product import ROOT, Product, index, stored, write_dataset

DIGITS = "digits-64-euclidean"
NEVER = "import time\ntime.sleep(600)"
HUNGRY = "self.waste = [np.ones(2**24) for _ in range(60)]"


def far_side_with(folder, old, new):
    """A copy of the package whose functions in containers are changed."""
    copy = folder / "pytest_annmodal"
    shutil.copytree(ROOT / copy.name, copy, ignore=shutil.ignore_patterns("__pycache__"))
    far_side = copy / "executors" / "modal" / "container.py"
    text = far_side.read_text()
    assert old in text
    far_side.write_text(text.replace(old, new))
    return folder


@pytest.fixture(scope="module")
def bad_day(product):
    """A session with a container that is lost once, one that is lost twice, and a failing image."""
    product.write("mine/a_lost_once.py", index("numpy"))
    product.write("mine/b_lost_twice.py", index("numpy", "sortedcontainers"))
    product.write("mine/c_no_image.py", index("numpy", "no-such-package-anywhere"))
    product.write("mine/d_fine.py", index("numpy", "attrs"))
    faults = product.plane.faults
    faults.kill_container("download_dataset")
    faults.kill_container("run_benchmark", log="building")
    faults.kill_container("run_benchmark_1", log="building", times=2)
    faults.fail("VolumeReload", times=100, message="there are open files")
    yield product.pytest(
        "--ann-implementations=mine",
        *(f"--impl={name}" for name in ("a_*", "b_*", "c_*", "d_*")),
        product.submission("e_hungry.py", index(fit=HUNGRY)),
        f"--dataset={product.tiny}",
        "--ann-rounds=1",
        "--modal-memory-mb=1200",
        "-rA",
    )
    faults.clear()


def test_only_the_faulty_jobs_fail(bad_day):
    """Jobs without a fault pass; each faulty job fails or has an error for its own reason."""
    assert bad_day.counts() == {"passed": 2, "failed": 2, "error": 1}, bad_day.text


def test_a_container_lost_once_is_tried_again(bad_day):
    assert re.search("a_lost_once on tiny-8-euclidean: .*trying once more", bad_day.text)
    assert "PASSED test_it.py::test_search[a_lost_once" in bad_day.text
    assert re.search("tiny-8-euclidean: The container was lost.*trying once more", bad_day.text)


def test_a_container_lost_twice_is_an_error_of_the_infrastructure(bad_day):
    report = bad_day.text[bad_day.text.index("= ERRORS") : bad_day.text.index("= FAILURES")]
    assert "ERROR at setup of test_search[b_lost_twice" in report
    assert "The container was lost" in report
    assert "--modal-memory-mb gives more" in report
    assert "Traceback" not in report


def test_an_image_that_cannot_be_built_names_the_dependency_and_shows_the_log(bad_day):
    report = bad_day.text[bad_day.text.index("= FAILURES") :]
    assert "no-such-package-anywhere" in report
    assert "check these dependencies in the header" in report
    assert "No matching distribution found for no-such-package-anywhere" in report
    assert "image logs" not in report


def test_a_submission_that_wants_too_much_memory_fails_its_own_test(bad_day):
    report = bad_day.text[bad_day.text.index("= FAILURES") :]
    assert "test_search[e_hungry" in report
    assert "FAILED test_it.py::test_search[e_hungry" in bad_day.text
    assert "memory" in report[report.index("e_hungry") :].lower()


def test_a_reload_that_fails_is_noted_and_the_run_goes_on(bad_day):
    assert "Note: Volume reload skipped (there are open files)" in bad_day.text
    assert "PASSED test_it.py::test_search[d_fine" in bad_day.text


def test_no_container_is_left(bad_day, product):
    assert product.plane.no_container_is_left()


@pytest.mark.parametrize(
    ("env", "said", "code"),
    [
        ({"MODAL_TOKEN_ID": "", "MODAL_TOKEN_SECRET": ""}, "Run `modal setup` once", 4),
        ({"MODAL_TOKEN_SECRET": ""}, "Modal has no token (or half of one)", 4),
        ({"MODAL_TOKEN_SECRET": "as-wrong"}, "Modal refused the token", 4),
        ({"MODAL_SERVER_URL": "http://127.0.0.1:1"}, "Modal's server cannot be reached", 4),
    ],
    ids=["no-account", "half-a-token", "wrong-token", "unreachable"],
)
def test_what_keeps_a_session_from_starting_is_one_message(product, env, said, code):
    done = product.pytest("--impl=bruteforce", f"--dataset={DIGITS}", **env)
    assert done.code == code, done.text
    (line,) = [line for line in done.lines if line.startswith("ERROR: ")]
    assert said in line
    assert "Traceback" not in done.text
    assert not product.containers()


def test_a_commit_that_fails_leaves_nothing_and_the_next_run_downloads_again(product):
    volume = "commit-fails"
    faults = product.plane.faults
    content = write_dataset(product.folder / "served.hdf5").read_bytes()
    with FaultyServer() as server:
        url = server.serve("far-8-euclidean.hdf5", content)
        arguments = ("--download-only", f"--dataset={url}", f"--modal-volume={volume}")
        faults.fail("VolumeCommit", status=Status.FAILED_PRECONDITION, message="no space")
        failed = product.pytest(*arguments)
        assert stored(product, volume) == []
        faults.clear()
        again = product.pytest(*arguments)
        assert len(server.asked("far-8-euclidean.hdf5")) >= 2
    assert failed.code == 1, failed.text
    said = f"❌ far-8-euclidean: Modal did not commit volume '{volume}': no space."
    assert f"{said} Other containers see no" in failed.text
    assert again.code == 0, again.text
    assert stored(product, volume) == ["far-8-euclidean.hdf5", "far-8-euclidean.json"]


def test_a_commit_that_others_see_late_is_waited_for(product):
    """A trusted job waits for a late commit; a restricted one cannot reload, and is started again."""
    volumes = product.plane.volumes
    volumes.late_commits = 4
    done = product.pytest(
        "--impl=bruteforce",
        product.submission("late.py", index()),
        f"--dataset={DIGITS}",
        "--ann-rounds=1",
        "--modal-volume=late",
    )
    volumes.late_commits = 0
    assert done.counts() == {"passed": 2}, done.text


def test_a_commit_whose_reload_fails_is_a_commit(product):
    """The client reloads after a commit; if only that fails, the commit counts."""
    product.plane.faults.fail("VolumeReload", times=1000, message="no reloads today")
    done = product.pytest("--download-only", f"--dataset={DIGITS}", "--modal-volume=unreloaded")
    product.plane.faults.clear()
    assert done.code == 0, done.text
    assert f"✅ Dataset '{DIGITS}' persisted to volume!" in done.lines
    assert stored(product, "unreloaded") == [f"{DIGITS}.hdf5", f"{DIGITS}.json"]


@pytest.mark.parametrize("status", [Status.INVALID_ARGUMENT, Status.UNIMPLEMENTED])
def test_a_file_is_uploaded_where_the_volume_cannot_be_listed(product, status):
    product.plane.faults.fail("VolumeListFiles", times=1000, status=status)
    volume = f"--modal-volume=unlisted-{status.value}"
    done = product.pytest("--download-only", f"--dataset={product.tiny}", volume)
    product.plane.faults.clear()
    assert done.code == 0, done.text
    assert "Uploading" in done.text


def test_whatever_a_download_raises_is_one_message(product, tmp_path):
    """An unexpected exception in the download function becomes one message."""
    copy = far_side_with(
        tmp_path, "volume, wanted = Mounted", "import no_such; volume, wanted = Mounted"
    )
    done = product.pytest("--download-only", f"--dataset={DIGITS}", PYTHONPATH=str(copy))
    assert done.code == 1, done.text
    assert f"❌ {DIGITS}: download_dataset failed on Modal: ModuleNotFoundError" in done.text
    assert "Traceback" not in done.text[: done.text.index("❌")]


def test_two_sessions_that_download_one_dataset_both_get_it(product):
    content = write_dataset(product.folder / "both.hdf5", seed=3).read_bytes()
    held = [Fault(hold_at=100), Fault(hold_at=100)]
    with FaultyServer() as server:
        url = server.serve("both-8-euclidean.hdf5", content, *held)
        arguments = ("--download-only", f"--dataset={url}", "--modal-volume=shared")
        sessions = [product.start_pytest(*arguments) for _ in range(2)]
        for fault in held:
            assert fault.held.wait(120)
        for fault in held:
            fault.go_on.set()
        for done in map(product.finish, sessions):
            assert done.code == 0, done.text
            assert "✅ Dataset 'both-8-euclidean' persisted to volume!" in done.lines
    assert stored(product, "shared") == ["both-8-euclidean.hdf5", "both-8-euclidean.json"]
    kept = product.plane.volume("shared").path / "both-8-euclidean.hdf5"
    assert kept.read_bytes() == content


@pytest.mark.parametrize(
    ("options", "counts", "advice"),
    [
        ((), {"failed": 1}, "(--modal-timeout sets the limit)"),
        (
            ("--ann-baseline=bruteforce",),
            {"error": 1},
            "longer --modal-timeout, or fewer --ann-sessions",
        ),
    ],
    ids=["alone", "beside-a-baseline"],
)
def test_a_function_that_runs_out_of_time_names_the_option(product, options, counts, advice):
    """A job beyond its time limit names the option, and blames no implementation."""
    product.plane.faults.hang("VolumeReload", nth=2)
    done = product.pytest(
        "--impl=bruteforce", f"--dataset={product.tiny}", "--modal-timeout=2", "-rA", *options
    )
    product.plane.faults.clear()
    assert done.counts() == counts, done.text
    assert "did not finish within 2 s" in done.words()
    assert advice in done.words()


@pytest.mark.parametrize("trouble", ["never ends", "cannot be had"])
def test_a_log_keeps_no_result_back(product, trouble):
    """A log stream that never ends does not delay the results."""
    faults = product.plane.faults
    if trouble == "never ends":
        faults.hang("FunctionCallGetInfo")
    else:
        faults.fail("AppGetLogs", times=1000, status=Status.UNIMPLEMENTED)
    done = product.pytest("--impl=bruteforce", f"--dataset={product.tiny}", "--ann-rounds=1")
    faults.clear()
    assert done.counts() == {"passed": 1}, done.text
    assert "Traceback" not in done.text


@pytest.mark.parametrize(
    ("old", "new", "said", "tries"),
    [
        ("return _result(job, outcomes)", 'return "[]"', "which is not what was asked", 2),
        ("RESULT_LIMIT_BYTES = 100", "RESULT_LIMIT_BYTES = 0", "ask fewer queries", 1),
    ],
    ids=["not-what-was-asked", "too-large"],
)
def test_a_result_that_cannot_be_used_is_an_error(product, tmp_path, old, new, said, tries):
    """A container returns something else than outcomes: its jobs have an error."""
    copy = far_side_with(tmp_path, old, new)
    done = product.pytest("--impl=bruteforce", f"--dataset={product.tiny}", PYTHONPATH=str(copy))
    assert done.counts() == {"error": 1}, done.text
    assert said in done.text
    assert len(product.containers("run_benchmark")) == tries


def test_a_service_that_goes_away_in_mid_session_ends_it_with_the_reason(tmp_path):
    from plane import Plane

    with Plane() as plane, contextlib.closing(Product(plane, tmp_path)) as own:
        session = own.start_pytest(
            own.submission("endless.py", index(fit=NEVER)), f"--dataset={own.tiny}"
        )
        plane.wait_for(lambda: "building" in plane.log_text())
        plane.call(plane.die())
        done = own.finish(session)
    assert done.counts() == {"error": 1}, done.text
    assert (
        "The connection to Modal was lost while this ran. Modal's server cannot be reached"
        in done.text
    )
    assert "Traceback" not in done.text
