"""One row of the table of options, and how its text becomes a value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_annmodal.errors import ConfigurationError


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
            return text.strip().lower() in {"1", "true", "yes", "on"}
        if self.many:
            return [self._one(part, source) for part in text.split()]
        return self._one(text.strip(), source)

    def _one(self, text: str, source: str) -> Any:
        assert self.kind is not None
        try:
            value = self.kind(text)
        except ValueError as error:
            raise ConfigurationError(f"{source} {text!r}: {error}") from error
        if self.choices is not None and value not in self.choices:
            raise ConfigurationError(f"{source} {text!r}: expected {', '.join(self.choices)}")
        return value


def positive_int(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise ValueError("expected a whole number of at least 1")
    return int(text)


def positive_float(text: str) -> float:
    """A finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ValueError("expected a number above 0")
    return value
