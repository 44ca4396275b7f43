"""One row of the table of subcommands."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Subcommand:
    """What ``annmodal NAME`` does.

    Attributes:
        help: one line, for the list of subcommands.
        description: what ``annmodal NAME --help`` says above the arguments.
        add_arguments: given the parser of this subcommand alone.
        run: does it and gives the exit status; what cannot be done is a ConfigurationError.
    """

    name: str
    help: str
    description: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
