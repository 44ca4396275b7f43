"""Reads this project's options from a list of arguments, apart from pytest's own parsing.

pytest puts the ``addopts`` of an ini file before the command line and parses both together.
A grading must ignore some options from an ini file, so it needs each source by itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.settings.config import OPTIONS
from pytest_annmodal.settings.option import Option


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(message)


def parser_arguments(option: Option, flag: str) -> dict[str, Any]:
    """Returns the arguments of ``add_argument`` for one flag of an option, for any parser."""
    how: dict[str, Any] = {"dest": f"annmodal_{option.name}"}
    if option.kind is None:
        return {**how, "action": "store_const", "const": flag == option.flag, "default": None}
    if option.bare is not None:
        return {**how, "nargs": "?", "const": option.bare, "default": None}
    return {**how, "action": "append" if option.many else "store", "default": None}


def given(args: Sequence[str]) -> Mapping[str, Any]:
    """Returns the values in these arguments by option name; other arguments are ignored.

    Raises:
        ConfigurationError: an option lacks its value.
    """
    parser = _Parser(add_help=False, allow_abbrev=False)
    for option in OPTIONS:
        for flag in option.flags:
            parser.add_argument(flag, **parser_arguments(option, flag))
    found = vars(parser.parse_known_args(told_apart(expanded(args))[0])[0])
    return {option.name: found[f"annmodal_{option.name}"] for option in OPTIONS}


def expanded(args: Sequence[str]) -> list[str]:
    """Returns the arguments with each ``@file`` replaced by its lines, as pytest's parser does."""
    result: list[str] = []
    for arg in args:
        if not arg.startswith("@"):
            result.append(arg)
            continue
        try:
            lines = Path(arg[1:]).read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):  # pytest reports it
            result.append(arg)
        else:
            result += expanded(lines)
    return result


def told_apart(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separates an option whose value is optional from a following word that is not its value.

    argparse takes any following word as the value. ``benchmarks`` is not a value of
    ``--ann-gate``, so ``--ann-gate benchmarks`` becomes ``--ann-gate=on`` and a free word.

    Returns:
        The arguments, and the free words.
    """
    bare = {option.flag: option for option in OPTIONS if option.bare is not None}
    found: list[str] = []
    words: list[str] = []
    for number, arg in enumerate(args):
        option = bare.get(arg)
        word = args[number + 1] if option is not None and number + 1 < len(args) else "-"
        if option is None or word.startswith("-") or _is_value(option, word):
            found.append(arg)
        else:
            found.append(f"{arg}={option.bare}")
            words.append(word)
    return found, words


def _is_value(option: Option, word: str) -> bool:
    assert option.kind is not None
    try:
        option.kind(word)
    except ValueError:
        return False
    return True


def after_a_space(args: Sequence[str], flag: str) -> list[tuple[str, list[str]]]:
    """Returns each value given to an option after a space, with the free words right after it.

    pytest takes such a value for the path of a test until it knows the plugin's options.
    """
    found: list[tuple[str, list[str]]] = []
    position = 0
    while position < len(args) and args[position] != "--":
        position += 1
        if args[position - 1] != flag or position == len(args):
            continue
        value, position = args[position], position + 1
        start = position
        while position < len(args) and not args[position].startswith("-"):
            position += 1
        found.append((value, list(args[start:position])))
    return found
