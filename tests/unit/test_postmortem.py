"""The end of a worker, or its report, becomes an error that says what to do."""

import os
import signal
import threading

import pytest

from pytest_annmodal.errors import BuildError, InvalidResultError, LimitExceededError
from pytest_annmodal.sandbox import output, postmortem
from pytest_annmodal.sandbox.output import LOG_TAIL_BYTES, OutputTail, plain

SEEN = {"log_tail": "hello", "peak_rss_bytes": 5}


class TestEnded:
    @pytest.mark.parametrize(
        ("status", "message", "evidence"),
        [
            (0, "the process exited with status 0 during build", {"exit_status": 0}),
            (3, "the process exited with status 3 during build", {"exit_status": 3}),
            (
                -signal.SIGSEGV,
                "the process was ended by SIGSEGV during build",
                {"exit_signal": "SIGSEGV"},
            ),
            (
                -signal.SIGKILL,
                (
                    "the process was ended by SIGKILL during build; "
                    "the system probably ran out of memory"
                ),
                {"exit_signal": "SIGKILL"},
            ),
            (
                -(signal.SIGRTMIN + 2),
                f"the process was ended by signal {signal.SIGRTMIN + 2} during build",
                {"exit_signal": f"signal {signal.SIGRTMIN + 2}"},
            ),
        ],
    )
    def test_names_the_status_or_the_signal(self, status, message, evidence):
        """The message has the exit status or the signal; an unnamed signal has its number."""
        error = postmortem.ended(status, "build", SEEN)
        assert (str(error), error.kind) == (message, "crashed")
        assert error.evidence == {**SEEN, **evidence}

    @pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV])
    def test_a_crash_of_native_code_names_the_limit_of_memory(self, number):
        """A crash of native code names the memory limit if there is one."""
        error = postmortem.ended(-number, "build", SEEN, 300 * 2**20)
        assert "the limit is 300 MB (--ann-memory-mb)" in str(error)
        error = postmortem.ended(-signal.SIGTERM, "build", SEEN, 300 * 2**20)
        assert "memory" not in str(error)


class TestReported:
    def test_an_exception_is_named_with_its_line_and_traceback(self):
        """An exception has its line, traceback and phase."""
        fields = {"type": "ValueError", "message": "mine", "line": 3, "traceback": "T"}
        error = postmortem.reported({**fields, "kind": "raised"}, "build", SEEN)
        assert isinstance(error, BuildError)
        assert str(error) == "build raised ValueError: mine (line 3)"
        assert error.evidence == {**SEEN, "traceback": "T"}

    def test_an_invalid_result_keeps_its_message(self):
        """An invalid result keeps its message."""
        fields = {"kind": "invalid-result", "type": "InvalidResultError", "message": "5 ids"}
        error = postmortem.reported(fields, "search", SEEN)
        assert isinstance(error, InvalidResultError)
        assert str(error) == "5 ids"

    def test_memory_names_the_option(self):
        """A memory error names the option of the limit."""
        fields = {"kind": "limit", "type": "MemoryError", "message": "", "line": 9}
        error = postmortem.reported(fields, "build", SEEN)
        assert isinstance(error, LimitExceededError)
        assert str(error) == (
            "ran out of memory during build (line 9): MemoryError (--ann-memory-mb sets the limit)"
        )

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"kind": None, "type": None, "message": None, "line": "9", "traceback": None},
            {"kind": [], "type": {}, "message": [1], "line": [], "traceback": 5},
        ],
    )
    def test_any_fields_will_do(self, fields):
        """Any fields in the report are accepted, since a submission may send them."""
        error = postmortem.reported(fields, "search", SEEN)
        assert isinstance(error, BuildError)
        assert "(line" not in str(error)

    def test_our_own_errors_have_no_traceback(self):
        """Our own errors are shown without a line and traceback."""
        fields = {"kind": "raised", "type": "BuildError", "message": "no fit(X)", "line": None}
        assert str(postmortem.reported(fields, "start", SEEN)) == "no fit(X)"

    @pytest.mark.parametrize(
        ("path", "hint"), [("data.txt", True), ("a/w.npy", True), ("/w.npy", False), ("ngt", False)]
    )
    def test_a_file_beside_the_submission_is_looked_for_elsewhere(self, path, hint):
        """A missing file with a relative path: the message explains the working directory."""
        message = str(FileNotFoundError(2, "No such file or directory", path))
        fields = {"kind": "raised", "type": "FileNotFoundError", "message": message, "line": 2}
        error = postmortem.reported(fields, "start", SEEN)
        assert ("Path(__file__).parent" in str(error)) == hint

    def test_words_are_made_safe_to_print(self):
        """Message, type and traceback are escaped."""
        fields = {"type": "\x1b[1m", "message": "a\x00\ud800", "traceback": "\x07\n\tx"}
        error = postmortem.reported(fields, "search", {})
        assert str(error) == r"search raised \x1b[1m: a\x00\ud800"
        assert error.evidence["traceback"] == "\\x07\n\tx"


class TestPlain:
    def test_keeps_what_can_be_printed(self):
        """Printable characters of any script stay."""
        assert plain("näïve 𝔘\n\t日本 ") == "näïve 𝔘\n\t日本 "

    @pytest.mark.parametrize("char", ["\x00", "\x1b", "\r", "\x7f", "\x9b", "\u202e", "\ud800"])
    def test_escapes_what_would_steer_a_terminal(self, char):
        """Control characters, direction marks and surrogates are escaped."""
        assert plain(char) == char.encode("unicode_escape").decode()


class TestOutputTail:
    def test_the_reader_rests_between_two_looks(self, monkeypatch):
        """The reader of the output sleeps between reads, to keep off the clock's core; it loses nothing."""
        monkeypatch.setattr(output, "REST_S", 3600.0)
        rests = []
        wait = threading.Event.wait

        def resting(event, timeout=None):
            if timeout == 3600.0:
                rests.append(tail.n_bytes)
                resting_now.set()
            return wait(event, timeout)

        resting_now = threading.Event()
        monkeypatch.setattr(threading.Event, "wait", resting)
        read_fd, write_fd = os.pipe()
        tail = OutputTail(read_fd, 1000)
        os.write(write_fd, b"one\n")
        assert wait(resting_now, 30)
        for _ in range(5):
            os.write(write_fd, b"more\n")
        assert (rests, tail.n_bytes) == ([4], 4)
        assert tail.text() == "one\n" + "more\n" * 5
        os.close(write_fd)
        tail.join()
        assert not tail._thread.is_alive()

    @pytest.fixture
    def pipe(self):
        read_fd, write_fd = os.pipe()
        return read_fd, os.fdopen(write_fd, "wb", buffering=0)

    def test_keeps_the_last_of_it_and_counts_all(self, pipe):
        """The last bytes are kept, and all are counted."""
        read_fd, file = pipe
        tail = OutputTail(read_fd, limit_bytes=10**9)
        with file:
            file.write(b"x" * 100_000 + b"the end")
        tail.join()
        assert tail.n_bytes == 100_007
        assert tail.text().endswith("xthe end")
        assert len(tail.text()) == LOG_TAIL_BYTES
        assert not tail.flooded.is_set()

    def test_notices_a_flood_and_goes_on_reading(self, pipe):
        """Too much output is noticed, and the writer is not blocked."""
        read_fd, file = pipe
        tail = OutputTail(read_fd, limit_bytes=100)
        with file:
            file.write(b"x" * 1_000_000)
        tail.join()
        assert tail.flooded.is_set()
        assert tail.n_bytes == 1_000_000

    def test_gives_plain_text(self, pipe):
        """Any bytes become plain text."""
        read_fd, file = pipe
        tail = OutputTail(read_fd, limit_bytes=10**9)
        with file:
            file.write(b"\xff\x1b[2J \xc3\xa9\r\n\r50%")
        tail.join()
        assert tail.text() == "\ufffd\\x1b[2J é\n\\r50%"

    def test_has_all_that_was_written_before_it_is_asked(self, pipe):
        """All output written before the request is included."""
        read_fd, file = pipe
        tail = OutputTail(read_fd, limit_bytes=10**9)
        with file:
            for number in range(500):
                file.write(b"%d\n" % number)
                assert tail.text().endswith(f"{number}\n")
        tail.join()

    def test_closes_the_pipe_at_its_end(self, pipe):
        """The pipe is closed at its end."""
        read_fd, file = pipe
        tail = OutputTail(read_fd, limit_bytes=1)
        file.close()
        tail.join()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(read_fd)

    def test_waits_for_a_stray_holder_of_the_pipe_only_so_long(self, pipe):
        """A daemon that holds the pipe delays the end only for a limited time."""
        read_fd, file = pipe
        tail = OutputTail(read_fd, limit_bytes=100)
        file.write(b"so far")
        tail.join()
        assert tail.text() == "so far"
        file.close()
        tail.join()
