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
from pytest_annmodal.model import Baseline, Implementation, Job
from pytest_annmodal.settings.config import Settings
from pytest_annmodal.settings.nearest import nearest_names


def choose(
    settings: Settings,
    offered: Sequence[Implementation],
    *,
    remote: bool = False,
    beside: Job | None = None,
) -> Baseline | None:
    """Returns the session's baseline: the first named build with all its named searches.

    ``name`` names all settings, ``name[SETTING]`` those that ``--impl`` would choose.

    Args:
        beside: the candidate's job. Its build is used instead of the first one, if the baseline
            has it. Another version of the same implementation, named without a setting, has the
            candidate's build and all its searches too, since ``--ann-param`` may have set them.

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
    same = beside is not None and beside.implementation.name.partition(environments.SIGN)[0] == name
    follows = beside is not None and (beside.build in builds or (same and setting is None))
    chosen = beside.build if beside is not None and follows else builds[0]
    searches = [
        one.search for one in fitting.variants if one.build == chosen or chosen not in builds
    ]
    if beside is not None and same and setting is None:
        searches += [one.arguments for one in beside.searches]
    return Baseline(
        implementation=portable(dataclasses.replace(found, variants=())),
        build=chosen,
        searches=tuple({arguments.key: arguments for arguments in searches}.values()),
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
