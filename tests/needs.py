"""What the tests need beside Python's packages, and the command that brings it.

``toxfile.py`` asks before tox makes an environment, and ``conftest.py`` before pytest runs all
tests; README.md and ``.ci/run`` have the same command.
"""

from __future__ import annotations

import shutil

# The programs, any of which will do, and the Debian package that has them.
NEEDS = {
    ("g++",): "g++",
    ("bwrap",): "bubblewrap",
    ("chromium", "chromium-browser", "google-chrome"): "chromium",
}
SUDO = "$(command -v sudo)"  # nothing for root in a container that has no sudo


def chromium() -> str | None:
    """Path of a browser for the tests of pages."""
    return next(filter(None, map(shutil.which, list(NEEDS)[-1])), None)


def problem() -> str | None:
    """One line: what is missing, and what brings it; None if all is here."""
    missing = [package for names, package in NEEDS.items() if not any(map(shutil.which, names))]
    if not missing:
        return None
    return (
        f"The tests need {' and '.join(missing)}: {SUDO} apt-get install -y {' '.join(missing)}"
        "  (README.md names the packages of other systems)"
    )
