"""What arguments say of this project's options, told apart by where they were written.

pytest puts the ``addopts`` of an ini file before the command line and parses both as one; what
a grading must not take from an ini file is told apart here.
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


def parser_arguments(option: Option) -> dict[str, Any]:
    """How a parser of arguments, pytest's or ours, takes an option."""
    how: dict[str, Any] = {"dest": f"annmodal_{option.name}"}
    if option.kind is None:
        return {**how, "action": "store_true", "default": False}
    if option.bare is not None:
        return {**how, "nargs": "?", "const": option.bare, "default": None}
    return {**how, "action": "append" if option.many else "store", "default": None}


def given(args: Sequence[str]) -> Mapping[str, Any]:
    """What these arguments say, by option name; everything that is not ours is passed over.

    Raises:
        ConfigurationError: an option lacks its value.
    """
    parser = _Parser(add_help=False, allow_abbrev=False)
    for option in OPTIONS:
        parser.add_argument(option.flag, **parser_arguments(option))
    found = vars(parser.parse_known_args(told_apart(expanded(args))[0])[0])
    return {option.name: found[f"annmodal_{option.name}"] for option in OPTIONS}


def expanded(args: Sequence[str]) -> list[str]:
    """The arguments with each ``@file`` replaced by its lines, as pytest's own parser does."""
    result: list[str] = []
    for arg in args:
        if not arg.startswith("@"):
            result.append(arg)
            continue
        try:
            lines = Path(arg[1:]).read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):  # pytest has words for it
            result.append(arg)
        else:
            result += expanded(lines)
    return result


def told_apart(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments, with an option that may stand bare told apart from a word behind it.

    A parser takes the word for the option's value. Here ``--ann-gate benchmarks`` is
    ``--ann-gate=on benchmarks``, since that is no value of it.

    Returns:
        The arguments, and the words that are none's value.
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
    """Each value that an option got after a space, with the free words that follow at once.

    Before a plugin's options are known, such a value is a free word too: pytest takes it for
    the path of a test.
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
