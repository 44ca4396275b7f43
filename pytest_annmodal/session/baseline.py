"""Finds the implementation, build and settings that ``--ann-baseline`` names."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence

from pytest_annmodal.environments import spec as environments
from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.manifests import narrowing
from pytest_annmodal.manifests.builtin_paths import is_builtin, portable
from pytest_annmodal.manifests.requirements import missing_requirements
from pytest_annmodal.model import Arguments, Baseline, Implementation
from pytest_annmodal.settings.config import Settings
from pytest_annmodal.settings.nearest import nearest_names


def choose(
    settings: Settings,
    offered: Sequence[Implementation],
    *,
    remote: bool = False,
    build: Arguments | None = None,
) -> Baseline | None:
    """Returns the session's baseline: the first named build with all its named searches.

    ``name`` names all settings, ``name[SETTING]`` those that ``--impl`` would choose.

    Args:
        build: used instead of the first build, if the baseline has it.

    Raises:
        ConfigurationError: there is no such implementation or variant, or it cannot be a baseline.
    """
    wanted = settings.baseline
    if wanted is None:
        return None
    name, spec, setting = environments.split(wanted)
    found = _named(name, wanted, offered)
    if spec is not None:
        asked = f"--ann-baseline {wanted}"
        found = environments.with_spec(found, spec, rootdir=settings.rootdir, asked=asked)
    _refuse(found, settings.executor, remote=remote)
    fitting = narrowing.of_settings(found, [setting])
    if fitting is None:
        raise ConfigurationError(
            f"--ann-baseline {wanted}: {narrowing.why_none([found], setting or '')}"
        )
    builds = [variant.build for variant in fitting.variants]
    chosen = build if build in builds else builds[0]
    variants = [variant for variant in fitting.variants if variant.build == chosen]
    return Baseline(
        implementation=portable(dataclasses.replace(found, variants=())),
        build=chosen,
        searches=tuple(variant.search for variant in variants),
        max_sessions=settings.sessions,
        difference=settings.difference / 100,
    )


def _named(name: str, wanted: str, offered: Sequence[Implementation]) -> Implementation:
    for item in offered:
        if item.name == name:
            return item
    trusted = [item.name for item in offered if item.trusted]
    raise ConfigurationError(
        f"--ann-baseline {wanted}: no such implementation{nearest_names(name, trusted)} "
        f"Known: {', '.join(sorted(trusted))}."
    )


def _refuse(found: Implementation, executor: str, *, remote: bool) -> None:
    if not found.trusted:
        raise ConfigurationError(
            f"--ann-baseline {found.name} is a submission; a baseline must be trusted "
            "(a built-in, or from --ann-implementations)"
        )
    if remote:
        if not is_builtin(found):
            raise ConfigurationError(
                f"--ann-baseline {found.name}: with --{executor} it must be a built-in; only the "
                "submission's own files are shipped"
            )
    elif found.environment is None and (missing := missing_requirements(found)):
        raise ConfigurationError(
            f"--ann-baseline {found.name} needs: pip install {shlex.join(missing)}"
        )
