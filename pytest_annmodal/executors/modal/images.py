"""Which packages a job's container has: the harness's own, and those of the file's header."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path

import modal

from pytest_annmodal.executors.modal.container import python_version
from pytest_annmodal.manifests.builtin_paths import PACKAGE
from pytest_annmodal.model import Implementation

Requirements = tuple[str, ...]

# What run_job and resolve import, and what a submission's answers are sent as; the plugin side's
# packages are not needed there.
HARNESS = (
    *("cbor2", "filelock", "h5py", "numpy", "packaging", "psutil", "pyyaml", "requests", "rich"),
    "threadpoolctl",
)
# What reads files that h5py alone does not: in the image where it is installed here.
OPTIONAL = ("hdf5plugin",)
REMOTE_PACKAGE = "/root/pytest_annmodal"


def pinned(requirement: str) -> str:
    """The version installed here, so that here and there run the same; else as written."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        parsed = Requirement(requirement)
        version = importlib.metadata.version(parsed.name)
    except (InvalidRequirement, importlib.metadata.PackageNotFoundError):
        return requirement
    extras = f"[{','.join(sorted(parsed.extras))}]" if parsed.extras else ""
    return f"{parsed.name}{extras}=={version}"


def requirements_of(implementation: Implementation) -> Requirements:
    """Pinned requirements of its header, or the modules that a bare file imports."""
    wanted = implementation.requirements or implementation.modules
    return tuple(sorted({pinned(requirement) for requirement in wanted}))


def harness() -> list[str]:
    """The harness's own packages, as they are installed here."""
    there = [name for name in OPTIONAL if importlib.util.find_spec(name) is not None]
    return [pinned(name) for name in (*HARNESS, *there)]


def image_for(requirements: Requirements, *, truth: bool = True) -> modal.Image:
    """Equal requirements give the same image, which Modal builds once and caches.

    Args:
        truth: also ship the packaged datasets, which hold their own answers.
    """
    packages = sorted({*harness(), *requirements})
    left_out = ["**/__pycache__", "**/*.pyc", "**/.*", *([] if truth else ["data"])]
    return (
        modal.Image.debian_slim(python_version=python_version())
        # To compile annoy and hnswlib; to shut a submission in.
        .apt_install("build-essential", "bubblewrap")
        .pip_install(*packages)
        .add_local_dir(Path(PACKAGE), REMOTE_PACKAGE, ignore=left_out)
    )
