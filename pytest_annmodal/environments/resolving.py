"""Resolves an environment to exact versions, commits and contents, and makes its key."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pytest_annmodal.environments import interpreters, projects
from pytest_annmodal.environments.installers import NO_NETWORK, resolve_version, surroundings
from pytest_annmodal.environments.kept import remembered
from pytest_annmodal.environments.spec import GIT
from pytest_annmodal.errors import EnvironmentBuildError, ExecutorError
from pytest_annmodal.model import Environment

EDITION = 1  # raise it when environments are made in another way
COMMIT = re.compile(r"[0-9a-f]{40}")
GIT_TIMEOUT_S = 60
DAY_S = 24 * 3600.0  # how long the version of a range is cached; branches are not cached


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """An environment with exact versions of all parts that its spec names.

    Attributes:
        key: name of its folder; equal for equal packages and the same interpreter.
        portable_key: likewise, without parts specific to this machine, for a container's image.
        requirements: for an installer; folders and wheels by absolute path.
        python, version: path and version of the interpreter to make it from.
    """

    key: str
    portable_key: str
    requirements: tuple[str, ...]
    python: str
    version: str


@lru_cache
def resolve(environment: Environment) -> Resolved:
    """Resolves an environment, once per process so that a session measures one state.

    Raises:
        EnvironmentBuildError: there is no such version, commit, folder or Python.
        ExecutorError: it cannot be looked up without a network.
    """
    python, version = interpreters.find(environment.python)
    first, *others = environment.requirements
    fixed = (_fixed(first, python), *map(_commit_of, others))
    contents = [_content(requirement) for requirement in fixed]
    name = re.sub(r"[^A-Za-z0-9.]+", "-", _short(fixed[0])).strip("-.")[-40:]
    minor = ".".join(version.split(".")[:2])
    return Resolved(
        key=_key(name, contents, python, version, platform.machine()),
        portable_key=_key(name, contents, minor),
        requirements=fixed,
        python=python,
        version=version,
    )


def _key(name: str, contents: Sequence[Sequence[str]], *made_for: str) -> str:
    words = json.dumps([contents, made_for, EDITION]).encode("utf-8", "surrogateescape")
    return f"{name}-{hashlib.sha256(words).hexdigest()[:16]}"


def _short(requirement: str) -> str:
    return Path(requirement).name if is_path(requirement) else requirement.removeprefix(GIT)


def is_path(requirement: str) -> bool:
    return requirement.startswith("/")


def _content(requirement: str) -> Sequence[str]:
    if not is_path(requirement):
        return [requirement]
    place = Path(requirement)
    if place.is_dir():
        return ["folder", projects.digest(place)]
    try:
        with place.open("rb") as stream:
            return ["wheel", place.name, hashlib.file_digest(stream, "sha256").hexdigest()]
    except OSError as error:
        raise EnvironmentBuildError(f"{place} cannot be read: {error.strerror}") from error


def _fixed(requirement: str, python: str) -> str:
    """Returns the spec's requirement, with the version that an installer would take now."""
    if requirement.startswith(GIT):
        return _commit_of(requirement)
    if is_path(requirement):
        return requirement
    if exact := _exact(requirement):
        return exact
    indexes = sorted(one for one in os.environ.items() if one[0].startswith(("PIP_", "UV_")))
    found = remembered(
        f"{requirement} {python}",
        lambda: resolve_version(requirement, python),
        requirement,
        for_s=DAY_S,
        asked_of=repr(indexes),
    )
    return _exact(found) or found


def _exact(requirement: str) -> str | None:
    """Returns a requirement of one exact version in normal form; None for a range."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_version

    parsed = Requirement(requirement)
    clauses = [(clause.operator, clause.version) for clause in parsed.specifier]
    if not any(sign in {"==", "==="} and not version.endswith(".*") for sign, version in clauses):
        return None
    (sign, version), *others = clauses
    if others or sign != "==" or parsed.extras or parsed.marker:
        return requirement
    return f"{parsed.name}=={canonicalize_version(version)}"


def _commit_of(requirement: str) -> str:
    """Returns the requirement with the commit of its branch or tag; others unchanged."""
    if not requirement.startswith(GIT):
        return requirement
    address, hash_sign, fragment = requirement.removeprefix(GIT).partition("#")
    start = address.find("://") + 3
    host, slash, path = address[start:].partition("/")
    path, _, ref = path.partition("@")
    url = address[:start] + host + slash + path
    commit = ref
    if not COMMIT.fullmatch(ref):
        commit = remembered(requirement, lambda: _look_up(url, ref or "HEAD"), requirement)
    return f"{GIT}{url}@{commit}{hash_sign}{fragment}"


def _look_up(url: str, ref: str) -> str:
    if urlsplit(url).scheme == "file":
        place = unquote(urlsplit(url).path)
        said = _git("-C", place, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", url=url)
        if commit := COMMIT.search(said):
            return commit[0]
    else:
        names = [f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}", f"refs/heads/{ref}", ref]
        lines = _git("ls-remote", url, *names, url=url).splitlines()
        found = {name: commit for commit, _, name in (line.partition("\t") for line in lines)}
        if commit_of := next((found[name] for name in names if name in found), None):
            return commit_of
    raise EnvironmentBuildError(
        f"{url} has no branch or tag {ref!r}; write a commit with all 40 digits"
    )


def _git(*words: str, url: str) -> str:
    if shutil.which("git") is None:
        raise ExecutorError(f"git is not installed, and {url} needs it")
    try:
        done = subprocess.run(
            ["git", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=GIT_TIMEOUT_S,
            env={**surroundings(os.environ), "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired as error:
        raise ExecutorError(f"{url} did not answer within {GIT_TIMEOUT_S} s") from error
    if done.returncode and done.stderr.strip():
        said = done.stderr.strip()
        kind = ExecutorError if NO_NETWORK.search(said) else EnvironmentBuildError
        raise kind(f"{url} cannot be read: {said.splitlines()[-1]}")
    return done.stdout
