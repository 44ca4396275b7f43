"""The worker's side: its maps, its reports of errors, and the frames it answers."""

import json
import os
import resource
import socket
import subprocess
import sys
import threading

import numpy as np
import pytest
from jobs import EXACT, index, write

from pytest_annmodal.channel import mailbox
from pytest_annmodal.channel.wire import Channel, ChannelClosedError
from pytest_annmodal.errors import InvalidResultError
from pytest_annmodal.model import Arguments, Implementation, to_plain
from pytest_annmodal.worker import worker

TRAIN = np.arange(80, dtype=np.float32).reshape(20, 4)
QUERIES = TRAIN[:3] + np.float32(0.1)
LAYOUT = {"capacity": 8, "n_slots": 5, "dim": 4}


class TestMapTrain:
    @pytest.mark.parametrize("offset", [0, 2048, 4096, 5000, 10_001])
    def test_finds_the_vectors_wherever_they_lie(self, tmp_path, offset):
        """Vectors at any offset of the file are mapped."""
        file = tmp_path / "data"
        file.write_bytes(b"#" * offset + TRAIN.tobytes() + b"#" * 7)
        with file.open("rb") as opened:
            got = worker.map_train(opened.fileno(), offset=offset, n_bytes=TRAIN.nbytes)
        assert got.tobytes() == TRAIN.tobytes()

    def test_may_be_written_to_without_changing_the_file(self, tmp_path):
        """Writing to the map does not change the file."""
        file = tmp_path / "data"
        file.write_bytes(TRAIN.tobytes())
        with file.open("rb") as opened:
            got = worker.map_train(opened.fileno(), offset=0, n_bytes=TRAIN.nbytes)
        got *= 0
        assert file.read_bytes() == TRAIN.tobytes()


class TestDescribeError:
    @staticmethod
    def caught(code, path="mine.py"):
        try:
            exec(compile(code, path, "exec"), {"np": np, "InvalidResultError": InvalidResultError})
        except BaseException as error:
            return worker.describe_error(error, path)
        raise AssertionError

    def test_is_plain_data(self):
        """A report has type, message, line and traceback."""
        described = self.caught("def f():\n  raise ValueError('mine')\nf()\n")
        assert json.loads(json.dumps(described)) == described
        assert (described["type"], described["message"]) == ("ValueError", "mine")
        assert (described["line"], described["kind"]) == (2, "raised")
        assert described["traceback"].rstrip().endswith("ValueError: mine")

    @pytest.mark.parametrize(
        ("code", "parts"),
        [
            (
                "try:\n  1 / 0\nexcept ZeroDivisionError as e:\n  raise KeyError('late') from e",
                ["ZeroDivisionError: division by zero", "direct cause", "KeyError: 'late'"],
            ),
            (
                "try:\n  import nothing_here\nexcept ImportError:\n  {}['there']",
                ["No module named 'nothing_here'", "another exception occurred", "KeyError"],
            ),
            (
                "raise ExceptionGroup('two', [ValueError('first'), TypeError('second')])",
                [
                    "ExceptionGroup: two (2 sub-exceptions)",
                    "ValueError: first",
                    "TypeError: second",
                ],
            ),
        ],
        ids=["cause", "context", "group"],
    )
    def test_tells_the_causes_and_the_members_of_a_group(self, code, parts):
        """Of an error that was raised from others, all are told, in the order of Python."""
        told = self.caught(code)["traceback"]
        places = [told.find(part) for part in parts]
        assert -1 not in places
        assert places == sorted(places)
        assert "test_worker" in told or "pytest_annmodal" not in told

    def test_does_not_tell_a_hidden_cause(self):
        """``from None`` hides what was being handled, and no heading is needed for one error."""
        code = "try:\n  1 / 0\nexcept ZeroDivisionError:\n  raise KeyError('late') from None"
        told = self.caught(code)["traceback"]
        assert "division" not in told
        assert "Traceback" not in told

    def test_has_no_line_if_the_users_file_was_not_in_it(self):
        """There is no line if the user's file is not in the traceback."""
        assert worker.describe_error(ValueError("x"), "mine.py")["line"] is None

    @pytest.mark.parametrize(
        ("code", "kind"),
        [
            ("raise MemoryError", "limit"),
            ("np.ones(2**50)", "limit"),
            ("raise RuntimeError('std::bad_alloc')", "limit"),
            ("raise InvalidResultError('x')", "invalid-result"),
            ("raise SystemExit(3)", "raised"),
        ],
    )
    def test_knows_three_kinds(self, code, kind):
        """Memory errors of Python and C++ are recognised."""
        assert self.caught(code)["kind"] == kind

    @pytest.mark.parametrize(
        "text", ["None", "lambda self: 1 / 0", "lambda self: exec('raise SystemExit')"]
    )
    def test_survives_an_error_that_cannot_tell_itself(self, text):
        """An exception whose ``__str__`` raises, or exits, is reported."""
        described = self.caught(f"class E(Exception):\n  __str__ = {text}\nraise E")
        assert (described["type"], described["kind"]) == ("E", "raised")
        assert "could not be read" in described["message"]


class TestVersions:
    def test_are_those_of_the_requirements(self):
        """Versions of installed requirements are reported."""
        found = worker.versions(
            ["psutil>=5", "no-such-thing==1", "pyyaml[x]; python_version>'3'", ""]
        )
        assert {"python", "numpy", "psutil", "pyyaml"} == set(found)


class Far:
    """A worker process without sandbox, and our end of its channel."""

    def __init__(self, tmp_path, text):
        source = write(tmp_path / "mine.py", text)
        self.fd = mailbox.new_shared_file(mailbox.Mailbox.size_bytes(**LAYOUT), label="test")
        self.box = mailbox.Mailbox(self.fd, **LAYOUT)
        (tmp_path / "train").write_bytes(TRAIN.tobytes())
        ours, theirs = socket.socketpair()
        train = os.open(tmp_path / "train", os.O_RDONLY)
        fds = {"socket": theirs.fileno(), "mailbox": self.fd, "train": train, "parent": os.getpid()}
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "pytest_annmodal.worker",
                *(f"--{k}={v}" for k, v in fds.items()),
            ],
            pass_fds=(theirs.fileno(), self.fd, train),
        )
        theirs.close()
        os.close(train)
        self.channel = Channel(ours)
        implementation = Implementation(name="mine", path=str(source), class_name="Index")
        self.start = {
            "mailbox": LAYOUT,
            "implementation": to_plain(implementation),
            "form": {"name": "float32", "dim": 4, "longest": 0},
            "train": {"offset": 0, "n_bytes": TRAIN.nbytes, "n": 20},
            "metric": "euclidean",
            "build": to_plain(Arguments()),
            "memory_bytes": None,
            "work_folder": None,
            "threads": 1,
            "k": 2,
        }

    def ask(self, kind, fields=None, arrays=()):
        self.channel.send(kind, fields, arrays)
        return self.channel.receive(timeout_s=60, max_array_bytes=10**6)

    def built(self):
        for kind, expected in (("start", "started"), ("load", "loaded"), ("build", "built")):
            message = self.ask(kind, self.start if kind == "start" else {})
            assert message.kind == expected, message.fields
        return self

    def close(self):
        self.channel.close()
        status = self.process.wait(timeout=60)
        os.close(self.fd)
        return status


@pytest.fixture
def far(tmp_path):
    made = []

    def start(text=EXACT):
        made.append(Far(tmp_path, text))
        return made[-1]

    yield start
    for one in made:
        assert one.close() == 0  # its parent's end is the worker's end


class TestFrames:
    def test_the_whole_way(self, far):
        """All steps from start to finish work, by both clocks."""
        one = far().built()
        memory = one.ask("memory").fields
        assert memory["reported_index_bytes"] is None
        assert memory["versions"]["numpy"] == np.__version__
        search = {"arguments": to_plain(Arguments(kwargs={"setting": 1}))}
        assert one.ask("search", search).kind == "set"

        timing = {"k": 2, "rounds": 2, "max_search_s": 60}
        assert one.ask("timed", timing, [QUERIES, QUERIES]).fields == {"rounds": 1}
        assert one.channel.receive(timeout_s=60).fields == {"rounds": 2}
        message = one.channel.receive(timeout_s=60, max_array_bytes=10**6)
        times, ids, counts = message.arrays
        assert (times.shape, ids.shape, counts.shape) == ((2, 3), (2, 3, 2), (2, 3))
        assert ids[:, :, 0].tolist() == [[0, 1, 2]] * 2
        assert set(message.fields) == {"first_query_ns", "involuntary_switches", "cpu_s"}

        for _ in range(2):
            one.channel.send("serve", {"k": 2})
            _, ids, _, _ = mailbox.ask(one.box, QUERIES, 2, lambda: None)
            mailbox.dismiss(one.box)
            assert one.channel.receive(timeout_s=60).kind == "served"
            assert ids[:, 0].tolist() == [0, 1, 2]
        assert one.ask("finish").kind == "finished"

    def test_rounds_end_when_their_time_is_over(self, far):
        """The time limit ends the rounds after at least one."""
        one = far().built()
        timing = {"k": 2, "rounds": 50, "max_search_s": -1.0}
        assert one.ask("timed", timing, [QUERIES, QUERIES]).kind == "progress"
        message = one.channel.receive(timeout_s=60, max_array_bytes=10**6)
        assert message.arrays[0].shape == (1, 3)

    def test_the_warm_up_is_not_among_the_answers(self, far):
        """Answers hold the queries only, without the warm-up."""
        one = far(
            index("""
            asked = 0
            def query(self, v, k):
                self.asked += 1
                return [self.asked % 20] * k
        """)
        ).built()
        one.ask("timed", {"k": 1, "rounds": 1, "max_search_s": 9}, [QUERIES[:2], QUERIES])
        ids = one.channel.receive(timeout_s=60, max_array_bytes=10**6).arrays[1]
        assert ids.ravel().tolist() == [3, 4, 5]

    @pytest.mark.parametrize(("slow_s", "n_asked"), [(0.0, 50), (0.06, 5)])
    def test_slow_queries_have_a_short_warm_up(self, far, slow_s, n_asked):
        """Queries of more than 50 ms are asked five times before they are timed."""
        one = far(
            index(f"""
            asked = 0
            def query(self, v, k):
                end = time.perf_counter() + {slow_s}
                while time.perf_counter() < end:
                    pass
                self.asked += 1
                return [self.asked] * k
        """)
        ).built()
        warmup = np.repeat(QUERIES[:1], 50, axis=0)
        one.ask("timed", {"k": 1, "rounds": 1, "max_search_s": 9}, [warmup, QUERIES[:1]])
        ids = one.channel.receive(timeout_s=60, max_array_bytes=10**6).arrays[1]
        assert ids.ravel().tolist() == [n_asked + 1]

    def test_an_error_is_a_frame_and_the_worker_goes_on(self, far):
        """An unknown or too early frame is answered by an error, and the worker continues."""
        one = far()
        for kind in ("build", "nonsense", "__init__", "batch"):
            assert one.ask(kind).kind == "error"
        one.built()
        message = one.ask("batch", {"k": 1})
        assert "no batch_query" in message.fields["message"]

    def test_finishing_before_anything_was_loaded(self, far):
        """Finishing before loading works."""
        assert far().ask("finish").kind == "finished"

    def test_the_batch_is_the_workers_own_copy(self, far):
        """The batch is the worker's writable copy, new in each load."""
        one = far(
            index("""
            def batch_query(self, X, k):
                found = [self.near(v, k) for v in X]
                X[:] = 0
                return found
        """)
        ).built()
        for _ in range(2):
            assert one.ask("batch-load", {}, [QUERIES]).kind == "batch-loaded"
            assert one.ask("batch", {"k": 1}).fields["batch_ns"] > 0
            ids, _ = one.ask("batch-result", {"k": 1}).arrays
            assert ids.ravel().tolist() == [0, 1, 2]

    def test_it_answers_a_question_that_came_before_it_served(self, far):
        """A query written before the worker serves is answered."""
        one = far()
        one.ask("start", one.start)
        result = []
        asking = threading.Event()

        def check():
            asking.set()

        parent = threading.Thread(
            target=lambda: result.append(mailbox.floor_ns(one.box, 2, check, n=20)), daemon=True
        )
        parent.start()
        assert asking.wait(60)
        one.channel.send("floor", {"k": 2})
        parent.join(timeout=60)
        assert not parent.is_alive()
        mailbox.dismiss(one.box)
        assert one.channel.receive(timeout_s=60).fields["clock_floor_ns"] >= 0
        assert result[0] > 0


def test_it_ends_when_its_parent_is_gone(far):
    """The end of the channel ends the worker with status 0 (checked by the fixture)."""
    one = far().built()
    one.channel.close()
    assert one.process.wait(timeout=60) == 0


def test_it_ends_at_once_if_its_parent_died_before_it_could_look():
    """If the parent has already died, the worker ends at once."""
    if sys.platform != "linux":
        pytest.skip("prctl is Linux's")
    code = "from pytest_annmodal.worker.worker import die_with_parent; die_with_parent(1); print('alive')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=True)
    assert done.stdout == b""


def test_no_core_is_dumped_and_no_limit_is_set_unless_asked():
    """Core dumps are off; other limits are set only on request."""
    code = (
        "import resource; from pytest_annmodal.worker.worker import limit_memory; limit_memory({});"
        "limits = [resource.getrlimit(n) for n in (resource.RLIMIT_CORE, resource.RLIMIT_DATA)];"
        "print(limits[0], limits[1][0])"
    )
    data = resource.getrlimit(resource.RLIMIT_DATA)[0]
    for limit, expected in ((None, True), (2**30, False)):
        done = subprocess.run(
            [sys.executable, "-c", code.format(limit)], capture_output=True, timeout=60, check=True
        )
        core, _, left = done.stdout.decode().rpartition(" ")
        assert core == "(0, 0)"
        assert (int(left) == data) is expected


def test_a_closed_channel_is_no_error_of_the_implementation():
    """A closed channel ends the worker and is not reported as an error."""
    ours, theirs = socket.socketpair()
    ours.close()
    session = worker.Session(Channel(theirs), mailbox_fd=-1, train_fd=-1)
    with pytest.raises(ChannelClosedError):
        session.run()
    theirs.close()
