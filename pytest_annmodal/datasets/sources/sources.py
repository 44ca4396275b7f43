"""The kinds of places that a dataset's file comes from, by how its ``source`` begins.

To add one, write a class here: what is named ``SCHEME:…`` is then brought by it, here and on Modal.
"""

from __future__ import annotations

import importlib.resources
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar
from urllib.parse import urlsplit

from pytest_annmodal.datasets.hdf5 import DatasetInfo
from pytest_annmodal.datasets.importers.request import Request
from pytest_annmodal.datasets.lines import Log
from pytest_annmodal.datasets.sources import http
from pytest_annmodal.datasets.volume.stamp import hash_file
from pytest_annmodal.errors import ConfigurationError, DatasetFormatError
from pytest_annmodal.model import Dataset

DEFAULT_METRIC = "euclidean"  # of vectors that nothing says it of
Check = Callable[[Path], DatasetInfo]


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """A complete, checked file that is not yet under its final name."""

    path: Path
    sha256: str
    info: DatasetInfo


class Source:
    """Where one dataset's file comes from; this one is of no known kind.

    Attributes:
        schemes: what stands before the first colon.
        is_remote: getting it needs the network.
        is_by_hand: somebody puts it into the volume; it is brought by nobody.
        own_file: the file itself, if it is used where it is and not brought anywhere.
    """

    schemes: ClassVar[tuple[str, ...]]
    is_remote: ClassVar[bool] = False
    is_by_hand: ClassVar[bool] = False

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.rest = dataset.source.partition(":")[2]

    @property
    def own_file(self) -> Path | None:
        return None

    @property
    def stamped(self) -> str:
        """What is kept with a file that was brought, to know it again by."""
        return http.identity(self.dataset.source)

    def bring(self, target: Path, *, check: Check, base_urls: Sequence[str], log: Log) -> Brought:
        """Put the dataset's file at ``target``, and say so line by line.

        Args:
            check: looks at the complete file.
            base_urls: mirrors that hold ``NAME.hdf5``.

        Raises:
            DatasetError: it cannot be had, or what came is not usable.
            ConfigurationError: nobody knows how to bring it.
            OSError: it cannot be written.
        """
        raise ConfigurationError(
            f"dataset '{self.dataset.name}' has a source of no known kind: {self.dataset.source}. "
            f"Expected one that begins with {', '.join(f'{scheme}:' for scheme in KINDS)}"
        )


KINDS: dict[str, type[Source]] = {}
S = TypeVar("S", bound=type[Source])


def registered(kind: S) -> S:
    """Make a kind of source known by its schemes; used as a decorator."""
    KINDS.update(dict.fromkeys(kind.schemes, kind))
    return kind


def _kind_of(text: str) -> type[Source]:
    return KINDS.get(text.partition(":")[0], Source)


def source_of(dataset: Dataset) -> Source:
    """Where this dataset's file comes from."""
    return _kind_of(dataset.source)(dataset)


def is_address(text: str) -> bool:
    """Whether a text names something that is fetched over the network."""
    return _kind_of(text).is_remote


@registered
class Package(Source):
    """A file that is shipped with the plugin: ``package:FILE``."""

    schemes = ("package",)

    def bring(self, target: Path, *, check: Check, base_urls: Sequence[str], log: Log) -> Brought:
        log.tell("copy", "saving")
        packaged = importlib.resources.files("pytest_annmodal") / "data" / self.rest
        with importlib.resources.as_file(packaged) as path:
            shutil.copyfile(path, target)
        return Brought(path=target, sha256=hash_file(target), info=check(target))


@registered
class Generated(Source):
    """Made on the spot: ``generate:METRIC``."""

    schemes = ("generate",)

    def bring(self, target: Path, *, check: Check, base_urls: Sequence[str], log: Log) -> Brought:
        from pytest_annmodal.datasets import synthetic

        log.tell("generate", "saving")
        synthetic.generate(target, self.rest)
        return Brought(path=target, sha256=hash_file(target), info=check(target))


@registered
class OwnFile(Source):
    """A file of the user's own: ``file:/ABSOLUTE/PATH``."""

    schemes = ("file",)

    @classmethod
    def named(cls, path: str | Path) -> str:
        """The source that stands for this path."""
        return f"{cls.schemes[0]}:{path}"

    @property
    def own_file(self) -> Path:
        return Path(self.rest)


@registered
class Imported(Source):
    """A file of vectors in another format: ``import:/ABSOLUTE/PATH``.

    Attributes:
        request: how it is imported; None: with queries held out, by the metric of the dataset.
    """

    schemes = ("import",)

    def __init__(self, dataset: Dataset, request: Request | None = None) -> None:
        super().__init__(dataset)
        self.request = request

    @classmethod
    def named(cls, path: str | Path) -> str:
        return f"{cls.schemes[0]}:{path}"

    @property
    def stamped(self) -> str:
        """With the file's size and time: one that was changed is imported again."""
        state = Path(self.rest).stat()
        return f"{self.dataset.source} ({state.st_size} bytes, {state.st_mtime_ns})"

    def bring(self, target: Path, *, check: Check, base_urls: Sequence[str], log: Log) -> Brought:
        from pytest_annmodal.datasets import hdf5
        from pytest_annmodal.datasets.importers.importing import import_to

        metric = self.dataset.metric or DEFAULT_METRIC
        request = self.request or Request(train=(self.rest,), metric=metric)
        log.tell("import")
        log.tell("importing", files=", ".join(request.files))
        log.tell("saving")
        if self.request is None:
            log.tell("metric", metric=metric)
        sha256 = import_to(target, request, log)
        return Brought(path=target, sha256=sha256, info=hdf5.inspect(target))


@registered
class InVolume(Source):
    """A file that somebody put into the volume: ``volume:FILE``."""

    schemes = ("volume",)
    is_by_hand = True

    @classmethod
    def named(cls, file: str) -> str:
        return f"{cls.schemes[0]}:{file}"


@registered
class Http(Source):
    """A download: ``https://…`` or ``http://…``."""

    schemes = ("https", "http")
    is_remote = True

    def urls(self, base_urls: Sequence[str]) -> list[str]:
        """Mirrors first, then the dataset's own URL."""
        last = urlsplit(self.dataset.source).path.rpartition("/")[2]
        mirrors = (f"{base.rstrip('/')}/{last}" for base in base_urls)
        return list(dict.fromkeys((*mirrors, self.dataset.source)))

    def bring(self, target: Path, *, check: Check, base_urls: Sequence[str], log: Log) -> Brought:
        infos: list[DatasetInfo] = []
        log.tell("download")
        fetched = http.fetch(
            self.urls(base_urls),
            target,
            sha256=self.dataset.sha256,
            size_bytes=self.dataset.size_bytes,
            log=log,
            check=lambda path: infos.append(check(path)),
        )
        return Brought(path=target, sha256=fetched.sha256, info=infos[-1])


def require_pinned(dataset: Dataset, size_bytes: int, sha256: str) -> None:
    """Raise DatasetFormatError for a file that is not the one that the catalogue means."""
    if dataset.size_bytes is not None and dataset.size_bytes != size_bytes:
        raise DatasetFormatError(
            f"{dataset.name}: the file has {size_bytes:,} bytes, expected {dataset.size_bytes:,}."
        )
    if dataset.sha256 is not None and dataset.sha256 != sha256:
        raise DatasetFormatError(
            f"{dataset.name}: the file has sha256 {sha256}, expected {dataset.sha256}."
        )
