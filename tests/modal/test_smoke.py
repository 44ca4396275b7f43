"""The same on the real service: `tox -e modal`, or `pytest -m modal tests/modal/test_smoke.py`.

It needs a token and the network and costs a few cents. Its volume is its own and is deleted
at the end. What the tests on the loopback plane assume about the service is looked at here.
"""

import secrets
import shutil

import pytest
from product import ROOT, Product, benchmark_json, index

pytestmark = pytest.mark.modal
DIGITS = "digits-64-euclidean"
MODEST = (
    "--modal-cpu=1",
    "--modal-memory-mb=2048",
    "--modal-timeout=300",
    "--modal-max-minutes=30",
)
NEVER = "import time\ntime.sleep(600)"
HUNGRY = "self.waste = [np.ones(2**24) for _ in range(60)]"


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    product = Product(None, tmp_path_factory.mktemp("smoke"))
    product.volume = f"annmodal-smoke-{secrets.token_hex(4)}"
    product.env["ANNMODAL_MODAL_VOLUME"] = product.volume
    yield product
    product.close()
    product.modal("volume", "delete", "--yes", product.volume)


@pytest.fixture(scope="module")
def ran(account):
    account.write("mine/a_good.py", index("numpy"))
    account.write("mine/b_no_image.py", index("numpy", "no-such-package-anywhere-2f7c"))
    return account.pytest(
        *("--ann-implementations=mine", "--impl=a_*", "--impl=b_*"),
        account.submission("c_raising.py", index(query="raise RuntimeError('no answer')")),
        account.submission("d_hungry.py", index(fit=HUNGRY)),
        account.submission("e_good.py", index()),
        *(f"--dataset={DIGITS}", "--ann-queries=20", "-rA", "--benchmark-json=out.json"),
        *MODEST,
    )


def test_every_job_fails_or_passes_for_its_own_reason(ran):
    assert ran.counts() == {"passed": 2, "failed": 3}, ran.text


def test_the_dataset_was_committed_for_the_next_run(ran, account):
    assert f"✅ Dataset '{DIGITS}' persisted to volume!" in ran.lines
    again = account.pytest("-k", "digits", "--download-only")
    assert again.code == 0, again.text
    assert f"✅ Dataset '{DIGITS}' found in volume '{account.volume}'!" in again.lines


def test_the_volume_command_lists_and_fetches_it(ran, account):
    assert f"{DIGITS}.hdf5" in account.modal("volume", "ls", account.volume).text
    got = account.modal("volume", "get", account.volume, f"{DIGITS}.hdf5", "local.hdf5")
    assert got.code == 0, got.text
    packaged = ROOT / "pytest_annmodal" / "data" / f"{DIGITS}.hdf5"
    assert (account.folder / "local.hdf5").read_bytes() == packaged.read_bytes()


def test_an_image_that_cannot_be_built_shows_its_log(ran):
    assert "no-such-package-anywhere-2f7c" in ran.text[ran.text.index("= FAILURES") :]
    assert "check these dependencies in the header" in ran.text


def test_progress_and_the_containers_log_arrive(ran):
    assert f"  a_good on {DIGITS}: building" in ran.lines
    assert "Volume 'annmodal-smoke-" in ran.text


def test_the_result_tells_the_machine_and_the_versions(ran, account):
    for benchmark in benchmark_json(account.folder / "out.json"):
        environment = benchmark["extra_info"]["environment"]
        assert environment["cpu"]
        assert environment["versions"]["numpy"]


def test_after_x_the_session_ends_at_once(account):
    done = account.pytest(
        account.submission("a_failing.py", index(fit="raise ValueError('no')")),
        account.submission("b_endless.py", index(fit=NEVER)),
        *(f"--dataset={DIGITS}", "-x"),
        *MODEST,
    )
    assert done.code == 1, done.text
    assert done.counts() == {"failed": 1}


def test_modal_run_measures_and_writes_the_results(account):
    shutil.copy(ROOT / "benchmarks" / "student.py", account.folder)
    done = account.modal_run(
        *("--impl", "student", "--dataset", DIGITS, "--compare", "bruteforce"),
        ANNMODAL_MODAL_MEMORY_MB="2048",
    )
    assert done.code == 0, done.text
    assert list((account.folder / "annmodal-results").glob("*.json"))
