"""What is defined on Modal: the app, the volume and the functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import modal

from pytest_annmodal.executors.modal import container, referee, restricted
from pytest_annmodal.executors.modal.images import Requirements, image_for, requirements_of
from pytest_annmodal.model import Implementation
from pytest_annmodal.settings.config import Settings

APP_NAME = "pytest-annmodal"
MOUNT = "/data"
DOWNLOAD_TIMEOUT_S = 4 * 3600
REFEREE_WAITS_S = 600
Runner = tuple[Requirements, bool]  # what is installed, and whether the code is trusted


def runner_of(implementation: Implementation) -> Runner:
    """What tells the function that an implementation needs from the others."""
    return requirements_of(implementation), implementation.trusted


class Cloud:
    """The app, its volume and its functions: ``download_dataset``, one per kind of runner, and
    a ``referee`` where there are submissions.

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
            image=image_for(()),
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
                image=image_for(()),
                volumes={MOUNT: self.volume},
                max_containers=1,  # keeps the truth of the session's fresh queries
                scaledown_window=REFEREE_WAITS_S,
                **sized,
            )(referee.referee)

    def _runner(self, runner: Runner, suffix: str, sized: dict[str, Any]) -> Any:
        """A function for trusted code, or the restricted one that a submission gets."""
        requirements, trusted = runner
        options: dict[str, Any] = {
            "image": image_for(requirements, truth=trusted),
            "single_use_containers": True,  # nothing of one job is left for the next
            "block_network": True,
            **sized,
        }
        if trusted:
            volume = self.volume.with_mount_options(read_only=True)
            return self.app.function(
                name=f"run_benchmark{suffix}", volumes={MOUNT: volume}, **options
            )(container.run_benchmark)
        # No truth is in the directory, and the volume cannot be had through Modal either.
        volume = self.volume.with_mount_options(read_only=True, sub_path=restricted.PUBLISHED)
        return self.app.function(
            name=f"ask_submission{suffix}",
            volumes={MOUNT: volume},
            restrict_modal_access=True,
            _experimental_restrict_output=True,
            **options,
        )(restricted.ask_submission)

    def runner_for(self, implementation: Implementation) -> Any:
        """The function in whose image the implementation finds its packages, or None."""
        if self._universal:
            trusted = implementation.trusted
            return next(f for runner, f in self.runners.items() if runner[1] == trusted)
        return self.runners.get(runner_of(implementation))

    @property
    def where(self) -> dict[str, Any]:
        return {
            "volume": self.settings.modal_volume,
            "mount": MOUNT,
            "memory_bytes": self.settings.modal_memory_mb * 2**20,
        }
