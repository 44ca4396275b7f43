"""Reads the PEP 723 header of an implementation's file: requirements and parameter grids.

::

    # /// script
    # dependencies = ["annoy>=1.17"]
    #
    # [tool.annmodal]
    # class = "Annoy"
    # metrics = ["euclidean", "angular"]
    # build.n_trees = [10, 50]
    # search = { search_k = [100, "500..4000:log4"] }  (docs/settings.md)
    # short-answers = "search_k"               (missing ids are misses; this parameter bounds them)
    # effective = { search_k = "max(search_k, k)" }    (the value that the library really uses)
    # constraints = ["k <= search_k"]          (settings that break them are not run)
    # tune = { search_k = { range = [100, 100_000], scale = "log", monotone = "recall" } }
    # clients = "threads"                      (who may ask at once; or "processes")
    # warm_up_build = true                     (it compiles itself: build once before timing)
    # dtypes = ["packed"]                      (the form of rows, if not the default one)
    # ///
"""

from __future__ import annotations

import itertools
import json
import math
import platform
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_annmodal.distances.layouts import FORMS
from pytest_annmodal.distances.metrics import BY_DEFAULT, NAMES
from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.levels import CLIENTS, Clients
from pytest_annmodal.manifests import expression, tunables
from pytest_annmodal.model import Arguments, Implementation, Tunable, Variant
from pytest_annmodal.settings import grid as values
from pytest_annmodal.settings.nearest import nearest_names
from pytest_annmodal.settings.toml_table import Table, shown

OPENING = "# /// script"
CLOSING = "# ///"
MAX_CHARS = 20_000  # for some texts the TOML parser takes quadratic time
MAX_VALUE_CHARS = 2000
MAX_DEPTH = 20
MAX_BITS = 1024
MAX_VARIANTS = 1000  # a typo in a grid must not make a million cases
MAX_READ = 10_000  # settings read of one implementation, before some are chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The content of a header; ``None`` or empty for absent keys.

    Attributes:
        dependencies: None if the key is absent; the file's imports are used then.
    """

    name: str | None = None
    class_name: str | None = None
    metrics: tuple[str, ...] = BY_DEFAULT
    dependencies: tuple[str, ...] | None = None
    short_answers: bool = False
    bounded_by: str = ""
    effective: Mapping[str, str] = field(default_factory=dict)
    constraints: tuple[str, ...] = ()
    tune: tuple[Tunable, ...] = ()
    clients: Clients | None = None
    warm_up_build: bool = False
    dtypes: tuple[str, ...] = ()
    variants: tuple[Variant, ...] = (Variant(build=Arguments(), search=Arguments()),)

    def implementation(
        self, *, name: str, file: Path, class_name: str, trusted: bool, **more: Any
    ) -> Implementation:
        """Returns the implementation of a file with this header.

        Args:
            more: further fields of the Implementation.
        """
        return Implementation(
            name=name,
            path=str(file),
            class_name=class_name,
            trusted=trusted,
            metrics=self.metrics,
            short_answers=self.short_answers,
            bounded_by=self.bounded_by,
            effective=self.effective,
            constraints=self.constraints,
            tune=self.tune,
            clients=self.clients,
            warm_up_build=self.warm_up_build,
            dtypes=self.dtypes,
            variants=self.variants,
            **more,
        )


def extract(text: str) -> str | None:
    """Returns the TOML inside the header, or None if the file has no header.

    Raises:
        ConfigurationError: the header is not closed, or there are two.
    """
    lines = [line.rstrip() for line in text.split("\n")]
    starts = [number for number, line in enumerate(lines) if line == OPENING]
    if not starts:
        return None
    # By PEP 723 the header is a run of comment lines, closed by the last "# ///" in it.
    comments = itertools.takewhile(
        lambda line: line == "#" or line.startswith("# "), lines[starts[0] + 1 :]
    )
    block = list(comments)
    closings = [number for number, line in enumerate(block) if line == CLOSING]
    if not closings:
        raise ConfigurationError(
            f'line {starts[0] + 1}: the header opened by "{OPENING}" is not closed; '
            f'expected every line to start with "# ", and the last to be "{CLOSING}"'
        )
    if len(starts) > 1:
        raise ConfigurationError(
            f'line {starts[1] + 1}: a second "{OPENING}" header; expected one. Merge them'
        )
    return "\n".join(line[2:] for line in block[: closings[-1]])


def parse(text: str) -> Header | None:
    """Reads the header of a file's text; returns None if there is none.

    Raises:
        ConfigurationError: the header is wrong, with the reason in one sentence.
    """
    inside = extract(text)
    if inside is None:
        return None
    if len(inside) > MAX_CHARS:
        raise ConfigurationError(
            f"the header has {len(inside):,} characters, at most {MAX_CHARS:,} are read; "
            "put data into a file of its own"
        )
    try:
        header = Table(tomllib.loads(inside), "the header")
    except (ValueError, RecursionError) as error:  # ValueError for a number of 5000 digits, too
        raise ConfigurationError(
            f"the header is not valid TOML: {_in_the_file(str(error), text)}"
        ) from error
    dependencies = header.take("dependencies", list)
    _check_python(header.anything("requires-python"))
    own = Table(header.table("tool").take("annmodal", dict, {}), "[tool.annmodal]")
    header.finish()
    grids = {key: own.anything(key) for key in ("build", "search")}
    builds, searches = (grid({} if v is None else v, key) for key, v in grids.items())
    variants = product(builds, searches)
    parameters = _parameters(variants)
    bounded_by = _short_answers(own, parameters)
    found = Header(
        name=own.text("name"),
        class_name=own.text("class"),
        metrics=_names(own, "metrics", NAMES) or BY_DEFAULT,
        dtypes=_names(own, "dtypes", FORMS),
        dependencies=None if dependencies is None else _requirements(dependencies),
        short_answers=bounded_by is not None,
        bounded_by=bounded_by or "",
        effective=_rules(own.take("effective", dict, {}), parameters),
        tune=tunables.read(own.take("tune", dict, {}), searches, parameters),
        constraints=_constraints(own.take("constraints", list, []), parameters),
        clients=_clients(own),
        warm_up_build=own.take("warm_up_build", bool, False),
        variants=variants,
    )
    own.finish()
    return found


def _in_the_file(message: str, text: str) -> str:
    """Turns line and column numbers of the TOML parser into those of the whole file."""
    above = [line.rstrip() for line in text.split("\n")].index(OPENING) + 1

    def moved(match: re.Match[str]) -> str:
        return f"at line {int(match[1]) + above}, column {int(match[2]) + len('# ')}"

    return re.sub(r"at line (\d+), column (\d+)", moved, message)


def grid(value: Any, key: str) -> list[Arguments]:
    """Expands a parameter grid: a table, or a list of tables one after the other."""
    tables = value if isinstance(value, list) else [value]
    if not tables:
        raise ConfigurationError(f"{key} is an empty list; remove it, or give it one table")
    found: list[Arguments] = []
    for number, table in enumerate(tables):
        where = f"{key}[{number}]" if isinstance(value, list) else key
        if not isinstance(table, Mapping):
            raise ConfigurationError(f"{where}: expected a table, not {shown(table)}")
        found += _expand(table, where)
        if len(found) > MAX_READ:
            raise _too_many(len(found))
    return found


def _expand(table: Mapping[str, Any], where: str) -> list[Arguments]:
    axes: list[list[Any]] = []
    longest = 0
    for name, value in table.items():
        axis = _axis(value, f"{where}.{name}")
        axes.append(axis)
        longest += len(name) + max(len(json.dumps(item)) for item in axis)
    refuse_long(longest, where)
    total = math.prod(map(len, axes))
    if total > MAX_READ:
        raise _too_many(total)
    return [
        Arguments(kwargs=dict(zip(table, values, strict=True)))
        for values in itertools.product(*axes)
    ]


def _axis(value: Any, where: str) -> list[Any]:
    """Returns the values of one parameter, with ranges (``"8..64:log4"``) expanded."""
    listed = value if isinstance(value, list) else [value]
    if not listed:
        raise ConfigurationError(f"{where} is an empty list; name at least one value")
    for item in listed:
        _check_plain(item, where)
    try:
        return [one for item in listed for one in values.expanded(item)]
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from error


def refuse_long(n_chars: int, where: str) -> None:
    """Raises ConfigurationError for settings whose names would be too long."""
    if n_chars > MAX_VALUE_CHARS:
        raise ConfigurationError(
            f"{where} makes settings of {n_chars:,} characters; at most {MAX_VALUE_CHARS:,} are "
            "allowed, since they are part of every name"
        )


def product(builds: Iterable[Arguments], searches: Iterable[Arguments]) -> tuple[Variant, ...]:
    """Returns every build with every search setting, each once, builds outermost."""
    each_build = {item.key: item for item in builds}.values()
    each_search = {item.key: item for item in searches}.values()
    if len(each_build) * len(each_search) > MAX_READ:
        raise _too_many(len(each_build) * len(each_search))
    return tuple(
        Variant(build=build, search=search) for build in each_build for search in each_search
    )


def _too_many(total: int) -> ConfigurationError:
    return ConfigurationError(
        f"the parameter grids make {total:,} settings; at most {MAX_READ:,} are allowed"
    )


def _check_plain(value: Any, where: str, depth: int = 0) -> None:
    """Raises ConfigurationError for a value that JSON cannot bring to the worker."""
    if depth > MAX_DEPTH:
        raise ConfigurationError(f"{where} is nested more than {MAX_DEPTH} deep")
    if isinstance(value, (list, Mapping)):
        for item in value.values() if isinstance(value, Mapping) else value:
            _check_plain(item, where, depth + 1)
    elif not isinstance(value, (bool, int, float, str)) or value in (math.inf, -math.inf):
        raise ConfigurationError(f"{where}: {value} is not a number, text, boolean or list")
    elif isinstance(value, int) and value.bit_length() > MAX_BITS:  # str() may refuse it
        raise ConfigurationError(f"{where}: a number of more than {MAX_BITS:,} bits is not usable")
    elif value != value:  # noqa: PLR0124 -- only NaN differs from itself
        raise ConfigurationError(f"{where}: nan is not a usable value")


def _parameters(variants: Iterable[Variant]) -> list[str]:
    return [*dict.fromkeys(key for v in variants for key in (*v.build.kwargs, *v.search.kwargs))]


def _short_answers(table: Table, parameters: list[str]) -> str | None:
    """Returns the parameter that bounds the number of ids, "" if unknown; None: not allowed."""
    value = table.anything("short-answers")
    if value is None or isinstance(value, bool):
        return "" if value else None
    if value not in parameters:
        known = f", or one of {', '.join(parameters)}" if parameters else ""
        raise table.error("short-answers", f"expected true or false{known}, not {shown(value)}")
    return str(value)


def _clients(table: Table) -> Clients | None:
    value = table.anything("clients")
    found = next((known for known in CLIENTS if known == value), None)
    if found is None and value is not None:
        raise table.error("clients", f"expected {' or '.join(CLIENTS)}, not {shown(value)}")
    return found


def _rules(rules: Mapping[str, Any], parameters: list[str]) -> Mapping[str, str]:
    for name, rule in rules.items():
        where = f"effective.{name}"
        if name not in parameters:
            raise ConfigurationError(f"{where}: {name} is not a parameter of build or search")
        if not isinstance(rule, str):
            raise ConfigurationError(f"{where}: expected text in quotes, not {shown(rule)}")
        try:
            expression.check_rule(rule, parameters)
        except ConfigurationError as error:
            raise ConfigurationError(f"{where}: {error}") from error
    return dict(rules)


def _constraints(rules: list[Any], parameters: list[str]) -> tuple[str, ...]:
    for number, rule in enumerate(rules):
        where = f"constraints[{number}]"
        if not isinstance(rule, str):
            raise ConfigurationError(f"{where}: expected text in quotes, not {shown(rule)}")
        try:
            expression.check_constraint(rule, parameters)
        except ConfigurationError as error:
            raise ConfigurationError(f"{where}: {error}") from error
    return tuple(rules)


def _names(table: Table, key: str, names: Sequence[str]) -> tuple[str, ...]:
    """Reads one or more of these names; returns () if the key is absent."""
    value = table.anything(key)
    if value is None:
        return ()
    values = [value] if isinstance(value, str) else value
    known = ", ".join(names)
    if not isinstance(values, list) or not values:
        raise table.error(key, f"expected one or more of {known}, not {shown(value)}")
    for item in values:
        if item not in names:
            near = nearest_names(str(item), names) if isinstance(item, str) else "."
            raise table.error(
                key, f"there is no {key.removesuffix('s')} {shown(item)}{near} Known: {known}."
            )
    return tuple(dict.fromkeys(values))


def _requirements(values: list[Any]) -> tuple[str, ...]:
    from packaging.requirements import InvalidRequirement, Requirement

    for item in values:
        try:
            Requirement(item)
        except (InvalidRequirement, TypeError) as error:
            raise ConfigurationError(
                f"dependencies: {shown(item)} is not a requirement such as 'annoy>=1.17'"
            ) from error
    return tuple(values)


def _check_python(value: Any) -> None:
    from packaging.specifiers import SpecifierSet

    if value is None:
        return
    try:
        served = SpecifierSet(value).contains(platform.python_version(), prereleases=True)
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"requires-python: {shown(value)} is not a version range"
        ) from error
    if not served:
        raise ConfigurationError(
            f"it requires Python {value}, but this is Python {platform.python_version()}"
        )
