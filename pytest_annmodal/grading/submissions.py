"""Reads submissions: their files, hash, and why one may not run.

It never runs or imports a submission; it reads only its regular files, as bytes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.grading import requirements
from pytest_annmodal.grading.rules import Rules
from pytest_annmodal.manifests.contents import TooLargeError
from pytest_annmodal.manifests.digest import hash_files
from pytest_annmodal.manifests.handed_in import HandedIn
from pytest_annmodal.model import Implementation


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One submitted file or folder, which gets one grade.

    Attributes:
        path: the path that ``--submission`` names.
        shown: the last parts of the path, as many as make it unique.
        implementations: the implementations in it, usually one.
        digest: sha256 of its files' names and bytes; empty if it was not read completely.
        refused: why it is not run, as ``(kind, message)``; its score is then zero.
    """

    name: str
    path: Path
    shown: str
    implementations: tuple[Implementation, ...]
    digest: str
    refused: tuple[str, str] | None = None

    def tidy(self, text: str) -> str:
        """Returns the text without the submission's folder on this machine."""
        return text.replace(f"{self.path.parent}{os.sep}", "")


def gather(
    handed_in: Sequence[HandedIn], implementations: Sequence[Implementation], rules: Rules
) -> list[Submission]:
    """Returns a Submission for each submitted path, in order.

    Raises:
        ConfigurationError: one of the paths lies in another.
    """
    found: list[Submission] = []
    places = {one.path for one in handed_in}
    for one in handed_in:
        around = next((place for place in one.path.parents if place in places), None)
        if around is not None:
            raise ConfigurationError(
                f"--submission {one.path} lies in {around}, which is a submission too; "
                "name only one of them, since each gets a grade"
            )
        own = tuple(item for item in implementations if _belongs(Path(item.path), one.path))
        if own:
            found.append(_examine(one, own, rules))
    return found


def _belongs(file: Path, place: Path) -> bool:
    return file == place or place in file.parents


def _examine(one: HandedIn, own: tuple[Implementation, ...], rules: Rules) -> Submission:
    try:
        digest = hash_files(one.path, max_bytes=int(rules.max_submission_mb * 1e6))
        refused = _refusal(own, rules)
    except TooLargeError as error:
        digest, refused = "", ("too-large", str(error))
    except OSError as error:
        digest, refused = "", ("unreadable", f"cannot be read: {error.strerror or error}")
    return Submission(
        name=one.name,
        path=one.path,
        shown=one.shown,
        implementations=own,
        digest=digest,
        refused=refused,
    )


def _refusal(own: Sequence[Implementation], rules: Rules) -> tuple[str, str] | None:
    n_variants = sum(len(item.variants) for item in own)
    if n_variants > rules.max_variants:
        return "too-many-settings", (
            f"has {n_variants} combinations of settings in its header, and at most "
            f"{rules.max_variants} are allowed; remove values from build and search"
        )
    for item in own:
        message = requirements.refusal(item, rules.allow)
        if message:
            return "requirements", message
    return None
