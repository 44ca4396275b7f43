"""Which installed packages a container can import: its image's, and those the client needs."""

import importlib.metadata
import re
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement

# In the service the client and its dependencies are mounted into every container; pip is part of
# the base image.
ALWAYS = ("modal", "pip", "setuptools", "wheel")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


class Installed:
    """The distributions in one site-packages directory."""

    def __init__(self, site: Path) -> None:
        self.site = site
        self._distributions = {
            canonical(name): distribution
            for distribution in importlib.metadata.distributions(path=[str(site)])
            if (name := distribution.metadata["Name"])
        }

    def __contains__(self, name: str) -> bool:
        return canonical(name) in self._distributions

    def closure(self, requirements: Iterable[str]) -> set[str]:
        """The distributions that these requirements bring in, as far as they are installed."""
        found: set[tuple[str, str]] = set()
        waiting = [
            wanted for requirement in requirements for wanted in _wanted(Requirement(requirement))
        ]
        while waiting:
            name, extra = waiting.pop()
            if (name, extra) in found or name not in self._distributions:
                continue
            found.add((name, extra))
            for text in self._distributions[name].requires or ():
                requirement = Requirement(text)
                if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                    waiting += _wanted(requirement)
        return {name for name, _ in found}

    def entries(self, names: Iterable[str]) -> set[str]:
        """The names in site-packages that belong to these distributions."""
        entries: set[str] = set()
        for name in names:
            for file in self._distributions[name].files or ():
                if file.parts and file.parts[0] not in ("..", "__pycache__"):
                    entries.add(file.parts[0])
        return entries

    def everything_but(self, hidden: Iterable[str]) -> set[str]:
        """All entries save those of the hidden projects, editable hooks included."""
        patterns = [canonical(name) for name in hidden]
        return {
            path.name
            for path in self.site.iterdir()
            if not any(pattern in canonical(path.name) for pattern in patterns)
        }


def _wanted(requirement: Requirement) -> list[tuple[str, str]]:
    """The distribution that a requirement names, once plain and once for each of its extras."""
    return [(canonical(requirement.name), extra) for extra in ("", *requirement.extras)]


def link_farm(target: Path, entries: Iterable[str], hidden_site: str) -> None:
    """Fill a directory with links to entries of the site-packages bound at `hidden_site`."""
    target.mkdir(parents=True)
    for entry in entries:
        (target / entry).symlink_to(f"{hidden_site}/{entry}")
