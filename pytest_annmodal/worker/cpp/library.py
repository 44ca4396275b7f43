"""Wraps a compiled submission in a class for the worker's adapters.

Worker side; stdlib and numpy only. The C function for a query has no arguments: the addresses of
the vector and the ids are set once, and for each query Python only copies the vector.
"""

from __future__ import annotations

import ctypes
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.errors import BuildError, InvalidResultError

Vectors = NDArray[np.float32]
Ids = NDArray[np.int64]

ALIGNED_TO = 64  # bytes; annmodal.h promises it
MAX_TEXT = 2000
SIGNATURES: Mapping[str, tuple[Any, ...]] = {
    # name: result, arguments (see shim.cpp)
    "error_type": (ctypes.c_char_p,),
    "error_text": (ctypes.c_char_p,),
    "open": (ctypes.c_int64, ctypes.c_char_p, ctypes.c_int),
    "has_batch": (ctypes.c_int,),
    "set": (ctypes.c_int64, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p),
    "fit": (ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64),
    "memory": (ctypes.c_int64,),
    "name": (ctypes.c_int64,),
    "bind": (None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int),
    "query": (ctypes.c_int64,),
    "batch": (
        *(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int),
        *(ctypes.c_void_p, ctypes.c_void_p),
    ),
}


class CppIndex:
    """Loads the library, which runs the submission's static constructors, and makes its index.

    Attributes:
        query: returns ids for one vector (dim,) and k, always in the same array.
        batch_query: exists only if the submission's class overrides it.
    """

    def __init__(
        self, path: str, *, metric: str, dim: int, build: Mapping[str, Any], k: int
    ) -> None:
        try:
            library = ctypes.CDLL(path)
        finally:
            shutil.rmtree(Path(path).parent)  # a file in memory would count for the index
        for name, (result, *arguments) in SIGNATURES.items():
            function = getattr(library, f"annmodal_{name}")
            function.restype, function.argtypes = result, arguments
        self._library = library
        self._check(library.annmodal_open(metric.encode(), dim), "init")
        self.set_query_arguments(**build)
        self.query = self._make_query(dim, k)
        if library.annmodal_has_batch():
            self.batch_query = self._batch

    def __str__(self) -> str:
        self._check(self._library.annmodal_name(), "name")
        return self._text("text")

    def set_query_arguments(self, /, **parameters: float) -> None:
        n = len(parameters)
        if n:
            names = (ctypes.c_char_p * n)(*(name.encode() for name in parameters))
            values = (ctypes.c_double * n)(*parameters.values())
            done = self._library.annmodal_set(n, names, values)
            self._check(done, "set_query_arguments")

    def fit(self, train: Vectors) -> None:
        self._train = np.require(train, np.float32, ["C", "A"])  # kept: the index may point to it
        n_train = len(self._train)
        self._check(self._library.annmodal_fit(self._train.ctypes.data, n_train), "fit")

    def get_memory_usage(self) -> int | None:
        return self._library.annmodal_memory() or None

    def _make_query(self, dim: int, most: int) -> Callable[[Vectors, int], Ids]:
        """Returns a function that asks the index with as little other work as possible."""
        vector, ids = _aligned(dim), np.full(2 * most + 16, -1, np.int64)
        self._bound = vector, ids  # must live while the library has their addresses
        answer, bound = ids, 0
        bind, call = self._library.annmodal_bind, self._library.annmodal_query

        def query(asked: Vectors, k: int) -> Ids:
            nonlocal answer, bound
            if k != bound:
                bind(vector.ctypes.data, ids.ctypes.data, len(ids), k)
                answer, bound = ids[:k], k
            vector[:] = asked
            n = call()
            if n == k:
                return answer
            self._check(n, "query")
            if n > len(ids):
                raise InvalidResultError(f"query returned {n} ids, expected {k}")
            return ids[:n]

        return query

    def _batch(self, vectors: Vectors, k: int) -> Ids | list[Ids]:
        asked = np.require(vectors, np.float32, ["C", "A"])
        ids, counts = np.full((len(asked), k), -1, np.int64), np.zeros(len(asked), np.int64)
        found = self._library.annmodal_batch(
            asked.ctypes.data, len(asked), k, ids.ctypes.data, counts.ctypes.data
        )
        self._check(found, "batch_query")
        if found != len(asked):
            raise InvalidResultError(
                f"batch_query returned {found} answers for {len(asked)} queries"
            )
        if (counts == k).all():
            return ids
        longest = int(counts.argmax())
        if counts[longest] > k:
            raise InvalidResultError(
                f"batch_query returned {counts[longest]} ids for query {longest}, expected {k}"
            )
        return [row[:count] for row, count in zip(ids, counts, strict=True)]

    def _check(self, result: int, where: str) -> None:
        """Raises what the submission threw, for which the shim returns a negative number."""
        if result < 0:
            # The exception has its C++ name, which the author knows.
            kind = type(self._text("type"), (BuildError,), {"__module__": "builtins"})
            raise kind(f"{self._text('text')} (thrown by {where})")

    def _text(self, which: str) -> str:
        raw: bytes = getattr(self._library, f"annmodal_error_{which}")()
        return raw[:MAX_TEXT].decode("utf-8", "replace")


def _aligned(dim: int) -> Vectors:
    raw = np.zeros(4 * dim + ALIGNED_TO, np.uint8)
    start = -raw.ctypes.data % ALIGNED_TO
    return raw[start : start + 4 * dim].view(np.float32)
