"""Closes, duplicates and sends the descriptors that it has."""

import pytest
from witnesses import failed, measured


@pytest.mark.parametrize("method", ["fit(self, X)", "query(self, v, k)"])
def test_closing_all_of_them(attack, method):
    """Closing all descriptors is its own failure."""
    failure = failed(attack(f"def {method}: os.closerange(0, 256)")[0])
    assert failure.kind in {"crashed", "timeout"}


def test_putting_others_in_their_place(attack):
    """Replacing the socket by a pipe is its own failure."""
    body = """
        def fit(self, X):
            for fd in range(3, 80):
                os.dup2(os.pipe()[0], fd)
    """
    assert failed(attack(body)[0]).kind in {"crashed", "timeout"}


def test_sending_descriptors_through_the_socket(attack):
    """Descriptors sent through the socket are dropped: the grader reads only bytes."""
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
    """Sealing or shrinking shared files affects only itself."""
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
