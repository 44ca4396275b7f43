"""What is graded: a submission's files, their hash, and why one may not run at all.

Nothing here runs or imports a submission; only its regular files are read, as bytes.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.grading import requirements
from pytest_annmodal.grading.rules import Rules
from pytest_annmodal.manifests.contents import UNREAD, TooLargeError, walk
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


def hash_files(path: Path, *, max_bytes: int) -> str:
    """Sha256 over the names and bytes of a file, or of all regular files of a folder.

    A link inside counts as its text, a device or pipe as what it is; neither is opened.

    Raises:
        TooLargeError: more than ``max_bytes``, or more files and folders than are looked at.
        OSError: something cannot be read.
    """
    left = max_bytes
    total = hashlib.sha256()
    limit = f"{max_bytes / 1e6:g} MB"
    files = (Path(entry.path) for entry in walk(path)) if path.is_dir() else [path]
    for file in files:
        content, size = _content(file, left, top=file == path)
        if size > left:
            raise TooLargeError(f"is larger than the {limit} that a submission may have")
        left -= size
        name = os.fsencode(file.relative_to(path)) if file != path else b"."
        if UNREAD not in file.relative_to(path).parts:
            total.update(b"%d:%s%s" % (len(name), name, content))
    return total.hexdigest()


def _content(file: Path, max_bytes: int, *, top: bool) -> tuple[bytes, int]:
    """A hash of what the file is, and its size; reads no more than ``max_bytes``."""
    if file.is_symlink() and not top:
        return hashlib.sha256(b"link" + os.fsencode(file.readlink())).digest(), 0
    # O_NONBLOCK: opening a pipe must not wait for a writer.
    fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | (0 if top else os.O_NOFOLLOW))
    try:
        mode = os.fstat(fd)
        if not stat.S_ISREG(mode.st_mode):
            return hashlib.sha256(b"special %o" % stat.S_IFMT(mode.st_mode)).digest(), 0
        if mode.st_size > max_bytes:
            return b"", mode.st_size
        with os.fdopen(os.dup(fd), "rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest(), mode.st_size
    finally:
        os.close(fd)
