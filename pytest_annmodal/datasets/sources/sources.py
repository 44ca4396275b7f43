"""The kinds of sources of a dataset's file, by the scheme of its ``source``.

To add one, write a class here: it then brings every source ``SCHEME:…``, here and on Modal.
"""

from __future__ import annotations

import importlib.resources
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar
from urllib.parse import unquote, urlsplit

from pytest_annmodal.datasets.hdf5 import DatasetInfo
from pytest_annmodal.datasets.importers.request import Request
from pytest_annmodal.datasets.lines import Log
from pytest_annmodal.datasets.sources import http, huggingface
from pytest_annmodal.datasets.volume.stamp import hash_file
from pytest_annmodal.distances import metrics
from pytest_annmodal.errors import ConfigurationError, DatasetFormatError
from pytest_annmodal.model import Dataset
from pytest_annmodal.settings import suffixes

DEFAULT_METRIC = metrics.BY_DEFAULT[0]  # of vectors whose metric is not given
Check = Callable[[Path], DatasetInfo]


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """A complete, checked file that does not yet have its final name."""

    path: Path
    sha256: str
    info: DatasetInfo


class Source:
    """The source of one dataset's file; this base class is for unknown schemes.

    Attributes:
        schemes: texts before the first colon.
        is_remote: fetching it needs the network.
        is_by_hand: the user puts the file into the volume; it cannot be brought.
        own_file: the file itself, if it is used where it is; else None.
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
    def file_name(self) -> str:
        """The file's name at its source."""
        return self.rest.rpartition("/")[2]

    @property
    def stamped(self) -> str:
        """The text stored in a brought file's stamp, to recognise its source."""
        return http.identity(self.dataset.source)

    def bring(self, target: Path, *, check: Check, base_urls: Sequence[str], log: Log) -> Brought:
        """Brings the dataset's file to ``target``, and logs the progress.

        Args:
            check: checks the complete file.
            base_urls: mirrors that hold ``NAME.hdf5``.

        Raises:
            DatasetError: the file cannot be fetched, or is unusable.
            ConfigurationError: the source is of an unknown kind.
            OSError: ``target`` cannot be written.
        """
        raise ConfigurationError(
            f"dataset '{self.dataset.name}' has an unknown source: {self.dataset.source}. "
            f"Expected one that begins with {', '.join(f'{scheme}:' for scheme in KINDS)}"
        )


KINDS: dict[str, type[Source]] = {}
S = TypeVar("S", bound=type[Source])


def registered(kind: S) -> S:
    """Registers a kind of source by its schemes; used as a decorator."""
    KINDS.update(dict.fromkeys(kind.schemes, kind))
    return kind


def _kind_of(text: str) -> type[Source]:
    return KINDS.get(text.partition(":")[0], Source)


def source_of(dataset: Dataset) -> Source:
    """Returns the source of this dataset's file."""
    return _kind_of(dataset.source)(dataset)


def is_address(text: str) -> bool:
    """Returns whether a text is an address that is fetched over the network."""
    return _kind_of(text).is_remote


@registered
class Package(Source):
    """A file shipped with the plugin: ``package:FILE``."""

    schemes = ("package",)

    def bring(self, target: Path, *, check: Check, base_urls: Sequence[str], log: Log) -> Brought:
        log.tell("copy", "saving")
        packaged = importlib.resources.files("pytest_annmodal") / "data" / self.rest
        with importlib.resources.as_file(packaged) as path:
            shutil.copyfile(path, target)
        return Brought(path=target, sha256=hash_file(target), info=check(target))


@registered
class Generated(Source):
    """A generated file: ``generate:KIND``."""

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
        """Returns the source of this path."""
        return f"{cls.schemes[0]}:{path}"

    @property
    def own_file(self) -> Path:
        return Path(self.rest)


@registered
class Imported(Source):
    """A file of vectors in another format: ``import:/ABSOLUTE/PATH``.

    Attributes:
        request: how to import it; None: hold out queries, with the dataset's metric.
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
        """The source with the file's size and time, so that a changed file is imported again."""
        try:
            state = Path(self.rest).stat()
        except OSError:  # it was fetched, or is gone
            return http.identity(self.dataset.source)
        return f"{self.dataset.source} ({state.st_size} bytes, {state.st_mtime_ns})"

    def bring(self, target: Path, *, check: Check, base_urls: Sequence[str], log: Log) -> Brought:
        if self.request is None:  # the user asked for a benchmark, not for an import
            log.tell("import")
        files = (self.rest,) if self.request is None else self.request.names
        log.tell("importing", files=", ".join(files))
        log.tell("saving")
        return _imported(self.dataset, self.request, Path(self.rest), target, log)


@registered
class InVolume(Source):
    """A file that a user put into the volume: ``volume:FILE``."""

    schemes = ("volume",)
    is_by_hand = True

    @classmethod
    def named(cls, file: str) -> str:
        return f"{cls.schemes[0]}:{file}"


@registered
class Http(Source):
    """A download, ``https://…`` or ``http://…``, of a dataset's file or a file to import."""

    schemes: ClassVar[tuple[str, ...]] = ("https", "http")
    is_remote = True

    def urls(self, base_urls: Sequence[str]) -> list[str]:
        """Returns the mirrors' URLs, then the dataset's own URL."""
        mirrors = (f"{base.rstrip('/')}/{self.file_name}" for base in base_urls)
        return list(dict.fromkeys((*mirrors, self.dataset.source)))

    @property
    def file_name(self) -> str:
        try:
            return unquote(urlsplit(self.dataset.source).path).rpartition("/")[2]
        except ValueError:  # brackets that are no IPv6 address
            return ""

    def fetch(
        self,
        target: Path,
        *,
        base_urls: Sequence[str] = (),
        log: Log,
        check: Callable[[Path], object] | None = None,
    ) -> http.Fetched:
        """Downloads the file to ``target``.

        Raises:
            DatasetError: the file cannot be fetched, or is another one.
        """
        return http.fetch(
            self.urls(base_urls),
            target,
            sha256=self.dataset.sha256,
            size_bytes=self.dataset.size_bytes,
            log=log,
            check=check,
            is_hdf5=not suffixes.is_imported(self.file_name),
        )

    def bring(self, target: Path, *, check: Check, base_urls: Sequence[str], log: Log) -> Brought:
        infos: list[DatasetInfo] = []
        log.tell("download")
        if suffixes.is_imported(self.file_name):
            packed = target.with_name(target.stem + suffixes.suffix_of(self.file_name))
            try:
                fetched = self.fetch(packed, base_urls=base_urls, log=log)
                return _imported(self.dataset, None, packed, target, log, called=fetched.url)
            finally:
                packed.unlink(missing_ok=True)
        fetched = self.fetch(
            target, base_urls=base_urls, log=log, check=lambda path: infos.append(check(path))
        )
        return Brought(path=target, sha256=fetched.sha256, info=infos[-1])


@registered
class HuggingFace(Http):
    """A file on the Hugging Face Hub, ``hf://datasets/OWNER/REPO/PATH@REVISION``, at one commit."""

    schemes = ("hf",)

    @property
    def file_name(self) -> str:
        return huggingface.file_name(self.dataset.source)

    def fetch(
        self,
        target: Path,
        *,
        base_urls: Sequence[str] = (),
        log: Log,
        check: Callable[[Path], object] | None = None,
    ) -> http.Fetched:
        found = huggingface.located(self.dataset.source)
        log.tell("commit", commit=found.commit)
        return http.fetch(
            [found.url],
            target,
            sha256=self.dataset.sha256 or found.sha256,
            size_bytes=self.dataset.size_bytes or found.size_bytes,
            log=log,
            check=check,
            is_hdf5=not suffixes.is_imported(self.file_name),
            auth=huggingface.authorised(),
        )


def _imported(
    dataset: Dataset,
    request: Request | None,
    file: Path,
    target: Path,
    log: Log,
    *,
    called: str | None = None,
) -> Brought:
    """Imports a dataset's file from vectors in another format.

    Args:
        request: how to import; None: ``file``, with queries held out, by the dataset's metric.
        called: the URL of a fetched file.
    """
    from pytest_annmodal.datasets import hdf5
    from pytest_annmodal.datasets.importers.importing import import_to

    metric = dataset.metric or DEFAULT_METRIC
    if request is None:
        log.tell("metric", metric=metric)
        names = () if called is None else (called,)
        request = Request(train=(str(file),), metric=metric, called=names)
    sha256 = import_to(target, request, log)
    return Brought(path=target, sha256=sha256, info=hdf5.inspect(target))


def require_pinned(dataset: Dataset, size_bytes: int, sha256: str) -> None:
    """Raises DatasetFormatError if the file has not the size and digest of the catalogue."""
    if dataset.size_bytes is not None and dataset.size_bytes != size_bytes:
        raise DatasetFormatError(
            f"{dataset.name}: the file has {size_bytes:,} bytes, expected {dataset.size_bytes:,}."
        )
    if dataset.sha256 is not None and dataset.sha256 != sha256:
        raise DatasetFormatError(
            f"{dataset.name}: the file has sha256 {sha256}, expected {dataset.sha256}."
        )
