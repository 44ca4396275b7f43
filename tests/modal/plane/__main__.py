"""`python -m plane`: a plane as a process; prints shell settings, lives until its input ends."""

import sys
import tempfile
from pathlib import Path

from .server import Plane


def main() -> None:
    with tempfile.TemporaryDirectory() as home, Plane() as plane:
        for name, value in plane.environment(Path(home), base={}).items():
            sys.stdout.write(f"export {name}='{value}'\n")
        sys.stdout.write(f"# ready {plane.folder}\n")
        sys.stdout.flush()
        sys.stdin.read()


main()
