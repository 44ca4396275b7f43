"""One row of the table of options, and how its text becomes a value."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_annmodal.errors import ConfigurationError

ON, OFF = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One row of the table; ``name`` is the field of Settings and gives all other names."""

    name: str
    flag: str
    help: str
    kind: Callable[[str], Any] | None = str  # None: a switch
    default: Any = None
    many: bool = False
    choices: Sequence[str] | None = None
    metavar: str | None = None
    group: str = "annmodal"
    is_path: Callable[[str], bool] | None = None  # whether a value is a path and not a name

    @property
    def ini(self) -> str:
        return f"annmodal_{self.name}"

    @property
    def env(self) -> str:
        return f"ANNMODAL_{self.name.upper()}"

    def from_cli(self, value: Any) -> Any:
        """Check what the command line gave: text, a list of texts, True or nothing."""
        if isinstance(value, list):
            return [self._one(part, self.flag) for part in value]
        return self._one(value, self.flag) if isinstance(value, str) else value

    def parse(self, text: str, source: str) -> Any:
        """Turn the text of an ini key or environment variable into a value."""
        if self.kind is None:
            return self._switch(text, source)
        if self.many:
            try:
                parts = shlex.split(text)  # a name with spaces can be quoted
            except ValueError as error:
                raise ConfigurationError(f"{source} {text!r}: {error}") from error
            return [self._one(part, source) for part in parts]
        return self._one(text.strip(), source)

    def located(self, value: Any, base: Path, source: str) -> Any:
        """Make relative paths start from where they were written.

        Args:
            source: what an error calls the option: its flag, variable or ini key.
        """
        if isinstance(value, list):
            return [self.located(part, base, source) for part in value]
        is_path = self.is_path is not None and isinstance(value, str) and self.is_path(value)
        return str(expanded(value, base, source)) if is_path else value

    def _switch(self, text: str, source: str) -> bool:
        word = text.strip().lower()
        if word not in {*ON, *OFF}:
            raise ConfigurationError(f"{source} {text!r}: expected {' or '.join((*ON, *OFF))}")
        return word in ON

    def _one(self, text: str, source: str) -> Any:
        assert self.kind is not None
        if not text:  # an unset variable of a script
            raise ConfigurationError(f"{source} is empty: give it a value, or leave it out")
        try:
            value = self.kind(text)
        except ValueError as error:
            raise ConfigurationError(f"{source} {text!r}: {error}") from error
        if self.choices is not None and value not in self.choices:
            raise ConfigurationError(f"{source} {text!r}: expected {', '.join(self.choices)}")
        return value


def expanded(text: str, base: Path, source: str) -> Path:
    """A path from ``base`` on, its leading ``~`` or ``~user`` made a home folder.

    As in a shell, a file that is itself called ``~name`` is that file.

    Raises:
        ConfigurationError: nobody knows which folder is meant.
    """
    if not text.startswith("~") or os.path.lexists(base / text):
        return base / text
    try:
        return base / Path(text).expanduser()
    except RuntimeError as error:
        user = text.removeprefix("~").split("/")[0]
        why = f"no user is called {user!r}" if user else no_home()
        raise ConfigurationError(
            f"{source} {text}: {why}, so what ~{user} stands for is not known. Write the path "
            f"without ~{f', or ./{text} for a file of that name' if user else ''}."
        ) from error


def no_home() -> str:
    """Why ``~`` stands for nothing here."""
    return f"HOME is not set and the user id {os.getuid()} has no entry in the user database"


def split_values(text: str) -> list[str]:
    """Split at the commas that stand outside of brackets, braces and double quotes."""
    parts, depth, quoted = [""], 0, False
    for sign in text:
        quoted ^= sign == '"'
        depth += 0 if quoted else (sign in "[{(") - (sign in "]})")
        if sign == "," and depth <= 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += sign
    return parts


def parameter_values(text: str) -> tuple[str, tuple[str, ...]]:
    """``ef=20,50`` is the parameter ``ef`` and the texts of its values."""
    name, _, rest = text.partition("=")
    values = tuple(part.strip() for part in split_values(rest))
    if not name.strip() or not all(values):
        raise ValueError("expected NAME=VALUE or NAME=VALUE,VALUE, such as ef=20,50,100")
    return name.strip(), values


def always(_text: str) -> bool:
    return True


def is_dataset_file(text: str) -> bool:
    """Whether a dataset is a file and not a name or a URL."""
    return "://" not in text and text.lower().endswith((".hdf5", ".h5"))


def positive_int(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise ValueError("expected a whole number of at least 1")
    return int(text)


def seconds_of_a_day(text: str) -> int:
    """A whole number of at least 1 and at most 86400, the longest that Modal lets a call take."""
    if not text.isdecimal() or not 1 <= int(text) <= 86400:
        raise ValueError("expected a whole number from 1 to 86400 (a day)")
    return int(text)


def object_name(text: str) -> str:
    """A name that Modal takes for what it keeps."""
    if re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", text) is None:
        raise ValueError("expected at most 64 letters, digits, '-', '_' and '.'")
    return text


def positive_float(text: str) -> float:
    """A finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ValueError("expected a number above 0")
    return value


def proportion(text: str) -> float:
    """A number above 0 and below 1."""
    value = positive_float(text)
    if value >= 1:
        raise ValueError("expected a number above 0 and below 1")
    return value
