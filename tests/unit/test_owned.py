"""Memory and files that processes hold themselves, whatever libraries they share."""

import mmap
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from jobs import PRELUDE, measured, nothing_left_behind, run, write

from pytest_annmodal.jobs import training_data
from pytest_annmodal.sandbox import memory as process_memory
from pytest_annmodal.sandbox.owned import owned
from pytest_annmodal.sandbox.process_tree import descendants

MEGABYTE = 2**20
SIZE = 40 * MEGABYTE
WRITE = (
    "import mmap, tempfile\nfile = open({path!r}, 'w+b')\nfile.write(bytes({n}))\nfile.flush()\n"
)


@pytest.fixture
def process():
    """Run code that prints a line when it is ready, and waits; the moment before it started."""
    running = []

    def process(code):
        began = time.time()
        one = subprocess.Popen(
            [sys.executable, "-c", f"import os, sys\n{code}\nprint(flush=True)\nsys.stdin.read()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        running.append(one)
        assert one.stdout.readline() == b"\n"
        return one.pid, began

    yield process
    for one in running:
        one.communicate()


class TestMemory:
    @pytest.mark.parametrize(
        "code",
        [
            "kept = bytearray({n})",
            "import mmap\nkept = mmap.mmap(-1, {n})\nfor at in range(0, {n}, 4096): kept[at] = 1",
            (
                "kept = bytearray({n})\n"
                "if not os.fork(): sum(kept[::4096]); sys.stdin.read(); os._exit(0)"
            ),
        ],
        ids=["private", "shared without a name", "read by a child as well"],
    )
    def test_counts_once(self, process, code):
        """Memory counts fully, whoever shares it."""
        pid, since = process(code.format(n=SIZE))
        found = owned(pid, *descendants(pid), since=since)
        assert SIZE <= found.memory_bytes < 1.6 * SIZE
        assert found.file_bytes == 0

    def test_pages_of_a_file_count_when_they_were_written_to(self, process, tmp_path):
        """A changed page of a mapped file counts; a page that was only read does not."""
        (tmp_path / "given").write_bytes(bytes(2 * SIZE))
        os.utime(tmp_path / "given")
        pid, since = process(
            f"import mmap\nfile = open({str(tmp_path / 'given')!r}, 'r+b')\n"
            f"kept = mmap.mmap(file.fileno(), {2 * SIZE}, mmap.MAP_PRIVATE)\nsum(kept[::4096])\n"
            f"for at in range(0, {SIZE}, 4096): kept[at] = 1"
        )
        found = owned(pid, since=since)
        assert SIZE <= found.memory_bytes < 1.6 * SIZE
        assert found.file_bytes == 0

    def test_a_file_that_was_given_never_counts(self, process):
        """Mailbox and training vectors do not count."""
        fd = os.memfd_create("given")
        os.ftruncate(fd, SIZE)
        with mmap.mmap(fd, SIZE) as memory:
            np.frombuffer(memory, np.uint8)[:] = 1
        given, path = [process_memory.file_id(fd)], f"/proc/{os.getpid()}/fd/{fd}"
        pid, since = process(
            f"import mmap\nfile = open({path!r}, 'r+b')\nkept = mmap.mmap(file.fileno(), {SIZE})\n"
            "sum(kept[::4096])"
        )
        os.close(fd)
        found = owned(pid, given=given, since=since - 60)
        assert found.memory_bytes + found.file_bytes < SIZE / 2

    def test_an_ended_process_holds_nothing(self):
        """An ended process holds nothing, and causes no error."""
        found = owned(2**22 + 1, since=0)
        assert (found.memory_bytes, found.file_bytes) == (0, 0)


class TestFiles:
    @pytest.mark.parametrize(
        "code",
        [
            "",
            "os.unlink({path!r})",
            "kept = mmap.mmap(file.fileno(), {n})\nfile.close()\nsum(kept[::4096])",
            "kept = mmap.mmap(file.fileno(), {n})\nos.unlink({path!r})\nsum(kept[::4096])",
        ],
        ids=["open", "without a name", "mapped", "mapped, open and without a name"],
    )
    def test_that_it_wrote_and_holds_count_once(self, process, tmp_path, code):
        """Files that it wrote and has open count once, by their blocks."""
        given = {"path": str(tmp_path / "an index"), "n": SIZE}
        pid, since = process((WRITE + code).format(**given))
        found = owned(pid, since=since)
        assert SIZE <= found.file_bytes < 1.1 * SIZE
        assert found.memory_bytes < SIZE / 2

    def test_that_others_wrote_before_do_not(self, process, tmp_path):
        """Files from before the start (libraries, leftovers) do not count."""
        (tmp_path / "library").write_bytes(bytes(SIZE))
        time.sleep(0.02)  # file systems count in ticks of the kernel
        pid, since = process(
            f"import mmap\nfile = open({str(tmp_path / 'library')!r}, 'rb')\n"
            "kept = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)\nsum(kept[::4096])"
        )
        found = owned(pid, since=since)
        assert found.file_bytes == 0
        assert found.memory_bytes < SIZE / 2

    def test_that_are_sparse_count_what_they_take(self, process, tmp_path):
        """A sparse file counts by its blocks, not its length."""
        code = f"file = open({str(tmp_path / 'sparse')!r}, 'w+b')\nfile.truncate({SIZE})"
        pid, since = process(code)
        assert owned(pid, since=since).file_bytes < MEGABYTE


LIBRARY = """
class Index(Exact):
    def __init__(self, metric):
        import mmap
        super().__init__(metric)
        file = open({path!r}, "rb")
        self.library = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        sum(self.library[::4096])
    def fit(self, X):
        super().fit(X)
        self.kept = np.ones({n}, np.uint8)
"""
ON_DISK = """
class Index(Exact):
    def fit(self, X):
        super().fit(X)
        np.ones({n}, np.uint8).tofile({path!r})
        self.kept = np.memmap({path!r}, np.uint8, "r")
"""


class TestIndexBytes:
    def test_do_not_depend_on_who_else_maps_a_library(self, small_dataset, tmp_path, monkeypatch):
        """A second process that loads a library during the build changes nothing."""
        library = tmp_path / "library"
        library.write_bytes(bytes(3 * SIZE))
        source = write(tmp_path / "mine.py", PRELUDE + LIBRARY.format(path=str(library), n=SIZE))
        alone = measured(run(small_dataset(), source)[0])
        second = []

        def loads_it(_train_file):
            with library.open("rb") as file:
                second.append(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            sum(second[0][::4096])

        monkeypatch.setattr(training_data.TrainFile, "fill", loads_it)
        beside = measured(run(small_dataset(), source)[0])
        second[0].close()
        for outcome in (alone, beside):
            assert SIZE <= outcome.index_bytes < 1.2 * SIZE

    def test_of_an_index_on_disk_are_the_files(self, small_dataset, tmp_path):
        """A file that the index wrote and mapped counts; the peak has only memory."""
        source = write(
            tmp_path / "mine.py", PRELUDE + ON_DISK.format(path=str(tmp_path / "i"), n=SIZE)
        )
        with nothing_left_behind():
            outcome = measured(run(small_dataset(), source)[0])
        assert SIZE <= outcome.index_bytes < 1.2 * SIZE

    def test_reserved_blocks_behind_a_files_end_do_not_count(self, small_dataset, tmp_path):
        """Blocks that the file system reserves behind a file's end do not count."""
        reserve = f"fallocate --keep-size --offset {SIZE} --length {SIZE} '{tmp_path / 'i'}'"
        body = ON_DISK.format(path=str(tmp_path / "i"), n=SIZE).replace(
            "        self.kept", f'        assert os.system("{reserve}") == 0\n        self.kept'
        )
        source = write(tmp_path / "mine.py", PRELUDE + "import os\n" + body)
        outcome = measured(run(small_dataset(), source)[0])
        assert (tmp_path / "i").stat().st_blocks * 512 >= 2 * SIZE
        assert SIZE <= outcome.index_bytes < 1.2 * SIZE

    def test_are_what_is_written_into_the_training_vectors_too(self, small_dataset, tmp_path):
        """Changed pages of the training vectors count."""
        path = small_dataset(n_train=20_000, dim=64)
        text = "class Index(Exact):\n    def fit(self, X):\n        X += 0\n        self.X = X\n"
        outcome = measured(run(path, write(tmp_path / "mine.py", PRELUDE + text))[0])
        assert outcome.index_bytes >= 20_000 * 64 * 4
        assert outcome.index_bytes < 1.2 * 20_000 * 64 * 4

    def test_are_not_hidden_by_what_an_import_has_freed(self, small_dataset, tmp_path):
        """An index in heap memory that an import had freed counts fully."""
        body = """
class Index(Exact):
    def __init__(self, metric):
        super().__init__(metric)
        pieces = [bytes(60_000) for _ in range({n} // 60_000)]
        self.last = pieces[-1]  # what lies before it stays in the heap
    def fit(self, X):
        super().fit(X)
        self.kept = [bytes(60_000) for _ in range({n} // 60_000)]
"""
        source = write(tmp_path / "mine.py", PRELUDE + body.format(n=SIZE))
        assert 0.95 * SIZE < measured(run(small_dataset(), source)[0]).index_bytes < 1.2 * SIZE
