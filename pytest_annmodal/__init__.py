"""Benchmark approximate-nearest-neighbour search from pytest, here or on Modal's cloud.

What users may import stands here and in docs/api.md, and stays; modules may move. A name is loaded
when it is asked for, since every pytest run on the machine imports this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_annmodal.command.command import Command
    from pytest_annmodal.errors import (
        AnnModalError,
        ConfigurationError,
        DatasetError,
        ExecutorError,
        VolumeError,
    )
    from pytest_annmodal.execution import run_job
    from pytest_annmodal.executors.local import LocalExecutor
    from pytest_annmodal.executors.registry import ExecutorSetup
    from pytest_annmodal.grading.rules import Rules
    from pytest_annmodal.model import Case, Dataset, Implementation, Job
    from pytest_annmodal.outcome import Failure, Measurement, Outcome
    from pytest_annmodal.plugin.fixture import AnnBenchmark
    from pytest_annmodal.plugin.hookspecs import Hooks
    from pytest_annmodal.protocols import Executor, Stored
    from pytest_annmodal.results.reading import read_results
    from pytest_annmodal.results.stored import StoredCase
    from pytest_annmodal.settings.config import Settings

__version__ = "0.1.0"
__all__ = [
    "AnnBenchmark",
    "AnnModalError",
    "Case",
    "Command",
    "ConfigurationError",
    "Dataset",
    "DatasetError",
    "Executor",
    "ExecutorError",
    "ExecutorSetup",
    "Failure",
    "Hooks",
    "Implementation",
    "Job",
    "LocalExecutor",
    "Measurement",
    "Outcome",
    "Rules",
    "Settings",
    "Stored",
    "StoredCase",
    "VolumeError",
    "read_results",
    "run_job",
]
_HOMES = {
    "command.command": ("Command",),
    "errors": (
        *("AnnModalError", "ConfigurationError", "DatasetError", "ExecutorError"),
        "VolumeError",
    ),
    "execution": ("run_job",),
    "executors.local": ("LocalExecutor",),
    "executors.registry": ("ExecutorSetup",),
    "grading.rules": ("Rules",),
    "model": ("Case", "Dataset", "Implementation", "Job"),
    "outcome": ("Failure", "Measurement", "Outcome"),
    "plugin.fixture": ("AnnBenchmark",),
    "plugin.hookspecs": ("Hooks",),
    "protocols": ("Executor", "Stored"),
    "results.reading": ("read_results",),
    "results.stored": ("StoredCase",),
    "settings.config": ("Settings",),
}


def __getattr__(name: str) -> object:
    """Load what is asked for from the module that holds it."""
    for home, names in _HOMES.items():
        if name in names:
            from importlib import import_module

            found: object = getattr(import_module(f"{__name__}.{home}"), name)
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
