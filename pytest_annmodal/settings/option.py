"""One option, as a field of Settings declares it, and the parsing of its value."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.settings import suffixes

PREFIX = "ANNMODAL_"  # of the environment variables
ON, OFF = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
SESSIONS = (1, 5, 8, 11)
AUTO = "auto"
MOST_QPS = 1e9  # times are kept in ns; what the generator can offer is measured in each job
MOST_CLIENTS = 256
GATE, STRICT_GATE = "on", "strict"
# Which sources may set it in a grading: any; all but ini files; as "typed", and the rules file.
Grading = Literal["anywhere", "typed", "rules"]


class Option:
    """An option, as declared by a field of Settings; its name gives the ini key and the variable.

    (No dataclass or named tuple: those take longer to make, in every pytest run.)

    Attributes:
        kind: makes a value of a text, or raises ValueError; None for a switch.
        many: whether it can be given several times; the value is a tuple.
        is_number: whether it accepts a number in a TOML file.
        is_path: whether a value is a path and not a name.
        modal_run: its flag in ``modal run modal_app.py``, if it has one.
        bare: its value when the flag is given without one.
        opposite: the flag that turns a switch off.
        grading: which sources may set it in a grading.
        stricter: whether an ini file may set this value even in a grading, because it makes
            the grading at least as strict as the default.
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
    opposite: str | None = None
    grading: Grading = "anywhere"
    stricter: Callable[[Any], bool] | None = None

    def __init__(self, **declared: Any) -> None:
        vars(self).update(declared)

    def __set_name__(self, owner: type, name: str) -> None:
        """Python calls it with the field's name; the field's type says how a value is parsed."""
        annotation = owner.__annotations__[name].removesuffix(" | None")
        by_type = {
            "kind": KINDS.get(annotation, str),
            "many": annotation.startswith("tuple"),
            "is_number": annotation in {"int", "float"},
        }
        vars(self).update({"name": name, **by_type, **vars(self)})

    @property
    def ini(self) -> str:
        return f"annmodal_{self.name}"

    @property
    def flags(self) -> tuple[str, ...]:
        return (self.flag,) if self.opposite is None else (self.flag, self.opposite)

    @property
    def env(self) -> str:
        return f"{PREFIX}{self.name.upper()}"

    def from_cli(self, value: Any) -> Any:
        """Checks and parses the command line's value: text, a list of texts, True or nothing."""
        if isinstance(value, list):
            return [self._one(part, self.flag) for part in value]
        return self._one(value, self.flag) if isinstance(value, str) else value

    def parse(self, given: object, source: str) -> Any:
        """Parses a value that is a text, or one of the types of TOML.

        Raises:
            ConfigurationError: a wrong type, or a bad value.
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
            return "a list of texts in quotes, or one text with spaces between the values"
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
        """Makes relative paths start from ``base``.

        Args:
            source: the option's name in errors: its flag, variable or ini key.
        """
        if isinstance(value, list):
            return [self.located(part, base, source) for part in value]
        is_path = self.is_path is not None and isinstance(value, str) and self.is_path(value)
        return str(expanded(value, base, source)) if is_path else value

    def _one(self, text: str, source: str) -> Any:
        assert self.kind is not None
        if not text:  # such as an unset variable in a script
            raise ConfigurationError(f"{source} is empty: give it a value, or leave it out")
        try:
            value = self.kind(text)
        except ValueError as error:
            raise ConfigurationError(f"{source} {text!r}: {error}") from error
        if self.choices is not None and value not in self.choices:
            raise ConfigurationError(f"{source} {text!r}: expected {', '.join(self.choices)}")
        return value


def option(default: Any, flag: str, group: str, text: str, **more: Any) -> Any:
    """Declares a field of Settings that is an option.

    Args:
        default: its value if no source sets it; replaces ``{default}`` in the help text.
        group: its heading in ``--help``.
        text: its text in ``--help``.
        more: attributes of :class:`Option` that do not follow from the field's type.
    """
    shown = f"{default:g}" if isinstance(default, float) else str(default)
    told = text.replace("{default}", shown)
    return Option(default=default, flag=flag, group=group, help=told, **more)


def _switch(text: str, source: str) -> bool:
    word = text.strip().lower()
    if word not in {*ON, *OFF}:
        raise ConfigurationError(f"{source} {text!r}: expected {' or '.join((*ON, *OFF))}")
    return word in ON


def expanded(text: str, base: Path, source: str) -> Path:
    """Returns a path relative to ``base``, with a leading ``~`` or ``~user`` replaced.

    An existing file that is called ``~name`` is that file, as in a shell.

    Raises:
        ConfigurationError: the home folder is unknown.
    """
    if not text.startswith("~") or os.path.lexists(base / text):
        return base / text
    try:
        return base / Path(text).expanduser()
    except RuntimeError as error:
        user = text.removeprefix("~").split("/")[0]
        why = f"no user is called {user!r}" if user else no_home()
        raise ConfigurationError(
            f"{source} {text}: {why}, so the folder ~{user} is not known. Write the path "
            f"without ~{f', or ./{text} for a file of that name' if user else ''}."
        ) from error


def no_home() -> str:
    """Says why ``~`` has no meaning here."""
    return f"HOME is not set and the user id {os.getuid()} has no entry in the user database"


def split_values(text: str) -> list[str]:
    """Splits at the commas that are outside of brackets, braces and double quotes."""
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
    """Reads ``ef=20,50``: the parameter ``ef`` and the texts of its values."""
    name, _, rest = text.partition("=")
    values = tuple(part.strip() for part in split_values(rest))
    if not name.strip() or not all(values):
        raise ValueError("expected NAME=VALUE or NAME=VALUE,VALUE, such as ef=20,50,100")
    return name.strip(), values


def always(_text: str) -> bool:
    return True


def is_dataset_file(text: str) -> bool:
    """Whether the text names a dataset file, of our layout or to be imported; not a URL."""
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
    """A name that Modal accepts for stored objects, such as volumes."""
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
    """Reads ``500,1000`` as queries per second; ``auto`` gives an empty tuple."""
    if text.strip() == AUTO:
        return ()
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if not values or not all(0 < value <= MOST_QPS for value in values):
        raise ValueError(
            f"expected queries per second above 0 and at most {MOST_QPS:,.0f} (one in a "
            "nanosecond), such as 500,1000,2000, or auto"
        )
    return values


def client_counts(text: str) -> tuple[int, ...]:
    """Reads ``1,2,4`` as numbers of clients."""
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
    """Whether a gate passes (``on``) or fails (``strict``) what cannot be decided."""
    if text not in {GATE, STRICT_GATE}:
        raise ValueError("expected strict, or nothing")
    return text


def recalls(text: str) -> tuple[float, ...]:
    """Reads ``0.9,0.95`` as numbers above 0 and at most 1."""
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
    """One of the numbers of sessions after which a comparison is checked."""
    if not text.isdecimal() or int(text) not in SESSIONS:
        raise ValueError(f"expected {', '.join(map(str, SESSIONS))}")
    return int(text)


# How a text is parsed, by the type of the field; None: a switch, which takes no text.
KINDS: dict[str, Callable[[str], Any] | None] = {
    "bool": None,
    "int": positive_int,
    "float": positive_float,
}
