"""Adds the environments of ``NAME@SPEC`` to an image."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path, PurePosixPath

import modal

from pytest_annmodal.environments import projects
from pytest_annmodal.environments.resolving import Resolved, is_path, resolve
from pytest_annmodal.environments.spec import GIT
from pytest_annmodal.model import Implementation, Job

ENVIRONMENTS = "/opt/annmodal/environments"
SOURCES = "/opt/annmodal/sources"
# Where uv puts an interpreter that the image lacks, while it is built; readable by all.
BUILT_WITH = {"UV_PYTHON_INSTALL_DIR": "/opt/annmodal/python", "UV_NO_CACHE": "1"}


def in_image(job: Job) -> Job:
    """Returns the job with the folders of its environments in its image.

    Raises:
        EnvironmentBuildError, ExecutorError: a spec cannot be resolved here.
    """
    baseline = job.baseline
    if baseline is not None:
        placed = _placed(baseline.implementation)
        baseline = dataclasses.replace(baseline, implementation=placed)
    implementation = _placed(job.implementation)
    return dataclasses.replace(job, implementation=implementation, baseline=baseline)


def _placed(implementation: Implementation) -> Implementation:
    environment = implementation.environment
    if environment is None:
        return implementation
    folder = f"{ENVIRONMENTS}/{resolve(environment).portable_key}"
    return dataclasses.replace(
        implementation, environment=dataclasses.replace(environment, folder=folder)
    )


def with_environment(image: modal.Image, resolved: Resolved) -> modal.Image:
    """Adds an environment in a folder of its own to an image that has uv.

    Of a project's folder, files in its ``.gitignore`` are not shipped.
    """
    words = []
    for number, requirement in enumerate(resolved.requirements):
        there = PurePosixPath(
            SOURCES, f"{resolved.portable_key}-{number}", PurePosixPath(requirement).name
        )
        if not is_path(requirement):
            words.append(requirement)
            continue
        words.append(str(there))
        if Path(requirement).is_file():
            image = image.add_local_file(requirement, str(there), copy=True)
        else:
            image = image.add_local_dir(
                requirement, str(there), copy=True, ignore=_not_of(Path(requirement))
            )
    folder = f"{ENVIRONMENTS}/{resolved.portable_key}"
    python = ".".join(resolved.version.split(".")[:2])
    return image.run_commands(
        shlex.join(["uv", "venv", "--no-project", "--python", python, folder]),
        shlex.join(["uv", "pip", "install", "--python", f"{folder}/bin/python", *words]),
        env=dict(BUILT_WITH),
    )


class _not_of:  # noqa: N801 -- used as a function
    """Whether a path in a project's folder does not belong to the project."""

    def __init__(self, folder: Path) -> None:
        self._files = frozenset(projects.files_of(folder))

    def __call__(self, path: Path) -> bool:
        return path.as_posix() not in self._files


def needs_git(resolved: Resolved) -> bool:
    return any(requirement.startswith(GIT) for requirement in resolved.requirements)
