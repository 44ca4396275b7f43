"""The forms in which an implementation gets rows: the parent writes them, the worker reads them.

The implementation's header chooses one by ``dtypes``, among those of a :class:`~.rows.Layout`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.distances.rows import Array, Bytes, Sets

RANDOM_SET = 16  # most members of a random set


class Form:
    """Dense rows of one type; base class of the other forms.

    Args:
        name: in a header.
        dim: numbers or bits of a row, or possible members of a set.
        longest: most members of a query, for sets.

    Attributes:
        dtype: of the items sent to the worker.
        width: items of a query.
    """

    def __init__(self, name: str, dim: int, longest: int = 0) -> None:
        self.name, self.dim, self.longest = name, dim, longest
        self.dtype, self.width = self._sent_as()

    def _sent_as(self) -> tuple[np.dtype[Any], int]:
        return np.dtype(self.name), self.dim

    def fields(self) -> dict[str, Any]:
        """Returns the arguments of :func:`make` for the same form, as plain data."""
        return {"name": self.name, "dim": self.dim, "longest": self.longest}

    # The parent's side.

    def sent(self, rows: Any) -> Array:
        """Returns queries as sent to the worker, (m, width) of ``dtype``."""
        return np.ascontiguousarray(rows, self.dtype)

    def to_memory(self, rows: Any) -> Array:
        """Returns ``train`` as written to the file that a worker maps."""
        return self.sent(rows)

    def is_kept_as(self, rows: Any) -> bool:
        """Returns whether the dataset's rows in memory are already in this form."""
        return bool(rows.dtype == self.dtype)

    # The worker's side.

    def mapped(self, memory: Bytes, n: int) -> Any:
        """Returns ``train`` as an implementation's ``fit`` gets it."""
        return self.whole(memory.view(self.dtype).reshape(n, self.width))

    def whole(self, sent: Array) -> Any:
        """Returns many queries as ``batch_query`` gets them."""
        return sent

    def each(self, sent: Array) -> Sequence[Any]:
        """Returns many queries as ``query`` gets them, one by one."""
        return list(self.whole(sent))

    def slots(self, slots: Array) -> Sequence[Any]:
        """Like :meth:`each`, for queries that are written only just before they are read."""
        return self.each(slots)

    def alone(self, query: Any) -> Any:
        """Returns one query as a batch of one."""
        return query[None]

    def random(self, rng: np.random.Generator, n: int) -> Array:
        """Returns random rows, as sent to the worker."""
        if self.dtype.kind == "f":
            return rng.standard_normal((n, self.dim), dtype=np.float32)
        return self.sent(rng.integers(0, 128, (n, self.dim)))


class PackedForm(Form):
    """Packed bits, eight to a byte, uint8 (n, ceil(d / 8))."""

    def _sent_as(self) -> tuple[np.dtype[Any], int]:
        return np.dtype(np.uint8), -(-self.dim // 8)

    def random(self, rng: np.random.Generator, n: int) -> Array:
        return np.packbits(rng.integers(0, 2, (n, self.dim), dtype=np.uint8), axis=1)


class BoolForm(Form):
    """One bool per bit, (n, d)."""

    def _sent_as(self) -> tuple[np.dtype[Any], int]:
        return np.dtype(np.uint8), self.dim

    def sent(self, rows: Any) -> Array:
        return np.unpackbits(rows, axis=1, count=self.dim)

    def whole(self, sent: Array) -> Any:
        return sent.view(np.bool_)

    def is_kept_as(self, rows: Any) -> bool:
        return False

    def random(self, rng: np.random.Generator, n: int) -> Array:
        return rng.integers(0, 2, (n, self.dim), dtype=np.uint8)


class ListsForm(Form):
    """A list of sets, each an ascending uint32 array."""

    def _sent_as(self) -> tuple[np.dtype[Any], int]:
        return np.dtype(np.uint32), 1 + self.longest

    def sent(self, rows: Any) -> Array:
        return rows.padded(self.width)  # type: ignore[no-any-return]

    def to_memory(self, rows: Any) -> Array:
        return rows.to_bytes()  # type: ignore[no-any-return]

    def is_kept_as(self, rows: Any) -> bool:
        return False

    def mapped(self, memory: Bytes, n: int) -> Any:
        return Sets.from_bytes(memory, n).lists()

    def whole(self, sent: Array) -> Any:
        return [row[1 : 1 + row[0]] for row in sent]

    def slots(self, slots: Array) -> Sequence[Any]:
        return _AtItsTurn(self, slots)

    def alone(self, query: Any) -> Any:
        return [query]

    def random(self, rng: np.random.Generator, n: int) -> Array:
        size = min(RANDOM_SET, self.dim, self.longest)
        return Sets.of(rng.integers(0, self.dim, size) for _ in range(n)).padded(self.width)


class CsrForm(ListsForm):
    """A ``scipy.sparse.csr_array`` (n, d) of bool; a query has a single row."""

    def mapped(self, memory: Bytes, n: int) -> Any:
        return Sets.from_bytes(memory, n).csr(self.dim)

    def whole(self, sent: Array) -> Any:
        return Sets.from_padded(sent).csr(self.dim)

    def each(self, sent: Array) -> Sequence[Any]:
        return [self.whole(row[None]) for row in sent]

    def alone(self, query: Any) -> Any:
        return query


class _AtItsTurn(Sequence[Any]):
    """Queries that are read from their slots when they are indexed."""

    def __init__(self, form: Form, slots: NDArray[Any]) -> None:
        self._form, self._slots = form, slots

    def __len__(self) -> int:
        return len(self._slots)

    def __getitem__(self, number: Any) -> Any:
        return self._form.each(self._slots[number : number + 1])[0]


FORMS: dict[str, type[Form]] = {
    "float32": Form,
    "uint8": Form,
    "int8": Form,
    "bool": BoolForm,
    "packed": PackedForm,
    "lists": ListsForm,
    "csr": CsrForm,
}


def make(name: str, dim: int, longest: int = 0) -> Form:
    return FORMS[name](name, dim, longest)
