"""The parent's side of a worker: limits, environment and end."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading

import pytest
from jobs import EXACT, index, make_job, marked, measured, nothing_left_behind, run, write

from pytest_annmodal.channel import mailbox
from pytest_annmodal.datasets import hdf5
from pytest_annmodal.errors import (
    BuildError,
    CrashedError,
    InvalidResultError,
    LimitExceededError,
    ProtocolViolationError,
    TimeoutExceededError,
)
from pytest_annmodal.execution import run_job
from pytest_annmodal.sandbox import output, process_tree
from pytest_annmodal.sandbox.worker_process import Worker

THREAD_VARIABLES = [f"{name}_NUM_THREADS" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA", "RAYON")]


@pytest.fixture(autouse=True)
def _clean_up():
    with nothing_left_behind():
        yield


@pytest.fixture
def start():
    """A worker that was given an empty mailbox and nothing else to do."""
    fd = mailbox.new_shared_file(4096, label="test")

    def start(**options):
        given = {"threads": 1, "phase_timeout_s": 60.0, "output_bytes": 10**6, **options}
        return Worker(inherit={"mailbox": fd, "train": fd}, **given)

    yield start
    os.close(fd)


class TestLife:
    def test_it_lives_inside_the_block_only(self, start):
        """The worker ends with the block."""
        with start() as worker:
            assert worker.alive
        assert not worker.alive

    def test_what_is_raised_inside_the_block_ends_it_and_goes_on(self, start):
        """An exception in the block, also Ctrl-C, ends the worker and is passed on."""
        with pytest.raises(KeyboardInterrupt), start() as worker:
            raise KeyboardInterrupt
        assert not worker.alive

    def test_an_abandoned_worker_is_not_asked_to_finish(self, start):
        """After an exception the worker is ended without a request."""
        with start() as worker:
            os.kill(worker.pid, signal.SIGSTOP)  # it would never answer
            worker.abandon()
        assert not worker.alive

    def test_a_program_that_cannot_be_started_leaves_nothing(self, start, monkeypatch, tmp_path):
        """A failed start leaves no descriptor, and cores are restored (checked by the fixture)."""
        monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
        with pytest.raises(FileNotFoundError), start():
            pass

    def test_what_reads_its_output_has_ended_too(self, start, monkeypatch, tmp_path):
        """The thread that reads the output has ended when the error arrives."""
        drain = output.OutputTail._drain

        def late(tail):
            tail._worker_gone.wait(10)
            drain(tail)

        monkeypatch.setattr(output.OutputTail, "_drain", late)
        monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
        with pytest.raises(FileNotFoundError), start():
            pass

    def test_two_may_live_at_once(self, start):
        """Two workers can run at once."""
        with start() as one, start() as other:
            assert one.pid != other.pid
            assert one.alive
            assert other.alive

    def test_it_ends_when_its_parent_is_killed(self, tmp_path, small_dataset):
        """The kernel ends the worker if the parent is killed (checked by the fixture)."""
        if sys.platform != "linux":
            pytest.skip("PR_SET_PDEATHSIG is Linux's")
        source = write(
            tmp_path / "mine.py",
            index("""
                def fit(self, X):
                    print("building", flush=True)
                    with open(os.environ["TOLD"], "w") as file:
                        file.write(str(os.getpid()))
                    threading.Event().wait()
            """),
        )
        fifo = tmp_path / "told"
        os.mkfifo(fifo)
        code = (
            "import sys; from pathlib import Path; sys.path[:0] = sys.argv[3].split(':');"
            "from jobs import run; run(Path(sys.argv[1]), Path(sys.argv[2]))"
        )
        parent = subprocess.Popen(
            [sys.executable, "-c", code, small_dataset(), source, ":".join(filter(None, sys.path))],
            env={**os.environ, "TOLD": str(fifo)},
        )
        fifo.read_text()
        started = marked(os.environ["TEST_MARK"])
        parent.kill()
        parent.wait(timeout=60)
        for pid in started:  # also the one that checks dataset files
            with contextlib.suppress(ProcessLookupError):
                fd = os.pidfd_open(pid)
                assert select.select([fd], [], [], 30)[0]
                os.close(fd)


class TestTalk:
    def test_an_unexpected_frame_is_a_violation(self, start):
        """A frame of an unexpected kind is a violation."""
        with start() as worker:
            worker.begin("start")
            with pytest.raises(ProtocolViolationError, match="sent 'finished', not 'loaded'"):
                worker.request("finish", expect="loaded")
            worker.abandon()

    def test_an_error_frame_is_raised_and_the_worker_is_in_step(self, start):
        """An error frame is raised with phase and evidence, and the worker stays usable."""
        with start() as worker:
            worker.begin("search")
            with pytest.raises(BuildError, match="search raised AttributeError") as caught:
                worker.request("nonsense", expect="x")
            assert worker.in_step(caught.value)
            assert "traceback" in caught.value.evidence

    def test_only_errors_of_the_users_code_leave_it_in_step(self, start):
        """After any other error the worker is not usable."""
        with start() as worker:
            assert worker.in_step(InvalidResultError("x"))
            for kind in (CrashedError, TimeoutExceededError, LimitExceededError):
                assert not worker.in_step(kind("x"))
            assert not worker.in_step(ProtocolViolationError("x"))
            os.kill(worker.pid, 9)
            with pytest.raises(CrashedError, match="SIGKILL"):
                worker.receive("x")
            assert not worker.in_step(BuildError("x"))

    def test_silence_is_a_timeout(self, start):
        """Silence is a timeout, of the phase or of one request."""
        with start(phase_timeout_s=0.0) as worker:
            worker.begin("build")
            with pytest.raises(TimeoutExceededError, match=r"^build took longer than 0 s"):
                worker.receive("x")
            worker.abandon()
        with start() as worker:
            worker.begin("build")
            with pytest.raises(TimeoutExceededError):
                worker.receive("x", timeout_s=0.0)
            worker.abandon()

    def test_a_request_to_an_ended_worker_says_how_it_ended(self, start):
        """A request to an ended worker raises the reason of its end."""
        with start() as worker:
            worker.begin("build")
            os.kill(worker.pid, 15)
            with pytest.raises(CrashedError, match="SIGTERM during build"):
                worker.receive("x")
            with pytest.raises(CrashedError, match="SIGTERM during build"):
                worker.send("load", {})
            with pytest.raises(CrashedError, match="SIGTERM during build"):
                worker.check()

    def test_memory_is_seen_while_it_lives(self, start):
        """Peak and own memory are measured while the worker runs."""
        with start() as worker:
            worker.begin("start")
            with pytest.raises(BuildError):
                worker.request("nonsense", expect="x")  # it has started by now
            own = worker.held_bytes()
            assert 10**6 < own <= worker.peak_rss_bytes
        assert worker.held_bytes() == 0


SURVEY = index("""
    def fit(self, X):
        import json
        super().fit(X)
        print(json.dumps({
            "env": dict(os.environ),
            "cores": sorted(os.sched_getaffinity(0)),
            "fds": sorted(int(fd) for fd in os.listdir("/proc/self/fd")),
            "path": sys.path,
            "group": os.getpgrp() == os.getpid() == os.getsid(0),
            "modules": sorted(sys.modules),
            "hash": hash("x"),
        }))
""")


class TestSurroundings:
    def test_threads_are_limited_before_it_starts(self, small_dataset, tmp_path):
        """Threads are limited by variables, and with one thread by a core without the parent."""
        here = sorted(os.sched_getaffinity(0))
        text = SURVEY.replace("print(", f"open({str(tmp_path / 'seen')!r}, 'a').write('\\n' + ")
        source = write(tmp_path / "mine.py", text)
        path = small_dataset()
        for threads in (1, 3):
            (outcome,) = run(path, source, threads=threads)
            measurement = measured(outcome)
            seen = json.loads((tmp_path / "seen").read_text().splitlines()[-1])
            assert {seen["env"][name] for name in THREAD_VARIABLES} == {str(threads)}
            assert seen["cores"] == ([here[-1]] if threads == 1 else here)
            core = here[-1]
            assert measurement.environment["worker_core"] == core
            assert measurement.environment["threads"] == threads
            assert seen["group"]
            assert not {"pytest", "modal", "h5py", "psutil", "jobs"} & set(seen["modules"])
            # Three streams, socket, mailbox and train, a copy of these two in their maps, the
            # listing and the file that this is written to; a libffi that keeps its own open.
            assert len(seen["fds"]) <= 11

    def test_nothing_of_the_parents_descriptors_is_inherited(self, small_dataset, tmp_path):
        """No descriptor of the parent is inherited, even if it is inheritable."""
        secret = tmp_path / "secret"
        secret.write_text("x")
        fd = os.open(secret, os.O_RDONLY)
        os.set_inheritable(fd, True)
        text = index("""
            def fit(self, X):
                super().fit(X)
                for fd in os.listdir("/proc/self/fd"):
                    if os.path.exists(f"/proc/self/fd/{fd}"):
                        assert "secret" not in os.readlink(f"/proc/self/fd/{fd}")
        """)
        measured(run(small_dataset(), write(tmp_path / "mine.py", text))[0])
        os.close(fd)

    def test_a_submission_is_not_given_the_file_with_the_truth(self, small_dataset, tmp_path):
        """A submission gets a copy of train; a trusted worker maps the file."""
        text = index("""
            def fit(self, X):
                super().fit(X)
                maps = open("/proc/self/maps").read()
                print("mapped" if ".hdf5" in maps else "copied")
        """)
        path, source = small_dataset(), write(tmp_path / "mine.py", text)
        for trusted, words in ((True, "mapped\n"), (False, "copied\n")):
            outcome = run(path, source, implementation={"trusted": trusted})[0]
            assert (measured(outcome).recall, outcome.log_tail) == (1, words)

    def test_the_calling_threads_cores_come_back(self, small_dataset, tmp_path):
        """The calling thread's cores are restored, also in a pool's thread."""
        source = write(tmp_path / "mine.py", EXACT)
        path, seen = small_dataset(), []

        def work():
            before = os.sched_getaffinity(0)
            run(path, source)
            seen.append(os.sched_getaffinity(0) == before)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert seen == [True]

    def test_an_interrupt_while_it_measures_leaves_nothing(self, small_dataset, tmp_path):
        """Ctrl-C between two steps leaves nothing (checked by the fixture)."""
        path, source = small_dataset(), write(tmp_path / "mine.py", EXACT)
        for phase in ("starting", "building", "queries, setting 1 of 1", "queries, round 1 of 1"):

            def interrupt(text, phase=phase):
                if text == phase:
                    raise KeyboardInterrupt

            with pytest.raises(KeyboardInterrupt):
                run_job(make_job(path, source), path, on_phase=interrupt)
        assert hdf5.load(path).info.n_train == 300


class TestStrays:
    def test_are_found_by_what_they_inherited(self):
        """Processes are found by the inherited mark; a longer mark is another worker's."""
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", "input()"],
                stdin=subprocess.PIPE,
                start_new_session=True,
                env={**os.environ, process_tree.MARK: mark},
            )
            for mark in ("abc", "abcd")
        ]
        try:
            assert process_tree.marked("abc") == [processes[0].pid]
            assert {process.pid for process in processes} <= set(
                process_tree.descendants(os.getpid())
            )
            process_tree.end_marked("abc")
            assert processes[0].wait(timeout=60) == -9
            assert processes[1].poll() is None
        finally:
            for process in processes:
                process.kill()
                process.communicate()

    def test_an_ended_process_has_no_descendants_and_can_be_ended_again(self):
        """Ending an ended process causes no error."""
        process = subprocess.Popen([sys.executable, "-c", ""])
        process.wait(timeout=60)
        assert process_tree.descendants(process.pid) == []
        process_tree.end([process.pid])
        process_tree.end_marked("nobody carries this")
