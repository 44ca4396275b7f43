"""Finds the files and folders of ``--submission`` and names each; opens none of them.

A name is unique, shows whose submission it is, and where possible does not depend on the other
submissions.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.manifests import manifest, shape
from pytest_annmodal.settings.config import Settings
from pytest_annmodal.settings.nearest import not_there
from pytest_annmodal.settings.option import expanded


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedIn:
    """A submitted file or folder.

    Attributes:
        path: absolute.
        name: its name in tables, ids and file names.
        shown: the last parts of its path, as many as distinguish it from the others.
    """

    path: Path
    name: str
    shown: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Match:
    """A path, the index of the part it is named after, and of the first part to show."""

    path: Path
    named_after: int
    shown_from: int

    def name(self, n_around: int) -> str:
        """Returns its name, with the names of ``n_around`` parent folders before it."""
        parts, at = self.path.parts, self.named_after
        is_file = at == len(parts) - 1 and not os.path.isdir(self.path)  # noqa: PTH112 -- never raises
        own = manifest.stem(self.path) if is_file else parts[at]
        return manifest.sanitise("-".join((*parts[max(at - n_around, 1) : at], own)))

    def shown(self, n_around: int) -> str:
        return str(Path(*self.path.parts[max(self.shown_from - n_around, 1) :]))


def handed_in(settings: Settings) -> list[HandedIn]:
    """Returns each submitted file and folder once, in the order of the command line.

    Matches of a pattern are named after the part with its last ``*``: those of ``*/index.py``
    after the folder, as are files with a generic name (``submission.py``). Others are named after
    the file or folder. Equal names get the names of parent folders before them (``ada-index``), or
    else a number.

    Raises:
        ConfigurationError: a path does not exist, or a pattern has no match.
    """
    found: dict[Path, _Match] = {}
    for text in settings.submission:
        place = expanded(text, settings.rootdir, "--submission").absolute()
        there = [_match(place)] if os.path.lexists(place) else _matches(place)
        if not there:
            raise ConfigurationError(f"--submission {text}: {not_there(place)}")
        for match in there:
            found.setdefault(match.path, match)
    named = _numbered(_distinct(found.values(), _Match.name))
    shown = _distinct(found.values(), _Match.shown)
    return [HandedIn(path=path, name=named[path], shown=shown[path]) for path in found]


def _match(path: Path, pattern: Path | None = None) -> _Match:
    last = len(path.parts) - 1
    wild = [at for at, part in enumerate(pattern.parts if pattern else ()) if glob.has_magic(part)]
    at = wild[-1] if wild else last
    if at == last > 1 and manifest.says_nothing(path):
        at = last - 1
    return _Match(path=path, named_after=at, shown_from=min([*wild, last]))


def _matches(pattern: Path) -> list[_Match]:
    """Returns the matches of a pattern, sorted, without files of the system or an editor."""
    found = sorted(glob.glob(str(pattern)))  # noqa: PTH207 -- absolute patterns
    matches = [_match(Path(path), pattern) for path in found]
    return [
        match
        for match in matches
        if not any(map(shape.is_left_behind, match.path.parts[match.shown_from :]))
    ]


def _distinct(matches: Iterable[_Match], words: Callable[[_Match, int], str]) -> dict[Path, str]:
    """Returns the words for each path; equal ones get as many parent folders as needed."""
    alike: dict[str, list[_Match]] = {}
    for match in matches:
        alike.setdefault(words(match, 0), []).append(match)
    result: dict[Path, str] = {}
    for group in alike.values():
        depths = range(max(len(match.path.parts) for match in group)) if len(group) > 1 else (0,)
        tried = ([words(match, depth) for match in group] for depth in depths)
        chosen = next((some for some in tried if len(set(some)) == len(group)), None)
        chosen = chosen or [words(match, 0) for match in group]
        result.update(zip((match.path for match in group), chosen, strict=True))
    return {match.path: result[match.path] for match in matches}


def _numbered(names: Mapping[Path, str]) -> dict[Path, str]:
    """Numbers names that are still equal: ``index``, ``index~2``."""
    seen: dict[str, int] = {}
    result = {}
    for path, name in names.items():
        number = seen[name] = seen.get(name, 0) + 1
        result[path] = name if number == 1 else f"{name}~{number}"
    return result
