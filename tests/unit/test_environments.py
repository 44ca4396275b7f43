"""Environments are made with uv and pip, from wheels and projects, without a network."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import venv
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from jobs import failed, make_job, measured
from small_data import write_small
from small_wheels import (
    implementation,
    library,
    offer_nothing_else,
    write_index,
    write_project,
    write_wheel,
)

from pytest_annmodal.cli.main import main
from pytest_annmodal.environments import installers, interpreters, kept, making, resolving
from pytest_annmodal.environments.spec import with_spec
from pytest_annmodal.errors import EnvironmentBuildError, ExecutorError
from pytest_annmodal.execution import run_job
from pytest_annmodal.manifests import manifest
from pytest_annmodal.model import Implementation
from pytest_annmodal.outcome import Outcome

Named = Callable[[str], Implementation]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_index(tmp_path_factory.mktemp("index"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def _forget() -> None:
    """Clears the caches that a new process would not have."""
    for lock in kept._in_use.values():
        os.close(lock)
    kept._in_use.clear()
    making._failed.clear()
    resolving.resolve.cache_clear()
    interpreters.find.cache_clear()


@pytest.fixture(autouse=True)
def _alone(index: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    offer_nothing_else(monkeypatch, index, cache)
    _forget()
    yield
    _forget()


@pytest.fixture
def named(tmp_path: Path) -> Named:
    (tiny,) = manifest.read_directory(implementation(tmp_path / "mine"))

    def of(spec: str) -> Implementation:
        return with_spec(tiny, spec, rootdir=tmp_path, asked=f"--impl tiny@{spec}")

    return of


def run(item: Implementation, folder: Path, **more: object) -> list[Outcome]:
    data = write_small(folder)
    given = {"implementation": vars_of(item), **more}
    return run_job(make_job(data, Path(item.path), **given), data)


def vars_of(item: Implementation) -> dict[str, object]:
    return {name: getattr(item, name) for name in Implementation.__dataclass_fields__}


def refused(item: Implementation) -> str:
    with pytest.raises(EnvironmentBuildError) as error:
        making.ensure(item)
    return str(error.value)


class TestMade:
    def test_a_worker_runs_in_it_with_nothing_of_the_harness(
        self, named: Named, tmp_path: Path
    ) -> None:
        """The requested version runs; libraries beside the harness are not visible."""
        probe = """
            import importlib.util, sys
            seen = [n for n in ("pytest", "msgspec", "h5py", "psutil") if importlib.util.find_spec(n)]
            assert not seen, seen
            assert importlib.util.find_spec("pytest_annmodal") is not None
        """
        item = named("1.0")
        source = Path(item.path)
        source.write_text(source.read_text() + textwrap.dedent(probe))
        (outcome,) = run(item, tmp_path)
        found = measured(outcome)
        assert found.recall == 1
        assert found.environment["versions"]["tinyann"] == "1.0"
        folder = kept.place() / making.key_of(item)
        assert f"tinyann 1.0 numpy {found.environment['versions']['numpy']} from {folder}" in (
            found.log_tail
        )

    @pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")
    def test_it_is_seen_read_only_in_a_sandbox(self, named: Named, tmp_path: Path) -> None:
        """A sandbox shows a baseline's environment read-only."""
        item = named("1.0")
        source = Path(item.path)
        source.write_text(
            source.read_text()
            + textwrap.dedent("""
                import errno
                try:
                    open(tinyann.__file__, "a")
                except OSError as error:
                    assert error.errno == errno.EROFS, error
                else:
                    raise AssertionError("it can be written to")
            """)
        )
        more = {**vars_of(item), "trusted": False}
        (outcome,) = run(item, tmp_path, implementation=more, clock="parent", isolation="strict")
        assert measured(outcome).recall == 1

    def test_it_is_made_once_and_found_again(self, named: Named) -> None:
        """An environment is made once, also for another spec with the same meaning."""
        first, lines = making.ensure(named("1.0")), []
        again = making.ensure(named("==1"), lines.append)
        assert first == again
        assert lines == []
        assert [made.name for made in kept.every()] == ["tiny@1.0"]

    def test_a_range_is_the_newest_version_in_it(
        self, named: Named, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A range is looked up once a day, after --refresh, and for a new index."""
        made = making.ensure(named("==1.*"))
        assert made.versions["tinyann"] == "1.1"
        assert making.key_of(named("1.1")) == made.key
        asked: list[str] = []
        monkeypatch.setattr(
            resolving, "resolve_version", lambda text, _python: asked.append(text) or "tinyann==1.0"
        )
        for again, n_asked in ((lambda: None, 0), (kept.look_up_again, 1), (lambda: None, 1)):
            again()
            _forget()
            assert making.key_of(named("==1.*"))
            assert len(asked) == n_asked
        monkeypatch.setenv("UV_FIND_LINKS", "elsewhere")
        _forget()
        assert making.key_of(named("==1.*"))
        assert len(asked) == 2

    def test_a_range_needs_no_pip_of_the_interpreter(
        self, named: Named, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A range works with an interpreter that has no pip (Debian's)."""
        bare = tmp_path / "bare"
        venv.create(bare, with_pip=False)
        if find_spec("pip") is None:
            with_pip = tmp_path / "ours"
            venv.create(with_pip, with_pip=True)
            monkeypatch.setattr(sys, "executable", str(with_pip / "bin" / "python"))
        monkeypatch.setattr(shutil, "which", lambda name: None)
        monkeypatch.setattr(installers, "find_spec", lambda name: True)
        found = installers.resolve_version("tinyann==1.*", str(bare / "bin" / "python"))
        assert found == "tinyann==1.1"

    def test_a_project_is_known_by_its_files(self, named: Named, tmp_path: Path) -> None:
        """A changed file makes a new environment; the project's folder stays clean."""
        folder = write_project(tmp_path / "checkout", "5.0")
        before = sorted(path.name for path in folder.iterdir())
        first = making.ensure(named(str(folder)))
        assert first.versions["tinyann"] == "5.0"
        assert sorted(path.name for path in folder.iterdir()) == before
        _forget()
        write_project(folder, "5.1")
        assert making.ensure(named(str(folder))).versions["tinyann"] == "5.1"

    def test_a_commit_is_known_by_its_number(self, named: Named, tmp_path: Path) -> None:
        """A branch is resolved to its present commit; tags and commits give the same environment."""
        folder = write_project(tmp_path / "checkout", "6.0")

        def git(*words: str) -> str:
            command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b"]
            done = subprocess.run([*command, *words], check=True, capture_output=True, text=True)
            return done.stdout.strip()

        git("init", "-q", "-b", "main")
        git("add", ".")
        git("commit", "-qm", "six")
        git("tag", "-am", "six", "v6")
        url = f"git+file://{folder}"
        commit = git("rev-parse", "HEAD")
        keys = {making.key_of(named(f"{url}{ref}")) for ref in ("", "@main", "@v6", f"@{commit}")}
        assert len(keys) == 1
        assert making.ensure(named(f"{url}@main")).versions["tinyann"] == "6.0"
        write_project(folder, "6.1")
        git("commit", "-qam", "more")
        _forget()
        assert making.key_of(named(f"{url}@v6")) in keys
        assert making.key_of(named(f"{url}@main")) not in keys
        assert "has no branch or tag 'none'" in refused(named(f"{url}@none"))

    def test_another_session_that_makes_it_is_waited_for(
        self, named: Named, tmp_path: Path
    ) -> None:
        """Of two processes one makes the environment, and both use it."""
        folder = write_project(tmp_path / "checkout", "7.0")
        item = named(str(folder))
        code = f"""
            from pathlib import Path
            from pytest_annmodal.environments import making
            from pytest_annmodal.environments.spec import with_spec
            from pytest_annmodal.manifests import manifest
            (tiny,) = manifest.read_directory({str(Path(item.path).parent)!r})
            item = with_spec(tiny, {str(folder)!r}, rootdir=Path("/"), asked="")
            lines = []
            print(making.ensure(item, lines.append).key, any("making" in line for line in lines))
        """
        command = [sys.executable, "-c", textwrap.dedent(code)]
        both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        said = sorted(process.communicate()[0].split() for process in both)
        key = making.key_of(item)
        assert said == [[key, "False"], [key, "True"]]

    def test_one_that_somebody_deletes_is_made_again(self, named: Named) -> None:
        """In the session that used it, which does not wait for itself."""
        made = making.ensure(named("1.0"))
        shutil.rmtree(made.folder)
        lines: list[str] = []
        assert making.ensure(named("1.0"), lines.append) == made
        assert "waiting for another session that makes it" not in lines

    def test_a_cache_without_permission_to_write_is_used(
        self, named: Named, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = making.ensure(named("1.0"))
        _forget()

        def refuses(_key: str) -> int:
            raise OSError(30, "Read-only file system")

        monkeypatch.setattr(kept, "_lock", refuses)
        assert making.ensure(named("1.0")) == made

    def test_pip_makes_it_without_uv(self, named: Named, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without uv, pip makes the same environment, and resolves ranges."""
        which = shutil.which
        monkeypatch.setattr(shutil, "which", lambda name: None if name == "uv" else which(name))
        made = making.ensure(named("<1.1"))
        assert made.versions["tinyann"] == "1.0"
        shutil.rmtree(made.folder)


class TestFaults:
    def test_an_unknown_version_fails_its_job_alone(
        self, named: Named, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An unknown version fails its job with the installer's output; it is tried once."""
        monkeypatch.setenv("COLUMNS", "40")  # as in a narrow terminal
        item = named("9.9")
        before = time.monotonic()
        outcomes = run(item, tmp_path, settings=(None, 1))
        for outcome in outcomes:
            failure = failed(outcome)
            assert (failure.kind, failure.blame) == ("environment", "submission")
            assert failure.message.startswith("tiny@9.9: it cannot be installed: Because ")
            assert "unsatisfiable\nThe output ends:\n" in failure.message
            assert "tinyann==9.9" in failure.message
        assert time.monotonic() > before
        assert kept.every() == [] or all(m.name != "tiny@9.9" for m in kept.every())

    def test_a_project_that_does_not_build_shows_why(self, named: Named, tmp_path: Path) -> None:
        """The failure has the last thirty lines of the build."""
        folder = write_project(tmp_path / "checkout", "8.0")
        (folder / "backend.py").write_text(
            "for n in range(99): print('line', n, flush=True)\nraise RuntimeError('no compiler')"
        )
        said = refused(named(str(folder)))
        assert "RuntimeError: no compiler" in said
        assert len(said.splitlines()) <= 32

    def test_what_does_not_import_fails_as_any_implementation(
        self, named: Named, tmp_path: Path
    ) -> None:
        """A library that cannot be imported fails its implementation, named with the spec."""
        (outcome,) = run(named("3.0"), tmp_path)
        assert "load raised ImportError: made for another system" in failed(outcome).message or (
            "start raised ImportError: made for another system" in failed(outcome).message
        )

    def test_a_numpy_that_the_worker_cannot_use_is_refused(self, named: Named, index: Path) -> None:
        """Too old a numpy is refused, whatever installed it."""
        text = "__version__ = '1.21.6'"
        write_wheel(index, "1.21.6", name="numpy", text=text)
        assert "it has numpy 1.21.6, but the worker needs 1.22 or newer" in refused(
            named("1.0+numpy<1.22")
        )

    def test_without_an_index_only_what_is_kept_works(
        self, named: Named, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without an index existing environments work; others are one infrastructure error."""
        making.ensure(named("1.0"))
        resolving.resolve(named("<1.1").environment)
        _forget()
        for name in ("UV_NO_INDEX", "UV_FIND_LINKS"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
        monkeypatch.setenv("UV_HTTP_RETRIES", "0")
        assert making.ensure(named("1.0")).versions["tinyann"] == "1.0"
        assert making.ensure(named("<1.1")).versions["tinyann"] == "1.0"
        (outcome,) = run(named("2.0"), tmp_path)
        failure = failed(outcome)
        assert failure.blame == "infrastructure"
        assert failure.message.startswith(
            "tiny@2.0: its environment is not cached and cannot be made here: the package index or "
            "repository cannot be reached"
        )

    def test_a_full_disk_is_an_infrastructure_failure(
        self, named: Named, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A full disk is an infrastructure error, and no half environment is left."""

        def fails(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(making, "install", fails)
        with pytest.raises(ExecutorError, match=r"there is no room on the disk; .*No space left"):
            making.ensure(named("2.0"))
        assert not any((kept.place() / kept.BUILDING).iterdir())

    @pytest.mark.parametrize(
        ("script", "kind", "words"),
        [
            ("echo 'error: No space left on device'; exit 1", ExecutorError, "no room on the disk"),
            ("echo 'Disk quota exceeded (os error 122)'; exit 1", ExecutorError, "no room on the"),
            ("kill -KILL $$", ExecutorError, "^sh was ended by SIGKILL"),
        ],
    )
    def test_what_ends_an_installer(
        self, script: str, kind: type[Exception], words: str, tmp_path: Path
    ) -> None:
        with pytest.raises(kind, match=words):
            installers._check(["/bin/sh", "-c", script], tmp_path, installers.print_none)

    def test_ctrl_c_leaves_nothing_half_made(self, named: Named, tmp_path: Path) -> None:
        """Ctrl-C ends the installer and its processes; the next session starts anew."""
        folder = write_project(tmp_path / "checkout", "10.0")
        slow = (folder / "backend.py").read_text()
        mark = tmp_path / "started"
        (folder / "backend.py").write_text(
            f"import os, time\nopen({str(mark)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)"
        )
        item = named(str(folder))
        code = f"""
            from pathlib import Path
            from pytest_annmodal.environments import making
            from pytest_annmodal.environments.spec import with_spec
            from pytest_annmodal.manifests import manifest
            (tiny,) = manifest.read_directory({str(Path(item.path).parent)!r})
            making.ensure(with_spec(tiny, {str(folder)!r}, rootdir=Path("/"), asked=""))
        """
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)], stderr=subprocess.PIPE, text=True
        )
        while not (mark.exists() and mark.read_text()):
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in process.communicate()[1]
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(mark.read_text()), 0)
            stat = Path(f"/proc/{mark.read_text()}/stat").read_text()
            assert stat.rpartition(")")[2].split()[0] == "Z"
        assert not any((kept.place() / kept.BUILDING).iterdir())
        (folder / "backend.py").write_text(slow)
        assert making.ensure(item).versions["tinyann"] == "10.0"

    def test_a_python_that_is_not_here_says_how_to_get_it(self, named: Named) -> None:
        """A missing or unsupported Python is refused with advice."""
        assert "there is no Python 3.99 on this machine" in refused(named("1.0;python=3.99"))
        assert "the worker needs Python 3.10 or newer" in refused(named("1.0;python=3.8"))


class TestCommand:
    def test_environments_are_listed_and_removed(
        self, named: Named, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The list shows spec, versions, size and age; environments in use are not removed."""
        told: list[str] = []
        made = making.ensure(named("2.0"), told.append)
        assert told[0] == "making the environment of tiny@2.0"
        assert told[-1].startswith("made the environment of tiny@2.0 in ")
        assert main(["environments"]) == 0
        shown = capsys.readouterr().out
        row = next(line for line in shown.splitlines() if line.startswith("tiny@2.0"))
        assert "tinyann 2.0" in row
        assert " MB" in row
        assert main(["environments", "--refresh"]) == 0
        assert "looked up at its next use" in capsys.readouterr().out
        assert main(["environments", "--prune"]) == 0
        shown = capsys.readouterr().out
        assert "tiny@2.0 is in use and stays" in shown
        assert Path(made.folder).exists()
        _forget()
        assert main(["environments", "--prune", "30"]) == 0
        assert Path(made.folder).exists()
        assert main(["environments", "--prune"]) == 0
        assert "removed tiny@2.0" in capsys.readouterr().out
        assert not Path(made.folder).exists()
        assert main(["environments"]) == 0
        assert "There are no environments" in capsys.readouterr().out

    def test_what_is_incomplete_is_told_and_removed(
        self, named: Named, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A killed session's, one without an interpreter, one half removed; not what is made now."""
        made = making.ensure(named("2.0"))
        _forget()
        Path(made.interpreter).unlink()
        halves = ["a-1.0-0123456789abcdef", "b-1.0-0123456789abcdef", "c-1.0-0123456789abcdef"]
        for folder in (halves[0], f"{kept.BUILDING}/{halves[1]}", f"{kept.BUILDING}/{halves[2]}"):
            (kept.place() / folder / "bin").mkdir(parents=True)
        others = kept.place() / "somebody's"
        others.mkdir()
        with kept.alone(halves[2]):
            assert main(["environments"]) == 0
            shown = capsys.readouterr().out
            for key in (*halves[:2], made.key):
                assert f"{key} is incomplete; --prune removes it\n" in shown
            assert f"{halves[2]} is being made now\n" in shown
            assert main(["environments", "--prune", "30"]) == 0
            shown = capsys.readouterr().out
            for key in (*halves[:2], made.key):
                assert f"removed {key}, which was incomplete\n" in shown
        assert [left.key for left in kept.unfinished()] == [halves[2]]
        assert main(["environments", "--prune"]) == 0
        assert not kept.unfinished()
        assert others.is_dir()
        others.rmdir()

    def test_what_cannot_be_read_or_removed_is_an_error(
        self,
        named: Named,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A line that says so, and a status that is not 0; nothing is said to be removed."""
        made = making.ensure(named("2.0"))
        _forget()

        def refuses(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        with monkeypatch.context() as patch:
            patch.setattr(shutil, "rmtree", refuses)
            assert main(["environments", "--prune"]) == 1
        shown = capsys.readouterr()
        assert shown.err == f"{made.folder} cannot be removed: Permission denied\n"
        assert shown.out == "Nothing was removed.\n"
        with monkeypatch.context() as patch:
            patch.setattr(Path, "iterdir", refuses)
            assert main(["environments"]) == 2
        assert f"{kept.place()} cannot be read: Permission denied" in capsys.readouterr().err
        assert main(["environments", "--prune"]) == 0

    @pytest.mark.parametrize("days", ["-1", "nan", "inf", "week"])
    def test_days_are_a_number(self, days: str, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            main(["environments", f"--prune={days}"])
        assert days in capsys.readouterr().err


def test_the_library_text_is_what_it_says() -> None:
    """The library that these tests install gives the expected answers."""
    scope: dict[str, object] = {}
    exec(library("1.0"), scope)
    assert scope["VERSION"] == "1.0"
