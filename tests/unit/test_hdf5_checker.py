"""Unchecked files are opened only in the checking process."""

from __future__ import annotations

import os
import signal
import sys
import time

import h5py
import numpy as np
import pytest

from pytest_annmodal.datasets import hdf5
from pytest_annmodal.datasets.hdf5 import checker as checking
from pytest_annmodal.datasets.hdf5 import known
from pytest_annmodal.errors import DatasetError, DatasetFormatError


@pytest.fixture
def checker():
    """A checker with a process of its own."""
    checker = checking.Checker()
    yield checker
    checker.close()


@pytest.fixture
def broken(monkeypatch):
    """A checker in whose process this line is run where a file would be looked at."""

    def broken(line):
        start = checking.START.replace("main()", f"{line}; main()")
        monkeypatch.setattr(checking, "START", start)
        made.append(checking.Checker())
        return made[-1]

    made = []
    yield broken
    for checker in made:
        checker.close()


HOOK = "from pytest_annmodal.datasets.hdf5 import storage; storage.require_complete = lambda *_: "


def refused(checker, path, *words, kind=DatasetFormatError):
    with pytest.raises(DatasetError) as caught:
        checker.look(path, whole=True)
    assert type(caught.value) is kind
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    for word in words:
        assert word in message


def test_a_process_that_was_ended_is_started_again(checker):
    """If the process was ended, another one is started."""
    checker.start()
    before = checker.pid
    os.kill(before, signal.SIGKILL)
    os.waitid(os.P_PID, before, os.WEXITED | os.WNOWAIT)
    checker.start()
    assert checker.pid != before
    os.kill(checker.pid, 0)


def test_a_file_that_never_ends_is_stopped(tmp_path, small_dataset):
    """A file on which HDF5 loops is refused after the limit; the next file is checked."""
    path = tmp_path / "pipe-euclidean.hdf5"
    os.mkfifo(path)
    checker = checking.Checker(limit_s=0.3)
    try:
        refused(checker, path, "opening it took longer than 0.3 s and was stopped", "damaged")
        with pytest.raises(DatasetError, match="no such file"):
            checker.look(tmp_path / "gone", whole=True)
    finally:
        checker.close()


def test_checking_a_large_file_may_take_longer_than_opening_it(broken, small_dataset):
    """The limit for checking grows with the size of the arrays."""
    checker = broken(
        "import time; from pytest_annmodal.datasets.hdf5 import checking_process as child; child.SLOWEST_BYTES_PER_S = 100; "
        "child.checks.check_file = lambda _: (child.signal.setitimer(0, 0.1), time.sleep(1e6))"
    )
    refused(checker, small_dataset(), "checking it took longer than 178.4 s", "was stopped")


@pytest.mark.parametrize("signal", ["SIGSEGV", "SIGABRT", "SIGBUS"])
def test_a_crash_is_one_sentence_on_the_file(broken, small_dataset, signal):
    """A crash gives one sentence on the file, and the next file is checked."""
    checker = broken(f"import os, signal; {HOOK}os.kill(os.getpid(), signal.{signal})")
    for _ in range(2):
        refused(checker, small_dataset(), f"opening it made the HDF5 library crash ({signal})")


def test_an_exit_is_a_crash(broken, small_dataset):
    """A library that exits counts as a crash."""
    checker = broken(f"import os; {HOOK}os._exit(3)")
    refused(checker, small_dataset(), "crash (exit status 3)")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds to the limit")
def test_memory_without_measure_is_refused(broken, small_dataset):
    """A file that needs more memory than the limit is refused."""
    checker = broken(f"{HOOK}bytearray(4 << 30)")
    refused(checker, small_dataset(), "opening it takes more memory than its size explains")


def test_being_killed_is_not_the_files_fault(broken, small_dataset):
    """A killed process does not blame the file: the machine may lack memory."""
    checker = broken(f"import os; {HOOK}os.kill(os.getpid(), 9)")
    refused(checker, small_dataset(), "was killed", "Free some memory", kind=DatasetError)


def test_a_process_that_does_not_start_is_an_error(broken, small_dataset):
    """If the process cannot start, the error has its last line and does not blame the file."""
    checker = broken("raise ImportError('no h5py here')")
    refused(checker, small_dataset(), "did not start", "no h5py here", kind=DatasetError)


@pytest.mark.parametrize("error", ["RuntimeError", "KeyError", "TypeError", "ValueError"])
def test_what_h5py_raises_on_damage_is_one_sentence(broken, small_dataset, error):
    """Any exception of h5py on a damaged file becomes one sentence."""
    checker = broken(f"{HOOK}(_ for _ in ()).throw({error}('B-tree\\x1b\\n' + 'x' * 5000))")
    path = small_dataset()
    refused(checker, path, "damaged or cut off: its arrays cannot be read", error)
    with pytest.raises(DatasetFormatError) as caught:
        checker.look(path, whole=False)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 800


def test_relative_paths_are_those_of_now(checker, small_dataset, monkeypatch, tmp_path):
    """Relative paths start at the present directory, not at that of the process."""
    path = small_dataset("a/x-euclidean")
    checker.look(path, whole=True)
    monkeypatch.chdir(path.parent)
    assert checker.look(type(path)(path.name), whole=True).n_train == 300


def test_an_interrupted_look_does_not_spoil_the_next(checker, small_dataset, monkeypatch):
    """After Ctrl-C the late answer is not taken for that of the next file."""
    first, second = small_dataset("a/x-euclidean"), small_dataset("b/x-euclidean", n_train=200)
    checker.look(first, whole=True)

    class Interrupted:
        def readline(self):
            raise KeyboardInterrupt

        def close(self):
            pass

    pid = checker._process.pid
    pipe, checker._process.stdout = checker._process.stdout, Interrupted()
    with pytest.raises(KeyboardInterrupt):
        checker.look(first, whole=True)
    pipe.close()
    deadline = time.monotonic() + 30
    with pytest.raises(ProcessLookupError):  # nor does a fork of it go on, once it is reaped
        while time.monotonic() < deadline:
            os.killpg(pid, 0)
            time.sleep(0.01)
    assert checker.look(second, whole=True).n_train == 200


class TestWhatThisProcessOpens:
    @pytest.fixture(autouse=True)
    def no_opening(self, monkeypatch):
        """Records any use of h5py in this process."""
        opened = []
        real = h5py.File

        def noting(path, *arguments, **options):
            opened.append(str(path))
            return real(path, *arguments, **options)

        monkeypatch.setattr(h5py, "File", noting)
        self.opened = opened

    def test_nothing_is_opened_here_to_look_or_check(self, small_dataset):
        """This process opens no unchecked file, good or bad."""
        path = small_dataset()
        self.opened.clear()
        hdf5.inspect(path)
        hdf5.validate(path)
        with path.open("r+b") as stream:
            stream.truncate(3000)
        for look in (hdf5.inspect, hdf5.validate, hdf5.load):
            with pytest.raises(DatasetFormatError):
                look(path)
        assert self.opened == []

    def test_a_file_is_opened_here_when_it_was_looked_at(self, small_dataset, monkeypatch):
        """This process opens a checked file while it is unchanged; a changed one is checked again."""
        path = small_dataset()
        self.opened.clear()
        seen = []
        look = checking.CHECKER.look
        monkeypatch.setattr(
            checking.CHECKER,
            "look",
            lambda path, **options: seen.append(path) or look(path, **options),
        )
        hdf5.load(path)
        hdf5.load(path)
        assert (len(seen), len(self.opened)) == (1, 2)
        os.utime(path, ns=(1, 1))
        hdf5.load(path)
        assert len(seen) == 2

    def test_a_stamp_vouches_for_a_file(self, small_dataset, monkeypatch):
        """A stamped file is not checked again."""
        path = small_dataset()
        info = hdf5.inspect(path)
        os.utime(path, ns=(2, 2))
        hdf5.mark_checked(path, info)
        monkeypatch.setattr(checking.CHECKER, "look", None)
        assert hdf5.inspect(path) == info
        assert hdf5.load(path).info.n_train == 300


def test_a_file_that_is_replaced_while_it_is_loaded_is_refused(small_dataset, monkeypatch):
    """A file that is replaced between check and loading is refused."""
    path, other = small_dataset(), small_dataset("other-euclidean", seed=1)
    hdf5.inspect(path)
    before = known.identity(path)
    other.replace(path)
    with pytest.raises(DatasetError, match="it was changed while it was read"):
        known.require_same(path, before)
    np.testing.assert_array_equal(hdf5.load(path).train, hdf5.load(path).train)


def test_it_was_ended_meanwhile(checker, small_dataset):
    """If the process was ended meanwhile, another one checks the file."""
    path = small_dataset()
    checker.start()
    os.kill(checker.pid, signal.SIGKILL)
    assert checker.look(path, whole=True).n_train == 300
