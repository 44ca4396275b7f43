"""Two releases of a real library; needs a package index and a compiler."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from jobs import make_job, measured
from small_data import write_small

from pytest_annmodal.environments import interpreters
from pytest_annmodal.environments.spec import with_spec
from pytest_annmodal.errors import EnvironmentBuildError
from pytest_annmodal.execution import run_job
from pytest_annmodal.manifests import manifest
from pytest_annmodal.model import Implementation

pytestmark = pytest.mark.network


def versions_of(name: str, spec: str, tmp_path: Path, **how: Any) -> Mapping[str, str]:
    """The versions that a built-in was measured with, after checking its recall."""
    item = next(item for item in manifest.builtin() if item.name == name)
    item = with_spec(item, spec, rootdir=tmp_path, asked="")
    given = {name: getattr(item, name) for name in Implementation.__dataclass_fields__}
    data = write_small(tmp_path)
    job = make_job(
        data,
        Path(item.path),
        implementation=given,
        **how,
    )
    found = measured(run_job(job, data)[0])
    assert found.recall > 0.9
    return found.environment["versions"]


@pytest.mark.parametrize(("spec", "version"), [("0.7.0", "0.7.0"), ("==0.8.*+numpy<2", "0.8.0")])
def test_releases_of_hnswlib(spec: str, version: str, tmp_path: Path) -> None:
    """Two releases of hnswlib, built from source, are measured."""
    versions = versions_of("hnswlib", spec, tmp_path, settings=(100,))
    assert versions["hnswlib"] == version
    assert int(versions["numpy"].partition(".")[0]) < (2 if "numpy" in spec else 99)


def test_another_python_and_the_oldest_numpy(tmp_path: Path) -> None:
    """The worker runs on Python 3.10 with numpy 1.22."""
    try:
        interpreters.find("3.10")
    except EnvironmentBuildError as error:
        pytest.skip(str(error))
    versions = versions_of("bruteforce", "1.22.4;python=3.10", tmp_path)
    assert versions["numpy"] == "1.22.4"
    assert versions["python"].startswith("3.10.")
