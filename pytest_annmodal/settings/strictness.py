"""Keeps ini files from loosening the rules of a grading.

An ini file may come from anyone, and pytest adds its ``addopts`` to the command line. So only
the rules file, the command line and the environment decide what a grading measures and how.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.settings.config import OPTIONS
from pytest_annmodal.settings.option import Option

GUARDED = {option.name: option for option in OPTIONS if option.grading != "anywhere"}


class Strictness:
    """The sources of options in a grading, without what an ini file must not set.

    Args:
        parsed: option name → value, as pytest parsed it, with the ini's ``addopts``.
        typed: option name → value, of the command line alone.
        addopts: option name → value, of the ini's ``addopts`` alone.
        ini: ini key → text or a value of TOML.

    Attributes:
        ignored: settings of an ini file that are not used, as it has them.
    """

    def __init__(
        self,
        *,
        parsed: Callable[[str], Any],
        typed: Mapping[str, Any],
        addopts: Mapping[str, Any],
        ini: Callable[[str], object],
    ) -> None:
        self._parsed, self._typed, self._ini = parsed, typed, ini
        self._allowed: dict[str, object] = {}  # by ini key
        self.ignored: list[str] = []
        for option in GUARDED.values():
            key = option.ini
            said = {key: ini(key), f"addopts {option.flag}": _text(addopts[option.name])}
            for source, value in said.items():
                if value != "" and _is_stricter(option, value):
                    self._allowed[key] = value
                elif value != "":
                    self.ignored.append(f"{source} ({_text(value)})")

    def cli(self, name: str) -> Any:
        """Returns the command line's value, for ``resolve``."""
        return self._typed[name] if name in GUARDED else self._parsed(name)

    def ini(self, key: str) -> object:
        """Returns the ini file's value (key or ``addopts``) where allowed, for ``resolve``."""
        guarded = any(option.ini == key for option in GUARDED.values())
        return self._allowed.get(key, "") if guarded else self._ini(key)


def _text(value: object) -> str:
    """Returns an option's value in ``addopts`` as an ini key would have it."""
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "yes" if value is True else "" if value in (None, False) else str(value)


def _is_stricter(option: Option, said: object) -> bool:
    try:
        value = option.parse(said, option.ini)
    except ConfigurationError:
        return False  # a bad value is ignored too
    return option.stricter is not None and option.stricter(value)
