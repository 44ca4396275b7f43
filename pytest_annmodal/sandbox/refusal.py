"""Explains why bubblewrap does not work here, and which setting would change that."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

KERNEL_SETTINGS = Path("/proc/sys")
# Files that exist in containers: Docker, Podman, systemd.
CONTAINER_MARKS = (
    Path("/.dockerenv"),
    Path("/run/.containerenv"),
    Path("/run/systemd/container"),
)
INSTALL = "Debian and Ubuntu: apt install bubblewrap; Fedora: dnf install bubblewrap"
NOT_INSTALLED = f"bubblewrap is not installed ({INSTALL})"
# name: (the value that refuses user namespaces, one that allows them, where it is usual)
SYSCTLS = {
    "kernel.apparmor_restrict_unprivileged_userns": ("1", "0", ", as on Ubuntu since 23.10"),
    "user.max_user_namespaces": ("0", "15000", ""),
    "kernel.unprivileged_userns_clone": ("0", "1", ""),
}
CONTAINER = (
    "this is a container: start it with --security-opt seccomp=unconfined --security-opt "
    "apparmor=unconfined --security-opt systempaths=unconfined"
)
MAX_CHARS = 300


def explain(said: str) -> str:
    """Returns bubblewrap's error, and each setting of this machine that refuses what it needs.

    Args:
        said: its error output when it was tried.
    """
    lines = [line for line in said.splitlines() if line.strip()]
    own = [line for line in lines if line.startswith("bwrap:")] or lines[-1:] or ["nothing"]
    found = "; ".join(_settings()) or "no kernel setting was found that refuses them"
    return (
        f"bubblewrap is installed but does not work: {own[0].strip()[:MAX_CHARS]!r}. "
        f"It needs user namespaces; {found}. See docs/security.md"
    )


def _settings() -> Iterator[str]:
    for name, (refuses, allows, usual) in SYSCTLS.items():
        try:
            value = (KERNEL_SETTINGS / name.replace(".", "/")).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if value == refuses:
            yield f"{name} is {value}{usual}: allow them with `sudo sysctl -w {name}={allows}`"
    if any(map(os.path.lexists, CONTAINER_MARKS)) or "KUBERNETES_SERVICE_HOST" in os.environ:
        yield CONTAINER
