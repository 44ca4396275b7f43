"""Virtual environments that Dockerfile lines make: they are really made, in a folder of the plane.

A container sees those of its own image, where the lines put them. Everything else that lines
install is shown as far as it is installed here.
"""

import os
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from . import rootfs
from .state import Image

if TYPE_CHECKING:
    from .server import Plane

MAKE = "RUN uv venv "
INSTALL = "RUN uv pip install --python /"
TIMEOUT_S = 120


def is_of_environment(line: str) -> bool:
    """Whether a line is about a virtual environment, and not about the image's own packages."""
    return line.startswith((MAKE, INSTALL))


def folders(lines: list[str]) -> list[str]:
    """Where the virtual environments of an image lie in its containers."""
    return [shlex.split(line)[-1] for line in lines if line.startswith(MAKE)]


def place(plane: "Plane", inside: str) -> Path:
    """Where on the host a path of an image is."""
    return plane.folder / "image" / inside.lstrip("/")


def copy_context(plane: "Plane", image: Image) -> None:
    """What `COPY .` copies: the files that were shipped for the build."""
    mount = image.definition.context_mount_id
    if mount and any(line.startswith("COPY . ") for line in image.definition.dockerfile_commands):
        rootfs.materialise(plane.registry.mounts[mount], plane.files, place(plane, "/"))


def build(plane: "Plane", line: str) -> tuple[bool, str]:
    """Run a line of :func:`is_of_environment`; whether that went well, and what was said."""
    words = shlex.split(line.removeprefix("RUN "))
    if line.startswith(MAKE):
        words[words.index("--python") + 1] = str(
            rootfs.interpreter_paths(plane.python)[1] / "bin/python3"
        )
        words.append("--clear")  # what a build left that failed
    here = [str(place(plane, word)) if word.startswith("/opt/") else word for word in words]
    env = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(
        here,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env=env,
        cwd=plane.folder,
    )
    return done.returncode == 0, done.stdout


def binds(plane: "Plane", root: Path, lines: list[str]) -> list[rootfs.Bind]:
    """The environments of an image, for a container to see."""
    return [
        rootfs.add_bind(root, place(plane, folder), folder, read_only=True)
        for folder in folders(lines)
    ]
