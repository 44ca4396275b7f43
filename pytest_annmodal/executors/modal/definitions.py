"""Defines the images, app, volume and functions on Modal."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import io
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import modal

from pytest_annmodal.environments.resolving import Resolved, resolve
from pytest_annmodal.executors.modal import container, layers, referee, restricted
from pytest_annmodal.manifests.builtin_paths import PACKAGE
from pytest_annmodal.model import Implementation, Job
from pytest_annmodal.settings.config import Settings

Requirements = tuple[str, ...]
APP_NAME = "pytest-annmodal"
MOUNT = "/data"
DOWNLOAD_TIMEOUT_S = 4 * 3600
REFEREE_WAITS_S = 600
LOG_LINES = 15  # of a build that failed


class Contents(NamedTuple):
    """What an image has besides the harness: packages, and separate environments."""

    requirements: Requirements = ()
    environments: tuple[Resolved, ...] = ()


Runner = tuple[Contents, bool]  # what is installed, and whether the code is trusted

# Packages that run_job and resolve import, and cbor2 for a submission's answers. The packages
# of the plugin side are not needed.
HARNESS = (
    *("cbor2", "filelock", "h5py", "msgspec", "numpy", "packaging", "psutil", "pyyaml"),
    *("requests", "rich", "threadpoolctl"),
)
# Reads files that h5py alone cannot; in the image only if it is installed here.
OPTIONAL = ("hdf5plugin",)
REMOTE_PACKAGE = "/root/pytest_annmodal"


def pinned(requirement: str) -> str:
    """Pins a requirement to the version installed here, if any, so that both sides run the same."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        parsed = Requirement(requirement)
        version = importlib.metadata.version(parsed.name)
    except (InvalidRequirement, importlib.metadata.PackageNotFoundError):
        return requirement
    extras = f"[{','.join(sorted(parsed.extras))}]" if parsed.extras else ""
    return f"{parsed.name}{extras}=={version}"


def requirements_of(implementation: Implementation) -> Requirements:
    """Returns the pinned requirements of its header, or the modules that a plain file imports."""
    wanted = implementation.requirements or implementation.modules
    return tuple(sorted({pinned(requirement) for requirement in wanted}))


def harness() -> list[str]:
    """Returns the harness's own packages, in the versions installed here."""
    there = [name for name in OPTIONAL if importlib.util.find_spec(name) is not None]
    return [pinned(name) for name in (*HARNESS, *there)]


def image_for(contents: Contents, *, truth: bool = True) -> modal.Image:
    """Defines an image; Modal builds images with equal contents once and caches them.

    Args:
        truth: whether to ship the packaged datasets, which contain their ground truth.
    """
    packages = sorted({*harness(), *contents.requirements})
    programs = ["build-essential", "bubblewrap"]
    if contents.environments:
        packages.append("uv")
    if any(map(layers.needs_git, contents.environments)):
        programs.append("git")
    left_out = ["**/__pycache__", "**/*.pyc", "**/.*", *([] if truth else ["data"])]
    image = (
        modal.Image.debian_slim(python_version=container.python_version())
        # A compiler for annoy and hnswlib; bubblewrap to isolate submissions.
        .apt_install(*programs)
        .pip_install(*packages)
    )
    for environment in contents.environments:
        image = layers.with_environment(image, environment)
    return image.add_local_dir(Path(PACKAGE), REMOTE_PACKAGE, ignore=left_out)


def runner_of(job: Job) -> Runner:
    """Returns what a job's function must have: the packages of both sides, and whether trusted.

    Raises:
        EnvironmentBuildError, ExecutorError: a spec cannot be resolved here.
    """
    sides = [job.implementation, *([job.baseline.implementation] if job.baseline else [])]
    here = [requirements_of(side) for side in sides if side.environment is None]
    apart = [resolve(side.environment) for side in sides if side.environment is not None]
    contents = Contents(tuple(sorted({*chain(*here)})), tuple(dict.fromkeys(apart)))
    return contents, job.implementation.trusted


class Cloud:
    """The app, its volume and functions: a download, one per runner, a referee for submissions.

    With ``universal``, the first image serves every implementation.
    """

    def __init__(
        self, settings: Settings, runners: Sequence[Runner], *, universal: bool = False
    ) -> None:
        self.settings, self._universal = settings, universal
        self.app = modal.App(APP_NAME)
        self.volume = modal.Volume.from_name(settings.modal_volume, create_if_missing=True)
        shared: dict[str, Any] = {"include_source": False, "region": settings.modal_region}
        self.download = self.app.function(
            image=image_for(Contents()),
            volumes={MOUNT: self.volume},
            max_containers=1,
            timeout=DOWNLOAD_TIMEOUT_S,
            **shared,
        )(container.download_dataset)
        sized: dict[str, Any] = {
            "cpu": (settings.modal_cpu, settings.modal_cpu),
            "memory": (settings.modal_memory_mb, settings.modal_memory_mb),
            "timeout": settings.modal_timeout_s,
            **shared,
        }
        self.runners = {
            runner: self._runner(runner, f"_{number}" if number else "", sized)
            for number, runner in enumerate(dict.fromkeys(runners))
        }
        self.referee: Any = None
        if not all(trusted for _, trusted in self.runners):
            self.referee = self.app.function(
                image=image_for(Contents()),
                volumes={MOUNT: self.volume},
                max_containers=1,  # keeps the truth of the session's fresh queries
                scaledown_window=REFEREE_WAITS_S,
                **sized,
            )(referee.referee)

    def _runner(self, runner: Runner, suffix: str, sized: dict[str, Any]) -> Any:
        """Defines a function for trusted code, or the restricted one for submissions."""
        contents, trusted = runner
        options: dict[str, Any] = {
            "image": image_for(contents, truth=trusted),
            "single_use_containers": True,  # a job leaves nothing for the next one
            "block_network": True,
            **sized,
        }
        if trusted:
            volume = self.volume.with_mount_options(read_only=True)
            return self.app.function(
                name=f"run_benchmark{suffix}", volumes={MOUNT: volume}, **options
            )(container.run_benchmark)
        # The directory has no ground truth, and access to the volume through Modal is blocked.
        volume = self.volume.with_mount_options(read_only=True, sub_path=restricted.PUBLISHED)
        return self.app.function(
            name=f"ask_submission{suffix}",
            volumes={MOUNT: volume},
            restrict_modal_access=True,
            _experimental_restrict_output=True,
            **options,
        )(restricted.ask_submission)

    def runner_for(self, job: Job) -> Any:
        """Returns the function whose image has the job's packages, or None."""
        if self._universal:
            trusted = job.implementation.trusted
            return next(f for runner, f in self.runners.items() if runner[1] == trusted)
        return self.runners.get(runner_of(job))

    @property
    def where(self) -> dict[str, Any]:
        return {
            "volume": self.settings.modal_volume,
            "mount": MOUNT,
            "memory_bytes": self.settings.modal_memory_mb * 2**20,
        }


def unbuildable(images: Iterable[Contents]) -> dict[Contents, str]:
    """Returns the images that cannot be built, each with the end of its log.

    Called only after an app did not open: images that can be built are cached by then.
    """
    found = {}
    for contents in dict.fromkeys(images):
        log = _try(contents)
        if log is not None:
            found[contents] = log
    return found


def _try(contents: Contents) -> str | None:
    app = modal.App(APP_NAME)
    app.function(image=image_for(contents), include_source=False)(container.run_benchmark)
    shown = io.StringIO()
    try:
        with contextlib.redirect_stdout(shown), modal.enable_output(), app.run():
            return None
    except modal.exception.RemoteError as error:
        lines = [line.rstrip() for line in shown.getvalue().splitlines() if line.strip()]
        return "\n".join(["  " + line for line in lines[-LOG_LINES:]] or [f"  {error}"])


def why_unbuildable(contents: Contents, log: str) -> str:
    """Returns the message for a job whose image could not be built."""
    end = f"The end of the build log:\n{log}"
    if contents.environments:
        apart = " and ".join(", ".join(one.requirements) for one in contents.environments)
        return (
            "The container's image could not be built. It has a separate environment for the "
            f"@SPEC, with {apart}. {end}"
        )
    return (
        "The container's image could not be built. Besides the harness's packages it has "
        f"{', '.join(contents.requirements)}: check these dependencies in the header. {end}"
    )
