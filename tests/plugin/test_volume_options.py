"""Which datasets run, which are skipped, and how they come into the volume."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from http_server import FaultyServer
from plugin_project import DEADLINE_S, EXACT, Project, lines_with
from vector_files import vecs

MINE = ("--ann-implementations=mine", "--impl=exact")


def test_skips(project: Project) -> None:
    """A missing dataset is skipped with reason and command, and listed once at the end."""
    project.write("mine/exact.py", EXACT.replace('"numpy"', '"numpy", "no-such-library>=2"'))
    options = ("--dataset=gist*", "--dataset=arxiv*", "--dataset=small-8-euclidean.hdf5")
    result = project.run(*MINE, *options, "--impl=bruteforce", "-rs")
    result.assert_outcomes(passed=1, skipped=6)
    result.stdout.fnmatch_lines(
        [
            "* libraries to install *",
            "Tests were skipped because these libraries are not installed:",
            "    exact  pip install 'no-such-library>=2'",
            "* datasets to download *",
            "Not in the volume, so their tests were skipped. To download one, then run with it:",
            "  pytest -k NAME --download-only",
            "    gist-960-euclidean              3,845 MB",
            "    arxiv-nomic-768-normalized  size unknown",
        ]
    )
    summary = "\n".join(lines_with(result, "SKIPPED "))
    assert "gist-960-euclidean (3,845 MB) is not in the volume; fetch it with: pytest -k" in summary
    assert "exact needs: pip install 'no-such-library>=2'" in summary


def test_without_a_terminal(project: Project) -> None:
    """Without a terminal datasets are still downloaded, and the exit status shows failures."""
    silent = (*MINE, "--download-only", "-pno:terminal")
    there = project.pytester.runpytest_inprocess(*silent, "--dataset=small-8-euclidean.hdf5")
    assert (there.ret, there.outlines) == (0, [])
    nothing = project.pytester.runpytest_inprocess(*silent, "-k", "no_such_thing")
    assert nothing.ret == 1


def test_download_only(project: Project, http_server: FaultyServer) -> None:
    """Each dataset is resolved once with the agreed lines, no benchmark runs, and it exits 0."""
    project.write("mine/exact.py", EXACT + "\n1 / 0\n")
    content = project.dataset("mine-8-euclidean").read_bytes()
    url = http_server.serve("mine-8-euclidean.hdf5", content)
    options = (*MINE, f"--dataset={url}", "--dataset=digits*", "--download-only")
    result = project.run(*options)
    assert result.ret == 0
    path = project.path / "volume" / "mine-8-euclidean.hdf5"
    result.stdout.fnmatch_lines(
        [
            "📦 Checking for dataset in volume 'ann-datasets'...",
            "   ✓ Reloaded volume to check for latest changes",
            "⚠️  Dataset 'mine-8-euclidean' not found in volume 'ann-datasets'",
            "   Downloading now (this is a ONE-TIME operation)...",
            f"📥 Downloading mine-8-euclidean from {url}",
            f"   Saving to volume: 'ann-datasets' at path: {path}",
            "✅ Downloaded and verified:",
            "   Train: (300, 8)",
            "   Test: (20, 8)",
            "💾 Committing dataset to volume 'ann-datasets'...",
            "✅ Dataset 'mine-8-euclidean' persisted to volume!",
            "   Future runs will use the cached version (no download needed)",
            "📦 Checking for dataset in volume 'ann-datasets'...",
            "   Copying it from the installed package (this is a ONE-TIME operation)...",
            "✅ Dataset 'digits-64-euclidean' persisted to volume!",
        ]
    )
    assert path.read_bytes() == content
    again = project.run(*options, "-q")
    assert again.ret == 0
    assert lines_with(again, "✅ Dataset 'mine-8-euclidean' found in volume 'ann-datasets'!")
    assert len(http_server.asked("mine-8-euclidean.hdf5")) == 1


def test_download_only_fails(project: Project, http_server: FaultyServer) -> None:
    """A dataset that fails is named with the reason, the others are downloaded, and it exits 1."""
    url = http_server.serve("good-8-euclidean.hdf5", project.dataset("good").read_bytes())
    missing = f"{http_server.base_url}/missing-8-euclidean.hdf5"
    options = (f"--dataset={missing}", f"--dataset={url}")
    result = project.run(*MINE, *options, "--download-only")
    assert result.ret == 1
    (line,) = lines_with(result, "❌")
    assert line.startswith("❌ missing-8-euclidean: ")
    assert "404" in result.stdout.str()
    assert lines_with(result, "✅ Dataset 'good-8-euclidean' persisted to volume!")
    nothing = project.run(*MINE, "-k", "no_such_thing", "--download-only")
    assert nothing.ret == 1
    assert lines_with(nothing, "No dataset is selected: choose with -k NAME or --dataset NAME.")
    spread = project.run(*MINE, *options, "--download-only", "-n2", without=("cacheprovider",))
    assert spread.ret == 4
    assert (
        "--download-only, --ann-plan and --modal-plan run no tests: leave out -n"
        in spread.stderr.str()
    )


def test_download_by_name(project: Project, http_server: FaultyServer) -> None:
    """``-k NAME`` chooses from the whole catalogue, a mirror serves it, nothing else is touched."""
    content = project.dataset("any", metric="angular").read_bytes()
    http_server.serve("lastfm-64-dot.hdf5", content)
    mirror = f"--ann-base-url={http_server.base_url}"
    result = project.run("-k", "lastfm", "--download-only", mirror)
    assert result.ret == 0
    assert {request.path for request in http_server.requests} == {"lastfm-64-dot.hdf5"}
    files = {path.name for path in (project.path / "volume").iterdir() if path.is_file()}
    assert files == {"lastfm-64-dot.hdf5", "lastfm-64-dot.json"}


def test_download(project: Project, http_server: FaultyServer) -> None:
    """``--download`` gets what is missing and measures it; a failed download is an error."""
    content = project.dataset("any", metric="angular").read_bytes()
    http_server.serve("lastfm-64-dot.hdf5", content)
    options = ("--impl=bruteforce", "--dataset=lastfm-64-dot", "--ann-rounds=1", "--download")
    project.pytester.makeini(
        f"[pytest]\nfilterwarnings = error\nannmodal_base_url = {http_server.base_url}\n"
    )
    project.run(*options).assert_outcomes(passed=1)
    missing = f"--dataset={http_server.base_url}/missing-8-euclidean.hdf5"
    result = project.run(*options[:1], missing)
    result.assert_outcomes(errors=1)
    assert "404" in result.stdout.str()
    assert not lines_with(result, "pytest_annmodal/")


def test_a_file_of_another_format(project: Project) -> None:
    """A run that imports it says so: what was held out, and by which metric; the next one is silent."""
    rows = np.random.default_rng(0).standard_normal((60, 8)).astype("f4")
    vecs(project.path / "mine.fvecs", rows)
    project.write("mine/exact.py", EXACT)
    first = project.run(*MINE, "--dataset=mine.fvecs")
    first.assert_outcomes(passed=2)
    first.stdout.fnmatch_lines(
        [
            f"📥 Importing mine-* from {project.path / 'mine.fvecs'}",
            "   Metric: euclidean. To choose another, end the file's name in it*",
            "   Held out 6 rows, drawn at random, as queries: train has the others.",
            "✅ Written and verified:",
            "   Train: (54, 8)",
        ]
    )
    assert not lines_with(first, "📦 Checking")
    again = project.run(*MINE, "--dataset=mine.fvecs")
    again.assert_outcomes(passed=2)
    assert not lines_with(again, "Held out")


def test_the_command_that_the_hints_name_in_this_checkout() -> None:
    """``pytest -k gist --download-only`` finds the benchmarks by itself."""
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-k", "gist", "--download-only", "--collect-only", "-q"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    tests = [line for line in ran.stdout.splitlines() if "::" in line]
    assert tests
    assert all(line.startswith("benchmarks/") and "gist-960-euclidean" in line for line in tests)
