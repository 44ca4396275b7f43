"""How exactly the parent's clock knows each time, and what happens to uncertain samples."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from jobs import EXACT, index, measured, nothing_left_behind, run, write

from pytest_annmodal.channel import mailbox
from pytest_annmodal.channel.mailbox import Asked
from pytest_annmodal.distances import forms
from pytest_annmodal.errors import InvalidResultError
from pytest_annmodal.jobs.asking import Asker, Timed
from pytest_annmodal.model import Arguments, Limits, Search
from pytest_annmodal.sandbox import contention
from pytest_annmodal.sandbox.contention import Contention, Look, Process
from pytest_annmodal.scoring import recall, validity

TOKEN = 1 << 63
LEFT_OUT = recall.LEFT_OUT


class AfterLooks:
    """A response that is there at the n-th look."""

    def __init__(self, looks):
        self.left = looks

    def __getitem__(self, _where):
        self.left -= 1
        return TOKEN if self.left < 0 else 0


def one(monkeypatch, readings, looks, check=lambda: None):
    """Time and gap of one query, from these readings of the clock."""
    clock = iter(readings)
    monkeypatch.setattr(mailbox, "perf_counter_ns", lambda: next(clock))
    box = SimpleNamespace(
        request=[0],
        response=AfterLooks(looks),
        count=[1],
        memory=bytes(512),
        fence=lambda: None,
    )
    time_ns, gap_ns, _, _ = mailbox._one(box, TOKEN, check, slice(256, 264), shared=False)
    assert next(clock, None) is None
    return time_ns, gap_ns


class TestGap:
    def test_is_from_before_the_last_look_in_vain(self, monkeypatch):
        """A gap begins at the last look that found nothing: the answer may have come since."""
        assert one(monkeypatch, [0, 1, 10, 20, 30, 31], looks=3) == (31, 12)

    def test_counts_a_core_that_was_lost_before_the_look_that_found_it(self, monkeypatch):
        """A core lost before the successful look counts, since the answer may have come meanwhile."""
        assert one(monkeypatch, [0, 1, 10, 4_000, 4_001], looks=2) == (4_001, 3_992)

    def test_counts_a_core_that_was_lost_between_a_look_and_the_next_reading(self, monkeypatch):
        """The reading after a look may be late, so the one before it counts."""
        assert one(monkeypatch, [0, 1, 4_000, 4_001], looks=1) == (4_001, 4_001)

    def test_counts_a_core_that_was_lost_before_the_question(self, monkeypatch):
        """A core lost between starting the clock and sending the query counts."""
        assert one(monkeypatch, [0, 4_000, 4_010, 4_011], looks=1) == (4_011, 4_011)

    def test_is_no_gap_while_the_query_still_ran(self, monkeypatch):
        """A core lost before a look that found nothing is not a gap."""
        assert one(monkeypatch, [0, 1, 4_000, 4_010, 4_020, 4_021], looks=3) == (4_021, 12)

    def test_leaves_out_what_the_parent_did_itself(self, monkeypatch):
        """Time that the parent spends on looking at processes is not counted, since a submission can make that slow."""
        monkeypatch.setattr(mailbox, "SPINS_BETWEEN_CHECKS", 1)
        checked = []
        found = one(monkeypatch, [0, 1, 9_000, 9_001, 9_002], 1, lambda: checked.append(1))
        assert (found, checked) == ((9_002, 3), [1])


class TestUncertain:
    def test_is_what_may_be_five_percent_less(self):
        """A sample is uncertain if its true time may be five percent less."""
        times = np.array([[1_000, 1_000, 1_000_000], [2, 100, 100]])
        gaps = np.array([[51, 50, 40_000], [2, 4, 9]])
        assert recall.uncertain(times, gaps).tolist() == [
            [True, False, False],
            [False, False, True],
        ]

    def test_is_nothing_where_gaps_are_not_known(self):
        """If worker and parent share a core, gaps are unknown and nothing is uncertain."""
        assert not recall.uncertain(np.array([5, 0]), np.zeros(2, np.int64)).any()

    def test_is_left_out_unless_it_is_known_to_have_been_slow(self):
        """Uncertain samples are left out, but a slow one stays with its least time."""
        times = np.array([100, 110, 120, 4_000, 5_000])
        gaps = np.array([1, 1, 1, 3_950, 3_000])
        found = recall.settled(times, gaps, recall.uncertain(times, gaps))
        assert found.tolist() == [100, 110, 120, LEFT_OUT, 2_000]

    def test_everything_stays_where_all_is_uncertain(self):
        """If all samples are uncertain, all stay."""
        times = np.array([4_000, 5_000])
        assert recall.settled(times, times, np.array([True, True])).tolist() == [4_000, 5_000]


class Rounds:
    """An asker whose mailbox replays times and gaps of each round."""

    def __init__(self, monkeypatch, script, *, trusted=True, rounds=2, ids=(), **limits):
        self.asked = []
        replies = iter(script)

        def ask(_box, queries, k, _check, **_options):
            self.asked.append(queries[:, 0].astype(int).tolist())
            times, gaps = (np.array(values, np.int64) for values in next(replies))
            number = len(self.asked)
            given = ids[number - 1] if number <= len(ids) else [[number]] * len(times)
            counts = np.array([len(row) for row in given])
            return Asked(times, np.array([[*row, -1][:k] for row in given]), counts, gaps)

        monkeypatch.setattr(mailbox, "ask", ask)
        asker = Asker(
            worker=SimpleNamespace(check=None, apart=True),
            box=None,
            form=forms.make("float32", 1),
            limits=Limits(clock="parent", **limits),
            warmup=np.zeros((1, 1), np.float32),
            trusted=trusted,
            n_train=9,
            short_answers=False,
        )
        search = Search(case_id="one", arguments=Arguments(), k=1, rounds=rounds)
        queries = np.arange(3, dtype=np.float32)[:, None]
        self.found, self.share = asker._rounds(search, queries, lambda _text: None)


FIRST = [([100, 4_100, 100], [1, 4_000, 1]), ([100, 100, 100], [1, 1, 1])]


class TestAskedAgain:
    def test_what_is_uncertain_is_asked_once_more(self, monkeypatch):
        """An uncertain query is asked again; the share is that of the first round."""
        made = Rounds(monkeypatch, [*FIRST, ([120], [1])])
        assert made.asked == [[0, 1, 2], [0, 1, 2], [1]]
        assert made.found.times_ns.tolist() == [[100, 120, 100], [100, 100, 100]]
        assert made.found.ids[:, :, 0].tolist() == [[1, 3, 1], [2, 2, 2]]
        assert made.share == pytest.approx(1 / 6)

    @pytest.mark.parametrize("wrong", [[], [9], [-2], [1, 2]], ids=repr)
    def test_a_wrong_answer_stays(self, monkeypatch, wrong):
        """Asking again would hide it, and with it that the implementation is at fault."""
        made = Rounds(monkeypatch, [*FIRST, ([120], [1])], ids=[[[1], wrong, [1]]])
        assert made.asked == [[0, 1, 2], [0, 1, 2]]
        given = validity.Given(ids=made.found.ids, counts=made.found.counts)
        with pytest.raises(InvalidResultError, match="for query 1"):
            validity.check(given, k=1, n_train=9)

    def test_a_wrong_answer_stays_that_came_when_it_was_asked_again(self, monkeypatch):
        """Neither is it replaced by a third one."""
        script = [*FIRST, ([4_100], [4_000]), ([120], [1])]
        made = Rounds(monkeypatch, script, ids=[[[1]] * 3, [[1]] * 3, [[9]]])
        assert made.asked[2:] == [[1]]
        assert made.found.ids[0, 1, 0] == 9

    def test_what_stays_uncertain_is_left_out(self, monkeypatch):
        """A query that is uncertain in three more rounds is left out."""
        made = Rounds(monkeypatch, [*FIRST, *[([4_100], [4_000])] * 3])
        assert made.asked[2:] == [[1]] * 3
        assert made.found.times_ns.tolist() == [[100, LEFT_OUT, 100], [100, 100, 100]]

    @pytest.mark.parametrize(
        "given",
        [{"fresh_seed": 3}, {"trusted": False, "rounds": 1}, {"max_search_s": -1.0}],
        ids=["fresh queries", "a stranger's single round", "no time left"],
    )
    def test_a_fresh_query_is_not_asked_again(self, monkeypatch, given):
        """A submission is not asked a fresh query again; the sample is left out."""
        made = Rounds(monkeypatch, FIRST[:1], **{"rounds": 1, **given})
        assert made.asked == [[0, 1, 2]]
        assert made.found.times_ns.tolist() == [[100, LEFT_OUT, 100]]

    def test_where_rounds_repeat_anyway_a_submission_is_asked_again(self, monkeypatch):
        """If rounds repeat the queries, a submission can be asked again."""
        made = Rounds(monkeypatch, [*FIRST, ([120], [1])], trusted=False)
        assert made.asked[2:] == [[1]]


WORKER, CHILD, OTHER = 100, 101, 200


def between(others=(), waited_ns=0, parent_ns=0, children=(), **options):
    """One second with a worker on core 1; processes are (pid, parent, core, ns)."""
    rows = [(WORKER, 1, 1, 10**9), *others, *children]
    before = {pid: Process(parent, core, 0, 0) for pid, parent, core, _ in rows}
    after = {pid: Process(parent, core, ns, 0) for pid, parent, core, ns in rows}
    return contention.between(
        Look(at_s=0.0, processes=before, waited_ns={"100/100": 7}, parent_ns=0),
        Look(
            at_s=1.0,
            processes=after,
            waited_ns={"100/100": 7 + waited_ns},
            parent_ns=parent_ns,
        ),
        worker=WORKER,
        cores={1},
        **options,
    )


def timed(uncertain_share, found):
    """The result of a search with these gaps."""
    none = np.zeros((1, 1), np.int64)
    return Timed(
        times_ns=none,
        given=validity.Given(ids=none[..., None], counts=none),
        first_query_ns=0,
        usage={},
        contention=found,
        uncertain_share=uncertain_share,
    )


class TestContention:
    def test_is_a_process_on_the_workers_core_while_it_waits(self):
        """Another process on the worker's core, while the worker waits, is contention."""
        found = between([(OTHER, 1, 1, 5 * 10**8)], waited_ns=5 * 10**8)
        assert (found.worker_waited, found.others_beside) == (0.5, 0.5)
        assert found.disturbed

    def test_is_not_what_a_submission_does_to_itself(self):
        """A submission's own threads and children are no contention."""
        children = [(CHILD, WORKER, 1, 5 * 10**8), (102, CHILD, 1, 4 * 10**8)]
        found = between(children=children, waited_ns=9 * 10**8, parent={0})
        assert found == Contention(worker_waited=0.9)
        assert not found.disturbed

    def test_is_not_a_process_that_a_submission_of_another_user_left(self):
        """At the level uid all processes of its user are the submission's own."""
        daemon = [(os.getppid(), 1, 1, 10**9)]
        assert between(daemon, waited_ns=10**9).disturbed
        owner = Path(f"/proc/{os.getppid()}").stat().st_uid
        assert not between(daemon, waited_ns=10**9, user=owner).disturbed

    @pytest.mark.parametrize(
        "others",
        [
            [(OTHER, 1, 0, 10**9)],
            [(OTHER, contention.KERNEL, 1, 10**9)],
            [(OTHER, 1, 1, 10**7)],
        ],
        ids=["on another core", "the kernel's own", "next to nothing"],
    )
    def test_is_not_a_process_elsewhere_or_idle(self, others):
        """Processes on other cores, or idle ones, are no contention."""
        assert not between(others, waited_ns=5 * 10**8).disturbed

    def test_is_seen_by_the_parents_waits_in_a_container(self):
        """In a container, waits of the parent's core show contention: a submission cannot use it."""
        assert between(waited_ns=5 * 10**8, parent_ns=5 * 10**8, parent={0}).disturbed
        assert not between(waited_ns=5 * 10**8, parent_ns=5 * 10**8).disturbed

    def test_is_a_process_on_the_core_although_the_worker_hardly_waited(self):
        """A process on the core is contention, although the worker waited for 0.5 % of the time (QPS 9 % too low)."""
        assert between([(OTHER, 1, 1, 8 * 10**8)], waited_ns=5 * 10**6).disturbed
        on_the_parents = between(parent_ns=2 * 10**8, parent={0})
        assert not on_the_parents.disturbed
        assert timed(0.0, on_the_parents).disturbed  # the parent's clock
        assert not timed(None, on_the_parents).disturbed

    def test_is_not_the_kernels_work_on_the_parents_core(self):
        """Kernel work on the parent's core is no contention, since a submission can cause it."""
        found = {"waited_ns": 5 * 10**8, "parent_ns": 4 * 10**8, "parent": {0}}
        threads = [(OTHER, contention.KERNEL, 0, 3 * 10**8), (201, contention.KERNEL, 0, 10**8)]
        assert not between(threads, **found).disturbed
        elsewhere = [(OTHER, contention.KERNEL, 3, 4 * 10**8)]
        assert between(elsewhere, **found).disturbed

    def test_ticks_of_all_threads_count_beyond_the_rounding(self):
        """CPU ticks of all threads of a process count."""
        assert Process(1, 1, 0, 102).cpu_s_since(Process(1, 1, 0, 0)) == pytest.approx(1.0)
        assert Process(1, 1, 0, 2).cpu_s_since(Process(1, 1, 0, 0)) == 0.0

    @pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="needs Linux")
    def test_whoever_descends_from_the_worker_is_seen_as_its_own(self):
        """All descendants of the worker are its own, by the kernel's table."""
        code = "import os, sys; os.fork() or os.fork(); print(); sys.stdin.read()"
        with subprocess.Popen(
            [sys.executable, "-uc", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as one:
            for _ in range(3):
                one.stdout.readline()
            seen = contention.look(one.pid)
            family = contention.family_of(one.pid, seen.processes)
            one.communicate()
        assert len(family) == 3
        assert os.getpid() not in family
        assert {name.split("/")[0] for name in seen.waited_ns} == {str(pid) for pid in family}

    def test_is_nothing_where_the_kernel_keeps_no_accounts(self, monkeypatch):
        """Without the kernel's accounts there is no contention."""
        monkeypatch.setattr(contention, "_processes", lambda: iter(()))
        monkeypatch.setattr(contention, "_read", lambda path: Path(path, "none").read_bytes())
        look = contention.look(WORKER)
        assert contention.between(look, look, worker=WORKER, cores={1}) == Contention()


BURN = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"


@pytest.fixture
def _a_neighbour_on_each_core() -> Iterator[None]:
    """A process on each core that computes until it is ended."""
    with nothing_left_behind():
        burning = [
            subprocess.Popen([sys.executable, "-c", BURN, str(core)])
            for core in os.sched_getaffinity(0)
        ]
        try:
            yield
        finally:
            for process in burning:
                process.kill()
                process.wait()


@pytest.mark.usefixtures("_a_neighbour_on_each_core")
@pytest.mark.parametrize("trusted", [True, False])
def test_beside_busy_neighbours_the_figures_say_so(small_dataset, tmp_path, trusted):
    """Beside busy processes the waits are seen, samples are kept or counted, answers are right."""
    body = """
        def query(self, v, k):
            until = time.perf_counter() + 0.002
            while time.perf_counter() < until: pass
            return self.near(v, k)
    """
    source = write(tmp_path / "mine.py", index(body))
    given = {"implementation": {"trusted": trusted}, "clock": "parent"}
    found = measured(run(small_dataset(), source, **given)[0])
    assert found.recall == 1
    assert len(found.latencies_ns) + found.n_left_out == 20
    waited = [found.environment[name] for name in ("worker_waited", "parent_waited")]
    assert max(waited) > 0
    assert (found.uncertain_share is None) == (len(os.sched_getaffinity(0)) == 1)


def test_a_quiet_query_is_asked_as_often_as_the_rounds_say(small_dataset, tmp_path):
    """By the worker's clock there are no gaps, and each query is asked once a round."""
    found = measured(run(small_dataset(), write(tmp_path / "mine.py", EXACT), rounds=2)[0])
    assert (found.uncertain_share, found.n_left_out) == (None, 0)
    assert len(found.latencies_ns) == 40
