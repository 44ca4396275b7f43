"""Reads one table of a TOML file key by key, and refuses wrong types and unknown keys."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.settings.nearest import nearest_names

KINDS: Mapping[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text in quotes",
    list: "a list",
    dict: "a table",
}


MAX_SHOWN = 80  # characters of a value, in an error


def shown(value: Any) -> str:
    """Returns a value as an error shows it, shortened if it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to print a number of more than 4300 digits
        return "a number of thousands of digits"
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"


class Table:
    """Takes keys out of a table; :meth:`finish` refuses keys that were not taken.

    Args:
        where: its name in errors, such as ``grading.toml: parts[2]``.
    """

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self.where = where
        self._values = dict(values)
        self._known: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def error(self, key: str, message: str) -> ConfigurationError:
        return ConfigurationError(f"{self.where}: {key}: {message}")

    def take(self, key: str, kind: type, default: Any = None) -> Any:
        """Returns the value of ``key``, of this type; a whole number is accepted as a float."""
        self._known.append(key)
        if key not in self._values:
            return default
        value: Any = self._values.pop(key)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise self.error(key, f"expected {KINDS[kind]}, not {shown(value)}")
        if isinstance(value, float) and not math.isfinite(value):
            raise self.error(key, f"expected a finite number, not {value!r}")
        return value

    def number(
        self, key: str, default: float | None = None, *, above: float | None = None
    ) -> float | None:
        """Returns a finite number, above a bound if there is one, or the default."""
        value: float | None = self.take(key, float, default)
        if above is not None and value is not None and value <= above:
            raise self.error(key, f"expected a number above {above:g}, not {value:g}")
        return value

    def text(self, key: str) -> str | None:
        """Returns a text that is not blank, or None."""
        value: str | None = self.take(key, str)
        if value is not None and not value.strip():
            raise self.error(key, f"expected a text that is not blank, not {shown(value)}")
        return value

    def texts(self, key: str) -> tuple[str, ...] | None:
        """Returns a list of texts, or None."""
        values = self.take(key, list)
        if values is None:
            return None
        for value in values:
            if not isinstance(value, str) or not value:
                raise self.error(
                    key, f"expected a list of texts in quotes, not {shown(value)} in it"
                )
        return tuple(dict.fromkeys(values))

    def choice(self, key: str, choices: Sequence[str], default: str) -> str:
        """Returns one of the allowed words."""
        value: str = self.take(key, str, default)
        if value not in choices:
            raise self.error(
                key, f"expected {', '.join(choices)}, not {value!r}{nearest_names(value, choices)}"
            )
        return value

    def anything(self, key: str) -> Any:
        """Returns the value as it is, or None."""
        self._known.append(key)
        return self._values.pop(key, None)

    def table(self, key: str) -> Table:
        """Returns an inner table, empty if it is missing."""
        return Table(self.take(key, dict, {}), f"{self.where}: {key}")

    def tables(self, key: str) -> list[Table]:
        """Returns an array of tables: ``[[key]]``."""
        values = self.take(key, list, [])
        for value in values:
            if not isinstance(value, dict):
                raise self.error(key, f"expected tables ([[{key}]]), not {shown(value)}")
        return [
            Table(value, f"{self.where}: {key}[{number}]") for number, value in enumerate(values, 1)
        ]

    def rest(self) -> dict[str, Any]:
        """Returns and takes all keys that are left."""
        values, self._values = self._values, {}
        return values

    def finish(self) -> None:
        """Refuses keys that were not taken, and suggests the nearest known ones."""
        for key in self._values:
            known = ", ".join(sorted(self._known))
            raise self.error(
                key, f"there is no such key{nearest_names(key, self._known)} Known: {known}."
            )
