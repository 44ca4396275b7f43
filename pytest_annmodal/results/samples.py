"""The file with the samples of a session: NumPy ``.npy`` files, one after the other.

:func:`numpy.load` reads each from the open file, at the offset in its case's line. The numbers are
unsigned integers, as narrow as possible.
"""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.results.stored import Block, SamplesPlace

SUFFIX = ".samples"
NARROWEST = (np.uint8, np.uint16, np.uint32, np.uint64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """The samples from which a case's figures were computed.

    Attributes:
        latencies_ns: unsigned integers (rounds, n_queries), or (n,) if some were left out.
        query_hits: unsigned integers (n_queries,), summed over all rounds, or None.
    """

    latencies_ns: NDArray[Any]
    query_hits: NDArray[Any] | None = None

    def pack(self, file: str, offset: int) -> tuple[SamplesPlace, bytes]:
        """Returns the place of the samples at ``offset``, and the bytes to write there."""
        packed = [_npy(self.latencies_ns)]
        if self.query_hits is not None:
            packed.append(_npy(self.query_hits))
        blocks = []
        for raw in packed:
            blocks.append(Block(offset=offset, n_bytes=len(raw), crc32=zlib.crc32(raw)))
            offset += len(raw)
        place = SamplesPlace(
            file=file,
            latencies_ns=blocks[0],
            query_hits=blocks[1] if len(blocks) > 1 else None,
        )
        return place, b"".join(packed)


def read_samples(folder: Path, place: SamplesPlace) -> Samples:
    """Reads the samples of one case.

    Args:
        folder: that of the file with the case's line.

    Raises:
        ConfigurationError: they are missing or damaged.
    """
    path = folder / Path(place.file).name
    try:
        with path.open("rb") as file:
            latencies = _read(file, place.latencies_ns)
            hits = None if place.query_hits is None else _read(file, place.query_hits)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigurationError(f"{path}: the samples cannot be read: {why}") from error
    return Samples(latencies_ns=latencies, query_hits=hits)


def _npy(values: NDArray[Any]) -> bytes:
    largest = int(values.max()) if values.size else 0
    dtype = next(kind for kind in NARROWEST if largest <= np.iinfo(kind).max)
    file = io.BytesIO()
    np.save(file, values.astype(dtype), allow_pickle=False)
    return file.getvalue()


def _read(file: io.BufferedReader, block: Block) -> NDArray[Any]:
    file.seek(block.offset)
    raw = file.read(block.n_bytes)
    if len(raw) != block.n_bytes or zlib.crc32(raw) != block.crc32:
        raise ValueError("they are damaged")
    found: NDArray[Any] = np.load(io.BytesIO(raw), allow_pickle=False)
    return found
