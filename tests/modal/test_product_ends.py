"""Sessions that end early or do not begin: Ctrl-C, `-x`, plans, names, workers."""

import importlib.util
import json
import signal

import pytest
from http_server import Fault, FaultyServer
from product import ROOT, index, write_dataset

DIGITS = "digits-64-euclidean"
NEVER = "import time\ntime.sleep(600)"
ENDLESS = index(fit=NEVER)
PROMPT_S = 200  # on a machine that does much else; the endless ones sleep for ten minutes


def _until(process, words):
    """Reads a session's output up to a line with these words; returns what was read."""
    read = []
    for line in process.stdout:
        read.append(line)
        if words in line:
            return "".join(read)
    raise AssertionError("".join(read))


def _is_building(plane, name):
    return lambda: f"{name} on tiny-8-euclidean: building" in plane.log_text()


def test_ctrl_c_cancels_what_runs_and_shows_what_is_finished(product):
    product.write("mine/a_quick.py", index())
    product.write("mine/b_endless.py", ENDLESS)
    product.write("mine/c_endless.py", ENDLESS)
    session = product.start_pytest(
        *("--ann-implementations=mine", "--impl=a_*", "--impl=b_*", "--impl=c_*", "-v"),
        f"--dataset={product.tiny}",
    )
    begun = _until(session, "PASSED")
    product.plane.wait_for(_is_building(product.plane, "b_endless"))
    product.interrupt(session)
    done = product.finish(session, PROMPT_S)
    assert done.code == 2, begun + done.text
    assert done.counts() == {"passed": 1}
    assert "KeyboardInterrupt" in done.text
    assert "tiny-8-euclidean · 200 × 8 · euclidean" in done.text
    assert "a_quick" in done.text[done.text.index("ANN benchmarks") :]
    assert product.plane.no_container_is_left()
    cancelled = product.plane.calls_of("FunctionCallCancel")
    assert len(cancelled) == 2
    assert all(record.request.terminate_containers for record in cancelled)


def test_an_app_that_is_stopped_from_outside_ends_what_runs_with_the_reason(product):
    """By ``modal app stop``, or on the website: what has finished stays."""
    product.write("mine/a_quick.py", index())
    product.write("mine/b_endless.py", ENDLESS)
    session = product.start_pytest(
        *("--ann-implementations=mine", "--impl=a_*", "--impl=b_*", "-v"),
        f"--dataset={product.tiny}",
    )
    begun = _until(session, "PASSED")
    plane = product.plane
    plane.wait_for(_is_building(plane, "b_endless"))
    (app,) = {container.function.app.id for container in product.containers()}
    plane.call(plane.scheduler.stop_app(plane.registry.apps[app]))
    done = product.finish(session, PROMPT_S)
    assert done.code == 1, begun + done.text
    assert done.counts() == {"passed": 1, "error": 1}
    assert "App was stopped" in done.words() or "is stopped" in done.words()
    assert "Traceback" not in done.text
    assert plane.no_container_is_left()


def test_after_x_nothing_keeps_running(product):
    session = product.start_pytest(
        product.submission("a_failing.py", index(fit="raise ValueError('no')")),
        product.submission("b_endless.py", ENDLESS),
        f"--dataset={product.tiny}",
        "-x",
    )
    done = product.finish(session, PROMPT_S)
    assert done.code == 1, done.text
    assert done.counts() == {"failed": 1}
    assert len(product.containers("ask_submission")) == 2
    assert product.plane.no_container_is_left()


def test_ctrl_c_during_a_download_leaves_no_container(product):
    hold = Fault(hold_at=100)
    content = write_dataset(product.folder / "held.hdf5", seed=9).read_bytes()
    with FaultyServer() as server:
        url = server.serve("held-8-euclidean.hdf5", content, hold)
        session = product.start_pytest("--impl=bruteforce", f"--dataset={url}")
        assert hold.held.wait(120)
        product.interrupt(session)
        done = product.finish(session, PROMPT_S)
    assert done.code == 2, done.text
    assert product.plane.no_container_is_left()
    assert not product.containers("run_benchmark")


def test_ctrl_c_ends_modal_run_with_130_and_what_had_finished(product):
    """Ctrl-C ends `modal run` with 130, although the client itself would end with 0."""
    product.write("mine/a_quick.py", index())
    product.write("mine/b_endless.py", ENDLESS)
    results = product.folder / "annmodal-results"
    session = product.start(
        *("-m", "modal", "run", ROOT / "modal_app.py", "--impl", "a_quick"),
        *("--compare", "b_endless", "--dataset", product.tiny),
        ANNMODAL_IMPLEMENTATIONS="mine",
    )
    begun = _until(session, "1 of 2 jobs finished")
    product.plane.wait_for(_is_building(product.plane, "b_endless"))
    product.interrupt(session)
    done = product.finish(session, PROMPT_S)
    assert done.code == 130, begun + done.text
    assert "Interrupted: 1 of 2 jobs had finished." in done.lines
    assert "tiny-8-euclidean · 200 × 8 · euclidean" in done.text
    (written,) = results.glob("*-a_quick-b_endless-*.json")
    assert len(json.loads(written.read_text())) == 1
    assert product.plane.no_container_is_left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_images_are_built_ends_modal_run_as_interrupted(product, number):
    """A signal during the image build ends `modal run` with 130 or 143."""
    product.write("student.py", index())
    product.plane.faults.hang("ImageGetOrCreate")
    before = len(product.plane.calls_of("ImageGetOrCreate"))
    session = product.start("-m", "modal", "run", ROOT / "modal_app.py", "--dataset", product.tiny)
    product.plane.wait_for(lambda: len(product.plane.calls_of("ImageGetOrCreate")) > before)
    session.send_signal(number)
    done = product.finish(session, PROMPT_S)
    product.plane.faults.clear()
    assert done.code == 128 + number, done.text
    assert "Traceback" not in done.text


def test_ctrl_c_while_images_are_built_ends_the_session(product):
    product.plane.faults.hang("ImageGetOrCreate")
    before = len(product.plane.calls_of("ImageGetOrCreate"))
    session = product.start_pytest("--impl=bruteforce", f"--dataset={product.tiny}")
    product.plane.wait_for(lambda: len(product.plane.calls_of("ImageGetOrCreate")) > before)
    product.interrupt(session)
    done = product.finish(session, PROMPT_S)
    product.plane.faults.clear()
    assert done.code == 2, done.text
    assert product.plane.calls_of("AppClientDisconnect")
    assert not product.containers()


def test_a_plan_says_what_would_run_and_at_most_cost_and_starts_nothing(product):
    product.write("mine/a_quick.py", index())
    apps = len(product.plane.calls_of("AppCreate"))
    done = product.pytest(
        *("--modal-plan", "--impl=annoy", "--impl=hnswlib", f"--dataset={DIGITS}"),
        *("-k", "annoy", "--modal-timeout=1800", "--modal-cpu=4", "--modal-memory-mb=8192"),
        *("--modal-usd-core-hour=0.1", "--modal-usd-gib-hour=0.01"),
    )
    assert done.code == 0, done.text
    assert f"annoy[n_trees=20] on {DIGITS}: 3 settings" in done.text
    assert "hnswlib" not in done.text
    assert (
        "Modal: 1 container of 4 cores and 8 GiB, at most 30 min each: at most 30 "
        "container-minutes, $0.24 ($0.480 per container-hour)"
    ) in done.lines
    assert len(product.plane.calls_of("AppCreate")) == apps


def test_a_plan_above_the_limit_is_refused_before_anything_is_started(product):
    apps = len(product.plane.calls_of("AppCreate"))
    done = product.pytest("--impl=bruteforce", f"--dataset={DIGITS}", "--modal-max-minutes=30")
    assert done.code == 4
    (line,) = [line for line in done.lines if line.startswith("ERROR: ")]
    assert "That is more than --modal-max-minutes 30: select less" in line
    assert len(product.plane.calls_of("AppCreate")) == apps


def test_names_in_the_test_work_planned_or_not(product):
    """A parametrized case is planned; one named in the test's body opens an app of its own."""
    product.write(
        "test_named.py",
        f"""
        import pytest

        @pytest.mark.parametrize("implementation", ["bruteforce"])
        @pytest.mark.parametrize("dataset", ["{DIGITS}"])
        def test_pair(ann_benchmark, implementation, dataset):
            m = ann_benchmark(implementation=implementation, dataset=dataset)
            assert m.recall == 1.0

        def test_named(ann_benchmark):
            m = ann_benchmark(implementation="annoy", dataset="{DIGITS}", k=5)
            assert m.k == 5
        """.replace("\n        ", "\n"),
    )
    apps = len(product.plane.calls_of("AppCreate"))
    done = product.pytest("test_named.py", "--ann-queries=5", "--ann-rounds=1")
    assert done.counts() == {"passed": 2}, done.text
    assert "Not planned: Modal: 1 container" in done.text
    assert len(product.plane.calls_of("AppCreate")) == apps + 2
    assert len(product.containers("download_dataset")) == 1


def test_workers_are_refused_clearly(product):
    if importlib.util.find_spec("xdist") is None:
        pytest.skip("pytest-xdist is not installed")
    done = product.pytest("--impl=bruteforce", f"--dataset={DIGITS}", "-n", "1")
    assert done.code == 1, done.text
    assert "(With --modal, all of them run at once anyway.)" in done.text
    assert not product.containers()
