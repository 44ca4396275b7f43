"""Any frame arrives as sent; other bytes are refused with one kind of error and little memory."""

import socket
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pytest_annmodal.channel import wire
from pytest_annmodal.channel.wire import Channel, ChannelClosedError, decode, encode
from pytest_annmodal.errors import ProtocolViolationError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ARRAYS = st.lists(
    st.sampled_from(sorted(wire.DTYPES)).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=4))
    ),
    max_size=3,
)
FRAMES = st.tuples(st.text(), st.dictionaries(st.text(), JSON, max_size=3), ARRAYS)
LIMIT = 4096


def receive(data: bytes) -> wire.Message:
    """Reads from a channel whose sender wrote these bytes and closed."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        return Channel(ours).receive(timeout_s=10, max_array_bytes=LIMIT)


@given(FRAMES)
def test_any_frame_comes_back_as_it_was(sent):
    """Kind, fields and arrays arrive bit by bit, also NaN."""
    kind, fields, arrays = sent
    got = receive(b"".join(encode(kind, fields, arrays)))
    assert (got.kind, got.fields) == (kind, fields)
    assert len(got.arrays) == len(arrays)
    for one, other in zip(got.arrays, arrays, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert one.tobytes() == other.tobytes()


@given(FRAMES, st.data())
def test_a_frame_that_was_cut_is_an_end_of_the_channel(sent, data):
    """A frame cut at any byte is a closed channel."""
    whole = b"".join(encode(*sent))
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(ChannelClosedError):
        receive(whole[:cut])


@given(FRAMES, st.data())
def test_a_frame_with_changed_bytes_is_read_or_refused(sent, data):
    """A changed frame is read or refused with our error."""
    whole = bytearray(b"".join(encode(*sent)))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        message = receive(bytes(whole))
    except (ProtocolViolationError, ChannelClosedError):
        return
    assert isinstance(message.kind, str)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data):
    """Any other bytes are refused, also after a valid beginning."""
    with pytest.raises((ProtocolViolationError, ChannelClosedError)):
        receive(data)
    with pytest.raises((ProtocolViolationError, ChannelClosedError)):
        receive(wire.MAGIC + data)


@given(JSON, st.binary(max_size=64))
def test_any_json_is_decoded_or_refused(head, body):
    """JSON of any shape is decoded or refused."""
    text = wire.json.dumps(head).encode()
    with pytest.raises(ProtocolViolationError):
        decode(text, body)


SHAPES = JSON | st.lists(st.integers(-1, 5) | st.integers(0, 2**64), max_size=70)


@given(st.lists(st.tuples(JSON | st.sampled_from(sorted(wire.DTYPES)), SHAPES), max_size=3))
def test_any_announcement_of_arrays_is_decoded_or_refused(specs):
    """Any dtypes and shapes are decoded or refused."""
    text = wire.json.dumps({"kind": "x", "fields": {}, "arrays": specs}).encode()
    try:
        message = decode(text, bytes(24))
    except ProtocolViolationError:
        return
    assert sum(array.nbytes for array in message.arrays) == 24


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(LIMIT + 1, 2**64 - 1))
def test_no_length_that_is_announced_makes_the_receiver_allocate(n_text, n_body):
    """A length of gigabytes allocates nothing."""
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolViolationError):
            receive(wire.PREFIX.pack(wire.MAGIC, n_text, n_body))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * 2**20


@given(st.integers(0, wire.MAX_JSON_BYTES), st.integers(0, LIMIT))
@settings(max_examples=20)
def test_a_length_that_is_allowed_allocates_no_more_than_that(n_text, n_body):
    """An allowed length allocates no more, and ends when the sender closes."""
    tracemalloc.start()
    try:
        with pytest.raises((ChannelClosedError, ProtocolViolationError)):
            receive(wire.PREFIX.pack(wire.MAGIC, n_text, n_body))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < n_text + n_body + 2**20


def test_arrays_are_views_of_what_was_read():
    """Arrays are views of the received bytes, without a copy."""
    array = np.zeros(100_000)
    body = encode("x", {}, [array])[2]
    got = decode(encode("x", {}, [array])[1], body)
    assert got.arrays[0].base is not None
