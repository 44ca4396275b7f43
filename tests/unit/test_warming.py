"""The warm-up build before the timed build, and the folder of compiled code."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from jobs import PRELUDE, failed, make_job, measured, nothing_left_behind, run, write

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.execution import run_job
from pytest_annmodal.manifests import header, manifest
from pytest_annmodal.sandbox import compile_cache, isolation

# It remembers what was built in its process; a small build is large and refers to itself.
COUNTING = (
    PRELUDE
    + """
FITS = []
class Index(Exact):
    def fit(self, X):
        super().fit(X)
        FITS.append((len(X), X.dtype.str, X.flags.writeable))
        if len(X) == 256:
            self.ballast = np.ones(20_000_000)
            self.itself = self
        print("BUILT", FITS, "ASKED", getattr(Index, "asked", 0))
    def set_query_arguments(self, setting):
        self.setting = setting
    def query(self, v, k):
        Index.asked = getattr(Index, "asked", 0) + 1
        assert self.setting == 7
        return self.near(v, k)
"""
)
WARM = {"warm_up_build": True}
LEVELS = [(True, "auto"), (False, "auto"), (False, "process")]


@pytest.fixture(autouse=True)
def _clean_up():
    with nothing_left_behind():
        yield


class TestWarmUpBuild:
    @pytest.mark.parametrize(("trusted", "isolation"), LEVELS)
    def test_comes_first_and_is_gone_before_memory_is_looked_at(
        self, small_dataset, tmp_path, trusted, isolation
    ):
        """A build of 256 rows and one query come first, and are freed before memory is measured."""
        source = write(tmp_path / "mine.py", COUNTING)
        (outcome,) = run(
            small_dataset(),
            source,
            settings=(7,),
            isolation=isolation,
            implementation={**WARM, "trusted": trusted},
        )
        found = measured(outcome)
        assert "BUILT [(256, '<f4', True), (300, '<f4', True)] ASKED 1" in found.log_tail
        assert found.recall == 1.0
        assert found.index_bytes < 20e6  # the ballast is 160 MB
        assert found.environment["warm_up_build_rows"] == 256
        assert found.environment["warm_up_build_s"] > 0
        assert found.environment["warm_up_build_failed"] == ""
        (note,) = [note for note in found.notes if note.startswith("warm_up_build: ")]
        assert "256 random rows were built before timing" in note

    def test_is_not_made_unless_it_is_asked_for(self, small_dataset, tmp_path):
        """Without the header's key there is no warm-up build."""
        source = write(tmp_path / "mine.py", COUNTING)
        found = measured(run(small_dataset(), source, settings=(7,))[0])
        assert "BUILT [(300, '<f4', True)] ASKED 0" in found.log_tail
        assert "warm_up_build_s" not in found.environment
        assert not any("warm_up_build" in note for note in found.notes)

    def test_that_fails_costs_nothing_and_is_noted(self, small_dataset, tmp_path):
        """A failing warm-up build gives a note, and the real build runs."""
        text = COUNTING.replace("super().fit(X)", "super().fit(X)\n        assert len(X) == 300")
        source = write(tmp_path / "mine.py", text)
        (outcome,) = run(small_dataset(), source, settings=(7,), implementation=WARM)
        found = measured(outcome)
        assert found.environment["warm_up_build_failed"] == "AssertionError"
        assert any(
            "raised AssertionError, so the build time may include compiling" in note
            for note in found.notes
        )

    def test_is_a_key_of_the_header(self):
        """The key must be true or false."""
        text = "# /// script\n# [tool.annmodal]\n# warm_up_build = %s\n# ///\n"
        assert header.parse(text % "true").warm_up_build
        assert not header.parse(text % "false").warm_up_build
        with pytest.raises(ConfigurationError, match="warm_up_build: expected true or false, not"):
            header.parse(text % '"yes"')


COMPILED = """
import numba
import numpy as np

@numba.njit
def squares(X, v):
    found = np.empty(len(X))
    for row in range(len(X)):
        found[row] = ((X[row] - v) ** 2).sum()
    return found

class Index:
    def __init__(self, metric):
        pass
    def fit(self, X):
        self.X = np.array(X)
        squares(self.X, self.X[0])
    def query(self, v, k):
        return np.argsort(squares(self.X, v))[:k]
"""


def compiles_outside_of_its_build(job, path):
    """Checks that compilation counts neither as build time nor as index size."""
    (outcome,) = run_job(job, path)
    found = measured(outcome)
    assert found.recall > 0.9
    assert found.environment["warm_up_build_s"] > 20 * found.build_s
    assert found.index_bytes < 50e6
    assert found.environment["keeps_compiled"]


def test_what_numba_compiles_is_no_part_of_the_build(small_dataset, tmp_path):
    """numba's compilation of a function is not part of the build."""
    pytest.importorskip("numba")
    path, source = small_dataset(), write(tmp_path / "mine.py", COMPILED)
    compiles_outside_of_its_build(make_job(path, source, implementation=WARM), path)


@pytest.mark.slow  # numba infers the types of all of pynndescent, optimised or not
def test_pynndescent_compiles_outside_of_its_build(small_dataset):
    """pynndescent's compilation is not part of its build and index."""
    builtin = {item.name: item for item in manifest.builtin()}["pynndescent"]
    if missing := manifest.missing_requirements(builtin):
        pytest.skip(f"pip install {' '.join(missing)}")
    path = small_dataset(metric="angular")
    job = make_job(
        path,
        Path(builtin.path),
        implementation={
            "class_name": builtin.class_name,
            "warm_up_build": builtin.warm_up_build,
        },
        build=builtin.variants[0].build,
        phase_timeout_s=600,
    )
    compiles_outside_of_its_build(job, path)


class TestCompileCache:
    @pytest.fixture(autouse=True)
    def _fresh(self, monkeypatch, tmp_path):
        monkeypatch.delenv(compile_cache.VARIABLE, raising=False)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setattr(compile_cache, "find_spec", lambda _name: object())
        compile_cache.folder.cache_clear()
        yield
        compile_cache.folder.cache_clear()

    def asked_again(self) -> str | None:
        compile_cache.folder.cache_clear()
        return compile_cache.folder()

    def test_is_one_folder_of_this_user_for_an_environment(self, monkeypatch, tmp_path):
        """Each environment has its own folder; installing a package changes it."""
        site = tmp_path / "site"
        (site / "pynndescent-0.7.0.dist-info").mkdir(parents=True)
        monkeypatch.setattr(compile_cache.libraries, "site_folders", lambda: [str(site)])
        first = self.asked_again()
        assert Path(first).parent == tmp_path / "cache" / "annmodal" / "numba"
        assert Path(first).stat().st_mode & 0o077 == 0
        assert self.asked_again() == first
        os.utime(site / "pynndescent-0.7.0.dist-info", (1, 1))
        second = self.asked_again()
        (site / "llvmlite-0.47.0.dist-info").mkdir()
        assert len({first, second, self.asked_again()}) == 3

    def test_of_an_environment_that_is_gone_is_removed(self, tmp_path):
        """Folders that were unused for a month are removed."""
        folder = Path(self.asked_again())
        old, young = folder.with_name("old"), folder.with_name("young")
        for place, age_s in ((old, 40 * 86400), (young, 86400)):
            place.mkdir()
            os.utime(place, (time.time() - age_s,) * 2)
        self.asked_again()
        assert not old.exists()
        assert young.exists()

    def test_is_the_users_own_where_there_is_one(self, monkeypatch):
        """A folder chosen by the user is kept."""
        monkeypatch.setenv(compile_cache.VARIABLE, "/mine")
        assert self.asked_again() == "/mine"

    def test_is_none_without_numba_or_a_place_to_write(self, monkeypatch, tmp_path):
        """Without numba or a writable place there is no folder."""
        (tmp_path / "cache").write_text("a file")
        assert self.asked_again() is None
        (tmp_path / "cache").unlink()
        monkeypatch.setattr(compile_cache, "find_spec", lambda _name: None)
        assert self.asked_again() is None

    @pytest.mark.parametrize(("trusted", "level"), LEVELS)
    def test_is_not_shared_with_submissions(self, small_dataset, tmp_path, trusted, level):
        """A submission has its own folder, which is removed after it."""
        body = """
            def fit(self, X):
                self.X = np.array(X)
                place = os.environ["NUMBA_CACHE_DIR"]
                open(os.path.join(place, "x.nbi"), "w").close()
                print("CACHE", place)
        """
        text = PRELUDE + "class Index(Exact):" + body.replace("\n        ", "\n")
        source = write(tmp_path / "mine.py", text)
        kept = compile_cache.folder()
        places = []
        for _ in range(2):
            (outcome,) = run(
                small_dataset(), source, isolation=level, implementation={"trusted": trusted}
            )
            found = measured(outcome)
            places.append(found.log_tail.split("CACHE ")[1].split()[0])
            assert found.environment["keeps_compiled"] is trusted
        if trusted:
            assert places == [kept, kept]
        elif isolation.choose(level, trusted=False) == "bubblewrap":
            assert places == ["/tmp", "/tmp"]
            assert not Path("/tmp/x.nbi").exists()
        else:
            assert len({kept, *places}) == 3
            assert not any(Path(place).exists() for place in places)


@pytest.mark.parametrize("trusted", [True, False])
def test_native_code_that_gets_no_memory_names_the_limit(small_dataset, tmp_path, trusted):
    """A crash of native code under a memory limit names the limit, trusted or not."""
    text = PRELUDE + "class Index(Exact):\n    def fit(self, X):\n        os.abort()\n"
    source = write(tmp_path / "mine.py", text)
    (outcome,) = run(
        small_dataset(),
        source,
        memory_bytes=512 * 2**20,
        implementation={"trusted": trusted},
    )
    message = failed(outcome).message
    assert "SIGABRT" in message
    assert "the limit is 512 MB (--ann-memory-mb)" in message
