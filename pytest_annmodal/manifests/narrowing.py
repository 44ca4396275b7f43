"""Chooses settings of an implementation: by value, by run group, or with the user's values.

The grammar of patterns is in ``docs/choosing.md``, that of values in ``docs/settings.md``.
"""

from __future__ import annotations

import difflib
import fnmatch
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.manifests.header import MAX_VARIANTS
from pytest_annmodal.model import Arguments, Implementation, Plain, Target, Variant
from pytest_annmodal.settings import grid
from pytest_annmodal.settings.nearest import nearest_names
from pytest_annmodal.settings.option import split_values

SHOWN = 8  # most values in a message


@dataclass(frozen=True, slots=True)
class _Value:
    """One value of a setting.

    Attributes:
        name: of its parameter, if known.
        shows_name: whether ids and tables show the name, too.
    """

    name: str | None
    value: Plain
    shows_name: bool = True


def split_pattern(text: str) -> tuple[str, str | None]:
    """Splits ``hnswlib[M=16,*]`` into the name ``hnswlib`` and the setting ``M=16,*`` or None."""
    name, bracket, setting = text.partition("[")
    return (name, setting[:-1]) if bracket and text.endswith("]") else (text, None)


def of_settings(item: Implementation, settings: Sequence[str | None]) -> Implementation | None:
    """Returns the implementation with the settings that match any pattern; None if none does.

    The pattern None matches all settings.
    """
    if None in settings:
        return item
    wanted = [(text, *_pattern(text)) for text in settings if text is not None]
    kept = tuple(
        variant
        for variant in item.variants
        if any(
            fnmatch.fnmatchcase(variant.label, text) or _fits(_values(item, variant), named, bare)
            for text, named, bare in wanted
        )
    )
    return replace(item, variants=kept) if kept else None


def why_none(items: Sequence[Implementation], setting: str) -> str:
    """Returns why no setting of these matches a pattern: an unknown parameter, or its values."""
    known = parameters(items)
    named, _ = _pattern(setting)
    for name in named:
        if name not in known:
            return f"{items[0].name} has no parameter {name!r}{_nearest(name, known)}"
    known_values = {name: _known_values(items, name) for name in named}
    missing = {
        name: pattern
        for name, pattern in named.items()
        if not any(_matches(value, pattern) for value in known_values[name])
    }
    if not missing:  # each value exists, but not all in one setting
        labels = [variant.label for item in items for variant in item.variants]
        return f"no such setting; it has {some_of(setting, labels)}"
    wanted = ", ".join(f"{name}={pattern}" for name, pattern in missing.items())
    ranges = (f"{name} is {_one_of([*map(json.dumps, known_values[name])])}" for name in missing)
    return (
        f"no setting with {wanted}; {' and '.join(ranges)}. "
        "To use values of your own, add --ann-param."
    )


def some_of(wanted: str, labels: Sequence[str]) -> str:
    """Returns a few labels in full; of many, their number and those most like the wanted one."""
    if len(labels) <= SHOWN:
        return ", ".join(labels)
    near = difflib.get_close_matches(wanted, labels, n=3, cutoff=0) or labels[:3]
    return f"{len(labels):,}, among them {', '.join(near)}"


def in_groups(items: Sequence[Implementation], patterns: Sequence[str]) -> list[Implementation]:
    """Returns the implementations with run groups of these names, with only their settings.

    Raises:
        ConfigurationError: no run group matches a name or pattern.
    """
    if not patterns:
        return list(items)
    known = {group for item in items for variant in item.variants for group in variant.groups}
    for pattern in patterns:
        if not fnmatch.filter(known, pattern):
            there = f" There is {_one_of(sorted(known))}." if known else " There are no run groups."
            raise ConfigurationError(
                f"--ann-run-group {pattern}: nothing selected has such a run group"
                f"{nearest_names(pattern, known)}{there}"
            )

    def kept(variant: Variant) -> bool:
        return any(fnmatch.filter(variant.groups, pattern) for pattern in patterns)

    found = [replace(item, variants=tuple(filter(kept, item.variants))) for item in items]
    return [item for item in found if item.variants]


def with_values(
    items: Sequence[Implementation],
    wanted: Sequence[tuple[str, tuple[str, ...]]],
    *,
    source: str = "--ann-param",
    builds_only: bool = False,
    among: Sequence[Implementation] | None = None,
) -> list[Implementation]:
    """Replaces the values of parameters in every implementation that has them.

    Args:
        wanted: names, and texts as :mod:`pytest_annmodal.settings.grid` reads them.
        source: the option or key, for errors.
        builds_only: keep the values of search arguments with the same name.
        among: implementations that must know each name; by default ``items``.

    Raises:
        ConfigurationError: no implementation has a name, or a range is impossible.
    """
    merged: dict[str, tuple[Plain, ...]] = {}
    for name, texts in wanted:
        try:
            merged[name] = (*merged.get(name, ()), *grid.values(texts))
        except ConfigurationError as error:
            raise ConfigurationError(f"{source} {name}: {error}") from error
    there = items if among is None else among
    sides = [item if not builds_only else _builds_of(item) for item in there]
    known = parameters(sides)
    what = "build parameter" if builds_only else "parameter"
    for name in merged:
        if name not in known:
            raise ConfigurationError(
                f"{source} {name}: nothing selected has such a {what}{_nearest(name, known)}"
            )
    found = list(items)
    for name, values in merged.items():
        found = [_with_values(item, name, values, builds_only=builds_only) for item in found]
    return found


def _builds_of(item: Implementation) -> Implementation:
    """Returns the implementation without search arguments."""
    variants = tuple(replace(variant, search=Arguments()) for variant in item.variants)
    return replace(item, variants=variants)


def with_targets(item: Implementation, recalls: Sequence[float], budget_s: float) -> Implementation:
    """Returns each build once per target recall, with search arguments still to be found.

    Args:
        budget_s: time limit for finding them.
    """
    builds: dict[str, list[Variant]] = {}
    for variant in item.variants:
        builds.setdefault(variant.build.key, []).append(variant)
    variants = tuple(
        replace(
            group[0],
            target=Target(
                recall=recall,
                settings=tuple(one.search for one in group[:MAX_VARIANTS]),
                budget_s=budget_s,
            ),
        )
        for group in builds.values()
        for recall in sorted(set(recalls))
    )
    return replace(item, variants=variants)


def limited(item: Implementation) -> Implementation:
    """Returns the implementation, with an error if it has too many settings to run."""
    if len(item.variants) <= MAX_VARIANTS:
        return item
    error = (
        f"{item.name} has {len(item.variants):,} settings; at most {MAX_VARIANTS:,} are run: "
        f"choose some (--impl '{item.name}[PARAMETER=VALUE]', --ann-run-group, --ann-param)"
    )
    return replace(item, variants=item.variants[:1], error=error)


def parameters(items: Iterable[Implementation]) -> list[str]:
    """Returns the names of all parameters, each once, in the order of the settings."""
    found = (
        value.name
        for item in items
        for variant in item.variants
        for value in _values(item, variant)
    )
    return list(dict.fromkeys(name for name in found if name is not None))


def _pattern(text: str) -> tuple[Mapping[str, str], Sequence[str]]:
    """Returns the parts ``name=pattern`` of a pattern, and the other parts in order."""
    parts = [part.strip() for part in split_values(text)]
    named = dict(part.split("=", 1) for part in parts if "=" in part)
    return named, [part for part in parts if "=" not in part]


def _fits(values: Sequence[_Value], named: Mapping[str, str], bare: Sequence[str]) -> bool:
    of_name = {value.name: value.value for value in values if value.name is not None}
    if not all(name in of_name and _matches(of_name[name], named[name]) for name in named):
        return False
    shown = [value.value for value in values if not value.shows_name]
    if len(bare) > len(shown) and set(bare[len(shown) :]) != {"*"}:
        return False
    return all(_matches(value, pattern) for value, pattern in zip(shown, bare, strict=False))


def _matches(value: Plain, pattern: str) -> bool:
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return (
        text == pattern or fnmatch.fnmatchcase(text, pattern) or _equal(value, grid.read(pattern))
    )


def _equal(one: Plain, other: Plain) -> bool:
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _values(item: Implementation, variant: Variant) -> list[_Value]:
    """Returns all values of a setting, in the order of ids."""
    found: list[_Value] = []
    for arguments, names in (
        (variant.build, item.build_names),
        (variant.search, item.search_names),
    ):
        for position, value in enumerate(arguments.args):
            if isinstance(value, Mapping):
                found += [_Value(name, one) for name, one in value.items()]
            elif not (isinstance(value, str) and value.startswith("@")):
                name = names[position] if position < len(names) else None
                found.append(_Value(name, value, shows_name=False))
        found += [_Value(name, one) for name, one in arguments.kwargs.items()]
    return found


def _known_values(items: Sequence[Implementation], name: str) -> list[Plain]:
    """Returns each value of a parameter once, in the order of the settings."""
    found = (
        value.value
        for item in items
        for variant in item.variants
        for value in _values(item, variant)
        if value.name == name
    )
    return list({json.dumps(value): value for value in found}.values())


def _with_values(
    item: Implementation, name: str, values: Sequence[Plain], *, builds_only: bool
) -> Implementation:
    """Keeps settings with one of the values; a value that none has replaces the others."""

    def known(variant: Variant) -> list[Plain]:
        seen = replace(variant, search=Arguments()) if builds_only else variant
        return [one.value for one in _values(item, seen) if one.name == name]

    having = [(variant, known(variant)) for variant in item.variants]
    having = [(variant, own) for variant, own in having if own]
    if not having:
        return item
    found: dict[tuple[str, str, float | None], Variant] = {}
    for value in values:
        same = [variant for variant, own in having if any(_equal(one, value) for one in own)]
        changed = same or [
            _replaced(item, v, name, value, builds_only=builds_only) for v, _ in having
        ]
        for variant in changed:
            goal = None if variant.target is None else variant.target.recall
            found.setdefault((variant.build.key, variant.search.key, goal), variant)
    return replace(item, variants=tuple(found.values()))


def _replaced(
    item: Implementation, variant: Variant, name: str, value: Plain, *, builds_only: bool
) -> Variant:
    search = variant.search
    return replace(
        variant,
        build=_set(variant.build, item.build_names, name, value),
        search=search if builds_only else _set(search, item.search_names, name, value),
    )


def _set(arguments: Arguments, names: Sequence[str], name: str, value: Plain) -> Arguments:
    def one(position: int, old: Plain) -> Plain:
        if isinstance(old, Mapping):
            return {**old, name: value} if name in old else old
        placeholder = isinstance(old, str) and old.startswith("@")
        named = position < len(names) and names[position] == name
        return value if named and not placeholder else old

    kwargs = arguments.kwargs
    return Arguments(
        args=tuple(one(position, old) for position, old in enumerate(arguments.args)),
        kwargs={**kwargs, name: value} if name in kwargs else kwargs,
    )


def _nearest(name: str, known: Sequence[str]) -> str:
    alike = [other for other in known if other.lower() == name.lower()]
    near = nearest_names(alike[0] if alike else name, known)
    if near != ".":
        return near
    return f"; there is {_one_of(known)}." if known else "; it has none."


def _one_of(values: Sequence[str]) -> str:
    more = ", …" if len(values) > SHOWN else ""
    return f"one of {', '.join(values[:SHOWN])}{more}" if len(values) > 1 else str(values[0])
