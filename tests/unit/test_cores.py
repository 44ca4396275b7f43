"""Which cores a worker and its parent get, and that the worker's threads stay on them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from jobs import index, measured, nothing_left_behind, run, write

from pytest_annmodal.jobs.share import Work
from pytest_annmodal.sandbox import cores, process_tree
from pytest_annmodal.sandbox.cores import share_out
from pytest_annmodal.sandbox.worker_process import Worker
from pytest_annmodal.worker.pools import Pools

HERE = sorted(os.sched_getaffinity(0))
two_cores = pytest.mark.skipif(len(HERE) < 2, reason="this machine has one core")


@pytest.fixture
def machine(tmp_path):
    """A folder that describes processors, given as (socket, siblings)."""

    def machine(places):
        for cpu, (socket, siblings) in enumerate(places):
            folder = tmp_path / f"cpu{cpu}" / "topology"
            folder.mkdir(parents=True)
            (folder / "physical_package_id").write_text(f"{socket}\n")
            (folder / "thread_siblings_list").write_text(f"{siblings}\n")
        return tmp_path

    return machine


def chosen(usable, threads, topology):
    found = share_out(usable, threads, topology)
    assert found.query <= found.worker or not found.worker
    return [sorted(found.worker), sorted(found.query), sorted(found.parent)]


class TestShareOut:
    def test_two_cores_are_one_each(self, machine):
        """Of two cores the worker gets the higher one; with two threads it gets both for batches."""
        plain = machine([(0, "0"), (0, "1")])
        assert chosen({0, 1}, 1, plain) == [[1], [1], [0]]
        assert chosen({0, 1}, 2, plain) == [[0, 1], [1], [0]]

    def test_hyperthreads_of_one_core_are_taken_last(self, machine):
        """Of four cores with two hyperthreads, each thread gets a core, and so does the parent."""
        pairs = machine([(0, f"{cpu % 4},{cpu % 4 + 4}") for cpu in range(8)])
        assert chosen(range(8), 1, pairs) == [[3], [3], [0, 1, 2, 4, 5, 6]]
        assert chosen(range(8), 2, pairs) == [[2, 3], [3], [0, 1, 4, 5]]
        assert chosen(range(8), 4, pairs) == [[0, 1, 2, 3], [3], [4, 5, 6, 7]]
        assert chosen(range(8), 6, pairs) == [[0, 1, 2, 3, 6, 7], [3], [4, 5]]

    def test_one_socket_is_used_up_first(self, machine):
        """The socket with the most usable cores is used first; the parent is on it if there is room."""
        sockets = machine([(cpu // 4, f"{cpu}") for cpu in range(8)])
        assert chosen(range(8), 2, sockets) == [[6, 7], [7], [4, 5]]
        assert chosen(range(8), 4, sockets) == [[4, 5, 6, 7], [7], [0, 1, 2, 3]]
        assert chosen(range(8), 5, sockets) == [[3, 4, 5, 6, 7], [7], [0, 1, 2]]
        assert chosen({0, 1, 2, 3, 7}, 2, sockets) == [[2, 3], [3], [0, 1]]

    def test_more_threads_than_cores_get_all(self, machine):
        """With more threads than cores the worker gets all cores, and one for single queries."""
        assert chosen({0, 1}, 16, machine([(0, "0"), (0, "1")])) == [[0, 1], [1], [0]]

    def test_one_core_is_shared(self, tmp_path):
        """With one core, worker and parent share it, also if the system describes no processors."""
        assert chosen({3}, 2, tmp_path) == [[3], [3], [3]]

    def test_no_cores_are_none(self, tmp_path):
        """If the system cannot tell the usable cores, none is chosen."""
        assert chosen((), 2, tmp_path) == [[], [], []]


class TestPin:
    def test_an_empty_set_is_ignored(self):
        """An empty set of cores, from a system that cannot tell, changes nothing."""
        before = cores.affinity()
        cores.pin(())
        assert cores.affinity() == before


THREADS = """
import os, sys, threading
wait = threading.Event()
for _ in range(3): threading.Thread(target=wait.wait, daemon=True).start()
if not os.fork():
    sys.stdin.read()
    os._exit(0)
print(flush=True)
sys.stdin.read()
"""


class TestKeep:
    @two_cores
    def test_every_thread_of_every_process_is_moved(self):
        """All threads of the worker and its children are moved, and moved back."""
        with subprocess.Popen(
            [sys.executable, "-c", THREADS], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout.readline() == b"\n"

            def family():
                return [process.pid, *process_tree.descendants(process.pid)]

            tasks = [int(t.name) for p in family() for t in Path(f"/proc/{p}/task").iterdir()]
            assert len(tasks) == 5
            for wanted in ({HERE[0]}, set(HERE)):
                assert cores.keep(family, wanted)
                assert all(os.sched_getaffinity(task) == wanted for task in tasks)
            process.communicate()

    def test_moving_endless_new_processes_is_given_up(self, monkeypatch):
        """If new processes keep starting, moving them is given up after some tries."""
        monkeypatch.setattr(cores, "_moved", lambda _pids, _cores: True)
        assert not cores.keep(lambda: [os.getpid()], HERE)

    def test_an_ended_process_causes_no_error(self):
        """A process that ends while it is moved causes no error."""
        assert cores.keep(lambda: [2**22 + 1], HERE)


class TestPools:
    def test_are_as_large_as_before_in_the_end(self):
        """A pool has one thread for single queries, and its former size afterwards."""
        code = (
            "import os\nos.environ |= dict.fromkeys(['OPENBLAS_NUM_THREADS', 'OMP_NUM_THREADS'], '2')\n"
            "import numpy, threadpoolctl\n"
            "from pytest_annmodal.worker.pools import Pools\n"
            "sizes = lambda: {pool['num_threads'] for pool in threadpoolctl.threadpool_info()}\n"
            "pools = Pools(2)\nprint(sizes())\n"
            "pools.one()\npools.one()\nprint(sizes())\npools.all()\npools.all()\nprint(sizes())"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert done.stdout.split("\n")[:3] == ["{2}", "{1}", "{2}"]

    def test_of_one_thread_are_left_alone(self):
        """With one thread nothing is loaded to change pools."""
        pools = Pools(1)
        pools.one()
        pools.all()


SAYS_WHERE = index("""
    def fit(self, X):
        super().fit(X)
        self.said = {}
        self.waiting = threading.Event()
        threading.Thread(target=self.waiting.wait, daemon=True).start()
        self.say("build")
    def say(self, phase):
        if phase in self.said: return
        every = [sorted(os.sched_getaffinity(int(t))) for t in os.listdir("/proc/self/task")]
        self.said[phase] = [list(x) for x in {tuple(x) for x in every}]
    def query(self, v, k):
        if "query" not in self.said:
            threading.Thread(target=self.waiting.wait, daemon=True).start()
        self.say("query")
        return self.near(v, k)
    def batch_query(self, X, k):
        threading.Thread(target=self.waiting.wait, daemon=True).start()
        self.say("batch")
        print("WHERE", json.dumps(self.said), flush=True)
        return [self.near(v, k) for v in X]
""").replace("import ctypes", "import ctypes, json")


@two_cores
@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "submission"])
class TestPhases:
    @pytest.mark.parametrize("threads", [1, 2])
    def test_each_has_its_cores(self, small_dataset, tmp_path, threads, trusted):
        """Single queries run on one core, everything else on all, for old and new threads."""
        source = write(tmp_path / "mine.py", SAYS_WHERE)
        with nothing_left_behind():
            outcomes = run(
                small_dataset(),
                source,
                threads=threads,
                settings=[1, 2],
                isolation="process",
                clock="worker" if trusted else "parent",
                implementation={"trusted": trusted},
            )
        expected = cores.share_out(HERE, threads)
        several, one = [sorted(expected.worker)], [sorted(expected.query)]
        for outcome in map(measured, outcomes):
            line = next(x for x in outcome.log_tail.splitlines() if x.startswith("WHERE "))
            said = json.loads(line.removeprefix("WHERE "))
            assert said == {"build": several, "query": one, "batch": several}
            environment = outcome.environment
            assert environment["threads"] == threads
            assert environment["worker_cores"] == several[0]
            assert [environment["worker_core"]] == one[0]
            assert environment["query_cores"] == 1
            assert not [note for note in outcome.notes if "core" in note and "noisy" not in note]

    def test_without_the_right_to_move_threads_there_is_a_note(
        self, small_dataset, tmp_path, monkeypatch, trusted
    ):
        """Without the right to move the worker's threads, single queries have both cores, and a note says so."""

        def refuse(_family, _cores):
            raise PermissionError

        monkeypatch.setattr(cores, "keep", refuse)
        source = write(tmp_path / "mine.py", SAYS_WHERE)
        given = {"implementation": {"trusted": trusted}, "isolation": "process"}
        outcome = measured(run(small_dataset(), source, threads=2, **given)[0])
        assert outcome.environment["query_cores"] == 2
        assert outcome.environment["worker_core"] is None
        assert any("may not pin the worker to one" in note for note in outcome.notes)


@two_cores
def test_single_queries_are_asked_of_one_thread(small_dataset, tmp_path):
    """Single queries use one thread; a library's pool gets its threads back for batches."""
    text = index("""
        def size(self):
            import threadpoolctl
            return max(pool["num_threads"] for pool in threadpoolctl.threadpool_info())
        def fit(self, X):
            super().fit(X)
            self.sizes = [self.size()]
        def query(self, v, k):
            if len(self.sizes) == 1: self.sizes.append(self.size())
            return self.near(v, k)
        def batch_query(self, X, k):
            print(*self.sizes, self.size())
            return [self.near(v, k) for v in X]
    """)
    source = write(tmp_path / "mine.py", text)
    assert measured(run(small_dataset(), source, threads=2)[0]).log_tail == "2 1 2\n"


def test_more_threads_than_cores_are_noted(small_dataset, tmp_path):
    """A note gives the number of cores if there are more threads."""
    source = write(tmp_path / "mine.py", index("pass"))
    outcome = measured(run(small_dataset(), source, threads=len(HERE) + 3)[0])
    words = (
        f"{len(HERE) + 3} threads were asked for, but this process may use only {len(HERE)} core"
    )
    assert any(note.startswith(words) for note in outcome.notes)
    assert len(outcome.environment["worker_cores"]) == len(HERE)


class TestWork:
    def test_that_kept_more_cores_busy_than_there_were_threads(self):
        """More CPU time than the threads allow is noticed, beyond a margin."""
        assert Work(cpu_s=8.0, wall_s=2.0).cores_beyond(2) == 4
        assert Work(cpu_s=4.3, wall_s=2.0).cores_beyond(2) is None
        assert Work(cpu_s=0.09, wall_s=0.001).cores_beyond(1) is None

    def test_is_noted(self, small_dataset, tmp_path, monkeypatch):
        """A note names the phase in which a library used more threads."""
        clock = iter([1.0, 61.0])
        look = Worker.cpu_s
        monkeypatch.setattr(Worker, "cpu_s", lambda self: next(clock, None) or look(self))
        source = write(tmp_path / "mine.py", index("pass"))
        outcome = measured(run(small_dataset(), source)[0])
        (note,) = [note for note in outcome.notes if "cores busy" in note]
        assert note.startswith("the build kept ")
        assert note.endswith("1 thread was asked for: set the library's number of threads")
        assert outcome.environment["build_cpu_s"] == 60
