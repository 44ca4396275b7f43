"""The section of a version in CHANGELOG.md, for its release.

``python .github/release_notes.py 1.2.3`` prints it; where the package has another version, or the
changelog no section, it says so and ends with status 1.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def notes(version: str, changelog: str, package: str) -> str:
    """The section, without its heading.

    Args:
        changelog: the text of CHANGELOG.md.
        package: the text of the file that says the package's version.

    Raises:
        ValueError: they are not about this version.
    """
    said = re.search(r'^__version__ = "(.*)"$', package, flags=re.MULTILINE)
    if said is None or said[1] != version:
        raise ValueError(f"the tag says {version}, and the package {said and said[1]}")
    sections = re.split(r"^## ", changelog, flags=re.MULTILINE)[1:]
    for section in sections:
        heading, _, rest = section.partition("\n")
        if heading.strip("[] ").split("]")[0].split(" ")[0] == version:
            return rest.strip() + "\n"
    raise ValueError(f"CHANGELOG.md has no section ## {version}")


def main() -> int:
    try:
        found = notes(
            sys.argv[1],
            (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
            (ROOT / "pytest_annmodal" / "__init__.py").read_text(encoding="utf-8"),
        )
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    print(found, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
