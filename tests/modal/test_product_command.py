"""`modal run modal_app.py` and `modal volume`: the same jobs and files without pytest."""

import json
import re
import shutil

import pytest
from grpclib.const import Status
from http_server import FaultyServer
from product import ROOT, index, stored, write_dataset

from pytest_annmodal.results.reading import read_results

DIGITS = "digits-64-euclidean"
BROUGHT = f"""\
📦 Checking for dataset in volume 'ann-datasets'...
   ✓ Reloaded volume to check for latest changes
⚠️  Dataset '{DIGITS}' not found in volume 'ann-datasets'
   Copying it from the installed package (this is a ONE-TIME operation)...
   Saving to volume: 'ann-datasets' at path: /data/{DIGITS}.hdf5
✅ Written and verified:
   Train: (1597, 64)
   Test: (200, 64)
💾 Committing dataset to volume 'ann-datasets'...
✅ Dataset '{DIGITS}' persisted to volume!
   Future runs will use the cached version (no download needed)
"""
FOUND = f"""\
✅ Dataset '{DIGITS}' found in volume 'ann-datasets'!
   Using cached dataset (no download needed)
   Path: /data/{DIGITS}.hdf5
"""


@pytest.fixture(scope="module", autouse=True)
def volume(product):
    """Fills the volume once, so that no test depends on another."""
    return product.plane.volume("ann-datasets")


@pytest.fixture(scope="module")
def downloaded(product):
    return product.modal_run("--download-only", "--dataset", DIGITS)


@pytest.fixture(scope="module")
def compared(product, downloaded):
    shutil.copy(ROOT / "benchmarks" / "student.py", product.folder)
    return product.modal_run(
        *("--impl", "student", "--compare", "bruteforce", "--dataset", DIGITS),
        *("--k", 5, "--subset-size", 400),
        ANNMODAL_ROUNDS="1",
    )


def test_download_only_fills_the_volume_and_says_so_line_by_line(downloaded, product):
    assert downloaded.code == 0, downloaded.text
    assert BROUGHT in downloaded.text
    assert stored(product, "ann-datasets") == [f"{DIGITS}.hdf5", f"{DIGITS}.json"]
    assert [c.function_name for c in product.containers()] == ["download_dataset"]


def test_volume_ls_and_get_show_and_fetch_what_was_stored(downloaded, product):
    listed = product.modal("volume", "ls", "ann-datasets")
    assert listed.code == 0
    assert f"{DIGITS}.hdf5" in listed.text
    got = product.modal("volume", "get", "ann-datasets", f"{DIGITS}.hdf5", "local.hdf5")
    assert got.code == 0, got.text
    packaged = ROOT / "pytest_annmodal" / "data" / f"{DIGITS}.hdf5"
    assert (product.folder / "local.hdf5").read_bytes() == packaged.read_bytes()


def test_run_measures_both_on_the_cached_dataset(compared):
    assert compared.code == 0, compared.text
    assert FOUND in compared.text
    assert "Volume 'ann-datasets' is mounted at /data" in compared.lines
    assert f"{DIGITS} · 400 × 64 · euclidean · k=5 · 200 queries × 1 · 1 thread · modal" in (
        compared.text
    )
    for name in ("student[", "bruteforce "):
        assert name in compared.text[compared.text.index("recall") :]


def test_results_are_written_locally_as_json(compared, product):
    (line,) = [line for line in compared.lines if line.startswith("Results: ")]
    outcomes = json.loads((product.folder / line.removeprefix("Results: ")).read_text())
    assert len(outcomes) == 4
    assert {outcome["k"] for outcome in outcomes} == {5}
    assert {outcome["n_train"] for outcome in outcomes} == {400}
    assert all(outcome["latencies_ns"] for outcome in outcomes)


def test_results_are_kept_as_those_of_a_session(compared, product):
    """`modal run` stores every case, with its container's machine and the dataset's digest."""
    found = read_results([product.folder])
    assert len(found.cases) == 4
    assert {case.where for case in found.cases} == {"modal"}
    assert {case.machine for case in found.cases} == {"Modal, 2 cores, 16384 MiB"}
    assert None not in {case.dataset_sha256 for case in found.cases}
    assert None not in {case.key for case in found.cases}
    for case in found.cases:
        samples = found.samples(case)
        assert samples.latencies_ns.size + case.n_left_out == 200
        assert samples.query_hits.sum() / (200 * 5) == pytest.approx(case.recall)


def test_what_was_measured_before_is_taken_from_the_store(compared, product):
    """With ANNMODAL_REUSE the command shows the stored figures and starts no container."""
    arguments = ("--impl", "student", "--dataset", DIGITS, "--k", 5, "--subset-size", 400)
    before = len(read_results([product.folder]).cases)
    done = product.modal_run(*arguments, ANNMODAL_ROUNDS="1", ANNMODAL_REUSE="1")
    assert done.code == 0, done.text
    (line,) = [line for line in done.lines if "not measured again" in line]
    assert line.startswith("3 results were taken from the store")
    assert "measured earlier and taken from the store" in done.text
    assert len(read_results([product.folder]).cases) == before
    assert {container.function_name for container in product.containers()} == {"download_dataset"}


def test_a_broken_student_file_fails_with_the_reason(downloaded, product):
    product.write("student.py", index(fit="raise ValueError('the tree fell over')"))
    done = product.modal_run("--impl", "student", "--dataset", DIGITS)
    assert done.code == 1
    assert "❌ student" in done.text
    assert "the tree fell over" in done.text
    assert list((product.folder / "annmodal-results").glob(f"*student-{DIGITS}.json"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--impl", "brutforce", "--dataset", DIGITS), "--impl brutforce: no such .* 'bruteforce'"),
        (("--download-only", "--dataset", "digit-64"), f"--dataset digit-64: .* '{DIGITS}'"),
    ],
)
def test_arguments_are_checked_before_anything_is_started(product, arguments, said):
    """A wrong argument ends the command with one line that names it, status 2, and no app."""
    apps = len(product.plane.calls_of("AppCreate"))
    done = product.modal_run(*arguments)
    assert done.code == 2, done.text
    (line,) = [line for line in done.lines if line]
    assert re.match(f"Error: .*{said}", line)
    assert len(product.plane.calls_of("AppCreate")) == apps


def test_variables_and_the_plan_are_checked_before_anything_is_started(product):
    """A wrong variable or a plan above the limit ends the command first, also for a download."""
    arguments = ("--impl", "annoy", "--dataset", "sift-128-euclidean")
    apps = len(product.plane.calls_of("AppCreate"))
    wrong = product.modal_run(*arguments, ANNMODAL_MODAL_MAX_MINUTES="-3")
    assert (wrong.code, wrong.text.count("\n")) == (2, 1), wrong.text
    assert "ANNMODAL_MODAL_MAX_MINUTES '-3': expected a number above 0" in wrong.text
    dear = product.modal_run(*arguments, ANNMODAL_MODAL_MAX_MINUTES="30")
    assert (dear.code, dear.text.count("\n")) == (2, 1), dear.text
    assert "That is more than --modal-max-minutes 30" in dear.text
    assert len(product.plane.calls_of("AppCreate")) == apps


def test_help_says_what_each_option_does(product):
    """`--help` explains each option; the client's own help lists only names."""
    done = product.modal_run("--help")
    assert done.code == 0, done.text
    for text in ("Neighbours to ask for (default: 10)", "measure nothing", "exit status: 0"):
        assert text in done.words()


def test_without_an_account_the_reason_is_given(product):
    product.write("student.py", index())
    done = product.modal_run("--dataset", DIGITS, MODAL_TOKEN_ID="", MODAL_TOKEN_SECRET="")
    assert done.code == 1
    assert "❌ Modal has no token" in done.text


def test_a_file_that_was_put_into_the_volume_is_verified_and_used(product):
    write_dataset(product.folder / "put.hdf5", seed=5)
    name = "web-8-euclidean.hdf5"
    put = product.modal("volume", "put", "ann-datasets", "put.hdf5", f"/{name}")
    assert put.code == 0, put.text
    with FaultyServer() as server:
        done = product.pytest("--download-only", f"--dataset={server.base_url}/{name}")
        assert not server.requests
    assert done.code == 0, done.text
    assert "Verifying a file that has no stamp yet: /data/web-8-euclidean.hdf5" in done.text
    assert "✅ Dataset 'web-8-euclidean' found in volume 'ann-datasets'!" in done.lines
    assert "web-8-euclidean.json" in stored(product, "ann-datasets")


def test_a_file_that_was_put_into_the_volume_is_found_by_its_name(product):
    """As docs/modal.md says; without --modal or with a wrong name, the error lists the stored names."""
    write_dataset(product.folder / "own.hdf5", seed=8)
    put = product.modal("volume", "put", "ann-datasets", "own.hdf5", "/own-8-euclidean.hdf5")
    assert put.code == 0, put.text
    arguments = ("--dataset=own-8-euclidean", "--impl=bruteforce", "--ann-rounds=1")
    done = product.pytest(*arguments)
    assert done.counts() == {"passed": 1}, done.text
    ran = product.modal_run(
        "--dataset", "own-8-euclidean", "--impl", "bruteforce", ANNMODAL_ROUNDS="1"
    )
    assert ran.code == 0, ran.text
    assert "own-8-euclidean · 200 × 8 · euclidean" in ran.text
    wrong = product.pytest("--dataset=own-9-euclidean", "--impl=bruteforce")
    assert wrong.code == 4, wrong.text
    assert "did you mean 'own-8-euclidean'" in wrong.text
    assert "Volume 'ann-datasets' on Modal holds " in wrong.text
    here = product.finish(product.start("-m", "pytest", *arguments))
    assert here.code == 4, here.text
    assert "For a dataset in a volume on Modal, add --modal." in here.text


def test_the_stamp_of_a_file_in_the_volume_says_its_metric(product):
    """Once a file is stamped, its metric is known although its name has none."""
    write_dataset(product.folder / "own.hdf5", seed=8)
    put = product.modal("volume", "put", "ann-datasets", "own.hdf5", "/nameless.hdf5")
    assert put.code == 0, put.text
    product.write(
        "mine/dots.py",
        index().replace(
            "# ///\nimport", '#\n# [tool.annmodal]\n# metrics = ["dot"]\n# ///\nimport'
        ),
    )
    arguments = ("--ann-implementations=mine", "--impl=dots", "--dataset=nameless")
    assert product.pytest(*arguments).counts() == {"skipped": 1}
    told = product.pytest(*arguments)
    assert told.code == 4, told.text
    assert "not the metric of nameless (euclidean)" in told.text


def test_a_volume_that_cannot_be_listed_is_named(product):
    product.plane.faults.fail("VolumeListFiles", times=100, status=Status.UNIMPLEMENTED)
    done = product.pytest("--dataset=own-8-euclidean", "--impl=bruteforce")
    product.plane.faults.clear()
    assert done.code == 4, done.text
    assert "volume 'ann-datasets' on Modal cannot be listed: " in done.text


def test_a_damaged_file_is_set_aside_and_fetched_again(product):
    folder = product.plane.volume("ann-datasets").path
    good = write_dataset(product.folder / "served.hdf5", seed=6).read_bytes()
    (folder / "bad-8-euclidean.hdf5").write_bytes(good[:-500])
    with FaultyServer() as server:
        url = server.serve("bad-8-euclidean.hdf5", good)
        done = product.pytest("--download-only", f"--dataset={url}")
    assert done.code == 0, done.text
    assert "is damaged and was set aside as bad-8-euclidean.hdf5.corrupt" in done.text
    assert f"📥 Downloading bad-8-euclidean from {url}" in done.lines
    assert (folder / "bad-8-euclidean.hdf5").read_bytes() == good
    assert (folder / "bad-8-euclidean.hdf5.corrupt").read_bytes() == good[:-500]


def test_the_k_option_and_download_only_choose_what_is_fetched(product):
    shutil.rmtree(product.plane.volume("ann-datasets").path)
    product.plane.volume("ann-datasets").path.mkdir()
    done = product.pytest("-k", "digits", "--download-only")
    assert done.code == 0, done.text
    assert BROUGHT in done.text
    assert stored(product, "ann-datasets") == [f"{DIGITS}.hdf5", f"{DIGITS}.json"]
