"""One row of the table of subcommands."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Subcommand:
    """The subcommand ``annmodal NAME``.

    Attributes:
        help: one line, for the list of subcommands.
        description: the text above the arguments in ``annmodal NAME --help``.
        add_arguments: called with the parser of this subcommand.
        run: runs it and returns the exit status. Raises ConfigurationError if it cannot.
    """

    name: str
    help: str
    description: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
