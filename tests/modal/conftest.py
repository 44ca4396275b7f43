"""Fixtures of the tests that run against the loopback control plane."""

import contextlib
import json
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import warm_python

# Not a package: a directory called `modal` that were one would stand in for the client.
sys.path.insert(0, str(Path(__file__).parent))

if TYPE_CHECKING:
    from plane import Plane

Completed = subprocess.CompletedProcess[str]

PREAMBLE = """
import json, os, sys, time
import modal
app = modal.App("test", image=modal.Image.debian_slim())
def show(value):
    print("RESULT", json.dumps(value), flush=True)
"""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs an account and costs money, unless it is asked for by its mark."""
    if "modal" in config.option.markexpr:
        return
    paid = [item for item in items if item.get_closest_marker("modal") is not None]
    if paid:
        config.hook.pytest_deselected(items=paid)
        items[:] = [item for item in items if item not in paid]


@pytest.fixture
def plane_options() -> dict[str, Any]:
    """What the plane is made with; override it in a test module or by parametrizing it."""
    return {}


@pytest.fixture
def plane(plane_options: dict[str, Any]) -> Iterator["Plane"]:
    """A control plane of its own for the test; nothing of it is left afterwards."""
    if not sys.platform.startswith("linux"):
        pytest.skip("containers are made of Linux processes and namespaces")
    from plane import Plane

    with Plane(**plane_options) as plane:
        yield plane
    assert not plane.errors, plane.errors
    assert not plane.live_containers()


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A user's folder and account at a plane that the tests of a module share."""
    from plane import Plane
    from product import Product

    with Plane() as plane:
        if not plane.namespaces:
            pytest.skip("neither root nor user namespaces: there is no /data in containers")
        with contextlib.closing(Product(plane, tmp_path_factory.mktemp("product"))) as product:
            yield product
    assert not plane.errors, plane.errors
    assert not plane.live_containers()


@pytest.fixture
def isolated(plane: "Plane") -> "Plane":
    """The plane, where containers have a file system of their own."""
    if not plane.namespaces:
        pytest.skip("neither root nor user namespaces: containers share the host's file system")
    return plane


@pytest.fixture
def modal_env(plane: "Plane", tmp_path: Path) -> dict[str, str]:
    """The environment for a client: this plane, its token, an empty home, nothing else of Modal."""
    home = tmp_path / "home"
    home.mkdir()
    return plane.environment(home)


@pytest.fixture
def start_client(
    modal_env: dict[str, str], tmp_path: Path
) -> Iterator[Callable[..., warm_python.Process]]:
    """Start `python ARGS…` as a client in a session of its own; it does not outlive the test."""
    started: list[warm_python.Process] = []

    def start(*arguments: object, **options: Any) -> warm_python.Process:
        settings = {"cwd": tmp_path, "env": modal_env, **options}
        process = warm_python.start("modal", arguments, errors_apart=True, **settings)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def run_client(start_client: Callable[..., warm_python.Process]) -> Callable[..., Completed]:
    """Run `python ARGS…` as a client to its end; `-m modal` is the `modal` command."""

    def run(*arguments: object, timeout: float = 200, **options: Any) -> Completed:
        process = start_client(*arguments, **options)
        out, err = process.communicate(timeout=timeout)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run


@pytest.fixture
def write_app(tmp_path: Path) -> Callable[[str], Path]:
    """Write an app file from its source; `app`, `show(value)` and the usual imports are there."""

    def write(source: str, name: str = "app.py") -> Path:
        path = tmp_path / name
        path.write_text(PREAMBLE + textwrap.dedent(source))
        return path

    return write


@pytest.fixture
def run_app(
    plane: "Plane", write_app: Callable[[str], Path], run_client: Callable[..., Completed]
) -> Callable[..., Any]:
    """Run an app file as a script; return what it passed to `show`, a list for several calls."""

    def run(source: str, **options: Any) -> Any:
        done = run_client(write_app(source), **options)
        assert done.returncode == 0, done.stdout + done.stderr + plane.log_text()
        shown = results(done.stdout)
        return shown[0] if len(shown) == 1 else shown

    return run


def results(output: str) -> list[Any]:
    """What an app has passed to `show`, in order."""
    return [
        json.loads(line.removeprefix("RESULT "))
        for line in output.splitlines()
        if line.startswith("RESULT ")
    ]
