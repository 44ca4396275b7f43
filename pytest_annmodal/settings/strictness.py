"""What a grading takes from an ini file: nothing that loosens its rules.

An ini file may be anybody's, and pytest puts its ``addopts`` where the command line is. So what
measures and how is said by the file of rules, the command line and the environment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.settings.config import OPTIONS
from pytest_annmodal.settings.option import Option

GUARDED = {option.name: option for option in OPTIONS if option.grading != "anywhere"}


class Strictness:
    """The sources of options in a grading, without what an ini file must not say.

    Args:
        parsed: option name → value, as pytest has it: an ini's ``addopts`` are among them.
        typed: option name → value, of the command line alone.
        addopts: option name → value, of the ini's ``addopts`` alone.
        ini: ini key → text, or what a TOML file has instead.

    Attributes:
        ignored: what an ini file says and does not get, as it says it.
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
        """For ``resolve``: what the command line says."""
        return self._typed[name] if name in GUARDED else self._parsed(name)

    def ini(self, key: str) -> object:
        """For ``resolve``: what the ini file may say, be it as a key or in addopts."""
        guarded = any(option.ini == key for option in GUARDED.values())
        return self._allowed.get(key, "") if guarded else self._ini(key)


def _text(value: object) -> str:
    """An option's value in ``addopts`` as an ini key would say it."""
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "yes" if value is True else "" if value in (None, False) else str(value)


def _is_stricter(option: Option, said: object) -> bool:
    try:
        value = option.parse(said, option.ini)
    except ConfigurationError:
        return False  # a value that cannot be used is not taken either
    return option.stricter is not None and option.stricter(value)
