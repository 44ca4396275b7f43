"""Every command in a console block of README.md, CONTRIBUTING.md and docs/ is run, or a row says why not.

A ``pytest`` command is run as it stands with ``--collect-only``: its options, names and files are
read, cases are chosen, nothing is measured. An ``annmodal`` command is run on results of its kind.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stored_cases import measured, stored

import pytest_annmodal
from pytest_annmodal.cli.main import main
from pytest_annmodal.levels import Level, Loaded

ROOT = Path(__file__).parents[2]
DIGITS = Path(pytest_annmodal.__file__).parent / "data" / "digits-64-euclidean.hdf5"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# The beginning of a command, and why it is not run here.
NOT_RUN = {
    "$(command -v sudo)": "installs packages of the system",
    "python3 -m venv": "installs what these tests run in",
    "pip install": "installs what these tests run in",
    "tox run": "runs these tests",
    "modal ": "needs an account; tests/modal/ runs the same on a plane of its own",
    "annmodal doctor": "takes ten seconds; tests/unit/test_doctor.py runs it",
    "pytest benchmarks/ --modal": "needs an account; tests/modal/ runs it",
    "pytest -k gist --download-only --modal": "needs an account; tests/modal/ runs it",
    "cp ": "the file is made by this test",
}
# Runs what it reads from standard input: a list of argument lists, in this folder.
# (Without the plugins that collect garbage ten times at each end: a third of the time.)
COLLECT = """\
import contextlib, io, json, sys
import pytest
WITHOUT = ["-pno:cacheprovider", "-pno:unraisableexception", "-pno:threadexception"]
for arguments in json.load(sys.stdin):
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = pytest.main([*arguments, "--collect-only", "-q", *WITHOUT])
    print(json.dumps([int(status), said.getvalue()[-2000:]]))
"""
CONFIG = """\
float:
  any:
  - base_args: ['@metric']
    constructor: {name}
    disabled: false
    docker_tag: ann-benchmarks-{name}
    module: ann_benchmarks.algorithms.{folder}
    name: {folder}
    run_groups:
      M-16:
        arg_groups: [{{M: 16, n_trees: 100}}]
        query_args: [[20, 80]]
"""
MODULE = """\
class {name}:
    def __init__(self, metric, parameters):
        pass

    def fit(self, X):
        pass

    def set_query_arguments(self, ef):
        pass

    def query(self, v, n):
        return list(range(n))
"""


def commands() -> dict[str, str]:
    """Returns every command, without its comment, and the first page that has it."""
    found: dict[str, str] = {}
    for path in PAGES:
        for block in re.findall(r"```console\n(.*?)```", path.read_text("utf-8"), flags=re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                if line.startswith("$ "):
                    found.setdefault(re.sub(r"\s+#.*", "", line[2:]).strip(), path.name)
    return found


def to_run(program: str) -> list[str]:
    return [
        command
        for command in commands()
        if command.startswith(f"{program} ") and not command.startswith(tuple(NOT_RUN))
    ]


def clone(root: Path) -> None:
    """The part of a clone of ann-benchmarks that these tests need."""
    for folder, name in (("annoy", "Annoy"), ("hnswlib", "HnswLib")):
        place = root / "ann_benchmarks" / "algorithms" / folder
        place.mkdir(parents=True)
        (place / "module.py").write_text(MODULE.format(name=name))
        (place / "config.yml").write_text(CONFIG.format(name=name, folder=folder))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of this project with the files that the pages mention."""
    root = tmp_path_factory.mktemp("project")
    for name in ("benchmarks", "examples"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "benchmarks" / "indexes").mkdir()
    library = root / "examples" / "libraries" / "kannolo_hnsw.py"
    shutil.copy(library, root / "benchmarks" / "indexes" / "mine.py")
    (root / "pytest.ini").write_text("[pytest]\ntestpaths = benchmarks\n")
    (root / "pyproject.toml").write_text('[project]\nname = "hnswlib"\nversion = "1"\n')
    shutil.copy(ROOT / "benchmarks" / "student.py", root / "my_index.py")
    shutil.copy(DIGITS, root / "my_vectors.hdf5")
    (root / "vectors").mkdir()
    shutil.copy(DIGITS, root / "vectors" / "mine.hdf5")
    (root / "volume").mkdir()
    shutil.copy(DIGITS, root / "volume" / "shop.hdf5")
    vectors = np.random.default_rng(1).normal(size=(300, 8)).astype(np.float32)
    for name in ("emb.parquet", "embeddings.parquet"):
        pq.write_table(pa.table({"embedding": list(vectors)}), root / name)
    tuesday = np.full((3, 129), 128, np.int32)
    tuesday[:, 1:] = np.ones((3, 128), np.float32).view(np.int32)
    tuesday.tofile(root / "tuesday.fvecs")
    clone(root)
    for name in ("ann-benchmarks", "vibe"):
        clone(root / "home" / name)
    for folder in (".annmodal/results", "here", "there", "from-the-server"):
        for dataset in ("clusters-64-euclidean", "glove-100-angular"):
            stored(root / folder, measured(1, dataset=dataset), measured(2, dataset=dataset))
    level = Level(kind="open", offered_qps=500, qps=499, p50_s=0.001, p99_s=0.004)
    stored(root / ".annmodal/results", measured(1, load=Loaded(levels=(level,))))
    return root


def test_every_command_is_run_or_has_a_reason() -> None:
    """A command that is not run here needs a row in NOT_RUN, and each row is still needed."""
    run = {*to_run("pytest"), *to_run("annmodal")}
    left = [
        f"{page}: {command}"
        for command, page in commands().items()
        if command not in run and not command.startswith(tuple(NOT_RUN))
    ]
    assert not left
    unused = [start for start in NOT_RUN if not any(c.startswith(start) for c in commands())]
    assert not unused


def test_pytest_commands(project: Path) -> None:
    """Each chooses cases, with every option and file that it names."""
    lines = [command.split(" && ")[0] for command in to_run("pytest")]
    home = project / "home"
    arguments = [[word.replace("~", str(home)) for word in shlex.split(line)[1:]] for line in lines]
    done = subprocess.run(
        [sys.executable, "-c", COLLECT],
        input=json.dumps(arguments),
        cwd=project,
        env={**os.environ, "ANNMODAL_VOLUME_DIR": str(project / "volume")},
        capture_output=True,
        text=True,
        check=True,
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    failed = {line: said for line, (status, said) in zip(lines, told, strict=True) if status != 0}
    assert not failed, "\n".join(f"$ {line}\n{said}" for line, said in failed.items())


@pytest.mark.parametrize("command", to_run("annmodal"))
def test_annmodal_commands(
    project: Path,
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each succeeds, with results in the place where it looks for them."""
    monkeypatch.chdir(project)
    monkeypatch.setenv("ANNMODAL_VOLUME_DIR", str(tmp_path))
    assert main(shlex.split(command)[1:]) == 0, capsys.readouterr().err
