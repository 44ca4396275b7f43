"""Says which datasets and implementations cannot run here, and why."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Container, Iterable

from pytest_annmodal.datasets.sources.sources import source_of
from pytest_annmodal.model import Dataset, Implementation
from pytest_annmodal.outcome import Failure
from pytest_annmodal.protocols import Volume
from pytest_annmodal.settings.config import Settings


def waits(
    dataset: Dataset,
    settings: Settings,
    known: Container[str],
    volume_here: Callable[[], Volume],
) -> bool:
    """Whether a dataset is missing here and will not be downloaded; one named by URL will be.

    Args:
        known: names in the catalogue, with those of plugins.
    """
    from pytest_annmodal.datasets.volume import volume

    by_name = dataset.name in known and dataset.source not in settings.dataset
    if settings.download or not by_name or not source_of(dataset).is_remote:
        return False
    return not volume.is_present(dataset, volume_here())


def missing_dataset_hint(dataset: Dataset) -> str:
    """Returns why a dataset's tests are skipped, and the command that downloads it."""
    size = f" ({_megabytes(dataset)})" if dataset.size_bytes else ""
    return (
        f"{dataset.name}{size} is not in the volume; fetch it with: "
        f"pytest -k {dataset.name} --download-only (or add --download)"
    )


def no_compiler() -> str:
    """Returns a hint if the C++ compiler is missing that pip needs for some libraries."""
    from pytest_annmodal.worker.cpp import compiler

    if compiler.missing() is None:
        return ""
    return (
        f"pip has to compile some of them, and there is no C++ compiler here ({compiler.INSTALL})"
    )


def missing_datasets(datasets: Iterable[Dataset]) -> list[str]:
    """Returns lines that list the datasets whose tests were skipped, and how to get them."""
    rows = [(dataset.name, _megabytes(dataset)) for dataset in datasets]
    if not rows:
        return []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "Not in the volume, so their tests were skipped. To download one, then run with it:",
        "  pytest -k NAME --download-only",
        "  pytest -k NAME             (or at once: pytest -k NAME --download)",
        *(f"    {name:{widths[0]}}  {size:>{widths[1]}}" for name, size in rows),
    ]


def _megabytes(dataset: Dataset) -> str:
    return f"{dataset.size_bytes / 1e6:,.0f} MB" if dataset.size_bytes else "size unknown"


def lacking(implementation: Implementation, commands: dict[str, str]) -> str | None:
    """Returns what an implementation needs and is not installed here, or None.

    Args:
        commands: receives the install command, by the implementation's name.
    """
    from pytest_annmodal.manifests import manifest
    from pytest_annmodal.worker.cpp import compiler

    if implementation.error is not None or implementation.environment is not None:
        return None
    if missing := manifest.missing_requirements(implementation):
        command = f"pip install {shlex.join(missing)}"
        commands[implementation.name] = command
        return f"{implementation.name} needs: {command}"
    return compiler.missing() if implementation.style == "c++" else None


def not_had(case_id: str, problem: str) -> Failure:
    """Makes the Failure of a case whose dataset is unavailable or too small."""
    return Failure(
        case_id=case_id,
        kind="dataset",
        message=problem,
        phase="prepare",
        blame="infrastructure",
    )
