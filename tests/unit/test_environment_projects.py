"""Which files of a project's folder count: those that git would include."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pytest_annmodal.environments import projects
from pytest_annmodal.errors import EnvironmentBuildError

FILES = ("src/a.py", "pyproject.toml", "ignored/big.bin", "src/__pycache__/a.pyc", ".annmodal/r")


def git(folder: Path, *words: str) -> None:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *words]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / ".gitignore").write_text("ignored/\n*.log\n")
    (folder / "out.log").write_text("log")
    return folder


EXPECTED = [".gitignore", "pyproject.toml", "src/a.py"]


def test_gitignore_is_obeyed_without_a_repository(project: Path) -> None:
    """.gitignore counts without a repository; leftovers of tools and our results never count."""
    assert projects.files_of(project) == EXPECTED


def test_gitignore_is_obeyed_in_a_repository_and_its_submodules(
    project: Path, tmp_path: Path
) -> None:
    """Uncommitted files count, ignored ones only if committed, in submodules too."""
    git(project, "init", "-q")
    git(project, "add", "-f", "out.log")
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "lib.h").write_text("h")
    git(inner, "init", "-q")
    git(inner, "add", ".")
    git(inner, "commit", "-qm", "x")
    git(project, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner), "dep")
    (project / "dep" / "new.h").write_text("new")
    expected = [*EXPECTED, ".gitmodules", "dep/lib.h", "dep/new.h", "out.log"]
    assert projects.files_of(project) == sorted(expected)
    assert projects.files_of(project / "src") == ["a.py"]


def test_without_git_everything_counts_but_what_tools_leave(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without git, .gitignore is not read: all files but leftovers of tools count."""
    monkeypatch.setenv("PATH", "/nowhere")
    assert projects.files_of(project) == sorted([*EXPECTED, "ignored/big.bin", "out.log"])


def test_the_content_counts_and_not_its_place(project: Path, tmp_path: Path) -> None:
    """A copy has the same hash; another byte, name or link changes it."""
    (project / "link").symlink_to("src/a.py")
    known = projects.digest(project)
    copy = tmp_path / "copy"
    projects.copy(project, copy)
    assert projects.digest(copy) == known
    assert (copy / "link").readlink() == Path("src/a.py")
    assert not (copy / "ignored").exists()
    (copy / "ignored").mkdir()
    (copy / "ignored" / "more").write_text("more")
    assert projects.digest(copy) == known
    (copy / "src" / "a.py").write_text("b")
    assert projects.digest(copy) != known
    (copy / "src" / "a.py").write_text("src/a.py")
    (copy / "src" / "a.py").rename(copy / "src" / "b.py")
    assert projects.digest(copy) != known


def test_a_copy_knows_the_repository(project: Path, tmp_path: Path) -> None:
    """A copy has the repository's tags, from which versions are made."""
    git(project, "init", "-q")
    git(project, "add", ".")
    git(project, "commit", "-qm", "x")
    git(project, "tag", "v7")
    projects.copy(project, tmp_path / "copy")
    said = subprocess.run(
        ["git", "-C", str(tmp_path / "copy"), "describe", "--tags"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert said.stdout.strip() == "v7"


def test_a_folder_that_is_too_large_says_what_to_do(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is too large (data beside the code) is refused with advice."""
    monkeypatch.setattr(projects, "MAX_BYTES", 10)
    with pytest.raises(EnvironmentBuildError, match=r"GB of files; add those that do not belong"):
        projects.digest(project)
