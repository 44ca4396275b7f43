"""What a grading takes from an ini file: nothing that loosens its rules.

An ini file may be anybody's, and pytest puts its ``addopts`` where the command line is. So what
measures and how is said by the file of rules, the command line and the environment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.settings.grading_options import OF_THE_RULES
from pytest_annmodal.settings.option import Option
from pytest_annmodal.settings.options import OPTIONS

GUARDED = {
    option.name: option
    for option in OPTIONS
    if option.name in (*OF_THE_RULES, "dataset", "fresh_seed")
}
# A value of these makes a grading no easier than their default does.
STRICTER: Mapping[str, Callable[[Any], bool]] = {
    "isolation": lambda level: level == "strict",
    "clock": lambda clock: clock == "parent",
    "fresh_queries": bool,
    "memory_mb": lambda _limit: True,
    "timeout_s": lambda limit: limit <= GUARDED["timeout_s"].default,
}


class Strictness:
    """The sources of options in a grading, without what an ini file must not say.

    Args:
        parsed: option name → value, as pytest has it: an ini's ``addopts`` are among them.
        typed: option name → value, of the command line alone.
        addopts: option name → value, of the ini's ``addopts`` alone.
        ini: ini key → text.

    Attributes:
        ignored: what an ini file says and does not get, as it says it.
    """

    def __init__(
        self,
        *,
        parsed: Callable[[str], Any],
        typed: Mapping[str, Any],
        addopts: Mapping[str, Any],
        ini: Callable[[str], str],
    ) -> None:
        self._parsed, self._typed, self._ini = parsed, typed, ini
        self._allowed: dict[str, str] = {}  # ini key → text
        self.ignored: list[str] = []
        for option in GUARDED.values():
            key = option.ini
            said = {key: ini(key), f"addopts {option.flag}": _text(addopts[option.name])}
            for source, text in said.items():
                if text and _is_stricter(option, text):
                    self._allowed[key] = text
                elif text:
                    self.ignored.append(f"{source} ({text})")

    def cli(self, name: str) -> Any:
        """For ``Settings.resolve``: what the command line says."""
        return self._typed[name] if name in GUARDED else self._parsed(name)

    def ini(self, key: str) -> str:
        """For ``Settings.resolve``: what the ini file may say, be it as a key or in addopts."""
        guarded = any(option.ini == key for option in GUARDED.values())
        return self._allowed.get(key, "") if guarded else self._ini(key)


def _text(value: Any) -> str:
    """An option's value in ``addopts`` as an ini key would say it."""
    if isinstance(value, list):
        return " ".join(value)
    return "yes" if value is True else str(value or "")


def _is_stricter(option: Option, text: str) -> bool:
    try:
        value = option.parse(text, option.ini)
    except ConfigurationError:
        return False  # a value that cannot be used is not taken either
    return option.name in STRICTER and STRICTER[option.name](value)
