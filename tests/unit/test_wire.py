"""Frames between processes arrive as sent, and anything else is refused."""

import json
import socket
import threading

import numpy as np
import pytest

from pytest_annmodal.channel import wire
from pytest_annmodal.channel.wire import Channel, ChannelClosedError, DeadlineError
from pytest_annmodal.errors import ProtocolViolationError


@pytest.fixture
def ends():
    """Two channels on a connected pair of sockets, and the raw sockets."""
    ours, theirs = socket.socketpair()
    yield Channel(ours), Channel(theirs), ours, theirs
    ours.close()
    theirs.close()


def frame(head: object, body: bytes = b"") -> bytes:
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return wire.PREFIX.pack(wire.MAGIC, len(text), len(body)) + text + body


def head(*arrays: object, **more: object) -> dict[str, object]:
    return {"kind": "x", "fields": {}, "arrays": list(arrays), **more}


class TestChannel:
    @pytest.mark.parametrize("dtype", sorted(wire.DTYPES))
    @pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3)])
    def test_arrays_arrive_with_their_dtype_shape_and_values(self, ends, dtype, shape):
        """Arrays keep dtype, shape and values, also empty ones and scalars."""
        near, far, *_ = ends
        array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
        near.send("x", {"a": [1, None]}, [array, array])
        message = far.receive(timeout_s=10, max_array_bytes=1000)
        assert (message.kind, message.fields) == ("x", {"a": [1, None]})
        for got in message.arrays:
            assert (got.dtype.str, got.shape) == (dtype, shape)
            assert np.array_equal(got, array)

    def test_an_array_that_is_not_contiguous_arrives_in_order(self, ends):
        """A transposed view is sent in its logical order."""
        near, far, *_ = ends
        array = np.arange(6, dtype=np.int64).reshape(2, 3).T
        near.send("x", {}, [array])
        assert np.array_equal(far.receive(timeout_s=10, max_array_bytes=48).arrays[0], array)

    def test_frames_keep_their_order(self, ends):
        """Several waiting frames are read in order."""
        near, far, *_ = ends
        for number in range(5):
            near.send("x", {"number": number})
        assert [far.receive(timeout_s=10).fields["number"] for _ in range(5)] == [*range(5)]

    def test_a_frame_larger_than_the_sockets_buffer_arrives(self, ends):
        """A frame larger than the socket's buffer arrives."""
        near, far, *_ = ends
        array = np.arange(10**6, dtype=np.int64)
        sender = threading.Thread(target=near.send, args=("x", {}, [array]))
        sender.start()
        message = far.receive(timeout_s=30, max_array_bytes=array.nbytes)
        sender.join()
        assert np.array_equal(message.arrays[0], array)

    def test_an_object_array_is_not_carried(self, ends):
        """Object arrays, which would need pickle, are refused."""
        near, *_ = ends
        with pytest.raises(ValueError, match="frames hold arrays of"):
            near.send("x", {}, [np.array([None])])

    def test_odd_text_arrives_as_it_was(self, ends):
        """Control characters, emoji and surrogates arrive unchanged."""
        near, far, *_ = ends
        text = "\x00\x1b[31m\n𝔘\ud800é"
        near.send("x", {"t": text})
        assert far.receive(timeout_s=10).fields["t"] == text

    def test_a_closed_socket_and_silence_are_different_errors(self, ends):
        """A closed socket is ChannelClosedError, silence is DeadlineError."""
        near, far, *_ = ends
        with pytest.raises(DeadlineError):
            far.receive(timeout_s=0.01)
        near.close()
        with pytest.raises(ChannelClosedError):
            far.receive(timeout_s=10)
        with pytest.raises(ChannelClosedError):
            far.send("x")

    def test_half_a_frame_is_a_deadline_or_an_end(self, ends):
        """After half a frame, silence is a deadline and a closed socket an end."""
        _near, far, raw, _ = ends
        raw.sendall(frame(head())[:9])
        with pytest.raises(DeadlineError):
            far.receive(timeout_s=0.01)
        raw.sendall(frame(head())[:9])
        raw.close()
        with pytest.raises((ChannelClosedError, ProtocolViolationError)):
            far.receive(timeout_s=10)

    def test_a_deadline_that_is_over_reads_nothing(self, ends):
        """After its deadline a read takes nothing."""
        near, far, *_ = ends
        near.send("x")
        with pytest.raises(DeadlineError):
            far.receive(timeout_s=-1)

    def test_sending_to_a_worker_that_does_not_read_ends_at_its_deadline(self, ends):
        """Sending to a worker that does not read ends at the deadline."""
        near, *_ = ends
        with pytest.raises(DeadlineError):
            near.send("x", {}, [np.zeros(10**7)], timeout_s=0.05)

    def test_a_closed_channel_cannot_be_read(self, ends):
        """It says so, rather than raising what the socket raises."""
        near, *_ = ends
        near.close()
        with pytest.raises(ChannelClosedError):
            near.receive()

    def test_readable_says_whether_something_or_the_end_has_come(self, ends):
        """``readable`` notices data or the end without reading."""
        near, far, *_ = ends
        assert not far.readable(0.0)
        near.send("x")
        assert far.readable(10)
        assert far.receive(timeout_s=10).kind == "x"
        near.close()
        assert far.readable(10)


class TestWaiting:
    """While the rest of a frame is awaited, ``check`` is called and its exception passed on."""

    @pytest.fixture
    def objection(self, monkeypatch):
        monkeypatch.setattr(wire, "WAIT_S", 0.01)

        def objection():
            raise KeyError("enough")

        return objection

    def test_check_is_called_during_half_a_frame(self, ends, objection):
        """``check`` is called while half a frame is awaited."""
        near, _, _, theirs = ends
        theirs.sendall(wire.PREFIX.pack(wire.MAGIC, 100, 0))
        with pytest.raises(KeyError):
            near.receive(waiting=objection)

    def test_check_is_called_while_single_bytes_arrive(self, ends, objection):
        """``check`` is called also if single bytes keep arriving."""
        near, _, _, theirs = ends
        theirs.sendall(wire.PREFIX.pack(wire.MAGIC, 2**16, 0) + b" ")
        stop = threading.Event()

        def trickle():
            while not stop.wait(0.001):
                theirs.sendall(b" ")

        thread = threading.Thread(target=trickle)
        thread.start()
        with pytest.raises(KeyError):
            near.receive(waiting=objection, timeout_s=60)
        stop.set()
        thread.join()

    def test_check_is_called_while_sending(self, ends, objection):
        """``check`` is called while a large frame is sent."""
        near, *_ = ends
        with pytest.raises(KeyError):
            near.send("x", {}, [np.zeros(10**6)], waiting=objection)

    def test_a_frame_that_is_there_is_taken_at_once(self, ends):
        """A complete frame is read although its sender has gone."""
        near, far, *_ = ends
        far.send("x", {"a": 1})
        far.close()
        assert near.receive(waiting=None, timeout_s=10).fields == {"a": 1}


class TestRefusals:
    @pytest.mark.parametrize(
        ("bad", "words"),
        [
            pytest.param(b"GET / HTTP/1.1\r\n", "a frame starts with b'GET '", id="no magic"),
            pytest.param(
                wire.PREFIX.pack(wire.MAGIC, 2**32 - 1, 0),
                "larger than the allowed",
                id="long json",
            ),
            pytest.param(
                wire.PREFIX.pack(wire.MAGIC, 2, 2**63), "larger than the allowed", id="long arrays"
            ),
            pytest.param(frame(b"\xff\xfe"), "cannot be read", id="not utf-8"),
            pytest.param(frame(b""), "cannot be read", id="empty json"),
            pytest.param(frame(b"[" * 100_000), "cannot be read", id="deep json"),
            pytest.param(frame([1]), "cannot be read", id="a list"),
            pytest.param(frame(3), "cannot be read", id="a number"),
            pytest.param(frame({"kind": "x"}), "cannot be read", id="no fields"),
            pytest.param(frame(head(fields=[])), "no kind or no fields", id="list of fields"),
            pytest.param(frame(head(kind=7)), "no kind or no fields", id="number as kind"),
            pytest.param(frame(head(arrays=5)), "cannot be read", id="number as arrays"),
            pytest.param(frame(head(1)), "cannot be read", id="number as an array"),
            pytest.param(frame(head(["<i8", 5])), "cannot be read", id="number as shape"),
            pytest.param(frame(head(["<i8", [1], 3])), "cannot be read", id="three parts"),
            pytest.param(frame(head([[], []])), "announces an array", id="list as dtype"),
            pytest.param(frame(head([{"a": 1}, []])), "announces an array", id="dict as dtype"),
            pytest.param(frame(head(["|O", [1]])), "announces an array", id="object dtype"),
            pytest.param(frame(head(["<i8", [-1]])), "announces an array", id="negative side"),
            pytest.param(frame(head(["<i8", [1.0]])), "announces an array", id="float side"),
            pytest.param(frame(head(["<i8", [True]])), "announces an array", id="bool side"),
            pytest.param(frame(head(["<i8", ["1"]])), "announces an array", id="text side"),
            pytest.param(frame(head(["<i8", [2**50]])), "announces an array", id="huge side"),
            pytest.param(
                frame(head(["<i8", [2**39, 2**39]])),
                "more array bytes than it has",
                id="huge product",
            ),
            pytest.param(
                frame(head(["<i8", [0, 2**39, 2**39]])),
                "announces an array",
                id="huge product of none",
            ),
            pytest.param(
                frame(head(["<f4", [1] * 100]), bytes(4)),
                "announces an array",
                id="many dimensions",
            ),
            pytest.param(
                frame(head(["<f4", [2]]), bytes(4)),
                "more array bytes than it has",
                id="too few bytes",
            ),
            pytest.param(
                frame(head(["<f4", [1]]), bytes(8)), "4 bytes too many", id="too many bytes"
            ),
        ],
    )
    def test_a_frame_that_is_not_as_it_should_be_is_named(self, ends, bad, words):
        """Every invalid frame is one kind of error."""
        _near, far, raw, _ = ends
        raw.sendall(bad)
        with pytest.raises(ProtocolViolationError, match=words):
            far.receive(timeout_s=10, max_array_bytes=64)

    def test_arrays_are_refused_where_none_were_asked_for(self, ends):
        """Unexpected arrays are refused before they are read."""
        near, far, *_ = ends
        near.send("x", {}, [np.zeros(1)])
        with pytest.raises(ProtocolViolationError, match=r"\+ 8 bytes is larger .* \+ 0"):
            far.receive(timeout_s=10)

    def test_the_shape_in_the_message_is_short(self, ends):
        """The message shortens a hostile shape."""
        _near, far, raw, _ = ends
        raw.sendall(frame(head(["x" * 10_000, [1] * 10_000])))
        with pytest.raises(ProtocolViolationError) as caught:
            far.receive(timeout_s=10)
        assert len(str(caught.value)) < 500
