"""Levels of load: schedules, figures of their times, and real workers under load."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from jobs import index, make_job, measured, nothing_left_behind, run, write

from pytest_annmodal.channel.open_loop import Offered
from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.jobs.load import open_loop, schedule, statistics
from pytest_annmodal.jobs.load.machine import Look
from pytest_annmodal.levels import (
    FEW_CORES,
    GENERATOR_BOUND,
    SATURATED,
    STOPPED,
    Level,
    Load,
    Loaded,
)
from pytest_annmodal.manifests import header
from pytest_annmodal.model import Job, from_plain, to_plain
from pytest_annmodal.reports import load as load_report
from pytest_annmodal.sandbox.kept import Kept

# Ends its process when it is asked while it is being asked.
NOT_SAFE = """
    busy = 0
    def query(self, v, k):
        self.busy += 1
        if self.busy > 1:
            os.kill(os.getpid(), signal.SIGSEGV)
        time.sleep(0.002)
        self.busy -= 1
        return self.near(v, k)
"""


@pytest.fixture
def bears(small_dataset, tmp_path, monkeypatch):
    """How an implementation bears load, in a real worker; the generator is tried for a moment only."""
    monkeypatch.setattr(open_loop, "IDLE_S", 0.1)
    monkeypatch.setattr(open_loop, "CAPACITY_S", 0.1)
    monkeypatch.setattr(open_loop, "SAMPLE", 50)

    def bears(body="pass", *, load=None, **options) -> Loaded:
        source = write(tmp_path / "mine.py", index(body))
        load = load or Load(rates_qps=(200.0, 400.0), level_s=0.1)
        with nothing_left_behind():
            found = measured(run(small_dataset(), source, load=load, **options)[0])
        assert found.load is not None
        return found.load

    return bears


@pytest.fixture
def two_cores():
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core: nothing can be at work beside another")


def offered(due_ms, turn_ms, ended_ms, *, idle, dropped=(), gaps=(), kept=None):
    """Results of an open loop, from a few times in ms; dropped queries come last."""
    due = np.asarray([*due_ms, *dropped], float) * 1e6
    turn, ended = (np.asarray(times, float) * 1e6 for times in (turn_ms, ended_ms))
    m = len(due_ms)
    return Offered(
        due_ns=due.astype(np.int64),
        answered=np.arange(m),
        turn_ns=turn.astype(np.int64),
        asked_ns=turn.astype(np.int64) + 2000,
        ended_ns=ended.astype(np.int64),
        found_idle=np.asarray(idle, bool),
        dropped=np.arange(m, len(due)),
        ids=np.zeros((m, 1), np.int64),
        counts=np.ones(m, np.int64),
        at_work_ns=4000 * m,
        gaps_ns=(np.asarray(gaps, float).reshape(-1, 2) * 1e6).astype(np.int64),
        kept_ns=(np.zeros(m) if kept is None else np.asarray(kept, float) * 1e6).astype(np.int64),
    )


class TestSchedule:
    def test_poisson_has_exponential_gaps_of_the_right_mean(self):
        """The same seed gives the same times; mean and spread of the gaps are 1/rate."""
        due = schedule.due_ns(1000, 20, arrivals="poisson", seed=7)
        assert np.array_equal(due, schedule.due_ns(1000, 20, arrivals="poisson", seed=7))
        assert not np.array_equal(due, schedule.due_ns(1000, 20, arrivals="poisson", seed=8))
        gaps = np.diff(due) / 1e6
        assert len(due) == 20_000
        assert gaps.mean() == pytest.approx(1, rel=0.03)
        assert gaps.std() == pytest.approx(1, rel=0.03)

    def test_uniform_is_even_and_begins_at_once(self):
        due = schedule.due_ns(500, 1, arrivals="uniform", seed=7)
        assert due[0] == 0
        assert set(np.diff(due)) == {2_000_000}

    def test_at_least_one_and_never_more_than_can_be_kept(self):
        assert len(schedule.due_ns(0.001, 1, arrivals="uniform", seed=0)) == 1
        many = schedule.due_ns(200_000, 3600, arrivals="uniform", seed=0, k=1000)
        assert len(many) == schedule.MOST_IDS // 1000


class TestStatistics:
    def test_latency_is_from_when_a_query_was_due(self):
        """Latency counts from the due time: a stall of 10 ms counts for each query that waits."""
        seen = statistics.open_level(
            offered([0, 1, 2], [0, 10, 11], [10, 11, 12], idle=[True, False, False]),
            1000,
            apart=True,
            late_s=1e-6,
        )
        assert seen.mean_s == pytest.approx(10e-3)
        assert seen.waiting_mean_s == pytest.approx((0 + 9 + 9) / 3 * 1e-3)
        assert seen.service_mean_s == pytest.approx((10 + 1 + 1) / 3 * 1e-3)
        assert (seen.n_offered, seen.n_answered, seen.n_late, seen.n_dropped) == (3, 3, 2, 0)
        assert seen.qps == pytest.approx(3 / 12e-3)
        assert seen.marks == ()

    def test_dropped_queries_are_counted_and_make_it_saturated(self):
        """Dropped queries are counted, and the level is saturated."""
        seen = statistics.open_level(
            offered([0, 1], [0, 2], [2, 4], idle=[True, False], dropped=[2, 3]),
            1000,
            apart=True,
            late_s=0.0,
        )
        assert (seen.n_offered, seen.n_answered, seen.n_dropped) == (4, 2, 2)
        assert seen.marks == (SATURATED,)

    @pytest.mark.parametrize(
        ("apart", "late_s", "at_work_ns"),
        [(False, 0.0, 0), (True, 0.2, 0), (True, None, 0), (True, 0.0, 11_000_000)],
        ids=["shares its core", "is late", "may be late", "is busy"],
    )
    def test_a_generator_that_is_the_limit_is_marked(self, apart, late_s, at_work_ns):
        found = offered([0, 1], [0, 10], [10, 12], idle=[True, False])
        found = replace(found, at_work_ns=at_work_ns)
        seen = statistics.open_level(found, 1000, apart=apart, late_s=late_s)
        assert seen.marks == (GENERATOR_BOUND,)

    @pytest.mark.parametrize(("rate_qps", "marks"), [(999, ()), (1001, (GENERATOR_BOUND,))])
    def test_a_rate_that_the_generator_cannot_offer_is_marked(self, rate_qps, marks):
        found = offered([0, 20], [0, 20], [10, 30], idle=[True, True])
        seen = statistics.open_level(found, rate_qps, apart=True, late_s=0.0, most_qps=1000)
        assert seen.marks == marks

    def test_queues_of_the_textbook(self):
        """Waiting times by Lindley's recursion: M/D/1 and M/M/1 at 70 % load (Kleinrock 1975)."""
        n, rho = 200_000, 0.7
        due = schedule.due_ns(rho * 1000, n / (rho * 1000), arrivals="poisson", seed=3)
        services = {
            rho / (2 * (1 - rho)): np.full(n, 1e6),
            rho / (1 - rho): np.random.default_rng(4).exponential(1e6, n),
        }
        for mean_ms, service in services.items():
            turn, ended = np.zeros(n), np.zeros(n)
            free = 0.0
            for i in range(n):
                turn[i] = max(due[i], free)
                ended[i] = free = turn[i] + service[i]
            found = offered(due / 1e6, turn / 1e6, ended / 1e6, idle=turn == due)
            seen = statistics.open_level(found, rho * 1000, apart=True, late_s=0.0)
            assert seen.waiting_mean_s == pytest.approx(mean_ms * 1e-3, rel=0.05)
            assert seen.n_late / n == pytest.approx(rho, rel=0.02)  # arrivals see the average

    def test_knees(self):
        """Knees of M/M/1's latency and of the speed on two cores; a straight line has none."""
        loads = [0.5, 0.7, 0.8, 0.9, 0.95]
        bent = [1 / (1 - load) for load in loads]
        assert loads[statistics.knee(loads, bent, rises_late=True)] in (0.8, 0.9)
        clients = [1, 2, 4, 8]
        assert statistics.knee(clients, [1, 2, 2.1, 2.1], rises_late=False) == 1
        assert statistics.knee(clients, clients, rises_late=False) is None
        assert statistics.knee([1, 2], [1, 9], rises_late=True) is None
        assert statistics.knee(clients, [3, 2, 1, 1], rises_late=False) is None

    def test_what_is_flat_but_for_noise_has_no_knee(self):
        """A flat curve with noise has no knee."""
        rates = [200, 400, 800, 1200]
        assert statistics.knee(rates, [96.6, 95.7, 97.5, 97.8], rises_late=True) is None
        assert statistics.knee([1, 2, 4, 8], [100, 104, 105, 105], rises_late=False) is None

    def test_a_knee_lies_before_saturation(self):
        """Levels after the first saturated one do not count for the knee."""

        def level(rate_qps, p99_s, *marks):
            return Level(kind="open", offered_qps=rate_qps, qps=rate_qps, p99_s=p99_s, marks=marks)

        levels = (
            level(50, 0.01),
            level(100, 0.012),
            level(200, 0.2, SATURATED),
            level(800, 9.0, SATURATED),
        )
        assert statistics.figured(Loaded(levels=levels), Load()).knee_qps == 100

    def test_the_rate_at_a_latency(self):
        """The highest rate up to which all levels kept the latency; marked levels do not count."""

        def level(rate_qps, p99_s, *marks):
            return Level(kind="open", offered_qps=rate_qps, qps=rate_qps, p99_s=p99_s, marks=marks)

        levels = (level(100, 0.001), level(200, 0.002), level(300, 0.009), level(400, 0.001))
        load = Load(at_p99_s=0.002)
        assert statistics.rate_at_bound(Loaded(levels=levels), load) == 200
        full = (level(100, 0.001, SATURATED), *levels[1:])
        assert statistics.rate_at_bound(Loaded(levels=full), load) is None
        bound = (levels[0], level(200, 0.002, GENERATOR_BOUND))
        assert statistics.rate_at_bound(Loaded(levels=bound), load) == 100
        stopped = (level(100, 0.009, STOPPED), level(200, 0.002, STOPPED), level(300, 0.001))
        assert statistics.rate_at_bound(Loaded(levels=stopped), load) == 300
        assert statistics.rate_at_bound(Loaded(levels=stopped[:2]), load) == 200
        assert statistics.rate_at_bound(Loaded(levels=stopped[:1]), load) is None
        load = replace(load, count_bound=True)
        assert statistics.rate_at_bound(Loaded(levels=bound), load) == 200
        assert statistics.rate_at_bound(Loaded(levels=bound), Load()) is None


def served(service_ms, *, load, stop=None, who="", n=20_000):
    """An open loop of n queries whose service takes so long, and perhaps a stop (start, end) in ms.

    In a stop the generator does not run, or the worker, or neither is known to have stopped.
    """
    due = schedule.due_ns(1000 * load / service_ms, n * service_ms / 1000 / load, seed=2, **POISSON)
    due, free, turns, ends, kept = due / 1e6, 0.0, [], [], []
    for at in due:
        turn = max(at, free)
        end, stopped = turn + service_ms, 0.0
        if stop and turn < stop[1] and end > stop[0]:
            stopped = stop[1] - max(turn, stop[0])
            end = stop[1] + service_ms - max(stop[0] - turn, 0)
        turns.append(turn)
        ends.append(end)
        kept.append(stopped if who == "worker" else 0)
        free = end
    gaps = [stop] if who == "generator" else []
    return offered(due, turns, ends, idle=np.equal(turns, due), gaps=gaps, kept=kept)


POISSON = {"arrivals": "poisson"}


class TestStops:
    """The machine stops in a level of 20,000 queries at 80 %, with a service of 0.2 ms: 5 s."""

    @staticmethod
    def level(found):
        return statistics.open_level(found, 4000, apart=True, late_s=0.0)

    @pytest.mark.parametrize("who", ["generator", "worker"])
    def test_a_stop_that_explains_the_waiting_time_is_marked(self, who):
        """What the level would be without it is what it is where nothing stopped."""
        undisturbed = self.level(served(0.2, load=0.8))
        seen = self.level(served(0.2, load=0.8, stop=(1000, 1260), who=who))
        assert seen.waiting_mean_s > 10 * undisturbed.waiting_mean_s
        assert STOPPED in seen.marks
        assert seen.stops.waiting_mean_s == pytest.approx(undisturbed.waiting_mean_s, rel=0.01)
        assert seen.stops.p99_s == pytest.approx(undisturbed.p99_s, rel=0.01)
        assert (seen.stops.generator_s, seen.stops.worker_s) == pytest.approx(
            (0.26, 0) if who == "generator" else (0, 0.26)
        )

    def test_a_server_that_stalls_by_itself_is_not(self):
        """It sleeps or computes: nothing kept it from running, so its record has no stops."""
        seen = self.level(served(0.2, load=0.8, stop=(1000, 1260)))
        assert STOPPED not in seen.marks
        assert seen.stops.waiting_mean_s == pytest.approx(seen.waiting_mean_s)
        assert seen.stops.p99_s == pytest.approx(seen.p99_s)

    def test_a_short_stop_is_recorded_and_not_marked(self):
        seen = self.level(served(0.2, load=0.8, stop=(1000, 1003), who="generator"))
        assert STOPPED not in seen.marks
        assert seen.stops.generator_longest_s == pytest.approx(0.003)
        assert self.level(served(0.2, load=0.8)).marks == ()

    def test_waiting_that_is_nothing_beside_the_service_is_not_looked_at(self):
        """At a load of 5 % a short stop is much of the mean waiting time, and little of latency."""
        found = served(0.2, load=0.05, stop=(800, 805), who="generator", n=500)
        seen = statistics.open_level(found, 250, apart=True, late_s=0.0)
        assert seen.waiting_mean_s > 2 * seen.stops.waiting_mean_s
        assert STOPPED not in seen.marks

    def test_the_table_says_what_stopped(self):
        """Below it, with what the figures would be."""
        seen = self.level(served(0.2, load=0.8, stop=(1000, 1260), who="worker"))
        (what, without) = load_report._stops(seen)
        assert what.startswith("the worker was kept from running for 260 ms (once 2")
        assert without.startswith("without this waiting would be 4")
        assert [*load_report._stops(replace(seen, marks=()))] == []


class TestKept:
    @pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="needs Linux")
    def test_sleeping_is_not_being_kept_from_running(self):
        """A process that sleeps is kept from nothing; one that a signal stopped is."""
        with subprocess.Popen(["sleep", "60"]) as sleeps:
            with Kept([sleeps.pid], signals=True) as kept, Kept([sleeps.pid], signals=False) as no:
                while state_of(sleeps.pid) != "S":  # until it has begun
                    pass
                before, without = kept.look(0), no.look(0)
                assert kept.look(4_000_000) == before
                os.kill(sleeps.pid, signal.SIGSTOP)
                os.waitid(os.P_PID, sleeps.pid, os.WSTOPPED | os.WNOWAIT)
                at_most = kept.look(7_000_000) - before
                assert at_most >= 3_000_000
                assert kept.look(9_000_000_000) - before == at_most + 5_000_000
                assert no.look(9_000_000_000) - without == at_most - 3_000_000
            sleeps.kill()
        assert Kept([sleeps.pid], signals=True).look(0) == 0  # it has ended


def state_of(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


class TestMachine:
    def test_what_was_stolen_between_two_looks(self, tmp_path):
        """Steal counts this process's cores, in seconds; the frequency is their mean."""
        core, tick = min(os.sched_getaffinity(0)), os.sysconf("SC_CLK_TCK")
        stat = tmp_path / "proc" / "stat"
        stat.parent.mkdir()
        (tmp_path / "proc" / "cpuinfo").write_text("cpu MHz : 2000.0\ncpu MHz : 3000.0\n")
        stat.write_text(f"cpu 1 1 1 1 1 1 1 99\ncpu{core} 5 5 5 5 5 5 5 {tick}\n")
        before = Look.now(tmp_path)
        stat.write_text(f"cpu{core} 5 5 5 5 5 5 5 {3 * tick}\ncpu99999 0 0 0 0 0 0 0 77\n")
        seen = before.until_now(worker_switches=4, root=tmp_path)
        assert (seen.steal_s, seen.worker_switches, seen.mhz) == (2.0, 4, 2500.0)
        assert (seen.throttled_times, seen.throttled_s) == (0, 0.0)

    def test_what_the_system_does_not_tell_is_not_known(self, tmp_path):
        """Counters that the system lacks are None."""
        seen = Look.now(tmp_path).until_now(worker_switches=0, root=tmp_path)
        assert (seen.steal_s, seen.mhz) == (None, None)


def test_a_job_takes_its_load_to_other_machines(small_dataset, tmp_path):
    """Requested load survives as plain data."""
    load = Load(rates_qps=(5.0, 6.5), clients=(1, 2), arrivals="uniform", at_p99_s=0.01)
    job = make_job(small_dataset(), tmp_path / "mine.py", load=load)
    assert from_plain(Job, json.loads(json.dumps(to_plain(job)))) == job
    assert load.seconds == 4 * load.level_s


class TestClosedLoop:
    def test_clients_ask_at_once(self, bears, two_cores):
        """Clients are threads if the library releases the GIL."""
        body = "def query(self, v, k):\n    time.sleep(0.005)\n    return self.near(v, k)"
        seen = bears(body, load=Load(clients=(1, 2), level_s=0.3))
        one, two = seen.levels
        assert seen.clients_are == "threads"
        assert (one.clients, one.recall, two.recall) == (1, 1.0, 1.0)
        assert one.speed_up == 1
        assert two.n_answered > one.n_answered
        assert two.p50_s >= 0.005

    def test_clients_are_processes_if_the_gil_is_held(self, bears, two_cores):
        """Clients are processes if the library holds the GIL; their answers are scored."""
        body = """
            def query(self, v, k):
                end = time.perf_counter() + 0.002
                while time.perf_counter() < end:
                    pass
                return self.near(v, k).tolist()
        """
        seen = bears(body, load=Load(clients=(2,), level_s=0.2))
        (level,) = seen.levels
        assert (seen.clients_are, level.failure, level.recall) == ("processes", "", 1.0)
        assert level.n_answered >= 20

    def test_a_crash_of_several_at_once_is_a_failure_of_that_level(self, bears):
        """A crash with several clients fails that level and those after it."""
        body = """
            busy = 0
            def query(self, v, k):
                self.busy += 1
                if self.busy > 2:
                    os.kill(os.getpid(), signal.SIGSEGV)
                time.sleep(0.005)
                self.busy -= 1
                return self.near(v, k)
        """
        seen = bears(body, load=Load(clients=(1, 4, 8), level_s=0.1))
        assert [level.failure for level in seen.levels] == ["", "crashed", "not-run"]
        assert seen.levels[1].message.count("SIGSEGV") == 1

    def test_a_crash_of_two_threads_keeps_the_level_of_one_client(self, bears, two_cores):
        """If two threads crash, the level of one client is kept, and the message says what to declare."""
        seen = bears(NOT_SAFE, load=Load(clients=(1, 2, 4), level_s=0.1))
        assert [level.failure for level in seen.levels] == ["", "crashed", "not-run"]
        assert (seen.levels[0].recall, seen.levels[0].n_answered > 1) == (1.0, True)
        message = seen.levels[1].message
        assert message.startswith("the process was ended by SIGSEGV during load with 2 clients")
        assert message.endswith('clients = "processes" in its header asks by processes')

    @pytest.mark.parametrize("declared", ["threads", "processes"])
    def test_a_header_declares_what_clients_are(self, bears, declared):
        """A header's declaration of threads or processes is used without a test."""
        body = NOT_SAFE if declared == "processes" else "pass"
        load = Load(clients=(1, 2, 3), level_s=0.1)
        seen = bears(body, load=load, implementation={"clients": declared})
        assert seen.clients_are == declared
        assert [level.failure for level in seen.levels] == ["", "", ""]
        assert {level.recall for level in seen.levels} == {1.0}

    @pytest.mark.parametrize("value", ['"fibres"', "2", '["threads"]'])
    def test_a_header_that_declares_something_else(self, value):
        """Another declaration is refused."""
        text = "# /// script\n# [tool.annmodal]\n# clients = %s\n# ///\n"
        assert header.parse(text % '"processes"').clients == "processes"
        with pytest.raises(ConfigurationError, match="clients: expected threads or processes, not"):
            header.parse(text % value)

    def test_a_process_that_ends_is_named(self, bears, two_cores):
        body = """
            def query(self, v, k):
                end = time.perf_counter() + 0.002
                while time.perf_counter() < end:
                    pass
                if os.getppid() == self.own:
                    os._exit(7)
                return self.near(v, k)
            def fit(self, X):
                self.own = os.getpid()
                self.X = np.array(X)
        """
        processes = {"clients": "processes"}
        load = Load(clients=(2,), level_s=0.1)
        (level,) = bears(body, load=load, implementation=processes).levels
        assert level.failure == "crashed"
        assert "client 1 of 2 (a process) ended with status 7" in level.message

    def test_more_clients_than_cores_are_marked(self, bears):
        n = len(os.sched_getaffinity(0)) + 1
        (level,) = bears(load=Load(clients=(n,), level_s=0.05)).levels
        assert FEW_CORES in level.marks

    def test_a_submission_is_not_asked_by_its_own_clock(self, bears):
        seen = bears(
            clock="parent",
            isolation="process",
            implementation={"trusted": False},
            load=Load(clients=(1, 2)),
        )
        assert seen.levels == ()
        assert "a submission could change that clock" in seen.notes[0]

    def test_answers_in_a_reused_buffer_are_copied(self, bears):
        """Answers in a reused buffer are copied."""
        body = """
            def query(self, v, k):
                if not hasattr(self, "out"):
                    self.out = np.zeros(k, np.int64)
                self.out[:] = self.near(v, k)
                return self.out
        """
        (level,) = bears(body, load=Load(clients=(1,), level_s=0.05)).levels
        assert level.recall == 1.0


class TestOpenLoop:
    def test_every_level_is_measured_and_scored(self, bears):
        """Each level has the offered rate and a recall."""
        seen = bears()
        assert [level.offered_qps for level in seen.levels] == [200, 400]
        for level in seen.levels:
            assert (level.failure, level.recall) == ("", 1.0)
            assert level.n_offered == level.n_answered == level.offered_qps * 0.1
            assert level.waiting_mean_s + level.service_mean_s == pytest.approx(level.mean_s)
        assert seen.lateness_p99_s > 0
        assert seen.generator_qps > 0
        assert len(json.dumps(to_plain(seen))) < 3000

    def test_an_impossible_rate_ends_with_marks(self, bears):
        """An impossible rate ends with its marks; queries that were not dropped have answers."""
        (level,) = bears(load=Load(rates_qps=(1e8,), level_s=0.001, queue=50)).levels
        assert {GENERATOR_BOUND, SATURATED} <= set(level.marks)
        assert level.n_offered == level.n_answered + level.n_dropped == 100_000
        assert (level.failure, level.recall) == ("", 1.0)

    def test_a_submission_is_offered_load_by_the_parents_clock(self, bears):
        seen = bears(clock="parent", isolation="process", implementation={"trusted": False})
        assert [level.n_answered for level in seen.levels] == [20, 40]
        assert {level.recall for level in seen.levels} == {1.0}

    def test_auto_offers_shares_of_the_capacity(self, bears):
        body = "def query(self, v, k):\n    time.sleep(0.001)\n    return self.near(v, k)"
        seen = bears(body, load=Load(auto=True, level_s=0.1))
        shares = [level.offered_qps / seen.capacity_qps for level in seen.levels]
        assert shares == pytest.approx([0.5, 0.7, 0.8, 0.9, 0.95])
        assert 0 < seen.capacity_qps < 1000

    def test_a_queue_that_is_full_drops(self, bears):
        body = "def query(self, v, k):\n    time.sleep(0.004)\n    return self.near(v, k)"
        load = Load(rates_qps=(2000.0,), level_s=0.05, queue=3, arrivals="uniform")
        (level,) = bears(body, load=load).levels
        assert level.n_dropped > 50
        assert level.n_answered + level.n_dropped == level.n_offered == 100
        assert SATURATED in level.marks

    def test_wrong_answers_under_load_are_a_failure_of_that_level(self, bears):
        """Wrong answers fail their level; measurement and other levels stay."""
        body = """
            asked = 0
            def query(self, v, k):
                self.asked += 1
                found = self.near(v, k)
                return found if self.asked <= 50 + 20 + 50 + 20 else found * 0
        """
        first, second = bears(body).levels
        assert first.recall == 1.0
        assert (second.failure, second.recall) == ("invalid-result", None)
        assert "returned id 0 twice" in second.message
        assert "at 400 queries/s" in second.message

    def test_a_worker_that_ends_in_a_level_costs_that_level_and_what_follows(self, bears):
        body = """
            asked = 0
            def query(self, v, k):
                self.asked += 1
                if self.asked > 50 + 20 + 50 + 25:
                    os._exit(3)
                return self.near(v, k)
        """
        load = Load(rates_qps=(200.0, 400.0, 800.0), level_s=0.1)
        first, second, third = bears(body, load=load).levels
        assert (first.failure, second.failure, third.failure) == ("", "crashed", "not-run")
        assert "ended in the level at 400 queries/s" in third.message

    def test_an_answer_that_raises_costs_its_level_alone(self, bears):
        body = """
            asked = 0
            def query(self, v, k):
                self.asked += 1
                if self.asked == 50 + 20 + 50 + 5:
                    raise ValueError("not today")
                return self.near(v, k)
        """
        first, second = bears(body).levels
        assert (first.failure, second.failure) == ("raised", "")
        assert "not today" in first.message

    def test_a_worker_that_is_stopped_for_a_while_is_told(self, bears, two_cores):
        """A signal stops it for 50 ms, and ten of a hundred queries wait."""
        body = """
            asked = 0
            def query(self, v, k):
                self.asked += 1
                if self.asked == 50 + 20 + 50 + 20:
                    stop = f"kill -STOP {os.getpid()}; sleep 0.05; kill -CONT {os.getpid()}"
                    self.by = subprocess.Popen(["sh", "-c", stop])
                return self.near(v, k)
        """
        (level,) = bears(body, load=Load(rates_qps=(200.0,), level_s=0.5)).levels
        assert level.n_answered == 100
        assert STOPPED in level.marks
        assert level.stops.worker_longest_s > 0.04
        assert level.stops.p99_s < level.p99_s
