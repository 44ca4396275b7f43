"""Frames between processes: JSON and raw arrays, with size limits and without pickle.

A frame is ``b"ANNM"``, the length of the JSON part and of the array part (little-endian
uint32 and uint64), the JSON, and the arrays' bytes one after the other. The JSON is
``{"kind": str, "fields": {...}, "arrays": [[dtype, shape], ...]}``.

The sender may be untrusted code, so every length, dtype and shape is checked against the allowed
ones before memory is allocated.
"""

from __future__ import annotations

import json
import math
import select
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.errors import ProtocolViolationError

Array = NDArray[Any]
Waiting = Callable[[], None]

MAGIC = b"ANNM"
PREFIX = struct.Struct("<4sIQ")
MAX_JSON_BYTES = 2**20  # as Python objects it may take thirty times as much
MAX_DIMENSIONS = 8
DTYPES = {"<f4", "<f8", "<i4", "<i8", "<u4", "|u1", "|i1"}


class ChannelClosedError(Exception):
    """The other side is gone (end of file or reset)."""


class DeadlineError(Exception):
    """No complete frame arrived before the deadline."""


AT_ONCE_BYTES = 2**16
WAIT_S = 0.2  # between calls of ``waiting`` while a frame is incomplete
LARGEST_SIZE_BYTES = 2**50
LARGEST_NUMBER = 2**63
MAX_TEXTS = 100
MAX_TEXT_CHARS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One frame: its kind, its JSON fields and its arrays."""

    kind: str
    fields: Mapping[str, Any]
    arrays: tuple[Array, ...] = ()

    def number(self, name: str) -> float:
        """Returns a field that must be a finite number of at least 0.

        Raises:
            ProtocolViolationError: it is missing or anything else.
        """
        value: Any = self.fields.get(name)
        if type(value) not in (int, float) or not 0 <= value < LARGEST_NUMBER:
            raise ProtocolViolationError(f"a frame {self.kind!r} has no number {name!r}")
        return float(value)

    def size(self, name: str) -> int | None:
        """Returns an optional field with a size in bytes; None for anything else."""
        value: Any = self.fields.get(name)
        if type(value) not in (int, float) or not 0 <= value < LARGEST_SIZE_BYTES:
            return None
        return int(value)

    def texts(self, name: str) -> dict[str, str]:
        """Returns an optional field with a table of texts, cut to its limits."""
        value = self.fields.get(name)
        items = list(value.items())[:MAX_TEXTS] if isinstance(value, dict) else ()
        return {str(key)[:MAX_TEXT_CHARS]: str(item)[:MAX_TEXT_CHARS] for key, item in items}


def encode(kind: str, fields: Mapping[str, Any], arrays: Sequence[Array] = ()) -> list[bytes]:
    """Returns the frame as buffers to be written one after the other.

    Raises:
        ValueError: an array has a dtype that frames cannot hold.
    """
    described, parts = [], []
    for array in arrays:
        contiguous = np.asarray(array, order="C")  # ascontiguousarray would make a scalar 1-d
        if contiguous.dtype.str not in DTYPES:
            raise ValueError(f"frames hold arrays of {sorted(DTYPES)}, not {contiguous.dtype.str}")
        described.append([contiguous.dtype.str, list(contiguous.shape)])
        parts.append(contiguous.tobytes())
    text = json.dumps({"kind": kind, "fields": fields, "arrays": described}).encode()
    return [PREFIX.pack(MAGIC, len(text), sum(map(len, parts))), text, *parts]


def decode(text: bytes, body: bytes | bytearray) -> Message:
    """Rebuilds a message from its two parts.

    Raises:
        ProtocolViolationError: they do not have the format in the module's docstring.
    """
    try:
        head = json.loads(text)
        kind, fields, described = head["kind"], head["fields"], head["arrays"]
        specs = [(dtype, tuple(shape)) for dtype, shape in described]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ProtocolViolationError(f"a frame's JSON part cannot be read: {error!r}") from error
    if not (isinstance(kind, str) and isinstance(fields, dict)):
        raise ProtocolViolationError("a frame has no kind or no fields")
    arrays, offset = [], 0
    for dtype, shape in specs:
        known = isinstance(dtype, str) and dtype in DTYPES and len(shape) <= MAX_DIMENSIONS
        if not known or not all(type(n) is int and 0 <= n < 2**40 for n in shape):
            announced = f"{dtype!r:.100} {shape!r:.100}"
            raise ProtocolViolationError(f"a frame announces an array {announced}")
        count = math.prod(shape)
        end = offset + count * int(dtype[-1])
        if end > len(body):
            raise ProtocolViolationError("a frame announces more array bytes than it has")
        try:
            arrays.append(np.frombuffer(body, dtype, count, offset).reshape(shape))
        except ValueError as error:  # one side is 0, but the product of the others is too large
            raise ProtocolViolationError(f"a frame announces an array {shape!r}") from error
        offset = end
    if offset != len(body):
        raise ProtocolViolationError(f"a frame has {len(body) - offset} bytes too many")
    return Message(kind=kind, fields=fields, arrays=tuple(arrays))


def pack(kind: str, fields: Mapping[str, Any], arrays: Sequence[Array] = ()) -> bytes:
    """Returns a frame in one piece of bytes."""
    return b"".join(encode(kind, fields, arrays))


def unpack(blob: bytes, kind: str) -> Message:
    """Returns the message in one piece of bytes.

    Raises:
        ProtocolViolationError: it has another kind, or not the format in the module's docstring.
    """
    if len(blob) < PREFIX.size:
        raise ProtocolViolationError(f"{len(blob)} bytes are too few for a frame")
    magic, n_text, n_body = PREFIX.unpack_from(blob)
    end = PREFIX.size + n_text
    if magic != MAGIC or len(blob) != end + n_body:
        raise ProtocolViolationError(f"{len(blob)} bytes that begin with {magic!r} are not a frame")
    message = decode(blob[PREFIX.size : end], blob[end:])
    if message.kind != kind:
        raise ProtocolViolationError(f"expected a frame {kind!r}, not {message.kind!r:.50}")
    return message


class _Patience:
    """The deadline of one frame, and the function to call while its bytes do not move."""

    def __init__(self, timeout_s: float | None, waiting: Waiting | None) -> None:
        self._looked_at = time.monotonic()
        self._deadline = None if timeout_s is None else self._looked_at + timeout_s
        self._waiting = waiting

    def left_s(self) -> float | None:
        """Returns seconds until the next call or the deadline; None without either.

        Raises:
            DeadlineError: no time is left.
        """
        now = time.monotonic()
        if self._deadline is not None and now >= self._deadline:
            raise DeadlineError
        limits = [] if self._deadline is None else [self._deadline - now]
        if self._waiting is not None:
            if now - self._looked_at >= WAIT_S:
                self._looked_at = now
                self._waiting()
            limits.append(WAIT_S)
        return min(limits, default=None)


class Channel:
    """Sends and receives frames on a connected stream socket; not thread-safe."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def send(
        self,
        kind: str,
        fields: Mapping[str, Any] | None = None,
        arrays: Sequence[Array] = (),
        *,
        timeout_s: float | None = None,
        waiting: Waiting | None = None,
    ) -> None:
        """Writes one frame.

        Args:
            waiting: called at intervals while the other side does not read.

        Raises:
            ChannelClosedError: the other side is gone.
            DeadlineError: it did not read within ``timeout_s``.
        """
        patience = _Patience(timeout_s, waiting)
        parts = encode(kind, fields or {}, arrays)
        if sum(map(len, parts)) <= AT_ONCE_BYTES:  # so that the other side wakes up only once
            parts = [b"".join(parts)]
        for part in parts:
            view, done = memoryview(part), 0
            while done < len(view):
                done += self._patiently(self._sock.send, view[done:], patience)

    def receive(
        self,
        *,
        timeout_s: float | None = None,
        max_array_bytes: int = 0,
        max_json_bytes: int = MAX_JSON_BYTES,
        waiting: Waiting | None = None,
    ) -> Message:
        """Reads one frame whose JSON and arrays are no larger than allowed.

        Args:
            waiting: called at intervals while the rest of the frame does not arrive.

        Raises:
            ChannelClosedError: the other side is gone.
            DeadlineError: the frame was incomplete after ``timeout_s``.
            ProtocolViolationError: it is too large or has another format.
        """
        patience = _Patience(timeout_s, waiting)
        magic, n_text, n_body = PREFIX.unpack(self._read(PREFIX.size, patience))
        if magic != MAGIC:
            raise ProtocolViolationError(f"a frame starts with {magic!r}")
        if n_text > max_json_bytes or n_body > max_array_bytes:
            raise ProtocolViolationError(
                f"a frame of {n_text} + {n_body} bytes is larger than the allowed "
                f"{max_json_bytes} + {max_array_bytes}"
            )
        text = bytes(self._read(n_text, patience))
        return decode(text, self._read(n_body, patience))

    def _read(self, n_bytes: int, patience: _Patience) -> bytearray:
        buffer = bytearray(n_bytes)
        view, done = memoryview(buffer), 0
        while done < n_bytes:
            n = self._patiently(self._sock.recv_into, view[done:], patience)
            if n == 0:
                raise ChannelClosedError
            done += n
        return buffer

    def _patiently(
        self, move: Callable[[memoryview], int], view: memoryview, patience: _Patience
    ) -> int:
        """Waits until bytes can be moved; returns how many were."""
        while True:
            try:
                self._sock.settimeout(patience.left_s())
                return move(view)
            except TimeoutError:
                continue
            except OSError as error:
                raise ChannelClosedError from error

    def readable(self, timeout_s: float) -> bool:
        """Whether bytes or the end of the stream arrive within ``timeout_s``."""
        poll = select.poll()  # select() cannot watch descriptors above 1023
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))

    def close(self) -> None:
        self._sock.close()
