"""The table of built-in datasets. To add one, add a row here and nothing else.

No official list of checksums exists; the digests below are those that independent public
projects pin. ``size_bytes`` is given where the exact size is known.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pytest_annmodal.datasets.generated import GENERATED
from pytest_annmodal.datasets.hdf5.metric import word_in_name
from pytest_annmodal.datasets.sources import sources
from pytest_annmodal.distances import metrics
from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.model import Dataset
from pytest_annmodal.settings import suffixes
from pytest_annmodal.settings.names import plain

ANN_BENCHMARKS = "https://ann-benchmarks.com/{}.hdf5"
STR_ENCODERS = "https://github.com/fabiocarrara/str-encoders/releases/download/v0.1.3/{}.hdf5"
VIBE = "https://huggingface.co/datasets/vector-index-bench/vibe/resolve/main/{}.hdf5"


def _row(
    name: str,
    shape: tuple[int, int, int],
    size_bytes: int,
    sha256: str,
) -> Dataset:
    """An ann-benchmarks dataset whose digest is known; ``shape`` is (dim, train, test)."""
    dim, n_train, n_queries = shape
    return Dataset(
        name=name,
        source=ANN_BENCHMARKS.format(name),
        sha256=sha256,
        size_bytes=size_bytes,
        metric=name.rpartition("-")[2],
        dim=dim,
        n_train=n_train,
        n_queries=n_queries,
    )


def _unpinned(
    name: str,
    metric: str,
    dim: int,
    n_train: int | None = None,
    n_queries: int | None = None,
    *,
    site: str = ANN_BENCHMARKS,
) -> Dataset:
    """A dataset without a known digest; the digest is recorded at the first download."""
    source = site.format(name)
    return Dataset(
        name=name, source=source, metric=metric, dim=dim, n_train=n_train, n_queries=n_queries
    )


def _vibe(name: str) -> Dataset:
    """A dataset of VIBE, whose names end in the dimension and the metric."""
    _, dim, metric = name.rsplit("-", 2)
    return _unpinned(name, metrics.BY_WORD[metric].name, int(dim), site=VIBE)


_ROWS = (
    Dataset(
        name="digits-64-euclidean",
        source="package:digits-64-euclidean.hdf5",
        metric="euclidean",
        dim=64,
        n_train=1597,
        n_queries=200,
    ),
    *(row.dataset() for row in GENERATED.values()),
    _row(
        "sift-128-euclidean",
        (128, 1_000_000, 10_000),
        525_128_288,
        "dd6f0a6ed6b7ebb8934680f861a33ed01ff33991eaee4fd60914d854a0ca5984",
    ),
    _row(
        "gist-960-euclidean",
        (960, 1_000_000, 1_000),
        3_844_648_288,
        "8e95831936bfdbfa0a56086942e2cf98cd703517c67f985914183eb4cdbf026a",
    ),
    _row(
        "glove-25-angular",
        (25, 1_183_514, 10_000),
        127_359_688,
        "51004cb0ae962159f0db507a51fec2b395de14b166f55976c89f16bd2f8b6391",
    ),
    _row(
        "glove-50-angular",
        (50, 1_183_514, 10_000),
        246_711_088,
        "388b0aedc2dad689549e6587932c8c9efeaf8a95f383f36dc567a40233a11f40",
    ),
    _row(
        "glove-100-angular",
        (100, 1_183_514, 10_000),
        485_413_888,
        "544af1d5e84e112cd4749571dcfd8ca109818a572f850af75a3a09e093a953c4",
    ),
    _row(
        "glove-200-angular",
        (200, 1_183_514, 10_000),
        962_819_488,
        "4839085e5a8bb293434a1a66e1aa0193afc3f07c6797a85f1dbd91656172da20",
    ),
    _row(
        "deep-image-96-angular",
        (96, 9_990_000, 10_000),
        3_848_008_288,
        "a0a44dfe80c58e63860862eeea2d34e62cff958dc3aec14fd65263d1d3c751f8",
    ),
    _row(
        "fashion-mnist-784-euclidean",
        (784, 60_000, 10_000),
        227_528_288,
        "7f24e5122b71346346686a6ea80e08d9145b9c020f9f2db4c4c799dfcfc96a07",
    ),
    _row(
        "mnist-784-euclidean",
        (784, 60_000, 10_000),
        227_528_288,
        "35ff29594d96d1c51691bdef900f6adc10e33bac099ac1f37330ed5fcf652336",
    ),
    _row(
        "nytimes-256-angular",
        (256, 290_000, 10_000),
        315_208_288,
        "6ad5d2cde6d6a6f21528d541901304ebfd40885d6ce6afae37bccbe278254a93",
    ),
    # Despite its name, the file's metric is angular and it has 65 dimensions.
    _unpinned("lastfm-64-dot", "angular", 65, 292_385, 50_000),
    _unpinned("kosarak-jaccard", "jaccard", 27_983, 74_962, 500),
    _unpinned("movielens10m-jaccard", "jaccard", 65_134, 69_363, 500),
    _unpinned("sift-256-hamming", "hamming", 256),
    _unpinned("word2bits-800-hamming", "hamming", 800),
    _unpinned("coco-i2i-512-angular", "angular", 512, 113_287, 10_000, site=STR_ENCODERS),
    _unpinned("coco-t2i-512-angular", "angular", 512, 113_287, 10_000, site=STR_ENCODERS),
    *(
        _unpinned(f"dbpedia-openai-{thousands}k-angular", "angular", 1536)
        for thousands in range(100, 1001, 100)
    ),
    _vibe("agnews-mxbai-1024-euclidean"),
    _vibe("arxiv-nomic-768-normalized"),
    _vibe("glove-200-cosine"),
    _vibe("gooaq-distilroberta-768-normalized"),
    _vibe("imagenet-clip-512-normalized"),
    _vibe("landmark-dino-768-cosine"),
    _vibe("landmark-nomic-768-normalized"),
    _vibe("yahoo-minilm-384-normalized"),
    _vibe("laion-clip-512-normalized"),
    _vibe("yandex-200-cosine"),
    _vibe("yi-128-ip"),
    _vibe("llama-128-ip"),
)

CATALOG: Mapping[str, Dataset] = MappingProxyType({row.name: row for row in _ROWS})


def dataset_from_argument(text: str) -> Dataset:
    """Returns the dataset of a path or URL of an HDF5 file, or of a file to import.

    Where the file's name is in the catalogue too, a hash of the source is added to it, so that
    a volume can hold both.

    Raises:
        ConfigurationError: the text is neither a path nor a URL of such a file.
    """
    if sources.is_address(text):
        source, last = text, sources.source_of(Dataset(name="", source=text)).file_name
    else:
        path = os.path.abspath(text)  # noqa: PTH100 - links stay as they are
        kind = sources.Imported if suffixes.is_imported(path) else sources.OwnFile
        source, last = kind.named(path), Path(path).name
    if suffixes.is_imported(last):
        return _imported(source, last)
    stem, suffix = os.path.splitext(last)  # noqa: PTH122 - of a URL's path too
    name = _name_of(stem)
    if suffix.lower() not in suffixes.OWN:
        raise ConfigurationError(
            f"{text!r} is not a dataset: expected a name of the catalogue, PATH.hdf5 or "
            "https://…/NAME.hdf5."
        )
    if name in CATALOG and CATALOG[name].source == source:
        return CATALOG[name]
    said = metrics.BY_WORD.get(word_in_name(last) or "")
    metric = said.name if said else None
    dataset = Dataset(name=name, source=source, metric=metric, k_truth=None)
    return marked_with_source(dataset) if name in CATALOG else dataset


def _name_of(stem: str) -> str:
    return plain(stem).strip("-.") or "dataset"


def _imported(source: str, last: str) -> Dataset:
    """Returns the dataset of a file to import, with a hash of its source in the name."""
    stem = last[: -len(suffixes.suffix_of(last))]
    said = metrics.BY_WORD.get(word_in_name(stem) or "")
    metric = said.name if said else sources.DEFAULT_METRIC
    dataset = Dataset(name=_name_of(stem), source=source, metric=metric)
    return marked_with_source(dataset)


def dataset_in_volume(name: str, info: Mapping[str, Any] | None) -> Dataset:
    """Returns the dataset of a file that a user put into the volume.

    Args:
        info: the fields of its stamp; None before its first use, and then its name gives the
            metric.
    """
    dataset = dataset_from_argument(f"/{name}.hdf5")
    known = {key: info[key] for key in ("metric", "dim", "n_train", "n_queries")} if info else {}
    source = sources.InVolume.named(f"{name}.hdf5")
    return dataclasses.replace(dataset, name=name, source=source, **known)


def marked_with_source(dataset: Dataset) -> Dataset:
    """Returns the dataset with a hash of its source added to its name."""
    mark = hashlib.sha256(dataset.source.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return dataclasses.replace(dataset, name=f"{dataset.name}-{mark}")
