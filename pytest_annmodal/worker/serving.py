"""The worker's side of the mailbox: answers queries as they arrive."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pytest_annmodal.channel.mailbox import IDS, NOTHING, RAISED, STOP, Mailbox
from pytest_annmodal.worker.answers import unusable


def serve(
    box: Mailbox,
    query: Callable[[Any, int], Any],
    k: int,
    *,
    apart: bool = False,
    rows: Sequence[Any] | None = None,
) -> None:
    """Answers queries until dismissed.

    Args:
        apart: whether the parent has another core, so that this one need not be yielded.
        rows: the queries in the mailbox's slots; by default the slots themselves.

    Raises:
        Exception: what ``query`` raised, or InvalidResultError for an answer that is not a flat
            sequence of integers; the parent has been notified by then.
    """
    rows = list(box.slots) if rows is None else rows
    store = _storer(box)
    request, slot, response, count = box.request, box.slot, box.response, box.count
    fence, shared = box.fence, not apart
    last = response[0]  # not the request: the first query may be there already
    while True:
        token = request[0]
        if token in (last, NOTHING):
            if shared:
                os.sched_yield()
            continue
        if token == STOP:
            request[0] = NOTHING
            return
        fence()
        try:
            count[0] = store(query(rows[slot[0]], k))
        except BaseException:
            count[0] = RAISED
            fence()
            response[0] = token
            raise
        fence()
        response[0] = last = token


def _storer(box: Mailbox) -> Callable[[Any], int]:
    """Returns a function that writes an answer's ids into the mailbox and returns their number."""
    capacity, ids, memory = box.capacity, box.ids, box.memory
    packers = [struct.Struct(f"={n}q") for n in range(capacity + 1)]
    ndarray = np.ndarray

    def store(answer: Any) -> int:
        try:
            n = len(answer)
            if isinstance(answer, ndarray):
                if answer.dtype.kind not in "iu" or answer.ndim != 1:
                    raise TypeError
                ids[: min(n, capacity)] = answer[:capacity]
            elif not isinstance(answer, (list, tuple)):
                raise TypeError  # a set, a dict or bytes would be unpacked as well
            elif n > capacity:
                packers[capacity].pack_into(memory, IDS, *answer[:capacity])
            else:
                packers[n].pack_into(memory, IDS, *answer)
        except (TypeError, ValueError, struct.error) as error:
            raise unusable(answer) from error
        return n

    return store
