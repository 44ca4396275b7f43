"""Files around the package: issue forms, release, citation, pinned tools."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from pytest_annmodal import __version__
from pytest_annmodal.manifests import manifest

ROOT = Path(__file__).parents[2]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.fixture(scope="module")
def release() -> ModuleType:
    spec = importlib.util.spec_from_file_location("notes", ROOT / ".github" / "release_notes.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


CHANGELOG = (
    "# Changelog\n\n## 1.1.0\n\n- New.\n\n### Fixed\n\n- Old.\n\n## [1.0.0] - 2026\n\n- First.\n"
)


@pytest.mark.parametrize(
    ("version", "notes"), [("1.1.0", "- New.\n\n### Fixed\n\n- Old.\n"), ("1.0.0", "- First.\n")]
)
def test_notes_of_a_release(release, version, notes):
    """The notes of a release are its section of the changelog."""
    assert release.notes(version, CHANGELOG, f'__version__ = "{version}"\n') == notes


@pytest.mark.parametrize(
    ("version", "package", "words"),
    [("1.1.0", "1.0.0", "the tag says 1.1.0"), ("1.2.0", "1.2.0", "no section ## 1.2.0")],
)
def test_a_release_that_does_not_fit(release, version, package, words):
    """Tag, package and changelog must agree."""
    with pytest.raises(ValueError, match=words):
        release.notes(version, CHANGELOG, f'__version__ = "{package}"\n')


def test_citation():
    """The file names this version."""
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))["version"] == __version__


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_forms(path):
    """Forms are valid; those for bugs ask for the output of ``annmodal doctor``."""
    form = yaml.safe_load(path.read_text("utf-8"))
    assert form["name"]
    assert form["description"]
    asked = {part["id"] for part in form["body"]}
    assert len(asked) == len(form["body"])
    assert ("doctor" in asked) == (path.stem != "idea")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows(path):
    """Workflows may only read unless a job says otherwise; each job runs something."""
    workflow = yaml.safe_load(path.read_text("utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["runs-on"]
        assert all(("run" in step) != ("uses" in step) for step in job["steps"])


def test_pythons_and_versions():
    """CI runs every promised Python, and lowest and latest."""
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
        "classifiers"
    ]
    promised = {
        "py" + line.rpartition(" ")[2].replace(".", "")
        for line in classifiers
        if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", line)
    }
    workflow = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text("utf-8"))
    rows = workflow["jobs"]["run"]["strategy"]["matrix"]["include"]
    run = {name for row in rows for name in row["env"].split(",")}
    tox = (ROOT / "tox.ini").read_text("utf-8")
    (env_list,) = re.findall(r"^env_list = (.*)$", tox, flags=re.MULTILINE)
    assert {"py311", "py312", "py313"} <= promised
    assert promised <= run
    assert promised <= set(env_list.split(", "))
    assert {"lowest", "latest"} <= run
    for name in ("lowest", "latest"):
        assert f"[testenv:{name}]" in tox


@pytest.fixture(scope="module")
def lowest() -> dict[str, Version]:
    """The lowest version of each distribution that pyproject.toml allows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    todo, found = [*project["dependencies"], "pytest-annmodal[bench,test]"], {}
    while todo:
        requirement = Requirement(todo.pop())
        for extra in requirement.extras:
            todo += project["optional-dependencies"][extra]
        if requirement.name != "pytest-annmodal":
            (bound,) = requirement.specifier
            assert bound.operator == ">="
            found[requirement.name] = Version(bound.version)
    return found


def test_what_is_tested_is_what_is_declared(lowest):
    """``tox run -e lowest`` tests the declared lowest versions."""
    lines = (ROOT / "tests" / "lowest.txt").read_text("utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert {name: Version(text) for name, text in pins.items()} == lowest


@pytest.mark.parametrize("implementation", manifest.builtin(), ids=lambda one: one.name)
def test_a_built_in_asks_for_what_its_extra_brings(lowest, implementation):
    """A built-in's header allows the versions that its extra installs."""
    for text in implementation.requirements:
        requirement = Requirement(text)
        (bound,) = requirement.specifier
        assert lowest[requirement.name] == Version(bound.version)


def test_one_ruff():
    """pre-commit and tox check with the same version."""
    pins = [
        re.findall(r"ruff==([\d.]+)", (ROOT / name).read_text("utf-8"))
        for name in ("tox.ini", ".pre-commit-config.yaml")
    ]
    assert len({*pins[0], *pins[1]}) == 1
