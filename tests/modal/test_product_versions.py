"""`pytest --modal --impl NAME@SPEC`: an environment is a layer of the image."""

from __future__ import annotations

import importlib.metadata
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from product import benchmark_json, index
from small_wheels import implementation, offer_nothing_else, write_index, write_project

NUMPY = importlib.metadata.version("numpy")


@pytest.fixture(scope="module")
def tiny(product: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A plane that installs from a small index; the client has none of its packages."""
    with pytest.MonkeyPatch.context() as patch:
        folder = write_index(tmp_path_factory.mktemp("index"))
        offer_nothing_else(patch, folder, tmp_path_factory.mktemp("cache"))
        implementation(product.folder / "mine")
        checkout = write_project(product.folder / "checkout", "5.0")
        (checkout / ".gitignore").write_text("secret.txt\n")
        (checkout / "secret.txt").write_text("not for others")
        yield product


def test_versions_are_rows_of_one_table_on_modal_too(tiny: Any) -> None:
    """A release and a folder have rows with their versions; a spec that does not exist fails alone."""
    ran = tiny.pytest(
        "--ann-implementations=mine",
        "--impl=tiny@1.0",
        "--impl=tiny@./checkout",
        "--impl=tiny@9.9",
        f"--dataset={tiny.tiny}",
        "--ann-rounds=1",
        "--benchmark-json=out.json",
    )
    assert ran.counts() == {"passed": 2, "failed": 1}, ran.text
    assert f"tiny@1.0: tinyann 1.0, numpy {NUMPY}" in ran.text
    assert f"tiny@./checkout: tinyann 5.0, numpy {NUMPY}" in ran.text
    assert "failed (environment): The container's image could not be built" in ran.text
    assert "with tinyann==9.9" in ran.words()
    installed = [
        saved["extra_info"]["environment"]["versions"]["tinyann"]
        for saved in benchmark_json(tiny.folder / "out.json")
    ]
    assert sorted(installed) == ["1.0", "5.0"]
    shipped = {
        file.filename
        for files in tiny.plane.registry.mounts.values()
        for file in files
        if "/opt/annmodal/sources/" in file.filename
    }
    assert {name.rpartition("/")[2] for name in shipped} == {
        ".gitignore",
        "backend.py",
        "pyproject.toml",
        "tinyann.py",
    }


def test_a_baseline_has_its_own_environment_beside_a_submission(tiny: Any) -> None:
    """Both run in one container, and the baseline is isolated like the submission."""
    ran = tiny.pytest(
        tiny.submission("mine.py", index("numpy")),
        f"--dataset={tiny.tiny}",
        f"--ann-baseline=bruteforce@{NUMPY}",
        "--ann-sessions=1",
    )
    assert ran.counts() == {"passed": 1}, ran.text
    assert f"× bruteforce@{NUMPY}" in ran.words()
    assert len(tiny.containers("ask_submission")) == 1


def test_a_spec_that_cannot_be_resolved_fails_its_job_alone(tiny: Any) -> None:
    """A spec with an unknown commit fails its job, and no image is built for it."""
    subprocess.run(["git", "init", "-q", str(tiny.folder / "empty")], check=True)
    ran = tiny.pytest(
        "--ann-implementations=mine",
        f"--impl=tiny@git+file://{tiny.folder}/empty@none",
        f"--dataset={tiny.tiny}",
    )
    assert ran.counts() == {"failed": 1}, ran.text
    assert "has no branch or tag 'none'" in ran.words()


def test_modal_run_has_one_image_for_all(tiny: Any) -> None:
    """`modal run` refuses NAME@SPEC and says what to use instead."""
    ran = tiny.modal_run("--impl", "hnswlib@0.7.0", "--dataset", "digits-64-euclidean")
    assert ran.code == 2, ran.text
    assert "needs an image of its own" in ran.words()
