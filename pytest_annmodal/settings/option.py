"""One option, as a field of Settings declares it, and how its text becomes a value."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import Field, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.settings import suffixes

PREFIX = "ANNMODAL_"  # of the environment variables
ON, OFF = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
SESSIONS = (1, 5, 8, 11)
AUTO = "auto"
MOST_QPS = 200_000
MOST_CLIENTS = 256
GATE, STRICT_GATE = "on", "strict"
# Who may set it in a grading: anybody; not an ini file; and of these, a file of rules too.
Grading = Literal["anywhere", "typed", "rules"]


class Option(NamedTuple):  # which is made faster than a dataclass, in every pytest run
    """What a field of Settings says of itself; its name gives the ini key and the variable.

    Attributes:
        kind: makes a value of a text, or raises ValueError; None for a switch.
        many: whether it can be given several times; the value is a tuple.
        is_number: whether a number in a TOML file is a value of it.
        is_path: whether a value is a path and not a name.
        modal_run: its flag in ``modal run modal_app.py``, where it is an argument of that too.
        bare: its value where it is given without one.
        grading: who may set it in a grading.
        stricter: whether an ini file may set this value in a grading all the same, because it
            makes the grading no easier than the default does.
    """

    name: str
    flag: str
    group: str
    help: str
    default: Any
    kind: Callable[[str], Any] | None
    many: bool
    is_number: bool
    choices: Sequence[str] | None = None
    metavar: str | None = None
    is_path: Callable[[str], bool] | None = None
    modal_run: str | None = None
    bare: str | None = None
    grading: Grading = "anywhere"
    stricter: Callable[[Any], bool] | None = None

    @property
    def ini(self) -> str:
        return f"annmodal_{self.name}"

    @property
    def env(self) -> str:
        return f"{PREFIX}{self.name.upper()}"

    def from_cli(self, value: Any) -> Any:
        """Check what the command line gave: text, a list of texts, True or nothing."""
        if isinstance(value, list):
            return [self._one(part, self.flag) for part in value]
        return self._one(value, self.flag) if isinstance(value, str) else value

    def parse(self, given: object, source: str) -> Any:
        """A value from a text, or from what a TOML file has instead of one.

        Raises:
            ConfigurationError: it is of a type that means nothing here, or cannot be used.
        """
        if isinstance(given, str):
            return self._parse_text(given, source)
        if isinstance(given, list) and self.many and all(isinstance(part, str) for part in given):
            return [self._one(part, source) for part in given]
        if isinstance(given, bool):
            if self.kind is None:
                return given
        elif isinstance(given, (int, float)) and self.is_number:
            return self._one(str(given), source)
        raise ConfigurationError(f"{source} {given!r}: expected {self._expected}")

    @property
    def _expected(self) -> str:
        if self.kind is None:
            return "true or false"
        if self.many:
            return "texts in quotes: a list of them, or one with spaces between them"
        return "a number" if self.is_number else "text in quotes"

    def _parse_text(self, text: str, source: str) -> Any:
        if self.kind is None:
            return _switch(text, source)
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


def option(default: Any, flag: str, group: str, text: str, **more: Any) -> Any:
    """A field of Settings that is an option.

    Args:
        default: what holds where nobody says anything; ``{default}`` in the help text is this.
        group: the heading under which ``--help`` shows it.
        text: what ``--help`` says.
        more: attributes of :class:`Option` that the field's type does not tell.
    """
    return field(default=default, metadata={"flag": flag, "group": group, "help": text, **more})


def option_of(declared: Field[Any]) -> Option:
    """The option that a field declares; its type says how it is read where nothing else does."""
    annotation = str(declared.type).removesuffix(" | None")
    default = declared.default
    metadata: dict[str, Any] = {"kind": KINDS.get(annotation, str), **declared.metadata}
    shown = f"{default:g}" if isinstance(default, float) else str(default)
    metadata["help"] = metadata["help"].replace("{default}", shown)
    return Option(
        name=declared.name,
        default=default,
        many=annotation.startswith("tuple"),
        **{"is_number": annotation in {"int", "float"}, **metadata},
    )


def _switch(text: str, source: str) -> bool:
    word = text.strip().lower()
    if word not in {*ON, *OFF}:
        raise ConfigurationError(f"{source} {text!r}: expected {' or '.join((*ON, *OFF))}")
    return word in ON


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
    """Whether a dataset is a file, of our layout or to be imported, and not a name or a URL."""
    return "://" not in text and suffixes.suffix_of(text) in suffixes.FILES


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


def rates(text: str) -> tuple[float, ...]:
    """``500,1000`` are rates of queries per second; ``auto`` stands for none of them."""
    if text.strip() == AUTO:
        return ()
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if not values or not all(0 < value <= MOST_QPS for value in values):
        raise ValueError(
            f"expected queries per second above 0 and at most {MOST_QPS:,} (a query takes the load "
            "generator some microseconds), such as 500,1000,2000, or auto"
        )
    return values


def client_counts(text: str) -> tuple[int, ...]:
    """``1,2,4`` are numbers of clients."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 1 <= int(part) <= MOST_CLIENTS for part in parts):
        raise ValueError(f"expected whole numbers from 1 to {MOST_CLIENTS}, such as 1,2,4,8")
    return tuple(int(part) for part in parts)


def proportion(text: str) -> float:
    """A number above 0 and below 1."""
    value = positive_float(text)
    if value >= 1:
        raise ValueError("expected a number above 0 and below 1")
    return value


def gate_mode(text: str) -> str:
    """How a gate ends where one cannot tell."""
    if text not in {GATE, STRICT_GATE}:
        raise ValueError("expected strict, or nothing")
    return text


def recalls(text: str) -> tuple[float, ...]:
    """``0.9,0.95`` are numbers above 0 and at most 1."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if not values or not all(0 < value <= 1 for value in values):
        raise ValueError("expected numbers above 0 and at most 1, such as 0.9,0.95,0.99")
    return values


def sample_or_file(text: str) -> int | str:
    """A whole number of at least 1, or else a path."""
    number = text.strip()
    return positive_int(number) if number.lstrip("-").isdecimal() else text


def seconds(text: str) -> float:
    """A number of seconds above 0, with or without its unit: ``60``, ``60s``."""
    return positive_float(text.strip().removesuffix("s"))


def session_count(text: str) -> int:
    """One of the numbers after which a comparison is looked at."""
    if not text.isdecimal() or int(text) not in SESSIONS:
        raise ValueError(f"expected {', '.join(map(str, SESSIONS))}")
    return int(text)


# How a text is read, by the type of its field; None: a switch, which takes none.
KINDS: dict[str, Callable[[str], Any] | None] = {
    "bool": None,
    "int": positive_int,
    "float": positive_float,
}
