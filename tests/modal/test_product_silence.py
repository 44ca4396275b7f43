"""A service that stops answering gives one message, and finished results are kept."""

import contextlib

import pytest
from product import ROOT, Product, index

SILENCE_S = "4"
NEVER = "import time\ntime.sleep(600)"
SLOW = "import time\ntime.sleep(6)"  # one and a half times the limit
WORDS = f"Modal does not answer: nothing has come from its server for {SILENCE_S} s."
NOISE = ("Traceback", "INTERNALERROR", "was never retrieved", "ClientClosed", "aclose()")


@pytest.fixture
def own(tmp_path):
    """A plane for one test, since it never answers again."""
    from plane import Plane

    with Plane() as plane:
        if not plane.namespaces:
            pytest.skip("neither root nor user namespaces: there is no /data in containers")
        with contextlib.closing(Product(plane, tmp_path)) as product:
            product.env["ANNMODAL_MODAL_SILENCE_S"] = SILENCE_S
            product.write("mine/a_quick.py", index())
            product.write("mine/b_endless.py", index(fit=NEVER))
            product.write("mine/c_slow.py", index(fit=SLOW))
            yield product


def start_pytest(own, *impls):
    names = (f"--impl={name}" for name in impls)
    return own.start_pytest("--ann-implementations=mine", *names, f"--dataset={own.tiny}", "-v")


def start_modal_run(own, impl, compare):
    return own.start(
        *("-m", "modal", "run", ROOT / "modal_app.py", "--dataset", own.tiny),
        *("--impl", impl, "--compare", compare),
        ANNMODAL_IMPLEMENTATIONS="mine",
    )


def is_clean(done):
    return not any(noise in done.text for noise in NOISE)


@pytest.mark.parametrize("moment", ["AppCreate", "ImageGetOrCreate"])
def test_a_service_silent_before_anything_ran_is_one_error(own, moment):
    """If the service is silent from the start, the session ends with one error."""
    own.plane.faults.silent_from(moment)
    done = own.finish(start_pytest(own, "a_quick"))
    assert done.code == 4, done.text
    (line,) = [line for line in done.lines if line.startswith("ERROR: ")]
    assert WORDS in line
    assert is_clean(done), done.text


def test_a_service_silent_during_an_upload_is_one_error(own):
    """Images are built while files are uploaded: the session may still wait for either."""
    own.plane.faults.silent_from("VolumePutFiles")
    done = own.finish(start_pytest(own, "a_quick"))
    assert (done.code, done.counts()) in [(4, {}), (1, {"error": 1})], done.text
    assert WORDS in done.text
    assert is_clean(done), done.text


def test_a_service_silent_during_a_download_is_an_infrastructure_failure(own):
    """If the service is silent while a dataset is downloaded, its cases have the error."""
    own.plane.faults.silent_from("FunctionMap")
    done = own.finish(start_pytest(own, "a_quick"))
    assert done.counts() == {"error": 1}, done.text
    assert WORDS in done.text
    assert is_clean(done), done.text


def test_what_had_finished_before_the_silence_is_kept_and_shown(own):
    session = start_pytest(own, "a_quick", "b_endless")
    read = []
    while not read or "PASSED" not in read[-1]:
        read.append(session.stdout.readline())
        assert read[-1], "".join(read)
    own.plane.wait_for(lambda: "b_endless on tiny-8-euclidean: building" in own.plane.log_text())
    own.plane.faults.silent.set()
    done = own.finish(session)
    assert done.counts() == {"passed": 1, "error": 1}, done.text
    assert "a_quick" in done.text[done.text.index("- ANN benchmarks -") :]
    assert WORDS in done.text
    assert is_clean(done), done.text


def test_a_service_silent_at_the_end_takes_nothing_away(own):
    own.plane.faults.silent_from("AppClientDisconnect")
    done = own.finish(start_pytest(own, "a_quick"))
    assert (done.code, done.counts()) == (0, {"passed": 1}), done.text
    assert is_clean(done), done.text


@pytest.mark.parametrize("moment", ["AppCreate", "FunctionMap", "AppClientDisconnect"])
def test_modal_run_ends_at_a_silence_too(own, moment):
    """`modal run` ends as well, where the client alone would wait for minutes."""
    own.plane.faults.silent_from(moment)
    done = own.finish(start_modal_run(own, "a_quick", "a_quick"))
    assert done.code == (0 if moment == "AppClientDisconnect" else 1), done.text
    assert done.text.count(WORDS) == 1
    assert is_clean(done), done.text


def test_modal_run_shows_what_had_finished_before_the_silence(own):
    session = start_modal_run(own, "a_quick", "b_endless")
    own.plane.wait_for(lambda: "b_endless on tiny-8-euclidean: building" in own.plane.log_text())
    read = []
    while not read or "1 of 2 jobs finished" not in read[-1]:
        read.append(session.stdout.readline())
        assert read[-1], "".join(read)
    own.plane.faults.silent.set()
    done = own.finish(session)
    assert done.code == 1, done.text
    assert "Results: annmodal-results/" in done.text
    assert f"❌ b_endless-tiny-8-euclidean-k10: {WORDS}" in done.text
    assert is_clean(done), done.text


def test_long_healthy_waits_are_not_cut_short(own):
    """An image and a job that take longer than the limit run on while the service answers."""
    own.plane.faults.delay("ImageGetOrCreate", 1.5 * float(SILENCE_S), times=1)
    done = own.finish(start_pytest(own, "c_slow"))
    assert done.counts() == {"passed": 1}, done.text


@pytest.mark.parametrize("moment", ["ImageGetOrCreate", "VolumePutFiles"])
def test_connections_that_break_again_and_again_are_one_message(own, moment):
    """Repeatedly broken connections give one message instead of an INTERNALERROR."""
    own.plane.faults.cut_at(moment)
    done = own.finish(start_pytest(own, "a_quick"))
    assert done.code == (1 if moment == "VolumePutFiles" else 4), done.text
    assert "The connection to Modal was lost: " in done.text
    assert is_clean(done), done.text
