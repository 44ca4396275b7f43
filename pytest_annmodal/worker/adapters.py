"""One interface to every kind of implementation that the worker can run.

Worker side: stdlib and numpy only. Exceptions of the implementation are passed on unchanged.
Where possible an adapter returns the object's own bound methods, so that timed calls include no
wrapper of the harness.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pytest_annmodal.errors import BuildError
from pytest_annmodal.worker.base_ann import BaseANN
from pytest_annmodal.worker.construction import (
    check_call,
    check_takes,
    closest,
    construct,
    substitute,
    words,
)
from pytest_annmodal.worker.cpp.library import CppIndex
from pytest_annmodal.worker.loading import load_module

Vectors = Any  # in the form that the implementation asked for
Query = Callable[[Vectors, int], Any]
Alone = Callable[[Any], Any]
Prepared = tuple[Query, Callable[[], Any], Callable[[], Any]]

PREPARED = ("prepare_query", "run_prepared_query", "get_prepared_query_results")


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """An implementation's object with the methods to build and query it.

    Attributes:
        subject: the implementation's object.
        fit: builds the index over ``train``.
        query: returns the ids for one query and k; the object's own method if it has one.
        prepared: ``prepare(v, k)``, ``run()``, ``results()``, of which only ``run`` is timed;
            None unless the class defines all three.
        batch: answers many queries at once; None unless the class defines it.
        batch_fetch: returns the batch's ids afterwards, untimed; None if ``batch`` returns them.
    """

    subject: Any
    fit: Callable[[Vectors], Any]
    query: Query
    prepared: Prepared | None
    batch: Query | None
    batch_fetch: Callable[[], Any] | None
    _memory: Callable[[], int | None]
    _alone: Alone

    def looked_up(self) -> Adapter:
        """Returns an adapter for the methods that the object has now.

        ``fit`` or ``set_query_arguments`` may assign another ``query`` to the object.

        Raises:
            BuildError: a method has the wrong parameters.
        """
        return replace(self, **_methods(self.subject, self._alone))

    def set_search(self, arguments: Mapping[str, Any]) -> None:
        """Passes one search setting (plain ``Arguments``) to ``set_query_arguments``."""
        args, kwargs = arguments["args"], arguments["kwargs"]
        if not args and not kwargs:
            return
        setter = getattr(self.subject, "set_query_arguments", None)
        if setter is None:
            raise BuildError(
                f"{type(self.subject).__name__} has no set_query_arguments, but "
                f"{'its header' if kwargs else 'config.yml'} has the search parameters "
                f"{words(args, kwargs)}: define the method, or remove them there"
            )
        check_call(setter, args, kwargs, "set_query_arguments")
        setter(*args, **kwargs)

    def memory_bytes(self) -> int | None:
        """Returns the size that the object reports, in bytes, or None. Never raises."""
        return self._memory()

    def done(self) -> None:
        """Calls the object's ``done()``, if it has one. Never raises."""
        try:
            done = getattr(self.subject, "done", None)
            if done is not None:
                done()
        except BaseException as error:  # noqa: BLE001 -- the measurements are already taken
            print(f"done() raised {type(error).__name__}: {error}")

    def describe(self) -> str:
        """Returns the object's own ``str()`` if its class defines one, else the class's name."""
        name = type(self.subject).__name__
        if not any("__str__" in vars(cls) for cls in type(self.subject).__mro__[:-1]):
            return name
        try:
            return str(self.subject)[:200]
        except BaseException:  # noqa: BLE001 -- a broken __str__ must not cost the run
            return name


def _row_alone(query: Any) -> Any:
    return query[None]


def load(
    implementation: Mapping[str, Any],
    *,
    metric: str,
    dim: int,
    build: Mapping[str, Any],
    k: int = 10,
    alone: Alone = _row_alone,
) -> Adapter:
    """Imports an implementation and constructs its object, see :func:`maker`."""
    return maker(implementation, metric=metric, dim=dim, build=build, k=k, alone=alone)()


def maker(
    implementation: Mapping[str, Any],
    *,
    metric: str,
    dim: int,
    build: Mapping[str, Any],
    k: int,
    alone: Alone = _row_alone,
) -> Callable[[], Adapter]:
    """Imports an implementation; returns a function that constructs an object at each call.

    Args:
        implementation: a plain :class:`~pytest_annmodal.model.Implementation`, and for C++
            the compiled ``library``.
        metric: the name of a metric that the implementation supports.
        build: plain :class:`~pytest_annmodal.model.Arguments` for the constructor.
        k: value of ann-benchmarks' ``@count`` (the number of neighbours, not of rows).
        alone: makes a batch of one query.

    Raises:
        BuildError: the class is missing or does not take these arguments. Exceptions of the
            implementation are passed on unchanged.
    """
    if implementation.get("error"):
        raise BuildError(str(implementation["error"]))
    if implementation.get("style") == "c++":
        path, parameters = implementation["library"], build["kwargs"]
        return lambda: adapt(CppIndex(path, metric=metric, dim=dim, build=parameters, k=k))
    module = load_module(implementation["path"])
    factory = getattr(module, implementation["class_name"], None)
    if not callable(factory):
        raise BuildError(
            f"{implementation['path']} defines no class {implementation['class_name']!r}"
            + closest(implementation["class_name"], module)
        )
    foreign = implementation.get("style") == "ann-benchmarks"

    def make() -> Adapter:
        args, kwargs = list(build["args"]), dict(build["kwargs"])
        if foreign:
            known = {"@metric": metric, "@dimension": dim, "@count": k}
            args = [substitute(value, known) for value in args]
            check_call(factory, args, kwargs, factory.__name__)
            subject = factory(*args, **kwargs)
        else:
            subject = construct(factory, metric, dim, args, kwargs)
        return adapt(subject, kilobytes=foreign, alone=alone)

    return make


def adapt(subject: Any, *, kilobytes: bool = False, alone: Alone = _row_alone) -> Adapter:
    """Returns an adapter for the interface that ``subject`` has.

    Args:
        kilobytes: whether ``get_memory_usage()`` follows ann-benchmarks: kilobytes of the
            process, so that the index is its growth during ``fit``.
        alone: makes a batch of one query, for a class without ``query``.

    Raises:
        BuildError: ``subject`` lacks a method or has one with the wrong parameters.
    """
    if not callable(getattr(subject, "fit", None)):
        raise BuildError(f"{type(subject).__name__} has no fit(X) method")
    check_takes(subject.fit, "X")
    memory = _Memory(subject, kilobytes=kilobytes)
    return Adapter(
        subject=subject,
        fit=memory.fit if kilobytes else subject.fit,
        **_methods(subject, alone),
        _memory=memory.read,
        _alone=alone,
    )


def _methods(subject: Any, alone: Alone) -> dict[str, Any]:
    """Returns the methods to query the object, by their names in :class:`Adapter`."""
    prepared = _prepared(subject)
    batch, fetch = _batch(subject)
    return {
        "query": _query(subject, prepared, batch, fetch, alone),
        "prepared": prepared,
        "batch": batch,
        "batch_fetch": fetch,
    }


def _own(subject: Any, name: str) -> Any:
    """Returns the bound method, or None if the class only inherits BaseANN's default."""
    method = getattr(subject, name, None)
    inherited = getattr(BaseANN, name, None)
    if not callable(method) or (inherited and getattr(method, "__func__", None) is inherited):
        return None
    return method


def _prepared(subject: Any) -> Prepared | None:
    prepare, run, results = (_own(subject, name) for name in PREPARED)
    return (prepare, run, results) if prepare and run and results else None


def _batch(subject: Any) -> tuple[Query | None, Callable[[], Any] | None]:
    batch = _own(subject, "batch_query") or _prepared_batch(subject) or _kneighbors(subject)
    if batch is None:
        return None, None
    check_takes(batch, "X", "k")
    if fetch := _own(subject, "get_batch_results"):
        return batch, fetch
    if not isinstance(subject, BaseANN):
        return batch, None
    # A subclass of BaseANN may either store its ids in self.res or return them.
    returned: list[Any] = [None]

    def remember(vectors: Vectors, k: int) -> None:
        returned[0] = batch(vectors, k)

    return remember, lambda: subject.res if returned[0] is None else returned[0]


def _prepared_batch(subject: Any) -> Query | None:
    prepare, run = _own(subject, "prepare_batch_query"), _own(subject, "run_batch_query")
    if not (prepare and run):
        return None

    def both(vectors: Vectors, k: int) -> Any:
        prepare(vectors, k)
        return run()

    return both


def _kneighbors(subject: Any) -> Query | None:
    """Returns a batch by scikit-learn's ``kneighbors``, for a class without ``query``."""
    kneighbors = getattr(subject, "kneighbors", None)
    if not callable(kneighbors) or _own(subject, "query"):
        return None

    def batch(vectors: Vectors, k: int) -> Any:
        return kneighbors(vectors, n_neighbors=k, return_distance=False)

    return batch


def _query(
    subject: Any,
    prepared: Prepared | None,
    batch: Query | None,
    fetch: Callable[[], Any] | None,
    alone: Alone,
) -> Query:
    """Returns the object's own ``query``, or one made of its other methods."""
    if own := _own(subject, "query"):
        check_takes(own, "v", "k")
        return own  # type: ignore[no-any-return]
    if prepared is not None:
        prepare, run, results = prepared

        def in_steps(vector: Vectors, k: int) -> Any:
            prepare(vector, k)
            run()
            return results()

        return in_steps
    if batch is not None:

        def batch_of_one(vector: Vectors, k: int) -> Any:
            returned = batch(alone(vector), k)
            return (fetch() if fetch else returned)[0]

        return batch_of_one
    raise BuildError(
        f"{type(subject).__name__} has no query(v, k) method, nor prepare_query with "
        "run_prepared_query and get_prepared_query_results, nor batch_query, nor kneighbors"
    )


class _Memory:
    """Reads ``get_memory_usage()``, except BaseANN's default. Never raises."""

    def __init__(self, subject: Any, *, kilobytes: bool) -> None:
        self.subject = subject
        self.unit = 1024 if kilobytes else 1
        self.before = 0.0
        self.report = _own(subject, "get_memory_usage")

    def _raw(self) -> float | None:
        try:
            value = None if self.report is None else float(self.report())
        except BaseException:  # noqa: BLE001 -- the report is optional
            return None
        return value if value is not None and math.isfinite(value) and value >= 0 else None

    def fit(self, train: Vectors) -> Any:
        self.before = self._raw() or 0.0
        return self.subject.fit(train)

    def read(self) -> int | None:
        value = self._raw()
        return None if value is None else int(max(0.0, value - self.before) * self.unit)
