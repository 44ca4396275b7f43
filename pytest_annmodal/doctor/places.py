"""Checks of the dataset folder and of access to Modal."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from pytest_annmodal.datasets.volume.volume import local_volume
from pytest_annmodal.doctor.finding import Finding, bad, doubtful, good
from pytest_annmodal.errors import ConfigurationError, ExecutorError
from pytest_annmodal.figures import counted, size
from pytest_annmodal.settings.option import PREFIX

LEAST_FREE_BYTES = 5 * 10**9  # gist-960-euclidean has 3.6 GB; the rest is for its checks
ANSWER_S = 2.0
ONLY_MODAL = "Everything can be measured here; only --modal needs it."


def datasets() -> Finding:
    """Checks the folder of the datasets and its free space."""
    variable = f"{PREFIX}VOLUME_DIR"
    try:
        path = local_volume(os.environ.get(variable)).path
    except ConfigurationError as error:
        return bad(str(error), "No dataset can be stored.", f"Set {variable} to a folder.")
    there = next(place for place in (path, *path.parents) if place.exists())
    free_bytes = shutil.disk_usage(there).free
    n_files = len(list(path.glob("*.hdf5"))) if path.is_dir() else 0
    found = f"{path}: {counted(n_files, 'dataset')}, {size(free_bytes)} free"
    figures = {"path": str(path), "datasets": n_files, "free_bytes": free_bytes}
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return bad(
            f"{found}; {there} cannot be written to",
            "Datasets can be neither generated nor downloaded.",
            f"Name another folder: --ann-volume-dir, or {variable}.",
            **figures,
        )
    if free_bytes < LEAST_FREE_BYTES:
        return doubtful(
            found,
            "The large datasets do not fit (gist-960-euclidean: 3.6 GB).",
            f"Free some space, or name another folder: {variable}.",
            **figures,
        )
    return good(found, "Generated and downloaded datasets are kept there.", **figures)


def modal() -> Finding:
    """Checks whether there is a token, and whether Modal's server accepts it."""
    if not _may_have_token():
        return good("no token here", ONLY_MODAL, usable=False)
    from pytest_annmodal.executors.modal import connection, definitions

    try:
        connection.within(ANSWER_S, connection.check_token)
    except (ConfigurationError, ExecutorError) as error:
        return doubtful(str(error), ONLY_MODAL, "`modal setup` makes a new token.", usable=False)
    return good(
        f"the token is accepted; the app is called {definitions.APP_NAME}",
        "Figures from Modal are of its machines: compare them only with each other.",
        usable=True,
        app=definitions.APP_NAME,
    )


def _may_have_token() -> bool:
    """Whether there may be a token; the client is not imported, as that takes over a second."""
    named = os.environ.get("MODAL_CONFIG_PATH")
    file = Path(named) if named else Path("~/.modal.toml").expanduser()
    return "MODAL_TOKEN_ID" in os.environ or file.is_file()
