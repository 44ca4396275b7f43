"""What is graded: a submission's files, their hash, and why one may not run at all.

Nothing here runs or imports a submission; only its regular files are read, as bytes.
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
    """One file or folder that was handed in: one grade.

    Attributes:
        path: what ``--submission`` names.
        shown: the last parts of the path, as many as tell it from the others.
        implementations: what is in it, usually one.
        digest: sha256 over its files' names and bytes; empty where it was not read to the end.
        refused: why it is not run at all, as ``(kind, message)``; it is worth zero then.
    """

    name: str
    path: Path
    shown: str
    implementations: tuple[Implementation, ...]
    digest: str
    refused: tuple[str, str] | None = None

    def tidy(self, text: str) -> str:
        """The same words without where the submission lies on the grader's machine."""
        return text.replace(f"{self.path.parent}{os.sep}", "")


def gather(
    handed_in: Sequence[HandedIn], implementations: Sequence[Implementation], rules: Rules
) -> list[Submission]:
    """One Submission for each that is handed in, in order, with what was read from it.

    Raises:
        ConfigurationError: a path that ``--submission`` names lies in another.
    """
    found: list[Submission] = []
    places = {one.path for one in handed_in}
    for one in handed_in:
        around = next((place for place in one.path.parents if place in places), None)
        if around is not None:
            raise ConfigurationError(
                f"--submission {one.path} lies in {around}, which is a submission too; "
                "name one of them, since each is one grade"
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
            f"has {n_variants} combinations of settings in its header and at most "
            f"{rules.max_variants} are measured; remove values from build and search"
        )
    for item in own:
        message = requirements.refusal(item, rules.allow)
        if message:
            return "requirements", message
    return None
