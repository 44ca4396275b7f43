"""Runs the product's commands, `pytest --modal` and `modal run`, on a plane."""

from __future__ import annotations

import json
import os
import re
import signal
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import warm_python
from small_data import write_small

if TYPE_CHECKING:
    from plane import Plane

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 300  # on a machine that does much else
REAL_TIMEOUT_S = 1200  # images are really built there
BENCHMARK = """
def test_search(ann_benchmark, case):
    assert ann_benchmark(case).recall > 0.9
"""
INDEX = '''# /// script
# dependencies = [{dependencies}]
# ///
import numpy as np

class Index:
    """Exact, and small."""
    def __init__(self, metric):
        pass
    def fit(self, X):
        self.X = np.array(X)
{fit}
    def query(self, v, k):
{query}
        return np.argsort(((self.X - v) ** 2).sum(axis=1), kind="stable")[:k]
'''


def index(*dependencies: str, fit: str = "", query: str = "") -> str:
    """The text of an implementation with extra statements in `fit` or `query`."""
    return INDEX.format(
        dependencies=", ".join(f'"{item}"' for item in dependencies or ("numpy",)),
        fit=textwrap.indent(textwrap.dedent(fit), " " * 8),
        query=textwrap.indent(textwrap.dedent(query), " " * 8),
    )


class Done:
    """How a client process ended."""

    def __init__(self, code: int, text: str) -> None:
        self.code, self.text = code, text
        self.lines = text.splitlines()

    def words(self) -> str:
        """The whole output, with line breaks and frames replaced by single spaces."""
        return re.sub(r"[\s│╭╮╰╯─]+", " ", self.text)

    def counts(self) -> dict[str, int]:
        """Pytest's own: passed, failed, error…"""
        found = re.findall(r"(\d+) (passed|failed|skipped|errors?|deselected)", self.lines[-1])
        return {word.removesuffix("s"): int(number) for number, word in found}


class Product:
    """A user's folder with a benchmark, a data set and an account at a plane."""

    def __init__(self, plane: Plane | None, folder: Path) -> None:
        self.folder = folder
        if plane is None:  # the real service, with the account that is set up here
            self.env = dict(os.environ)
        else:
            self.plane = plane
            home = folder / "home"
            home.mkdir()
            self.env = plane.environment(home)
        self.env["PYTHONPATH"] = os.environ.get("PYTHONPATH", "")
        self.env["PYTHONUNBUFFERED"] = "1"
        self.mark = 0
        self._running: list[warm_python.Process] = []
        self.write("pytest.ini", "[pytest]\n")
        self.write("test_it.py", BENCHMARK)
        self.tiny = write_dataset(folder / "tiny-8-euclidean.hdf5")

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def submission(self, name: str, text: str) -> str:
        return f"--submission={self.write(name, text)}"

    def start(self, *arguments: object, **env: str) -> warm_python.Process:
        """Start `python ARGUMENTS` here, output and errors in one stream."""
        process = warm_python.start("modal", arguments, cwd=self.folder, env={**self.env, **env})
        self._running.append(process)
        return process

    def start_pytest(self, *arguments: object, **env: str) -> warm_python.Process:
        """Start `pytest --modal ARGUMENTS` here, warnings being errors."""
        self._set_mark()
        command = ("-m", "pytest", "-W", "error", "--modal")
        return self.start(*command, *arguments, **env)

    def finish(self, process: warm_python.Process, timeout: float | None = None) -> Done:
        usual = TIMEOUT_S if hasattr(self, "plane") else REAL_TIMEOUT_S
        out, _ = process.communicate(timeout=timeout or usual)
        return Done(process.returncode, out)

    def pytest(self, *arguments: object, **env: str) -> Done:
        return self.finish(self.start_pytest(*arguments, **env))

    def modal(self, *arguments: object, **env: str) -> Done:
        return self.finish(self.start("-m", "modal", *arguments, **env))

    def modal_run(self, *arguments: object, **env: str) -> Done:
        self._set_mark()
        return self.modal("run", ROOT / "modal_app.py", *arguments, **env)

    def _set_mark(self) -> None:
        if hasattr(self, "plane"):
            self.mark = len(self.plane.containers)

    def containers(self, prefix: str | tuple[str, ...] = "") -> list[Any]:
        """The containers that the last run started, of functions whose name begins so."""
        found = self.plane.containers[self.mark :]
        return [container for container in found if container.function_name.startswith(prefix)]

    def interrupt(self, process: warm_python.Process) -> None:
        process.send_signal(signal.SIGINT)

    def close(self) -> None:
        """End what a failed test has left running, and close the pipes that it has left open."""
        for process in self._running:
            process.kill()
            process.communicate()


def write_dataset(path: Path, *, seed: int = 0, n_train: int = 200, dim: int = 8) -> Path:
    """A small file with exact truth."""
    return write_small(
        path.parent, path.stem, n_train=n_train, n_queries=10, dim=dim, k=20, seed=seed
    )


def stored(product: Product, name: str) -> list[str]:
    """Names in a committed volume, the folders' too."""
    root = product.plane.volume(name).path
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def benchmark_json(path: Path) -> list[dict[str, Any]]:
    """The benchmarks in a file that `--benchmark-json` wrote."""
    found: list[dict[str, Any]] = json.loads(path.read_text())["benchmarks"]
    return found
