"""NAME@SPEC is read from its text."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from jobs import make_job
from session_data import INDEX
from small_wheels import write_project, write_wheel

from pytest_annmodal.environments.spec import split, with_spec
from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.model import Arguments, Environment, Implementation
from pytest_annmodal.session import baseline, selection
from pytest_annmodal.settings.config import Settings

HNSWLIB = Implementation(
    name="hnswlib", path="/h.py", class_name="H", requirements=("hnswlib>=0.8", "scipy>=1")
)


def environment(spec: str, rootdir: Path = Path("/"), **more: object) -> Environment:
    one = Implementation(**{**vars_of(HNSWLIB), **more})
    found = with_spec(one, spec, rootdir=rootdir, asked=f"--impl hnswlib@{spec}")
    assert found.name == f"hnswlib@{spec}"
    assert found.environment is not None
    assert found.environment.spec == spec
    return found.environment


def vars_of(item: Implementation) -> dict[str, object]:
    return {name: getattr(item, name) for name in ("name", "path", "class_name", "requirements")}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("annoy", ("annoy", None, None)),
        ("annoy[10,*]", ("annoy", None, "10,*")),
        ("annoy@1.17", ("annoy", "1.17", None)),
        ("annoy@1.17[n_trees=10]", ("annoy", "1.17", "n_trees=10")),
        ("a@git+ssh://git@host/x@main", ("a", "git+ssh://git@host/x@main", None)),
    ],
)
def test_a_name_is_split_from_its_spec_and_setting(text: str, expected: object) -> None:
    """The first @ separates name and spec; brackets at the end are a setting."""
    assert split(text) == expected


@pytest.mark.parametrize(
    ("spec", "requirements", "python"),
    [
        ("0.7.0", ("hnswlib==0.7.0", "scipy>=1", "numpy"), ""),
        ("==0.7.*", ("hnswlib==0.7.*", "scipy>=1", "numpy"), ""),
        ("0.7.0+numpy<2", ("hnswlib==0.7.0", "numpy<2", "scipy>=1"), ""),
        ("0.7.0; python=3.12", ("hnswlib==0.7.0", "scipy>=1", "numpy"), "3.12"),
        ("other-hnswlib==1", ("other-hnswlib==1", "hnswlib>=0.8", "scipy>=1", "numpy"), ""),
        ("HNSWlib==1+SciPy==2", ("HNSWlib==1", "SciPy==2", "numpy"), ""),
        ("git+file:///x@main+numpy<2", ("git+file:///x@main", "numpy<2", "scipy>=1"), ""),
    ],
)
def test_a_spec_names_what_is_installed(
    spec: str, requirements: tuple[str, ...], python: str
) -> None:
    """A spec replaces one requirement of the header; the others stay."""
    found = environment(spec)
    assert (found.requirements, found.python) == (requirements, python)


def test_paths_start_here_or_at_the_rootdir(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths start at the current folder or the rootdir, for projects and wheels."""
    root, here = tmp_path / "root", tmp_path / "here"
    write_project(root, "1.0")
    write_project(here / "checkout", "2.0")
    wheel = write_wheel(root, "1.0+local")
    monkeypatch.chdir(here)
    assert environment("./checkout", root).requirements[0] == str(here / "checkout")
    assert environment("working-tree", root).requirements[0] == str(root)
    spec = f"./{wheel.name}+numpy<2"
    assert environment(spec, root).requirements[:2] == (str(wheel), "numpy<2")


def test_what_is_installed_needs_no_environment() -> None:
    """``@installed`` makes no environment, but has a name of its own."""
    found = with_spec(HNSWLIB, "installed", rootdir=Path("/"), asked="")
    assert (found.name, found.environment) == ("hnswlib@installed", None)


def test_numpy_is_the_distribution_of_one_that_needs_nothing_else() -> None:
    """For the built-in bruteforce a version is numpy's."""
    found = environment("1.26.4", requirements=("numpy>=1.26",))
    assert found.requirements == ("numpy==1.26.4",)


@pytest.mark.parametrize(
    ("spec", "more", "words"),
    [
        ("./none", {}, "./none: there is no such folder or wheel (/none)"),
        ("what is this", {}, "'what is this' is not a version (0.7.0), a specifier"),
        ("", {}, "a part of the spec is empty"),
        ("1.0+", {}, "a part of the spec is empty"),
        ("working-tree", {}, "/ has neither pyproject.toml nor setup.py"),
        ("x @ https://y/z.whl", {}, "write the address alone, as git+URL@REF"),
        ("1.0", {"trusted": False}, "hnswlib is a submission, and packages are never"),
        ("1.0", {"style": "c++"}, "a C++ file uses no Python packages; leave out @1.0"),
        (
            "1.0",
            {"requirements": (), "modules": ("numpy", "faiss")},
            "has no header that names its distribution; add its name: hnswlib@faiss-cpu==1.0",
        ),
    ],
)
def test_a_spec_that_means_nothing_is_refused(
    spec: str, more: dict[str, object], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An invalid spec is refused with the option and a correct form."""
    monkeypatch.chdir("/")
    with pytest.raises(ConfigurationError) as error:
        environment(spec, **more)
    assert str(error.value).startswith(f"--impl hnswlib@{spec}: ")
    assert words in str(error.value)


def chosen(*patterns: str, **more: object) -> list[str]:
    settings = Settings(impl=patterns, **more)
    return [
        f"{item.name} {'|'.join(v.search.label for v in item.variants)}"
        for item in selection.select_implementations(settings)
    ]


def test_versions_are_chosen_like_implementations() -> None:
    """Specs work with settings and globs; each spec has a row."""
    assert chosen("hnswlib@0.7.0[ef=30]", "hnswlib@==0.7.*", "hnswlib[ef=10]") == [
        "hnswlib@0.7.0 ef=30",
        "hnswlib@==0.7.* ef=10|ef=30|ef=100",
        "hnswlib ef=10",
    ]
    of_glob = {one.split()[0] for one in chosen("faiss-*@1.9.0")}
    assert of_glob >= {"faiss-hnsw@1.9.0", "faiss-ivf@1.9.0"}
    assert all(name.startswith("faiss-") and name.endswith("@1.9.0") for name in of_glob)
    assert [one.split()[0] for one in chosen("hnsw*", "annoy@1.17.1")] == [
        "annoy@1.17.1",
        "hnswlib",
    ]


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("hnswlob@1.0", "--impl hnswlob@1.0: no such implementation; did you mean 'hnswlib'"),
        ("hnswlib@1.0[no=1]", "--impl hnswlib@1.0[no=1]: hnswlib@1.0 has no parameter 'no'"),
        ("hnswlib@?", "--impl hnswlib@?: '?' is not a version"),
        ("mine@1.0", "--impl mine@1.0: mine is a submission"),
    ],
)
def test_an_unknown_name_with_a_spec_is_an_error(pattern: str, words: str, tmp_path: Path) -> None:
    """An unknown name with a spec has the error of any unknown name."""
    (tmp_path / "mine.py").write_text(INDEX)
    with pytest.raises(ConfigurationError) as error:
        chosen(pattern, submission=(str(tmp_path / "mine.py"),))
    assert str(error.value).startswith(words)


@pytest.mark.parametrize(
    ("named", "build", "searches"),
    [
        ("hnswlib", 16, {10, 30, 100, 44}),
        ("hnswlib@0.7.0", 16, {10, 30, 100, 44}),
        ("hnswlib@0.7.0[ef=30]", 12, {30}),
        ("faiss-hnsw", 12, {10, 30, 100}),
    ],
)
def test_another_version_in_a_gate_has_the_candidates_parameters(
    named: str, build: int, searches: set[int], tmp_path: Path
) -> None:
    """Those of ``--ann-param`` too, which its header does not have; but not if it has its own."""
    settings = Settings(baseline=named)
    offered = selection.offered_implementations(settings)
    (hnswlib,) = (item for item in offered if item.name == "hnswlib")
    first = hnswlib.variants[0]
    job = make_job(tmp_path / "data.hdf5", Path(hnswlib.path), implementation=vars_of(hnswlib))
    job = dataclasses.replace(
        job,
        build=dataclasses.replace(first.build, kwargs={**first.build.kwargs, "M": 16}),
        searches=tuple(
            dataclasses.replace(job.searches[0], arguments=Arguments(kwargs={"ef": ef}))
            for ef in (30, 44)
        ),
    )
    found = baseline.choose(settings, offered, beside=job)
    assert found is not None
    assert found.build.kwargs["M"] == build
    assert {arguments.kwargs["ef"] for arguments in found.searches} == searches


def test_a_baseline_has_a_spec_of_its_own() -> None:
    """A baseline has its own environment, and its library need not be installed."""
    settings = Settings(baseline="pynndescent@0.5.1")
    found = baseline.choose(settings, selection.offered_implementations(settings))
    assert found is not None
    assert found.label.startswith("pynndescent@0.5.1[")
    assert found.implementation.environment is not None
    assert found.implementation.environment.requirements[0] == "pynndescent==0.5.1"
