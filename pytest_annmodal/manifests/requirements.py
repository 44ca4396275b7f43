"""Finds the requirements of an implementation that are not installed, without importing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import sys
from typing import TYPE_CHECKING

from pytest_annmodal.model import Implementation

if TYPE_CHECKING:
    from packaging.requirements import Requirement

# Builds of a library for other hardware count as equal: conda's "faiss" and "faiss-gpu"
# satisfy "faiss-cpu".
BUILD_SUFFIX = re.compile(r"-(cpu|gpu|cu\d+|gpu-cu\d+)$")
BUILD_SUFFIXES = ("", "-cpu", "-gpu", "-cu11", "-cu12", "-gpu-cu11", "-gpu-cu12")
# Distributions of modules with another name.
DISTRIBUTIONS = {"faiss": "faiss-cpu", "sklearn": "scikit-learn", "yaml": "PyYAML"}


def missing_requirements(implementation: Implementation) -> list[str]:
    """Returns what to ``pip install`` to run ``implementation``; empty if nothing is missing.

    Checks the header's requirements against the installed distributions, or without them the
    modules that the file imports. Invalid requirements count as missing.
    """
    missing = [text for text in implementation.requirements if not _is_installed(text)]
    absent = [name for name in implementation.modules if not _is_importable(name)]
    return missing + [DISTRIBUTIONS.get(name, name) for name in absent]


def _is_installed(text: str) -> bool:
    from packaging.requirements import Requirement

    try:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate():
            return True  # it is for another platform or Python
        return any(_satisfies(name, requirement) for name in _spellings(requirement.name))
    except ValueError:  # also for a version or a marker that cannot be compared
        return False


def _spellings(name: str) -> list[str]:
    stem = BUILD_SUFFIX.sub("", name)
    return [name] if stem == name else [name, *(stem + suffix for suffix in BUILD_SUFFIXES)]


def _satisfies(name: str, requirement: Requirement) -> bool:
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    # A development build of a library under test also satisfies "annoy>=1.17".
    return requirement.specifier.contains(version, prereleases=True)


def _is_importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):  # a module that is loaded but has no spec
        return name in sys.modules


def installed(implementation: Implementation) -> dict[str, str]:
    """Returns the installed versions of its requirements; ``missing`` for absent ones."""
    from packaging.requirements import InvalidRequirement, Requirement

    wanted = [DISTRIBUTIONS.get(name, name) for name in implementation.modules]
    for text in implementation.requirements:
        try:
            wanted.append(Requirement(text).name)
        except InvalidRequirement:
            wanted.append(text)
    return {name: _version(name) or "missing" for name in sorted(set(wanted))}


def _version(name: str) -> str | None:
    for spelling in _spellings(name):
        try:
            return importlib.metadata.version(spelling)
        except (importlib.metadata.PackageNotFoundError, ValueError):
            continue
    return None
