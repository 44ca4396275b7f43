"""Closes, duplicates and passes on the descriptors that it finds."""

import pytest
from witnesses import failed, measured


@pytest.mark.parametrize("method", ["fit(self, X)", "query(self, v, k)"])
def test_closing_all_of_them(attack, method):
    """The worker can no longer speak: its own failure."""
    failure = failed(attack(f"def {method}: os.closerange(0, 256)")[0])
    assert failure.kind in {"crashed", "timeout"}


def test_putting_others_in_their_place(attack):
    """A pipe where the socket was speaks to nobody."""
    body = """
        def fit(self, X):
            for fd in range(3, 80):
                os.dup2(os.pipe()[0], fd)
    """
    assert failed(attack(body)[0]).kind in {"crashed", "timeout"}


def test_sending_descriptors_through_the_socket(attack):
    """The grader takes bytes only; they are dropped by the kernel."""
    body = """
        def fit(self, X):
            import socket
            super().fit(X)
            for fd in range(3, 80):
                try:
                    ours = socket.socket(fileno=os.dup(fd))
                    socket.send_fds(ours, [b"A"], list(range(3)))
                except OSError: pass
    """
    failure = failed(attack(body)[0])
    assert failure.kind == "protocol"


def test_sealing_the_mailbox_and_the_vectors(attack):
    """Whoever seals or shrinks the files that it shares hurts nobody but itself."""
    body = """
        def fit(self, X):
            import fcntl
            super().fit(X)
            for fd in range(3, 80):
                for change in (lambda: os.ftruncate(fd, 0), lambda: fcntl.fcntl(fd, 1033, 31)):
                    try: change()
                    except OSError: pass
    """
    assert measured(attack(body)[0]).recall == 1
