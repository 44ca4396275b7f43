"""Each wrong option is one line and exit code 4; each unusable file is one clear error."""

from __future__ import annotations

import pwd
import sys

import pytest
from plugin_project import Project, lines_with

from pytest_annmodal.plugin.collecting import SETTINGS


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--impl brut", "--impl brut: no such implementation; did you mean 'bruteforce'? Known: "),
        (
            "--dataset gist-960-euclidian",
            "--dataset gist-960-euclidian: no such dataset; did you mean 'gist-960-euclidean' or ",
        ),
        ("--dataset zzzz", "--dataset zzzz: no such dataset. `annmodal datasets` lists all. "),
        ("--dataset=sift", "no such dataset; did you mean 'sift-128-euclidean'"),
        ("--dataset=GIST", "no such dataset; did you mean 'gist-960-euclidean'"),
        (
            "--impl=faiss",
            "no such implementation; did you mean 'faiss-binary-flat' or 'faiss-hnsw'",
        ),
        ("--impl=annoy,hnswlib", "Write each name by itself: --impl annoy --impl hnswlib (in an "),
        (
            "--dataset=random-jaccard,digits-64-euclidean",
            "Write each name by itself: --dataset random-jaccard --dataset digits-64-euclidean (",
        ),
        ("--dataset=mine", "--dataset mine: is a directory; for all datasets in it write "),
        ("--dataset smal-8-euclidean.hdf5", "did you mean 'small-8-euclidean.hdf5'?"),
        ("--dataset=~backup.hdf5", "--dataset ~backup.hdf5: no user is called 'backup.hdf5', so "),
        ("--ann-implementations gone", "gone: there is no such directory of implementations"),
        ("--ann-implementations broken", "broken.py: syntax error in line 1"),
        (
            "--dataset=*-jaccard --impl=annoy --impl=hnswlib",
            "serve angular, dot, euclidean, hamming, manhattan, and not the metric of random-jaccard (jaccard), ",
        ),
        ("--submission=test_i.py", "test_i.py: there is no 'test_i.py' in "),
        ("--submission=test_i.py", "; did you mean 'test_it.py'?"),
        (
            "--submission=mine/no-*/*.py --submission=mine",
            "no-*/*.py: nothing matches 'no-*/*.py' in ",
        ),
        ("--submission=min/*.py", "; did you mean 'mine'?"),
        ("--submission=", "--submission is empty: give it a value, or leave it out"),
        ("--ann-k 0", "--ann-k '0': expected a whole number of at least 1"),
        ("--modal --download", "--download is for local runs and --modal was given too."),
        ("--modal --ann-executor local", "--modal and --ann-executor local: choose one of them"),
        (
            "--ann-executor lokal",
            "lokal: there is no such executor; did you mean 'local'? Built ",
        ),
        ("--modal --ann-volume-dir v", "--ann-volume-dir is for local runs and --modal was given"),
        ("--download --download-only", "--download and --download-only: choose one of them"),
        *(
            (
                f"{more} --dataset=small-8-euclidean.hdf5 --ann-volume-dir=test_it.py/volume",
                "/test_it.py/volume: Not a directory. Name a folder that can be made and read",
            )
            for more in ("--impl=bruteforce", "--impl=bruteforce --download-only")
        ),
    ],
)
def test_usage_errors(
    project: Project, options: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """A wrong option ends the session before anything runs, with one line that names it."""
    project.write("broken/broken.py", "class Index\n")
    result = project.pytester.runpytest_inprocess("-pno:cacheprovider", *options.split())
    assert result.ret == 4
    lines = result.stderr.str().strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert "Error" not in result.stdout.str()


def test_no_folder_for_datasets(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a user id without a name and a home, one line says how to name the folder."""
    for name in ("HOME", "XDG_CACHE_HOME", "ANNMODAL_VOLUME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    for options in ([], ["--download-only"]):
        result = project.pytester.runpytest_inprocess(
            "-pno:cacheprovider", "--dataset=small-8-euclidean.hdf5", "--impl=bruteforce", *options
        )
        assert result.ret == 4
        (line,) = result.stderr.str().strip().splitlines()
        assert "there is no folder for datasets: HOME is not set and the user id " in line
        assert "Name one with --ann-volume-dir DIR (or ANNMODAL_VOLUME_DIR), or set HOME." in line


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--benchmark-group-by=dataset", "'dataset': expected group, name, "),
        ("--benchmark-group-by=func,", "'': expected group, name, "),
        ("--benchmark-cprofile=tottime", "would profile the replay of measured times"),
    ],
)
def test_options_that_fail_or_mislead_at_the_end(project: Project, option: str, words: str) -> None:
    """What pytest-benchmark would raise for, or show wrongly, at the end is refused at first."""
    result = project.pytester.runpytest_inprocess("-pno:cacheprovider", option)
    assert result.ret == 4
    (line,) = result.stderr.str().strip().splitlines()
    assert words in line


def test_histograms_without_their_library(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library missing for the histogram is reported before the first measurement."""
    monkeypatch.setitem(sys.modules, "pygal", None)
    result = project.pytester.runpytest_inprocess("-pno:cacheprovider", "--benchmark-histogram")
    assert result.ret == 4
    (line,) = result.stderr.str().strip().splitlines()
    assert "pip install 'pytest-benchmark[histogram]'" in line


def test_bad_environment(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong variable is named in the message, as the option would be."""
    monkeypatch.setenv("ANNMODAL_ROUNDS", "many")
    result = project.pytester.runpytest_inprocess("-pno:cacheprovider")
    assert result.ret == 4
    assert "ANNMODAL_ROUNDS 'many': expected a whole number" in result.stderr.str()


def test_unusable_files(project: Project) -> None:
    """A file that is not a dataset, or has too few neighbours for k, is an error, not a failure."""
    (project.path / "text-8-euclidean.hdf5").write_text("not a dataset at all")
    project.dataset("five-8-euclidean", n_train=5, k=5)
    project.write(
        "mine/exact.py", (project.path / "mine/exact.py").read_text().replace("0, 1", "0")
    )
    result = project.bench(
        "--dataset=text-8-euclidean.hdf5", "--dataset=five-8-euclidean.hdf5", "--junitxml=out.xml"
    )
    result.assert_outcomes(passed=1, errors=2)
    told = lines_with(result, "text-8-euclidean.hdf5: it is not an HDF5 file")
    assert told[0].startswith("/")  # the message itself, without a traceback
    words = "k=10 is more than the 5 training vectors of five-8-euclidean; use a smaller k"
    assert lines_with(result, words)
    assert not lines_with(result, "pytest_annmodal/")
    assert 'errors="2" failures="0"' in (project.path / "out.xml").read_text()


NATIVE = """
annmodal_k = 5
annmodal_impl = ["annoy", "faiss *"]
annmodal_download = true
annmodal_difference = 2.5
annmodal_timeout_s = "100"
"""
OF_PYTEST_9 = [("pyproject.toml", "[tool.pytest]"), ("pytest.toml", "[pytest]")]


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("pyproject.toml", "[tool.pytest.ini_options]"),
        *(OF_PYTEST_9 if pytest.version_tuple >= (9,) else []),
    ],
)
def test_toml_types(pytester: pytest.Pytester, name: str, table: str) -> None:
    """Options accept TOML numbers, booleans, lists and texts of the right kind; else one line."""
    ini = pytester.path / name
    head = f'{table}\nfilterwarnings = ["error"]\n'
    ini.write_text(head + NATIVE)
    config = pytester.parseconfigure()
    settings = config.stash[SETTINGS]
    assert (settings.k, settings.impl, settings.download) == (5, ("annoy", "faiss *"), True)
    assert (settings.difference, settings.timeout_s) == (2.5, 100.0)
    config._ensure_unconfigure()
    for key, message in (
        ("annmodal_k = [5]", "annmodal_k [5]: expected a number"),
        ("annmodal_impl = [5]", "annmodal_impl [5]: expected a list of texts in quotes, or one "),
        (
            "annmodal_submission = [5]",
            "annmodal_submission [5]: expected a list of texts in quotes",
        ),
        ("annmodal_download = [true]", "annmodal_download [True]: expected true or false"),
        ("annmodal_modal_region = ['eu']", "annmodal_modal_region ['eu']: expected text in quotes"),
    ):
        ini.write_text(head + key)
        result = pytester.runpytest_inprocess("-pno:cacheprovider")
        assert result.ret == 4
        (line,) = result.stderr.str().strip().splitlines()
        assert message in line
