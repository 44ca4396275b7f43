"""What ``--submission`` names: files and folders, and what each of them is called.

A name leads back to its author, is the same whoever else hands in as far as that can be, and
is nobody else's. Nothing is opened here.
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
    """One file or folder.

    Attributes:
        path: absolute.
        name: what it is called in tables, ids and file names.
        shown: the last parts of its path, as many as tell it from the others.
    """

    path: Path
    name: str
    shown: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Match:
    """A path; which of its parts it is named after, and from which one on it is shown."""

    path: Path
    named_after: int
    shown_from: int

    def name(self, n_around: int) -> str:
        """Its name, behind those of so many folders around it."""
        parts, at = self.path.parts, self.named_after
        is_file = at == len(parts) - 1 and not os.path.isdir(self.path)  # noqa: PTH112 -- never raises
        own = manifest.stem(self.path) if is_file else parts[at]
        return manifest.sanitise("-".join((*parts[max(at - n_around, 1) : at], own)))

    def shown(self, n_around: int) -> str:
        return str(Path(*self.path.parts[max(self.shown_from - n_around, 1) :]))


def handed_in(settings: Settings) -> list[HandedIn]:
    """Each file and folder once, in the order of the command line.

    What a pattern's ``*`` stands for tells submissions apart: those of ``*/index.py`` are named
    after the folder, and so is a file whose name says nothing (``submission.py``). Others are
    named after the file or folder; where two of these are equal, the folders around come first
    (``ada-index``). A number is the last resort.

    Raises:
        ConfigurationError: a name or a pattern that nothing has.
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
    """In order, and without what nobody wrote."""
    found = sorted(glob.glob(str(pattern)))  # noqa: PTH207 -- absolute patterns
    matches = [_match(Path(path), pattern) for path in found]
    return [
        match
        for match in matches
        if not any(map(shape.is_left_behind, match.path.parts[match.shown_from :]))
    ]


def _distinct(matches: Iterable[_Match], words: Callable[[_Match, int], str]) -> dict[Path, str]:
    """The words for each: those that two share say as much more of the path as tells them apart."""
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
    """Number what is still equal: ``index``, ``index~2``."""
    seen: dict[str, int] = {}
    result = {}
    for path, name in names.items():
        number = seen[name] = seen.get(name, 0) + 1
        result[path] = name if number == 1 else f"{name}~{number}"
    return result
