"""Reads an ann-benchmarks algorithm folder: ``module.py`` with its ``config.yml``.

Grids are expanded like in ann-benchmarks' own ``definitions.py``, so that the same file gives the
same points: https://github.com/erikbern/ann-benchmarks. So are those of VIBE, which derives from
it: https://github.com/vector-index-bench/vibe.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_annmodal.distances.metrics import METRICS, WIDE_KEYS
from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.manifests import header
from pytest_annmodal.model import Arguments, Implementation, Variant

ANY = "any"
POINT_TYPES = ("float", "bit", "set", "int", ANY)
# Keys of config.yml, and their metrics here. Of two definitions with the same name and metric, the
# one later in this order is used.
METRIC_KEYS = {
    **WIDE_KEYS,
    **{key: (row.name,) for row in METRICS.values() for key in row.keys},
}
# A definition under one of these keys expects that word for the metric instead of ours.
OWN_WORDS = METRIC_KEYS.keys() - {ANY, *METRICS}
VIBE_ANY = tuple(row.vibe for row in METRICS.values() if row.vibe)
CLONES = (("ann_benchmarks", "algorithms"), ("vibe", "algorithms"))
NO_SETTING = (
    "config.yml: its run_groups give no setting; an empty list among arguments ([[]]) leaves no "
    "combination: write args: [] for no arguments"
)
MAX_VALUES = 20_000  # YAML aliases can expand a small file to a huge one


def is_folder(path: Path) -> bool:
    """Returns whether ``path`` is an ann-benchmarks algorithm folder."""
    return (path / "module.py").is_file() and (path / "config.yml").is_file()


def is_algorithm(path: Path) -> bool:
    """Returns whether a folder of a clone defines anything: that of the base class does not."""
    if not is_folder(path):
        return False
    lines = (path / "config.yml").read_text(encoding="utf-8", errors="replace").splitlines()
    return any(line.strip() and not line.lstrip().startswith("#") for line in lines)


def half(folder: Path) -> str:
    """Returns a hint for a folder with only one of the two files, else ""."""
    there = {name: (folder / name).is_file() for name in ("module.py", "config.yml")}
    if sum(there.values()) != 1:
        return ""
    has, lacks = sorted(there, key=there.__getitem__, reverse=True)
    return f" (for an ann-benchmarks folder, add {lacks} beside {has})"


def readable_folder(folder: Path) -> Path:
    """Returns the folder that an algorithm may read: its own, or in a clone its parent.

    In a clone, modules import from each other: ``from ..faiss.module import Faiss``. Elsewhere the
    folders beside it belong to other submissions.
    """
    return folder.parent if folder.parts[-3:-1] in CLONES else folder


def read_config(
    text: str, folder: Path, *, modules: tuple[str, ...], trusted: bool
) -> list[Implementation]:
    """Returns every definition for a supported metric, one per metric key that lists it.

    If a name has two definitions for a metric, an enabled one comes before a disabled one, then one
    under the metric's own key before others.

    A definition without a setting is left out.

    Raises:
        ConfigurationError: ann-benchmarks could not read the file, or it gives no setting at all.
    """
    order = list(METRIC_KEYS)
    found = [
        _implementation(definition, key, folder, modules=modules, trusted=trusted)
        for key, definition in sorted(_definitions(_load(text)), key=lambda p: order.index(p[0]))
    ]
    if found and not any(item.variants for item in found):
        raise ConfigurationError(NO_SETTING)
    found = [item for item in found if item.variants]
    holds = {
        (item.name, metric): item
        for item in sorted(found, key=lambda item: not item.disabled)
        for metric in item.metrics
    }
    left = [
        replace(item, metrics=tuple(m for m in item.metrics if holds[item.name, m] is item))
        for item in found
    ]
    return [item for item in left if item.metrics]


def rename(
    found: list[Implementation], sanitise: Callable[[str], str], base: str | None
) -> list[Implementation]:
    """Gives each a unique name: the definition's, with its metrics where two have the same.

    Args:
        base: for a submission, its folder's name, which becomes the prefix.
    """
    names = [sanitise(item.name) for item in found]
    if base is not None:
        alone = len(set(names)) == 1
        names = [base if alone or name == base else f"{base}-{name}" for name in names]
    counts = Counter(names)
    names = [
        f"{name}-{'-'.join(item.metrics)}" if counts[name] > 1 else name
        for name, item in zip(names, found, strict=True)
    ]
    return [replace(item, name=name) for name, item in zip(names, found, strict=True)]


def _load(text: str) -> Mapping[str, Any]:
    import yaml

    try:
        loader = yaml.SafeLoader(text)  # raises for characters that YAML does not allow
        node = loader.get_single_node()
        _size(node, {})
        loaded = loader.construct_document(node) if node else None
    except (
        yaml.YAMLError,
        ValueError,
        TypeError,
        KeyError,
        OverflowError,
        RecursionError,
    ) as error:
        shown = " ".join(str(error).split())
        raise ConfigurationError(f"config.yml is not valid YAML: {shown}") from error
    return _mapping(loaded, "config.yml")


def _size(node: Any, known: dict[int, float]) -> float:
    """Returns how many values a part of the file has, with aliases and merges expanded.

    Raises:
        ValueError: more than ``MAX_VALUES``, or it contains itself.
    """
    if id(node) not in known:
        known[id(node)] = math.inf  # a node that contains itself is infinite
        inner = node.value if isinstance(getattr(node, "value", None), list) else []
        parts = itertools.chain.from_iterable(x if isinstance(x, tuple) else (x,) for x in inner)
        known[id(node)] = 1 + sum(_size(part, known) for part in parts)
    if known[id(node)] > MAX_VALUES:
        raise ValueError(f"it expands to more than {MAX_VALUES:,} values, or refers to itself")
    return known[id(node)]


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{where} must be a mapping, not {type(value).__name__}")
    return value


def _definitions(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields each metric key with each of its definitions, whose keys get underscores."""
    for point_type in POINT_TYPES:
        for key, entries in _mapping(config.get(point_type, {}), point_type).items():
            if key not in METRIC_KEYS:
                continue
            where = f"{point_type}.{key}"
            if isinstance(entries, Mapping):  # the older layout: name to definition
                listed = [{"name": n, **_mapping(d, where)} for n, d in entries.items()]
            elif isinstance(entries, list):
                listed = entries
            else:
                raise ConfigurationError(f"{where} must be a list of definitions")
            for entry in listed:
                definition = _underscored(_mapping(entry, where))
                for one in VIBE_ANY if key == ANY and _is_vibe(definition) else (key,):
                    yield one, definition


def _is_vibe(definition: Mapping[str, Any]) -> bool:
    return str(definition.get("module", "")).startswith("vibe.")


def _underscored(table: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the table with ``run-groups`` of older files spelled ``run_groups``."""
    return {str(key).replace("-", "_"): value for key, value in table.items()}


def _implementation(
    definition: Mapping[str, Any],
    key: str,
    folder: Path,
    *,
    modules: tuple[str, ...],
    trusted: bool,
) -> Implementation:
    name = str(definition.get("name", folder.name))
    constructor = definition.get("constructor")
    if not isinstance(constructor, str):
        raise ConfigurationError(f"config.yml: {name} has no constructor")
    return Implementation(
        name=name,
        path=str(_module_file(definition, folder, trusted=trusted)),
        class_name=constructor,
        style="ann-benchmarks",
        metrics=METRIC_KEYS[key],
        disabled=bool(definition.get("disabled")),
        modules=modules,
        trusted=trusted,
        short_answers=True,
        variants=_variants(definition, f"config.yml: {name}", key),
    )


def _module_file(definition: Mapping[str, Any], folder: Path, *, trusted: bool) -> Path:
    """Returns the definition's file; ``module: …faiss`` may name a neighbour folder."""
    last = str(definition.get("module", "")).split(".")[-1]
    neighbour = folder.parent / last / "module.py"
    allowed = trusted or readable_folder(folder) != folder
    return neighbour if allowed and last and neighbour.is_file() else folder / "module.py"


def _variants(definition: Mapping[str, Any], where: str, key: str) -> tuple[Variant, ...]:
    base = definition.get("base_args") or []
    if not isinstance(base, list):
        raise ConfigurationError(f"{where}: base_args must be a list")
    found: dict[tuple[str, str], Variant] = {}
    for group_name, raw in _mapping(definition.get("run_groups"), f"{where}: run_groups").items():
        here = f"{where}: run_groups.{group_name}"
        group = _underscored(_mapping(raw, here))
        spread = _is_vibe(definition)
        expanded = _expand_group(group, "", here, spread=spread)
        builds = [_arguments([*base, *args], key, here) for args in expanded]
        expanded = _expand_group(group, "query_", here, spread=spread)
        searches = [_arguments(args, key, here) for args in expanded]
        if len(found) + len(builds) * len(searches) > header.MAX_READ:
            raise ConfigurationError(f"{where}: more than {header.MAX_READ:,} settings")
        _add(found, builds, searches, str(group_name))
    return tuple(found.values())


def _add(
    found: dict[tuple[str, str], Variant],
    builds: list[Arguments],
    searches: list[Arguments],
    group: str,
) -> None:
    """Adds every build with every search of a run group; two groups may share a setting."""
    pairs = itertools.product([(b.key, b) for b in builds], [(s.key, s) for s in searches])
    for (build_key, build), (search_key, search) in pairs:
        known = found.get((build_key, search_key))
        groups = (*known.groups, group) if known else (group,)
        found[build_key, search_key] = Variant(build=build, search=search, groups=groups)


def _expand_group(
    group: Mapping[str, Any], prefix: str, where: str, *, spread: bool
) -> list[list[Any]]:
    """Returns the argument lists of ``arg_groups``, else of ``args``.

    ``arg_groups`` comes first, as in ann-benchmarks, unless it is empty: some definitions have
    ``arg_groups: []`` beside ``args`` that the class needs.
    """
    groups, args = group.get(f"{prefix}arg_groups"), group.get(f"{prefix}args")
    if groups is not None and (groups or args is None):
        if not isinstance(groups, list):
            raise ConfigurationError(f"{where}.{prefix}arg_groups must be a list")
        kept = [item for item in groups if not (prefix and item in ([], {}))]
        expanded = [
            _combinations(item, where) if isinstance(item, Mapping) else item for item in kept
        ]
        combinations = _combinations(expanded, where)
    elif args is not None:
        combinations = _combinations(args, where)
    else:
        return [[]]
    # A combination of a mapping is one argument, a dict; in VIBE each of its values is one.
    return [
        item if isinstance(item, list) else [*item.values()] if spread else [item]
        for item in combinations
    ]


def _combinations(value: Any, where: str) -> list[Any]:
    """Expands one level: the lists in a list or mapping are the axes of a product."""
    if isinstance(value, Mapping):
        axes = [item if isinstance(item, list) else [item] for item in value.values()]
        _check_size(axes, where)
        return [dict(zip(value, items, strict=True)) for items in itertools.product(*axes)]
    if isinstance(value, list):
        axes = [item if isinstance(item, list) else [item] for item in value]
        _check_size(axes, where)
        return [list(items) for items in itertools.product(*axes)]
    raise ConfigurationError(f"{where}: arguments must be a list or a mapping, not {value!r}")


def _check_size(axes: list[list[Any]], where: str) -> None:
    if math.prod(map(len, axes)) > header.MAX_READ:
        raise ConfigurationError(f"{where}: more than {header.MAX_READ:,} combinations")


def _arguments(values: list[Any], key: str, where: str) -> Arguments:
    budget = itertools.count()
    found = Arguments(args=tuple(_plain(value, key, where, budget) for value in values))
    header.refuse_long(len(found.key), where)
    return found


def _plain(value: Any, key: str, where: str, budget: Iterator[int], depth: int = 0) -> Any:
    """Returns a copy that JSON can hold; raises ConfigurationError if it is too large."""
    if next(budget) > MAX_VALUES or depth > header.MAX_DEPTH:
        raise ConfigurationError(f"{where}: the arguments are too large or refer to themselves")
    if isinstance(value, Mapping):
        return {
            str(name): _plain(item, key, where, budget, depth + 1) for name, item in value.items()
        }
    if isinstance(value, list):
        return [_plain(item, key, where, budget, depth + 1) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return key if value == "@metric" and key in OWN_WORDS else value
    raise ConfigurationError(f"{where}: {value!r} is not a number, text, boolean, list or mapping")
