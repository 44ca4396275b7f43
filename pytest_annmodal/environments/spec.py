"""Reads ``NAME@SPEC`` from its text; of the disk it checks only whether paths exist.

============================================  ====================================================
``0.7.0``  ``==0.7.*``  ``>=0.7,<0.8``        the distribution of the implementation's header
``hnswlib==0.7.0``                            any requirement; it takes the header's place
``./checkout``  ``./dist/my.whl``             a project or a wheel, instead of that distribution
``git+file:///…@REF``  ``git+https://…@REF``  a commit, instead of that distribution
``working-tree``                              the project of the rootdir
``installed``                                 what is there now: no environment of its own
============================================  ====================================================

``+REQUIREMENT`` adds one, ``;python=3.12`` at the end names another Python.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.manifests import narrowing
from pytest_annmodal.manifests.requirements import DISTRIBUTIONS
from pytest_annmodal.model import Environment, Implementation
from pytest_annmodal.settings.option import expanded

SIGN = "@"  # not allowed in an implementation's name
INSTALLED, WORKING_TREE = "installed", "working-tree"
NUMPY = "numpy"  # the only package that the worker itself needs
GIT = "git+"
PYTHON = re.compile(r";\s*python\s*=\s*(\d+\.\d+)\s*$")
PATH_STARTS = ("./", "../", "/", "~")
PROJECT_FILES = ("pyproject.toml", "setup.py")
FORMS = (
    "a version (0.7.0), a specifier (==0.7.*), a requirement (hnswlib==0.7.0), ./FOLDER, "
    "./FILE.whl, git+URL@REF, working-tree or installed"
)


def split(text: str) -> tuple[str, str | None, str | None]:
    """Splits ``hnswlib@0.7.0[ef=30]`` into name, spec and setting; the last two may be None."""
    whole, setting = narrowing.split_pattern(text)
    name, sign, spec = whole.partition(SIGN)
    return name, (spec if sign else None), setting


def with_spec(
    implementation: Implementation, spec: str, *, rootdir: Path, asked: str
) -> Implementation:
    """Returns the implementation with the name ``NAME@SPEC`` and its own environment.

    Args:
        rootdir: the project of ``working-tree``; also searched for paths that are not in the
            current folder.
        asked: the request, for errors: ``--impl hnswlib@0.7.0``.

    Raises:
        ConfigurationError: the spec is invalid, or does not apply to this implementation.
    """
    if not implementation.trusted:
        raise ConfigurationError(
            f"{asked}: {implementation.name} is a submission, and packages are never installed "
            f"for one. Run it without {SIGN}{spec}, or as trusted code with "
            "--ann-implementations"
        )
    name = f"{implementation.name}{SIGN}{spec}"
    if spec == INSTALLED:
        return dataclasses.replace(implementation, name=name)
    if implementation.style == "c++":
        raise ConfigurationError(f"{asked}: a C++ file uses no Python packages; leave out @{spec}")
    python = PYTHON.search(spec)
    try:
        parts = _parts(spec[: python.start()] if python else spec, rootdir)
        wanted = _requirements(implementation, parts, rootdir)
    except ConfigurationError as error:
        raise ConfigurationError(f"{asked}: {error}") from error
    environment = Environment(
        spec=spec, requirements=tuple(wanted), python=python[1] if python else ""
    )
    return dataclasses.replace(implementation, name=name, environment=environment)


def _parts(text: str, rootdir: Path) -> list[str]:
    """Splits the text at ``+`` signs, except in ``git+`` and in existing paths."""
    words = text.strip().split("+")
    parts: list[str] = []
    while words:
        n = 2 if words[0] == "git" else 1
        if words[0].startswith(PATH_STARTS):
            lengths = range(len(words), 0, -1)
            there = (n for n in lengths if _place("+".join(words[:n]), rootdir).exists())
            n = next(there, 1)
        parts.append("+".join(words[:n]).strip())
        words = words[n:]
    if not all(parts):
        raise ConfigurationError(f"a part of the spec is empty; expected {FORMS}")
    return parts


def _requirements(
    implementation: Implementation, parts: Sequence[str], rootdir: Path
) -> Iterable[str]:
    """Returns all requirements: those of the spec, then the header's others, and numpy."""
    own = _own(implementation)
    found = [_requirement(part, implementation, own, rootdir) for part in parts]
    instead = {_called(text) for text in found}
    if "" in instead:  # a project, a wheel or a commit replaces the header's distribution
        instead |= set(own[:1])
    kept = [text for text in implementation.requirements if _called(text) not in instead]
    named = {_called(text) for text in (*found, *kept)}
    return (*found, *kept, *([] if NUMPY in named else [NUMPY]))


def _own(implementation: Implementation) -> list[str]:
    """Returns the names in the header, numpy last, so that its own distribution is first."""
    names = [name for text in implementation.requirements if (name := _called(text))]
    return sorted(names, key=lambda name: name == NUMPY)


def _requirement(
    part: str, implementation: Implementation, own: Sequence[str], rootdir: Path
) -> str:
    """Returns one part as an installer takes it, paths as absolute ones."""
    if part.startswith(GIT):
        return part
    if part == WORKING_TREE:
        return str(_project(rootdir, part))
    if part.startswith(PATH_STARTS) or (part.endswith(".whl") and "://" not in part):
        place = _place(part, rootdir)
        return str(place if place.suffix == ".whl" else _project(place, part))
    if (version := _specifier(part)) is None:
        _check(part)
        return part
    if not own:
        modules = [DISTRIBUTIONS.get(module, module) for module in implementation.modules]
        example = next((name for name in modules if name != NUMPY), "NAME")
        raise ConfigurationError(
            f"{implementation.name} has no header that names its distribution; "
            f"add its name: {implementation.name}{SIGN}{example}{version}"
        )
    return own[0] + version


def _specifier(part: str) -> str | None:
    """Returns ``==0.7.0`` for a version, a specifier unchanged, None for anything else."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion, Version

    try:
        Version(part)
    except InvalidVersion:
        try:
            return str(SpecifierSet(part))
        except InvalidSpecifier:
            return None
    return f"=={part}"


def _check(part: str) -> None:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        url = Requirement(part).url
    except InvalidRequirement as error:
        raise ConfigurationError(f"{part!r} is not {FORMS}") from error
    if url is not None:
        raise ConfigurationError(f"{part!r}: write the address alone, as git+URL@REF")


def _called(requirement: str) -> str:
    """Returns the distribution that a requirement names; "" for a path or a commit."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    try:
        return canonicalize_name(Requirement(requirement).name)
    except InvalidRequirement:
        return ""


def _place(text: str, rootdir: Path) -> Path:
    """Returns a path relative to the current folder, or else to the rootdir."""
    here = expanded(text, Path.cwd(), SIGN)
    there = here if here.exists() else expanded(text, rootdir, SIGN)
    return Path(os.path.normpath(there if there.exists() else here))


def _project(place: Path, part: str) -> Path:
    if not place.is_dir():
        raise ConfigurationError(f"{part}: there is no such folder or wheel ({place})")
    if not any((place / name).is_file() for name in PROJECT_FILES):
        raise ConfigurationError(
            f"{part}: {place} has neither pyproject.toml nor setup.py, so it cannot be installed"
        )
    return place
