"""A warm-up build before the timed build, for libraries that compile code in it.

Worker side: stdlib and numpy only.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pytest_annmodal.distances.forms import Form
from pytest_annmodal.worker.adapters import Adapter
from pytest_annmodal.worker.measure import trim_allocator

N_ROWS = 256
SEED = 20_240_301


def warm_up(
    make: Callable[[], Adapter], form: Form, *, k: int, search: Mapping[str, Any]
) -> dict[str, Any]:
    """Builds an index of a few random rows, asks it once, and discards it.

    An exception is only reported by name, since the timed build will raise it as well.

    Args:
        make: constructs the object; its module is already imported.
        form: of the rows that it gets.
        search: plain :class:`~pytest_annmodal.model.Arguments`.
    """
    start = time.perf_counter()
    failed = ""
    try:
        _build_and_ask(make(), form, k=k, search=search)
    except BaseException as error:  # noqa: BLE001 -- whatever the user's code raised
        failed = type(error).__name__
    gc.collect()  # an index may refer to itself
    trim_allocator()
    return {"warm_up_build_s": time.perf_counter() - start, "warm_up_build_failed": failed}


def _build_and_ask(adapter: Adapter, form: Form, *, k: int, search: Mapping[str, Any]) -> None:
    # Compiled code is for one kind of array, so rows are contiguous, writable and aligned as
    # ``train`` is.
    rows = form.random(np.random.default_rng(SEED), N_ROWS)
    adapter.fit(form.whole(rows))
    adapter.set_search(search)
    adapter = adapter.looked_up()
    k = min(k, N_ROWS)
    if adapter.prepared is None:
        adapter.query(form.each(rows[:1].copy())[0], k)
    if adapter.batch is not None:
        adapter.batch(form.whole(rows[:2].copy()), k)
    adapter.done()
