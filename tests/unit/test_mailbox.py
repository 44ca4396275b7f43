"""Queries and answers through shared memory, between threads and between processes."""

import os
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest

from pytest_annmodal.channel import mailbox
from pytest_annmodal.channel.mailbox import IDS, NOTHING, RAISED, STOP, Mailbox
from pytest_annmodal.errors import InvalidResultError
from pytest_annmodal.worker.serving import serve

K, CAPACITY, SLOTS, DIM = 3, 8, 5, 2
LAYOUT = {"capacity": CAPACITY, "n_slots": SLOTS, "dim": DIM}
QUERIES = np.arange(1, SLOTS * DIM + 1, dtype=np.float32).reshape(SLOTS, DIM)


class GaveUp(Exception):
    """What these tests' ``check`` raises."""


def patient():
    """A ``check`` that gives up after many looks, so that no test hangs."""
    left = [20_000]

    def check():
        left[0] -= 1
        if left[0] < 0:
            raise GaveUp

    return check


@pytest.fixture
def boxes():
    """Two maps of one file, as the two processes have them."""
    fd = mailbox.new_shared_file(Mailbox.size_bytes(**LAYOUT), label="test")
    yield Mailbox(fd, **LAYOUT), Mailbox(fd, **LAYOUT)
    os.close(fd)


@contextmanager
def serving(box, query, k=K):
    """A thread that serves; the list gets what it raised."""
    raised = []

    def work():
        try:
            serve(box, query, k)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield raised
    mailbox.dismiss(box)
    thread.join(timeout=30)
    assert not thread.is_alive()


def answer_with(value):
    return lambda _row, _k: value


class TestAsk:
    @pytest.mark.parametrize("form", [list, tuple, np.array, lambda ids: np.array(ids, np.int32)])
    def test_each_query_gets_its_own_answer(self, boxes, form):
        """Answers come in order, as any sequence of integers."""
        ours, theirs = boxes

        def query(row, k):
            return form([int(row[0]) + i for i in range(k)])

        with serving(theirs, query):
            times, ids, counts, _ = mailbox.ask(ours, QUERIES, K, patient())
        assert ids.tolist() == [[n, n + 1, n + 2] for n in (1, 3, 5, 7, 9)]
        assert counts.tolist() == [K] * SLOTS
        assert (times > 0).all()

    def test_what_is_read_has_been_waited_for(self, boxes):
        """If the parent loses its core before it has read the ids, that time counts as a gap."""
        ours, theirs = boxes
        memory = ours.memory

        class Slow:
            def __getitem__(self, where):
                until = time.perf_counter_ns() + 5_000_000
                while time.perf_counter_ns() < until:
                    pass
                return memory[where]

        ours.memory = Slow()
        with serving(theirs, answer_with([1, 2, 3])):
            times, ids, _, _ = mailbox.ask(ours, QUERIES[:2], K, patient())
        assert (times >= 5_000_000).all()
        assert ids.tolist() == [[1, 2, 3]] * 2

    def test_a_short_answer_is_padded_and_leaves_nothing_of_the_last_one(self, boxes):
        """A short answer is padded; earlier ids in the memory are not read."""
        ours, theirs = boxes
        replies = iter([[7, 8, 9], [1], [], [4, 5]])
        with serving(theirs, lambda _row, _k: next(replies)):
            _, ids, counts, _ = mailbox.ask(ours, QUERIES[:4], K, patient())
        assert ids.tolist() == [[7, 8, 9], [1, -1, -1], [-1, -1, -1], [4, 5, -1]]
        assert counts.tolist() == [3, 1, 0, 2]

    @pytest.mark.parametrize("form", [list, tuple, np.array])
    def test_an_answer_beyond_the_capacity_is_cut_and_counted(self, boxes, form):
        """A long answer is cut to the capacity, and its length is returned."""
        ours, theirs = boxes
        end = IDS + 8 * CAPACITY
        with serving(theirs, answer_with(form(range(1, 1001)))):
            _, ids, counts, _ = mailbox.ask(ours, QUERIES[:1], K, patient())
        assert ids.tolist() == [[1, 2, 3]]
        assert counts.tolist() == [1000]
        assert ours.ids.tolist() == [*range(1, CAPACITY + 1)]
        assert not any(ours.memory[end : end + 64])

    def test_a_query_cannot_be_seen_before_its_turn(self, boxes):
        """A query is written when its turn comes; later slots are zero."""
        ours, theirs = boxes
        seen = []

        def query(_row, k):
            seen.append(theirs.slots.copy())
            return [0] * k

        with serving(theirs, query):
            mailbox.ask(ours, QUERIES, K, patient())
        for turn, slots in enumerate(seen):
            assert np.array_equal(slots[: turn + 1], QUERIES[: turn + 1])
            assert not slots[turn + 1 :].any()

    def test_the_tokens_cannot_be_guessed(self, boxes):
        """Each query has another random token, never a reserved word."""
        ours, theirs = boxes
        tokens = []

        def query(_row, k):
            tokens.append(theirs.request[0])
            return [0] * k

        with serving(theirs, query):
            for _ in range(20):
                mailbox.ask(ours, QUERIES, K, patient())
        assert len(set(tokens)) == 100
        assert all(token >> 63 for token in tokens)
        assert not {NOTHING, STOP} & set(tokens)
        assert len({token & 0xFFFF for token in tokens}) > 90

    def test_an_answer_given_before_the_question_is_not_taken(self, boxes):
        """An answer before its query has a wrong token and is not used."""
        ours, theirs = boxes
        theirs.count[0] = K
        for guess in (0, 1, 1 << 63, 2**64 - 1):
            theirs.response[0] = guess
            with pytest.raises(GaveUp):
                mailbox.ask(ours, QUERIES[:1], K, give_up_at(2))
            assert ours.request[0] != guess

    def test_a_response_to_the_question_before_is_not_taken(self, boxes):
        """A response to the previous query is not used, even if repeated."""
        ours, theirs = boxes
        with serving(theirs, answer_with([1, 2, 3])):
            mailbox.ask(ours, QUERIES[:1], K, patient())
        with pytest.raises(GaveUp):
            mailbox.ask(ours, QUERIES[:1], K, give_up_at(2))

    def test_what_check_raises_ends_the_wait(self, boxes):
        """An exception in ``check`` ends the parent's wait."""
        ours, _ = boxes
        with pytest.raises(GaveUp):
            mailbox.ask(ours, QUERIES, K, give_up_at(1))

    def test_check_is_called_before_the_first_question_and_while_waiting(self, boxes):
        """``check`` is called before the first query, and every few thousand looks."""
        ours, _ = boxes
        looks = []

        def check():
            looks.append(ours.request[0])
            if len(looks) == 4:
                ours.response[0] = ours.request[0]

        mailbox.ask(ours, QUERIES[:1], K, check)
        assert looks[0] == mailbox.NOTHING
        assert len(looks) == 4
        assert len(set(looks[1:])) == 1

    def test_an_answer_that_raised_ends_the_round(self, boxes):
        """After an exception in a query the rest of the round is not asked."""
        ours, theirs = boxes
        asked = []

        def query(row, k):
            asked.append(row)
            if len(asked) == 3:
                raise ZeroDivisionError("mine")
            return [0, 1, 2]

        with serving(theirs, query) as raised:
            _, ids, counts, _ = mailbox.ask(ours, QUERIES, K, patient())
        assert counts.tolist() == [3, 3, RAISED, 0, 0]
        assert ids[2:].tolist() == [[-1] * K] * 3
        assert len(asked) == 3
        assert [str(error) for error in raised] == ["mine"]

    @pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
    def test_sys_exit_in_a_query_is_reported(self, boxes, error):
        """``sys.exit`` in a query is reported to the parent."""
        ours, theirs = boxes

        def query(_row, _k):
            raise error

        with serving(theirs, query) as raised:
            _, _, counts, _ = mailbox.ask(ours, QUERIES[:1], K, patient())
        assert counts.tolist() == [RAISED]
        assert raised == [error]

    @pytest.mark.parametrize(
        "nonsense",
        [
            None,
            5,
            "123",
            b"123",
            range(3),
            {1, 2, 3},
            {1: 2},
            (i for i in range(3)),
            [1.0, 2.0, 3.0],
            [1, 2, None],
            ["1", "2", "3"],
            [[1, 2, 3]],
            [2**70, 1, 2],
            np.array([1.0, 2.0, 3.0]),
            np.array([True, False, True]),
            np.array([[1, 2, 3]]),
            np.array(3),
            np.array([1, None, 2]),
            [1.0] * 100,
            "1" * 100,
            {i: i for i in range(100)},
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_nonsense_is_an_answer_that_raised(self, boxes, nonsense):
        """An invalid answer is reported in the same words as by the worker's clock."""
        ours, theirs = boxes
        with serving(theirs, answer_with(nonsense)) as raised:
            _, _, counts, _ = mailbox.ask(ours, QUERIES[:1], K, patient())
        (error,) = raised
        assert counts.tolist() == [RAISED]
        assert isinstance(error, InvalidResultError)
        assert "expected a flat list or integer array" in str(error)

    def test_one_buffer_used_again_and_again_is_right(self, boxes):
        """Answers in a reused buffer are copied before the next query."""
        ours, theirs = boxes
        buffer = np.zeros(K, np.int64)

        def query(row, _k):
            buffer[:] = int(row[0])
            return buffer

        with serving(theirs, query):
            _, ids, _, _ = mailbox.ask(ours, QUERIES, K, patient())
        assert ids[:, 0].tolist() == [1, 3, 5, 7, 9]

    def test_a_query_that_is_changed_in_place_is_written_anew(self, boxes):
        """A query that is changed in place (``v /= norm``) is unchanged in the next round."""
        ours, theirs = boxes
        seen = []

        def query(row, k):
            seen.append(row.tolist())
            row *= 0
            return [0, 1, 2]

        with serving(theirs, query):
            for _ in range(2):
                mailbox.ask(ours, QUERIES, K, patient())
        assert seen == QUERIES.tolist() * 2


def give_up_at(n):
    looks = []

    def check():
        looks.append(None)
        if len(looks) == n:
            raise GaveUp

    return check


class TestServe:
    def test_the_question_may_come_before_the_server(self, boxes):
        """The parent may write a query before the worker serves."""
        ours, theirs = boxes
        asked = threading.Event()
        result = []

        def check():
            asked.set()
            patience()

        patience = patient()
        parent = threading.Thread(
            target=lambda: result.append(mailbox.ask(ours, QUERIES, K, check)), daemon=True
        )
        parent.start()
        assert asked.wait(30)
        with serving(theirs, answer_with([1, 2, 3])):
            parent.join(timeout=30)
            assert not parent.is_alive()
        assert result[0][2].tolist() == [K] * SLOTS

    def test_the_dismissal_may_come_before_the_server(self, boxes):
        """The end may be written before the worker serves, and ends only that serving."""
        ours, theirs = boxes
        mailbox.dismiss(ours)
        serve(theirs, answer_with([1, 2, 3]), K)
        assert ours.request[0] == NOTHING
        with serving(theirs, answer_with([1, 2, 3])):
            assert mailbox.ask(ours, QUERIES, K, patient())[2].tolist() == [K] * SLOTS

    def test_it_serves_again_after_it_was_dismissed(self, boxes):
        """The worker serves again, for the floor and each setting."""
        ours, theirs = boxes
        for number in range(5):
            with serving(theirs, answer_with([number] * K)):
                _, ids, _, _ = mailbox.ask(ours, QUERIES, K, patient())
            assert ids.tolist() == [[number] * K] * SLOTS

    def test_it_serves_again_after_a_query_that_raised(self, boxes):
        """After an exception the old query is not answered again."""
        ours, theirs = boxes
        with pytest.raises(ZeroDivisionError):
            with serving(theirs, lambda _row, _k: 1 // 0) as raised:
                mailbox.ask(ours, QUERIES, K, patient())
            raise raised[0]
        asked = []

        def query(row, k):
            asked.append(row.tolist())
            return [0, 1, 2]

        ours.request[0] = ours.response[0]  # as it stands when nobody has dismissed
        with serving(theirs, query):
            mailbox.ask(ours, QUERIES, K, patient())
        assert asked == QUERIES.tolist()

    def test_it_gives_k_to_the_query(self, boxes):
        """``query`` gets the given k."""
        ours, theirs = boxes
        seen = []
        with serving(theirs, lambda _row, k: seen.append(k) or [0, 1, 2], k=7):
            mailbox.ask(ours, QUERIES[:1], K, patient())
        assert seen == [7]


class TestFloor:
    def test_it_is_the_median_of_some_hundreds_of_round_trips(self, boxes):
        """The floor is the median of some hundreds of round trips, also with few slots."""
        ours, theirs = boxes
        asked = []
        with serving(theirs, lambda _row, _k: asked.append(1) or [0, 1, 2]):
            floor = mailbox.floor_ns(ours, K, patient(), n=50)
        assert floor > 0
        assert len(asked) == 50


class TestMemory:
    def test_the_file_can_neither_shrink_nor_grow(self):
        """The file is sealed, so that no reader crashes."""
        if not hasattr(os, "memfd_create"):
            pytest.skip("needs memfd_create")
        fd = mailbox.new_shared_file(4096, label="test")
        for size in (0, 8192):
            with pytest.raises(PermissionError):
                os.ftruncate(fd, size)
        os.close(fd)

    def test_without_memfd_a_file_without_a_name_serves(self, monkeypatch, tmp_path):
        """Without memfd an unnamed temporary file is used."""
        monkeypatch.delattr(os, "memfd_create", raising=False)
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        fd = mailbox.new_shared_file(Mailbox.size_bytes(**LAYOUT), label="test")
        ours, theirs = Mailbox(fd, **LAYOUT), Mailbox(fd, **LAYOUT)
        assert not [*tmp_path.iterdir()]
        with serving(theirs, answer_with([1, 2, 3])):
            assert mailbox.ask(ours, QUERIES, K, patient())[1].tolist() == [[1, 2, 3]] * SLOTS
        os.close(fd)

    @pytest.mark.parametrize("machine", ["x86_64", "AMD64", "aarch64"])
    def test_another_machine_gets_a_fence(self, boxes, monkeypatch, machine):
        """On other processors a memory fence is used."""
        monkeypatch.setattr("platform.machine", lambda: machine)
        fd = mailbox.new_shared_file(Mailbox.size_bytes(**LAYOUT), label="test")
        Mailbox(fd, **LAYOUT).fence()
        os.close(fd)

    @pytest.mark.parametrize("capacity", [1, 300, 5000])
    def test_the_queries_begin_on_a_page_of_their_own(self, capacity):
        """Queries begin on a new page behind the ids."""
        layout = {**LAYOUT, "capacity": capacity}
        fd = mailbox.new_shared_file(Mailbox.size_bytes(**layout), label="test")
        box = Mailbox(fd, **layout)
        box.ids[:] = -1
        assert not box.slots.any()
        box.slots[:] = 1
        assert (box.ids == -1).all()
        os.close(fd)
