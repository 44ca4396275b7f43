"""Says what is missing for the tests before tox has spent a minute on an environment."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tox.plugin import impl
from tox.report import HandledError

if TYPE_CHECKING:
    from tox.config.sets import EnvConfigSet
    from tox.session.state import State

sys.path.append(str(Path(__file__).parent / "tests"))


@impl
def tox_add_env_config(env_conf: EnvConfigSet, state: State) -> None:
    """Look when an environment that runs the tests is going to be used."""
    import needs

    runs_tests = env_conf.name in {"lowest", "latest"} or env_conf.name.startswith("py3")
    command = state.conf.options.command
    if runs_tests and command in {"run", "run-parallel"} and (problem := needs.problem()):
        raise HandledError(problem)
