"""Runs one built-in implementation as the worker would, and prints its answers as JSON."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from pytest_annmodal.distances import forms, metrics
from pytest_annmodal.distances.layouts import LAYOUT_FORMS
from pytest_annmodal.distances.rows import LAYOUTS, Sets
from pytest_annmodal.manifests import manifest
from pytest_annmodal.model import Implementation, to_plain
from pytest_annmodal.scoring import validity
from pytest_annmodal.worker import adapters, answers

TOP = Path(__file__).parents[2]
N, DIM, N_QUERIES, K = 1500, 16, 40, 10
BYTES = tuple(name for name in LAYOUT_FORMS["floats"] if name != "float32")
# Rows, dimension, queries, k: one of each, and all rows asked for.
TINY = [(1, 1, 1, 1), (5, 1, 3, 5), (40, 4, 1, 40), (300, 3, 7, 300), (300, 8, 5, 100)]


def members() -> dict[str, Implementation]:
    """The built-in ones, the template that every student starts from, and the example libraries."""
    files = [TOP / "benchmarks" / "student.py", *sorted((TOP / "examples/libraries").glob("*.py"))]
    return {item.name: item for item in [*manifest.builtin(), *map(manifest.read_file, files)]}


def vectors(rng: np.random.Generator, n: int) -> np.ndarray:
    centres = np.random.default_rng(7).normal(size=(20, DIM))
    return (centres[rng.integers(20, size=n)] + rng.normal(size=(n, DIM))).astype(np.float32)


def kinds(implementation: Implementation) -> list[str]:
    """Each metric that it serves, and each with bytes where it takes them as they are stored."""
    found = list(implementation.metrics)
    for metric in metrics.of_layout("floats"):
        if metric in implementation.metrics:
            found += [f"{metric}-{kept}" for kept in BYTES if kept in implementation.dtypes]
    return found


def numbers(vectors: np.ndarray, dtype: str) -> np.ndarray:
    """Vectors as a dataset keeps them; zero stays zero."""
    if dtype == "float32":
        return vectors
    scaled = np.rint(30 * vectors)
    return (np.abs(scaled).clip(0, 255) if dtype == "uint8" else scaled.clip(-127, 127)).astype(
        dtype
    )


class Given:
    """Rows as a dataset keeps them, and as an implementation is given them.

    Args:
        kind: one of :func:`kinds`.
    """

    def __init__(self, implementation: Implementation, kind: str, vectors: np.ndarray) -> None:
        metric, _, dtype = kind.partition("-")
        layout, dim, ones = metrics.named(metric).rows, vectors.shape[1], vectors > 0
        vectors = numbers(vectors, dtype or "float32")
        self.dense = vectors if layout is LAYOUTS["floats"] else ones
        kept = {
            LAYOUTS["floats"]: lambda: vectors,
            LAYOUTS["bits"]: lambda: np.packbits(ones, axis=1),
            LAYOUTS["sets"]: lambda: Sets.from_matrix(ones),
        }[layout]()
        name = layout.form(implementation.dtypes, kept)
        assert not dtype or name == dtype
        self.form = form = forms.make(name, dim, layout.longest(kept))
        self.sent = form.sent(kept).copy()
        self.laid = np.array(form.to_memory(kept)).reshape(-1).view(np.uint8)
        self.train = form.mapped(self.laid, len(vectors))
        self.many = form.whole(self.sent)

    def each(self) -> list[Any]:
        return list(self.form.each(self.sent))


def similarity(kind: str, train: np.ndarray, queries: np.ndarray) -> np.ndarray:
    metric = kind.partition("-")[0]
    train, queries = train.astype(np.float64), queries.astype(np.float64)
    if metric == "hamming":
        return -(queries[:, None] != train).sum(axis=2)
    if metric == "jaccard":
        both = queries @ train.T
        either = queries.sum(axis=1)[:, None] + train.sum(axis=1) - both
        return np.where(either > 0, both / np.maximum(either, 1), 1)
    if metric == "manhattan":
        return -np.abs(queries[:, None] - train).sum(axis=2)
    if metric == "euclidean":
        return -np.linalg.norm(train[None] - queries[:, None], axis=2)
    norms = np.linalg.norm(train, axis=1)
    products = queries @ train.T
    return products / np.where(norms > 0, norms, 1) if metric == "angular" else products


def recall(ids: np.ndarray, close: np.ndarray, k: int) -> float:
    """Share of answers as near as the true k-th, so that ties count."""
    kth = np.sort(close, axis=1)[:, -k]
    found = np.take_along_axis(close, ids, 1) >= kth[:, None] - 1e-5
    return float(found.mean())


def ask(adapter: adapters.Adapter, queries: Given, k: int) -> np.ndarray:
    return np.array([list(map(int, adapter.query(row, k))) for row in queries.each()])


def build(implementation: Implementation, kind: str, train: Given) -> adapters.Adapter:
    adapter = adapters.load(
        to_plain(implementation),
        metric=kind.partition("-")[0],
        dim=train.form.dim,
        build=to_plain(implementation.variants[0].build),
        alone=train.form.alone,
    )
    adapter.fit(train.train)
    return adapter


def probe(implementation: Implementation, kind: str) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    drawn = vectors(rng, N)
    drawn[3] = 0  # a zero vector has no angle
    train, again_train, few_rows = (
        Given(implementation, kind, part) for part in (drawn, drawn, drawn[:12])
    )
    queries = Given(implementation, kind, vectors(rng, N_QUERIES))
    nothing = Given(implementation, kind, np.zeros((1, DIM), np.float32))
    original, close = train.laid.copy(), similarity(kind, train.dense, queries.dense)
    adapter = build(implementation, kind, train)
    again = build(implementation, kind, again_train)
    seen: dict[str, Any] = {"recalls": [], "shapes": [], "distinct": True, "reproducible": True}
    for variant in implementation.variants:
        if variant.build != implementation.variants[0].build:
            continue
        for each in (adapter, again):
            each.set_search(to_plain(variant.search))
        ids = ask(adapter, queries, K)
        seen["recalls"].append(recall(ids, close, K))
        seen["shapes"].append(ids.shape)
        seen["range"] = [int(ids.min()), int(ids.max())]
        seen["distinct"] &= all(len(set(row)) == K for row in ids.tolist())
        seen["reproducible"] &= bool((ids == ask(again, queries, K)).all())
    seen["one"] = ask(adapter, queries, 1).shape
    seen["zero_query"] = ask(adapter, nothing, K).shape
    if adapter.batch is not None:
        answer = np.asarray(adapter.batch(queries.many, K))
        seen["batch"] = answer.shape
        seen["batch_recall"] = recall(answer.astype(np.int64), close, K)
    seen["train_kept"] = bool((train.laid == original).all())
    seen["memory"] = adapter.memory_bytes()
    if min(seen["recalls"]) == 1:
        few = build(implementation, kind, few_rows)
        seen["all"] = sorted(ask(few, queries, 12)[0].tolist())
    adapter.done()
    return seen


def tiny(implementation: Implementation, kind: str) -> list[str]:
    """Errors in the answers on the smallest data.

    In each shape some rows are equal: a graph does not reach them all.
    """
    wrong: list[str] = []
    for n, dim, m, k in TINY:
        rng = np.random.default_rng(2)
        drawn, asked = (rng.normal(size=(rows, dim)).astype(np.float32) for rows in (n, m))
        drawn[: n * 3 // 4] = drawn[0]
        train, queries = (Given(implementation, kind, part) for part in (drawn, asked))
        adapter = build(implementation, kind, train)
        for search in {v.search.key: v.search for v in implementation.variants}.values():
            adapter.set_search(to_plain(search))
            where = f"{n} × {dim}, {m} queries, k={k}, {search.label}"
            try:
                many = [[adapter.query(row, k) for row in queries.each()]]
                if adapter.batch is not None:
                    many.append(adapter.batch(queries.many, k))
                    answers.check_batch(many[1], m)
                for got in many:
                    ids, counts = answers.stack(got, k)
                    validity.check(
                        validity.Given(ids=ids, counts=counts),
                        k=k,
                        n_train=n,
                        short_answers=implementation.short_answers,
                    )
            except Exception as error:
                wrong.append(f"{where}: {type(error).__name__}: {error}")
        adapter.done()
    return wrong


def main() -> None:
    implementation = members()[sys.argv[1]]
    seen = {
        kind: {**probe(implementation, kind), "tiny": tiny(implementation, kind)}
        for kind in kinds(implementation)
    }
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
