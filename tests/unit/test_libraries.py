"""Libraries outside of site-packages that a sandbox shows, with real interpreters."""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import sys
import textwrap
import venv
from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_annmodal.sandbox import libraries

CHECKOUT = Path(libraries.__file__).parents[2]
FINDER = """
import sys
from importlib.util import spec_from_file_location

MAPPING = {mapping!r}

class _EditableFinder:
    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        if fullname in MAPPING:
            folder = MAPPING[fullname]
            return spec_from_file_location(
                fullname, folder + "/__init__.py", submodule_search_locations=[folder]
            )

def install():
    sys.meta_path.append(_EditableFinder)
"""
IN_SANDBOX = """
import json, subprocess, sys
from pytest_annmodal.sandbox import isolation
level, private, code = json.loads(sys.argv[1])
command = [sys.executable, "-P", "-c", code]
if level == "bubblewrap":
    command = isolation.bubblewrap(command, [], private)
env = isolation.environment(level, 1, "x", private)
sys.exit(subprocess.run(command, env=env).returncode)
"""


class Organiser:
    """A virtual environment like this one, with more libraries."""

    def __init__(self, place: Path, **options: bool) -> None:
        self.place = place
        venv.create(place / "env", symlinks=True, **options)
        self.python = place / "env/bin/python"
        (self.site,) = (place / "env").glob("lib/python*/site-packages")
        self.pth("ours", *site.getsitepackages(), CHECKOUT)

    def write(self, name: str, text: str = "") -> Path:
        path = self.place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    def pth(self, name: str, *lines: object) -> None:
        (self.site / f"{name}.pth").write_text("".join(f"{line}\n" for line in lines))

    def editable(self, name: str, *, top_level: str = "") -> None:
        """Writes what pip leaves for a distribution installed in place."""
        info = self.site / f"{name}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        url = {"url": "file:///x", "dir_info": {"editable": True}}
        (info / "direct_url.json").write_text(json.dumps(url))
        if top_level:
            (info / "top_level.txt").write_text(top_level)

    def sees(
        self,
        code: str,
        *,
        level: str = "bubblewrap",
        private: Sequence[Path] = (),
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
    ) -> str:
        """What this code prints in a sandbox made by the organiser's Python."""
        if level == "bubblewrap" and not shutil.which("bwrap"):
            pytest.skip("bubblewrap is not installed")
        home = self.place / "home"
        home.mkdir(exist_ok=True)
        done = subprocess.run(
            [self.python, "-c", IN_SANDBOX, json.dumps([level, [*map(str, private)], code])],
            cwd=cwd or home,
            env={"PATH": os.environ["PATH"], "HOME": str(home), **(env or {})},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


@pytest.fixture
def organiser(tmp_path: Path) -> Organiser:
    return Organiser(tmp_path)


def test_src_layout(organiser: Organiser) -> None:
    """The folder that a ``.pth`` file names is shown read-only, and nothing around it."""
    organiser.write("lib/src/mylib/__init__.py", "import mycore")
    organiser.write("lib/src/mycore.py", "X = 'found'")
    organiser.write("lib/secret.txt")
    organiser.pth("__editable__.mylib-1", organiser.place / "lib/src")
    code = (
        "import os, mylib; there = os.path.dirname(mylib.__file__); "
        "print(mylib.mycore.X, os.listdir(there + '/../..'), os.access(there, os.W_OK))"
    )
    assert organiser.sees(code) == "found ['src'] False"


def test_flat_layout(organiser: Organiser) -> None:
    """Of a project's own folder only the package that is installed from it."""
    organiser.write("project/my_lib/__init__.py")
    organiser.write("project/pyproject.toml")
    organiser.write("project/solution.py")
    organiser.pth("my_lib", organiser.place / "project")
    organiser.editable("My-Lib")
    assert (
        organiser.sees(
            f"import os, my_lib; print(os.listdir({str(organiser.place)!r} + '/project'))"
        )
        == "['my_lib']"
    )
    assert organiser.sees("import solution") == "ModuleNotFoundError: No module named 'solution'"


def test_import_hook(organiser: Organiser) -> None:
    """A package that only a finder knows (``__editable___x_finder.py``), as setuptools makes it."""
    package = organiser.write("project/code/__init__.py", "X = 'found'").parent
    organiser.write("project/setup.py")
    finder = FINDER.format(mapping={"mylib": str(package)})
    (organiser.site / "__editable___mylib_1_finder.py").write_text(finder)
    organiser.pth(
        "__editable__.mylib-1",
        "import __editable___mylib_1_finder; __editable___mylib_1_finder.install()",
    )
    organiser.editable("distribution-of-another-name", top_level="mylib\n")
    code = f"import mylib, os; print(mylib.X, os.listdir({str(package.parent)!r}))"
    assert organiser.sees(code) == "found ['code']"


def test_link(organiser: Organiser) -> None:
    """A package that is a link in site-packages."""
    package = organiser.write("project/mylib/__init__.py", "X = 'found'").parent
    (organiser.site / "mylib").symlink_to(package)
    (organiser.site / "dead").symlink_to("nowhere")
    assert organiser.sees("import mylib; print(mylib.X)") == "found"


@pytest.mark.parametrize("level", ["bubblewrap", "process"])
def test_pythonpath(organiser: Organiser, level: str) -> None:
    """A folder of libraries is on the worker's path; what does not exist is left out."""
    organiser.write("libs/mylib/__init__.py")
    path = f"{organiser.place}/libs:{organiser.place}/gone:"
    code = "import mylib, os; print(os.environ['PYTHONPATH'])"
    seen = organiser.sees(code, level=level, env={"PYTHONPATH": path})
    assert seen == f"{organiser.place}/libs"


@pytest.mark.parametrize("level", ["bubblewrap", "process"])
def test_user_site(organiser: Organiser, level: str, tmp_path: Path) -> None:
    """Libraries in the organiser's user site are found, although the worker has another home."""
    base = Organiser(tmp_path / "base", system_site_packages=True)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    base.write(f"home/.local/lib/{version}/site-packages/mylib.py", "X = 'found'")
    assert base.sees("import mylib; print(mylib.X)", level=level) == "found"


@pytest.mark.parametrize("kind", ["PYTHONPATH", "pth"])
@pytest.mark.parametrize("private", ["course", "course/submissions", "course/inner/.."])
def test_protected_folders_are_hidden(organiser: Organiser, kind: str, private: str) -> None:
    """Protected folders and libraries in them are hidden, whatever names them."""
    organiser.write("course/solution.py")
    organiser.write("course/submissions/bob.py")
    organiser.write("course/inner/x.py")
    env = {"PYTHONPATH": str(organiser.place / "course")} if kind == "PYTHONPATH" else {}
    if kind == "pth":
        organiser.pth("course", organiser.place / "course")
    code = f"import os; print(os.path.exists({str(organiser.place / 'course')!r})); import solution"
    assert organiser.sees(code, private=[organiser.place / private], env=env) == "False"


def test_home_and_current_folder(organiser: Organiser) -> None:
    """``PYTHONPATH=.`` and the home folder are not shown."""
    course = organiser.write("course/solution.py").parent
    organiser.write("home/mine.py")
    for name, env in (("solution", "."), ("mine", str(organiser.place / "home"))):
        seen = organiser.sees(f"import {name}", cwd=course, env={"PYTHONPATH": env})
        assert seen == f"ModuleNotFoundError: No module named '{name}'"


def test_installed_from_a_submission(organiser: Organiser) -> None:
    """A package inside a submission is hidden from others, even if it is installed."""
    organiser.write("subs/bob/boblib/__init__.py")
    organiser.pth("boblib", organiser.place / "subs/bob")
    organiser.editable("boblib")
    seen = organiser.sees("import boblib", private=[organiser.place / "subs/bob"])
    assert seen == "ModuleNotFoundError: No module named 'boblib'"


def test_a_hidden_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A note says which library is hidden, where it is, why, and what to do."""
    (tmp_path / "mylib").mkdir()
    (tmp_path / "mylib" / "__init__.py").touch()
    (tmp_path / "setup.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert libraries.missing("mylib.inner", "bubblewrap") == (
        f"mylib lies in {tmp_path}, which a submission is not shown: it is a project's folder, "
        f"with setup.py in it. Install it (pip install {tmp_path}), or move it to a folder that "
        "holds only libraries"
    )
    assert libraries.missing("nowhere", "bubblewrap") is None
    assert libraries.missing("numpy", "bubblewrap") is None


def test_a_folder_that_another_user_may_not_enter_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library in a folder that the worker's user id may not enter is named."""
    closed = tmp_path / "closed"
    (closed / "libs").mkdir(parents=True)
    (closed / "libs" / "mylib.py").touch()
    closed.chmod(0o700)
    monkeypatch.setenv("PYTHONPATH", str(closed / "libs"))
    why = libraries.missing("mylib", "uid")
    assert why is not None
    assert why.startswith(f"mylib lies in {closed}/libs, and a submission's user id may not")
    assert libraries.missing("mylib", "bubblewrap") is None
