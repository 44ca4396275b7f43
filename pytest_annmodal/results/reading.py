"""Reads stored results: files of lines, and folders of them.

A damaged line, or one of an unknown schema, is skipped with a warning.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.results import foreign
from pytest_annmodal.results.folder import DEFAULT
from pytest_annmodal.results.foreign import READERS
from pytest_annmodal.results.samples import SUFFIX, Samples, read_samples
from pytest_annmodal.results.stored import SCHEMA, StoredCase

LINES = ".jsonl"


class _Edition(msgspec.Struct):
    schema: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Cases from any number of files, in the order of the files and of the lines in each.

    Attributes:
        warnings: a message for each file with skipped lines.
        folders: folder by the name of a file of samples.
    """

    cases: tuple[StoredCase, ...]
    warnings: tuple[str, ...] = ()
    folders: dict[str, Path]

    def samples(self, case: StoredCase) -> Samples | None:
        """Returns latencies and recalls of single queries; None if none were stored.

        Raises:
            ConfigurationError: they were stored, but are missing or damaged.
        """
        if case.samples is None:
            return None
        return read_samples(self.folders.get(case.samples.file, Path()), case.samples)


def read_results(paths: Iterable[Path], *, truth: Path | None = None) -> Results:
    """Reads all results in these files and folders; a folder may be a project's.

    Args:
        truth: a folder with dataset files, to compute the recall of others' results.

    Raises:
        ConfigurationError: a path does not exist, or holds no results.
    """
    files = [file for path in paths for file in files_of(path)]
    cases: list[StoredCase] = []
    warnings: list[str] = []
    for file in dict.fromkeys(files):
        found, said = _read_file(file) if file.suffix == LINES else _read_foreign(file, truth)
        cases += found
        warnings += said
    folders = {file.with_suffix(SUFFIX).name: file.parent for file in files}
    return Results(cases=tuple(cases), warnings=tuple(warnings), folders=folders)


def files_of(path: Path) -> list[Path]:
    """Returns the result files of a path, in the order in which they were begun.

    Raises:
        ConfigurationError: the path does not exist, or holds no results.
    """
    if path.is_file():
        if path.suffix.lower() not in {LINES, *READERS}:
            raise ConfigurationError(
                f"{path}: not a file of results; expected {LINES}, or of other programs "
                f"{', '.join(READERS)}"
            )
        return [path]
    if not path.is_dir():
        raise ConfigurationError(f"{path}: there is no such file or folder")
    for folder in (path, path / DEFAULT):
        if found := sorted(folder.glob(f"*{LINES}")):
            return found
    for pattern in foreign.FOLDERS:
        if found := sorted(path.glob(pattern)):
            return found
    raise ConfigurationError(
        f"{path}: there are no results in it, nor in {path / DEFAULT}. Results are *{LINES} "
        "files, which `pytest` with ANN benchmarks writes, or those of ann-benchmarks and VIBE."
    )


def _read_foreign(path: Path, truth: Path | None) -> tuple[list[StoredCase], list[str]]:
    cases: list[StoredCase] = []
    try:
        cases.extend(foreign.read(path, truth))
    except ConfigurationError as error:
        return cases, [f"{error}. It was skipped."]
    return cases, []


def _read_file(path: Path) -> tuple[list[StoredCase], list[str]]:
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror or error}") from error
    decode = msgspec.json.Decoder(StoredCase).decode
    cases: list[StoredCase] = []
    damaged: list[int] = []
    newer: list[int] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            case = decode(line)
            if case.schema == SCHEMA:
                cases.append(case)
                continue
        except (msgspec.DecodeError, ValueError, RecursionError):
            pass
        (newer if _is_newer(line) else damaged).append(number)
    return cases, [*_said(path, damaged, newer)]


def _is_newer(line: bytes) -> bool:
    try:
        return msgspec.json.decode(line, type=_Edition).schema > SCHEMA
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False


def _said(path: Path, damaged: Sequence[int], newer: Sequence[int]) -> Iterable[str]:
    if damaged:
        yield f"{path}: {_lines(damaged)} damaged and skipped"
    if newer:
        yield (
            f"{path}: {_lines(newer)} skipped, written by a newer version of pytest-annmodal "
            f"(this one knows schema {SCHEMA}). Upgrade to read them."
        )


def _lines(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"line {numbers[0]} is"
    return f"{len(numbers)} lines (the first is line {numbers[0]}) are"
