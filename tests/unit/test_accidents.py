"""Accidental faults of an implementation become named failures; all other settings are measured."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from jobs import EXACT, failed, index, line_of, measured, nothing_left_behind, run, write

CLOCKS = ("worker", "parent")
MEGABYTE = 2**20


@pytest.fixture(autouse=True)
def _clean_up():
    with nothing_left_behind():
        yield


@pytest.fixture
def dataset(small_dataset):
    return small_dataset()


@pytest.fixture
def outcome_of(dataset, tmp_path):
    """The one outcome of an index with these methods."""

    def outcome_of(body, **options):
        text = body if "class Index" in body else index(body)
        (outcome,) = run(dataset, write(tmp_path / "mine.py", text), **options)
        return outcome

    return outcome_of


@pytest.fixture
def outcomes_of(dataset, tmp_path):
    """One outcome for each expression (of ``self``, ``v`` and ``k``) that a method returns."""

    def outcomes_of(method, expressions, **options):
        lines = "".join(f"    lambda self, v, k: {text},\n" for text in expressions)
        body = f"def {method}: return WAYS[self.setting](self, v, k)"
        text = index(body) + f"\nWAYS = [\n{lines}]\n"
        source = write(tmp_path / "mine.py", text)
        return run(dataset, source, settings=range(len(expressions)), **options)

    return outcomes_of


ODD = """
class Odd(Exception):
    def __str__(self): return self.nothing
"""


class TestRaises:
    @pytest.mark.parametrize(
        ("method", "phase"),
        [
            ("__init__(self, metric)", "start"),
            ("fit(self, X)", "build"),
            ("set_query_arguments(self, setting)", "search"),
            ("query(self, v, k)", "search"),
        ],
    )
    def test_says_what_where_and_in_which_phase(self, outcome_of, method, phase):
        """A failure has the exception's type, its message, the user's line and a traceback without ours."""
        text = index(f"def {method}:\n    raise ValueError('mine')  # here")
        failure = failed(outcome_of(text, settings=[1]))
        line = line_of(text, "# here")
        assert (failure.kind, failure.phase, failure.blame) == ("raised", phase, "submission")
        assert failure.message == f"{phase} raised ValueError: mine (line {line})"
        assert "mine.py" in failure.evidence["traceback"]
        assert failure.evidence["traceback"].rstrip().endswith("ValueError: mine")
        assert "pytest_annmodal/worker" not in failure.evidence["traceback"]

    @pytest.mark.parametrize("text", ["raise ValueError('mine')\n" + EXACT, EXACT + "1 / 0\n"])
    def test_when_it_is_imported(self, outcome_of, text):
        """An exception at the first or last line of the file is a failure while loading."""
        failure = failed(outcome_of(text))
        assert (failure.kind, failure.phase) == ("raised", "start")
        assert "(line " in failure.message

    def test_when_an_import_is_missing(self, outcome_of):
        """The failure names a library that is not installed."""
        failure = failed(outcome_of("import no_such_library\n" + EXACT))
        assert "No module named 'no_such_library' (line 1)" in failure.message

    @pytest.mark.parametrize("clock", CLOCKS)
    def test_only_at_query_37(self, outcome_of, clock):
        """An exception in a single query fails the setting, in the warm-up or in a round."""
        body = """
            n = 0
            def query(self, v, k):
                self.n += 1
                if self.n == 37:
                    raise KeyError("37")
                return self.near(v, k)
        """
        failure = failed(outcome_of(body, clock=clock))
        assert failure.message.startswith("search raised KeyError: '37' (line ")

    @pytest.mark.parametrize("clock", CLOCKS)
    def test_costs_only_its_own_setting(self, dataset, tmp_path, clock):
        """After an exception the worker continues: the next setting uses the same build."""
        text = index(f"""
            def fit(self, X):
                super().fit(X)
                with open({str(tmp_path / "builds")!r}, "a") as file:
                    file.write("x")
            def query(self, v, k):
                if self.setting == 2:
                    raise ValueError("two")
                return self.near(v, k)
        """)
        first, second, third = run(
            dataset, write(tmp_path / "mine.py", text), settings=[1, 2, 3], clock=clock
        )
        assert measured(first).recall == measured(third).recall == 1
        assert "ValueError: two" in failed(second).message
        assert (tmp_path / "builds").read_text() == "x"

    def test_in_the_batch(self, outcome_of):
        """An exception in the batch is a failure with the phase "batch"."""
        failure = failed(outcome_of("def batch_query(self, X, k): return self.nothing"))
        assert (failure.kind, failure.phase) == ("raised", "batch")
        assert "has no attribute 'nothing'" in failure.message

    def test_in_done_when_all_is_measured(self, outcome_of):
        """An exception in ``done`` changes nothing, since everything is measured by then."""
        assert measured(outcome_of("def done(self): raise ValueError('late')")).recall == 1

    @pytest.mark.parametrize("clock", CLOCKS)
    def test_one_worker_survives_all_exceptions(self, dataset, tmp_path, clock):
        """One worker survives all kinds of exceptions, and the last setting is measured."""
        raised = {
            "Exception()": "search raised Exception (line ",
            "Exception('')": "search raised Exception (line ",
            "Odd()": "search raised Odd: (its message could not be read: AttributeError) (line ",
            "SystemExit(3)": "search raised SystemExit: 3 (line ",
            "KeyboardInterrupt()": "search raised KeyboardInterrupt (line ",
            "GeneratorExit()": "search raised GeneratorExit (line ",
            "StopIteration(5)": "search raised StopIteration: 5 (line ",
            "TypeError('mine')": "search raised TypeError: mine (line ",
            "ExceptionGroup('many', [OSError(1)])": "search raised ExceptionGroup: many",
            "UnicodeDecodeError('utf-8', b'x', 0, 1, 'odd')": "search raised UnicodeDecodeError: ",
        }
        throw = index(f"""
            def query(self, v, k):
                if self.setting == {len(raised)}:
                    return self.near(v, k)
                if self.setting == {len(raised) + 1}:
                    return self.query(v, k)
                raise eval({list(raised)!r}[self.setting])
        """).replace("class Index", ODD + "class Index")
        *bad, good, endless = run(
            dataset,
            write(tmp_path / "mine.py", throw),
            settings=range(len(raised) + 2),
            clock=clock,
        )
        for outcome, words in zip(bad, raised.values(), strict=True):
            assert failed(outcome).message.startswith(words)
            assert outcome.kind == "raised"
        assert measured(good).recall == 1
        assert "RecursionError" in failed(endless).message

    def test_control_characters_and_surrogates_stay_plain_text(self, outcome_of):
        """A message holds no character that would break a terminal, a JSON file or an XML file."""
        failure = failed(
            outcome_of(r"""
                def fit(self, X):
                    print("\x1b[2Jcleared\x07")
                    raise ValueError("\x1b[31mred\x00\ud800 näïve 𝔘\nsecond" + "x" * 10**6)
            """)
        )
        assert r"\x1b[31mred\x00\ud800 näïve 𝔘" in failure.message
        for text in (failure.message, *map(str, failure.evidence.values())):
            assert not set(text) & {"\x1b", "\x00", "\x07", "\ud800"}
            assert len(text.encode()) < 20_000


class TestEnds:
    @pytest.mark.parametrize(
        ("how", "message"),
        [
            ("os._exit(3)", "the process exited with status 3 during {}"),
            ("os._exit(0)", "the process exited with status 0 during {}"),
            ("ctypes.string_at(0)", "the process was ended by SIGSEGV during {}"),
            ("os.abort()", "the process was ended by SIGABRT during {}"),
            (
                "os.kill(os.getpid(), signal.SIGKILL)",
                "the process was ended by SIGKILL during {}; the system probably ran out of memory",
            ),
            ("os.kill(os.getpid(), 36)", "the process was ended by signal 36 during {}"),
        ],
    )
    def test_the_process_ends(self, outcome_of, how, message):
        """Message and evidence name the exit status or signal that ended the worker."""
        phase = "search" if how.startswith(("os._exit(3)", "ctypes", "os.kill")) else "build"
        method = "fit(self, X)" if phase == "build" else "query(self, v, k)"
        body = f"def {method}:\n    print('last words', flush=True)\n    {how}"
        failure = failed(outcome_of(body, clock="parent" if "exit" in how else "worker"))
        assert (failure.kind, failure.phase) == ("crashed", phase)
        assert failure.message == message.format(phase)
        assert failure.evidence["log_tail"].startswith("last words")
        assert failure.evidence["peak_rss_bytes"] >= 0
        seen = failure.evidence.get("exit_signal", failure.evidence.get("exit_status"))
        assert str(seen) in message

    def test_sys_exit_in_the_constructor_is_an_exception(self, outcome_of):
        """``sys.exit`` in the constructor does not end the worker."""
        failure = failed(outcome_of("def __init__(self, metric): sys.exit(3)"))
        assert (failure.kind, failure.phase) == ("raised", "start")
        assert "start raised SystemExit: 3 (line " in failure.message

    @pytest.mark.parametrize("clock", CLOCKS)
    def test_a_crash_in_one_setting_costs_only_that(self, dataset, tmp_path, clock):
        """The other settings get a new build, and the outcomes keep their order."""
        text = index("""
            def query(self, v, k):
                if self.setting == 2:
                    os._exit(9)
                return self.near(v, k)
        """)
        outcomes = run(
            dataset, write(tmp_path / "mine.py", text), settings=[1, 2, 3, 4], clock=clock
        )
        assert [outcome.case_id for outcome in outcomes] == [f"case-{n}" for n in range(4)]
        assert failed(outcomes.pop(1)).evidence["exit_status"] == 9
        assert [measured(outcome).recall for outcome in outcomes] == [1, 1, 1]

    def test_a_crash_in_the_build_fails_every_setting(self, dataset, tmp_path):
        """A crash in the build fails every setting; the build is not repeated."""
        text = index(f"""
            def fit(self, X):
                with open({str(tmp_path / "builds")!r}, "a") as file:
                    file.write("x")
                os._exit(3)
        """)
        outcomes = run(dataset, write(tmp_path / "mine.py", text), settings=[1, 2, 3])
        assert {failed(outcome).phase for outcome in outcomes} == {"build"}
        assert len(outcomes) == 3
        assert (tmp_path / "builds").read_text() == "x"

    def test_a_crash_at_the_very_end_does_not_matter(self, outcome_of):
        """A crash in ``done`` or while the interpreter ends changes no outcome."""
        assert measured(outcome_of("def done(self): os._exit(7)")).recall == 1


class TestHangs:
    def test_a_phase_that_takes_too_long_is_ended(self, dataset, tmp_path):
        """A phase beyond its limit is ended, whatever signal handlers there are; the option is named."""
        hang = "print('so far', flush=True); threading.Event().wait()"
        deaf = "[signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]; " + hang
        cases = [
            ("__init__(self, metric)", hang, "start", "worker"),
            ("fit(self, X)", deaf, "build", "worker"),
            ("query(self, v, k)", hang, "search", "worker"),
            ("batch_query(self, X, k)", hang, "batch", "parent"),
            (
                "query(self, v, k)",
                "print('so far', flush=True)\n    while 1: pass",
                "search",
                "parent",
            ),
        ]

        def outcome_of(number, limit_s=4):
            method, how, _, clock = cases[number]
            text = index(f"def {method}:\n    {how}")
            source = write(tmp_path / f"mine{number}.py", text)
            return run(dataset, source, phase_timeout_s=limit_s, clock=clock)[0]

        *waiting, spinning = range(len(cases))
        with ThreadPoolExecutor(len(waiting)) as threads:  # they wait side by side
            outcomes = list(threads.map(outcome_of, waiting))
        # The parent's clock spins while it waits for a query, and would hold up the other threads.
        outcomes.append(outcome_of(spinning, limit_s=2))
        limits_s = [4] * len(waiting) + [2]
        for (_, _, phase, _), outcome, limit_s in zip(cases, outcomes, limits_s, strict=True):
            assert (failed(outcome).kind, outcome.phase) == ("timeout", phase)
            assert outcome.message == (
                f"{phase} took longer than {limit_s} s (--ann-timeout sets the limit)"
            )
            assert outcome.evidence["log_tail"].startswith("so far")


class TestLimits:
    @pytest.mark.parametrize(
        ("method", "phase"), [("fit(self, X)", "build"), ("query(self, v, k)", "search")]
    )
    def test_endless_output_is_a_limit(self, outcome_of, method, phase):
        """Endless output ends the worker; it neither fills the memory nor stops the session."""
        body = f"def {method}:\n    while True: print('x' * 1000)"
        failure = failed(outcome_of(body, output_bytes=MEGABYTE))
        assert (failure.kind, failure.phase) == ("limit", phase)
        assert (
            failure.message
            == f"printed more than 1,048,576 bytes during {phase}; remove the prints"
        )
        assert 0 < len(failure.evidence["log_tail"]) <= 16 * 1024

    def test_a_quick_flood_is_noticed_as_well(self, outcome_of):
        """Too much output is noticed although the worker answers at once."""
        body = f"""
            def fit(self, X):
                super().fit(X)
                os.write(1, b"x" * {2 * MEGABYTE})
        """
        assert failed(outcome_of(body, output_bytes=MEGABYTE // 2)).kind == "limit"

    @pytest.mark.parametrize(
        ("eat", "method", "phase"),
        [
            ("[bytearray(2**20) for _ in range(10**5)]", "fit(self, X)", "build"),
            ("[np.ones(2**17) for _ in range(10**5)]", "fit(self, X)", "build"),
            ("np.ones(2**40)", "fit(self, X)", "build"),
            ("[np.ones(2**17) for _ in range(10**5)]", "query(self, v, k)", "search"),
            ("list(range(10**10))", "__init__(self, metric)", "start"),
        ],
    )
    def test_too_much_memory_is_a_limit(self, outcome_of, eat, method, phase):
        """Allocations beyond the limit, by Python or a library, fail with the limit's name."""
        text = index(f"def {method}:\n    self.eaten = {eat}  # here")
        failure = failed(outcome_of(text, memory_bytes=200 * MEGABYTE))
        assert (failure.kind, failure.phase) == ("limit", phase)
        assert failure.message.startswith(f"ran out of memory during {phase} (line ")
        assert "--ann-memory-mb sets the limit" in failure.message
        assert "MemoryError" in failure.evidence["traceback"]

    def test_within_the_limit_all_is_well(self, outcome_of):
        """``train`` does not count towards the limit, even if it is written to."""
        body = """
            def fit(self, X):
                self.some = np.ones(2**22)
                X += 0
                super().fit(X)
        """
        measurement = measured(outcome_of(body, memory_bytes=200 * MEGABYTE))
        assert measurement.index_bytes >= 30 * MEGABYTE
        assert measurement.peak_rss_bytes >= measurement.index_bytes


NONSENSE = [
    ("self.near(v, k)[:-1]", "returned 9 ids for query 0, expected 10"),
    ("self.near(v, k + 1)", "returned 11 ids for query 0, expected 10"),
    ("self.near(v, 200)", "returned 200 ids for query 0, expected 10"),
    ("[]", "returned 0 ids for query 0, expected 10"),
    ("[3] * k", "returned id 3 twice for query 0"),
    ("self.near(v, k) - 1000", "ids are row numbers of the training data, 0 to 299"),
    ("list(range(291, 301))", "returned id 300 for query 0"),
    ("self.near(v, k).astype(float)", "dtype float64; expected a flat list"),
    ("[float(i) for i in self.near(v, k)]", "a list of float; expected a flat list"),
    ("[list(self.near(v, k))]", "a list of list; expected a flat list"),
    ("self.near(v, k)[None]", r"shape (1, 10)"),
    ("list(zip(self.near(v, k), range(k)))", "a list of tuple"),
    ("(i for i in self.near(v, k))", "a generator; expected"),
    ("None", "None (is a return missing?); expected"),
    ("'0123456789'", "a str; expected"),
    ("set(self.near(v, k).tolist())", "a set; expected"),
    ("[True, False] * 5", "query"),
    ("np.arange(k) < 5", "dtype bool"),
]


class TestNonsense:
    @pytest.mark.parametrize("clock", CLOCKS)
    def test_an_answer_that_is_none_is_named(self, outcomes_of, clock):
        """An invalid answer is the submission's fault by both clocks; the next setting is measured."""
        *outcomes, last = outcomes_of(
            "query(self, v, k)", [*(text for text, _ in NONSENSE), "self.near(v, k)"], clock=clock
        )
        assert measured(last).recall == 1
        for outcome, (_, words) in zip(outcomes, NONSENSE, strict=True):
            assert (failed(outcome).kind, outcome.phase) == ("invalid-result", "search")
            assert words in outcome.message

    @pytest.mark.parametrize("clock", CLOCKS)
    def test_only_the_last_answer_is_wrong(self, dataset, tmp_path, clock):
        """A wrong last answer is found and named with its number; the next setting is measured.

        It is recognised by its vector, since on a busy machine a query with an uncertain time is
        asked again.
        """
        text = index("""
            asked = 0
            def query(self, v, k):
                self.asked += 1
                if self.asked == 50 + 20:
                    self.last = v.tobytes()
                last = self.asked > 50 + 20 and v.tobytes() == self.last
                return [0] * k if last and self.setting == 1 else self.near(v, k)
        """)
        first, second = run(
            dataset, write(tmp_path / "mine.py", text), settings=[1, 2], clock=clock, rounds=2
        )
        assert "returned id 0 twice for query 19" in failed(first).message
        assert measured(second).recall == 1

    @pytest.mark.parametrize("clock", CLOCKS)
    def test_short_answers_are_misses_where_that_is_the_custom(self, outcome_of, clock):
        """If short answers are allowed (as in ann-benchmarks), they count as misses and are reported."""
        measurement = measured(
            outcome_of(
                "def query(self, v, k): return [*self.near(v, k)[:4], -1]",
                clock=clock,
                rounds=2,
                implementation={"short_answers": True},
            )
        )
        assert measurement.recall == pytest.approx(0.4)
        assert measurement.n_short_answers == 40
        assert "40 answers had fewer than k ids" in measurement.notes[0]


class TestBuffers:
    @pytest.mark.parametrize("clock", CLOCKS)
    @pytest.mark.parametrize(
        "reuse",
        [
            "self.buffer[:k] = self.near(v, k); return self.buffer[:k]",
            "self.list[:] = self.near(v, k).tolist(); return self.list",
            (
                "self.ring = self.ring[1:] + self.ring[:1]; self.ring[0][:] = self.near(v, k);"
                " return self.ring[0]"
            ),
        ],
        ids=["one array", "one list", "sixty arrays in turn"],
    )
    def test_answers_that_share_a_buffer_are_scored_right(self, outcome_of, reuse, clock):
        """Answers in a reused buffer are scored correctly: the worker's clock copies them, the parent's all."""
        body = f"""
            buffer, list = np.zeros(100, np.int64), []
            ring = [np.zeros(10, np.int64) for _ in range(60)]
            def query(self, v, k):
                {reuse}
        """
        measurement = measured(outcome_of(body, clock=clock, rounds=2))
        assert (measurement.recall, measurement.recall_ids) == (1, 1)
        assert len(measurement.latencies_ns) + measurement.n_left_out == 40

    def test_a_buffer_that_is_shared_only_in_the_timed_rounds_is_noticed(self, outcome_of):
        """If a buffer is reused in the timed rounds only, the round is asked again."""
        body = """
            asked, ring = 0, [np.zeros(10, np.int64) for _ in range(55)]
            def query(self, v, k):
                self.asked += 1
                if self.asked <= 50:
                    return self.near(v, k)
                self.ring[0][:] = self.near(v, k)
                return self.ring[0]
        """
        measurement = measured(outcome_of(body, rounds=2))
        assert measurement.recall == 1
        assert measurement.rounds == 2

    def test_three_steps_that_share_a_buffer_are_scored_right(self, outcome_of):
        """``get_prepared_query_results`` may return the same array each time."""
        body = """
            result = np.zeros(10, np.int64)
            def prepare_query(self, v, k): self.asked = v, k
            def run_prepared_query(self): self.result[:] = self.near(*self.asked)
            def get_prepared_query_results(self): return self.result
        """
        for clock in CLOCKS:
            assert (
                measured(outcome_of(body + "\n            query = None", clock=clock)).recall == 1
            )

    @pytest.mark.parametrize("clock", CLOCKS)
    @pytest.mark.parametrize("metric", ["euclidean", "angular"])
    def test_writing_into_train_is_allowed_and_changes_no_score(
        self, small_dataset, tmp_path, clock, metric
    ):
        """``X /= norm`` in ``fit`` works, and the truth is computed from another copy."""
        path = small_dataset(f"other-8-{metric}", metric=metric)
        before = path.read_bytes()
        text = index("""
            def fit(self, X):
                original = X.copy()
                X /= np.linalg.norm(X, axis=1, keepdims=True)
                self.X = X if self.metric == "angular" else original
                X.sort(axis=0) if self.metric == "euclidean" else None
            def near(self, v, k):
                if self.metric == "angular":
                    return np.argsort(-(self.X @ v), kind="stable")[:k]
                return super().near(v, k)
        """)
        source = write(tmp_path / "mine.py", text)
        for trusted in (True, False):
            (outcome,) = run(path, source, clock=clock, implementation={"trusted": trusted})
            assert measured(outcome).recall == 1
        assert path.read_bytes() == before

    @pytest.mark.parametrize("clock", CLOCKS)
    def test_writing_into_a_query_does_not_spoil_the_next_round(self, outcome_of, clock):
        """Each round gets the queries as they are in the file."""
        body = """
            def query(self, v, k):
                found = self.near(v, k)
                v += 100
                return found
            def batch_query(self, X, k):
                found = np.array([self.near(v, k) for v in X])
                X += 100
                return found
        """
        measurement = measured(outcome_of(body, clock=clock, rounds=3))
        assert (measurement.recall, measurement.batch_recall) == (1, 1)


WRONG_BATCHES = [
    (
        "None",
        "batch_query returned None (is a return missing?); expected one list of ids per query",
    ),
    ("[]", "batch_query returned 0 answers for 20 queries"),
    ("self.near(v[0], k)", "returned an array of shape (10,) and dtype int64"),
    ("[list(range(k))]", "batch_query returned 1 answers for 20 queries"),
    ("np.zeros((1, k), int)", "batch_query returned 1 answers for 20 queries"),
    ("[[*range(k)]] * 19", "batch_query returned 19 answers for 20 queries"),
    ("[[*range(k)]] * 21", "batch_query returned 21 answers for 20 queries"),
    ("([[*range(k)]] * 20, [[0.5] * k] * 20)", "returned 2 answers for 20 queries"),
    ("np.zeros((len(v), k, 1), int)", "batch_query returned an array of shape (10, 1)"),
    ("[[*range(k)]] * 19 + [[0.5] * k]", "batch_query returned a list of float"),
    ("[[*range(k)]] * 19 + [[0]]", "batch_query returned 1 ids for query 19, expected 10"),
    ("[[*range(k)]] * 19 + [[0] * k]", "batch_query returned id 0 twice for query 19"),
    ("np.full((len(v), k), 300)", "batch_query returned id 300 for query 0"),
    ("(self.near(u, k) for u in v)", "batch_query returned a generator"),
]


class TestBatch:
    @pytest.mark.parametrize("clock", CLOCKS)
    @pytest.mark.parametrize(
        "body",
        [
            "def batch_query(self, X, k): return [self.near(v, k) for v in X]",
            "def batch_query(self, X, k): return np.array([self.near(v, k) for v in X])",
            "def batch_query(self, X, k): return tuple(self.near(v, k).tolist() for v in X)",
            (
                "def batch_query(self, X, k): self.r = [self.near(v, k) for v in X]\n"
                "def get_batch_results(self): return self.r"
            ),
        ],
        ids=["list", "array", "tuple", "two steps"],
    )
    def test_its_answers_are_scored(self, outcome_of, body, clock):
        """A batch's answers are scored, whether returned at once or fetched afterwards."""
        measurement = measured(outcome_of(body, clock=clock))
        assert measurement.batch_recall == 1
        assert measurement.batch_qps > 0

    @pytest.mark.parametrize("clock", CLOCKS)
    def test_answers_of_the_wrong_shape_are_named(self, outcomes_of, clock):
        """A batch of the wrong shape is a named failure, and the next setting is measured."""
        texts = [*(text for text, _ in WRONG_BATCHES), "[self.near(u, k) for u in v]"]
        *outcomes, last = outcomes_of("batch_query(self, v, k)", texts, clock=clock)
        assert measured(last).batch_recall == 1
        for outcome, (_, words) in zip(outcomes, WRONG_BATCHES, strict=True):
            assert (failed(outcome).kind, outcome.phase) == ("invalid-result", "batch")
            assert words in outcome.message


class TestSurroundings:
    @pytest.mark.parametrize("clock", CLOCKS)
    def test_three_steps_give_the_same_answers_by_either_clock(self, outcome_of, clock):
        """Both clocks get the same answers; the worker's clock times only the middle step."""
        body = """
            def prepare_query(self, v, k): self.asked = v, k
            def run_prepared_query(self): self.found = self.near(*self.asked)
            def get_prepared_query_results(self): return self.found
            query = None
        """
        measurement = measured(outcome_of(body, clock=clock, rounds=2))
        assert (measurement.recall, measurement.clock) == (1, clock)

    @pytest.mark.parametrize(
        ("session", "end"),
        [(False, ""), (True, ""), (True, "os._exit(3)"), (True, "threading.Event().wait()")],
    )
    def test_a_child_process_is_not_left_behind(self, outcome_of, end, session):
        """Child processes end with the worker, in its group or in a session of their own."""
        body = f"""
            def fit(self, X):
                super().fit(X)
                code = "import time; time.sleep(1000)"
                subprocess.Popen([sys.executable, "-c", code], start_new_session={session})
                {end}
        """
        outcome = outcome_of(body, phase_timeout_s=1.5 if "wait" in end else 60)
        assert (getattr(outcome, "kind", None)) == {"": None, "os._exit(3)": "crashed"}.get(
            end, "timeout"
        )

    def test_a_daemon_is_not_left_behind(self, outcome_of):
        """A daemon (forked twice, in its own session, without parents) ends with the worker."""
        body = """
            def fit(self, X):
                super().fit(X)
                if os.fork() == 0:
                    os.setsid()
                    if os.fork() == 0:
                        os.closerange(0, 100)
                        time.sleep(1000)
                    os._exit(0)
                os.wait()
        """
        assert measured(outcome_of(body)).recall == 1

    def test_threads_that_never_end_do_not_keep_it(self, outcome_of):
        """The worker ends without waiting for threads."""
        body = """
            def fit(self, X):
                super().fit(X)
                threading.Thread(target=threading.Event().wait).start()
        """
        assert measured(outcome_of(body)).recall == 1

    def test_what_it_prints_is_shown(self, outcome_of):
        """Output of both streams is shown, buffered or not, and with invalid bytes."""
        body = r"""
            def fit(self, X):
                super().fit(X)
                print("to stdout")
                print("to stderr", file=sys.stderr)
                os.write(2, b"\xff raw\n")
        """
        assert measured(outcome_of(body)).log_tail == "to stdout\nto stderr\n\ufffd raw\n"

    def test_closing_its_streams_does_no_harm(self, outcome_of):
        """An implementation may close its output streams, as some libraries do."""
        body = """
            def fit(self, X):
                super().fit(X)
                os.close(1)
                os.close(2)
        """
        assert measured(outcome_of(body)).recall == 1

    def test_reading_its_input_gets_nothing(self, outcome_of):
        """``input()`` gets the end of file; it does not wait for the user's terminal."""
        failure = failed(outcome_of("def fit(self, X): input('? ')"))
        assert "EOFError" in failure.message

    def test_warnings_are_no_errors_in_the_worker(self, outcome_of, monkeypatch):
        """Warnings stay warnings in the worker, although they are errors in these tests."""
        monkeypatch.setenv("PYTHONWARNINGS", "error")
        body = """
            def fit(self, X):
                import warnings
                warnings.warn("old", DeprecationWarning)
                super().fit(X)
        """
        assert measured(outcome_of(body)).recall == 1

    def test_it_may_change_the_current_directory_and_the_path(self, outcome_of, tmp_path):
        """Later steps do not depend on the working directory or ``sys.path``."""
        body = """
            def fit(self, X):
                super().fit(X)
                os.chdir("/")
                sys.path.clear()
        """
        assert measured(outcome_of(body)).recall == 1

    def test_zero_vectors_and_duplicates_are_noted(self, small_dataset, tmp_path):
        """The measurement has notes on zero vectors and duplicates."""
        train = np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32)
        train[3] = 0
        train[7] = train[8]
        path = small_dataset("odd-8-euclidean", train=train)
        (outcome,) = run(path, write(tmp_path / "mine.py", EXACT))
        notes = measured(outcome).notes
        assert "zero vectors: 1 in train, 0 in test" in notes
        assert "duplicate rows in train: 1" in notes
