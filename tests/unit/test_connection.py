"""Checks whether Modal can be used, and explains its exceptions."""

from __future__ import annotations

import socket
import threading
from types import SimpleNamespace

import pytest
from grpclib.exceptions import StreamTerminatedError
from modal import exception

from pytest_annmodal.errors import ConfigurationError, ExecutorError
from pytest_annmodal.executors.modal.attempts import Attempts
from pytest_annmodal.executors.modal.calls import Calls
from pytest_annmodal.executors.modal.connection import check_reachable, explain, translated, within
from pytest_annmodal.executors.modal.container import PHASE
from pytest_annmodal.settings.config import Settings


@pytest.fixture
def account(monkeypatch, tmp_path):
    monkeypatch.setenv("MODAL_TOKEN_ID", "ak-x")
    monkeypatch.setenv("MODAL_TOKEN_SECRET", "as-x")
    return monkeypatch


@pytest.mark.parametrize("missing", ["MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET"])
def test_half_a_token_is_an_error_before_any_request(account, missing):
    account.setenv(missing, "")
    with pytest.raises(ConfigurationError, match="Run `modal setup` once"):
        check_reachable()


def test_a_server_that_answers_is_enough(account):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        account.setenv("MODAL_SERVER_URL", f"http://127.0.0.1:1,http://127.0.0.1:{port}")
        check_reachable()


def test_a_server_that_does_not_listen_is_named(account):
    account.setenv("MODAL_SERVER_URL", "http://127.0.0.1:1")
    with pytest.raises(ExecutorError, match=r"cannot be reached \(127\.0\.0\.1:1: .*proxy"):
        check_reachable()


def test_a_local_socket_is_not_probed(account):
    account.setenv("MODAL_SERVER_URL", "unix:///nowhere")
    check_reachable()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (exception.AuthError("bad"), "Modal refused the token: bad"),
        (exception.ConnectionError("gone"), "connection to Modal was lost: gone"),
        (exception.FunctionTimeoutError("late"), "longer than a container is allowed to: late"),
        (exception.InternalFailure("signal -9"), "--modal-memory-mb gives more"),
        (exception.RemoteError("boom"), "was lost or failed: boom"),
        (ExecutorError("as it is"), "as it is"),
        (KeyError("x"), "KeyError: 'x'"),
        (StreamTerminatedError("reset"), "connection to Modal was lost: reset"),
        (OSError("no route"), "connection to Modal was lost: no route"),
        (exception.NotFoundError(""), "NotFoundError"),
    ],
)
def test_an_exception_is_explained(error, said):
    assert said in explain(error)


def test_an_exception_is_translated_once_and_chained():
    with pytest.raises(ConfigurationError) as caught, translated():
        raise exception.AuthError("bad")
    assert isinstance(caught.value.__cause__, exception.AuthError)
    with pytest.raises(ExecutorError, match="lost"), translated():
        raise exception.ConnectionError("gone")


def test_a_containers_progress_is_indented():
    """Lines that a container prints are indented, so that none looks like pytest's."""
    lines = []
    attempts = Attempts(Settings(), Calls(), lines.append)
    keep = attempts._keeper(SimpleNamespace(searches=[SimpleNamespace(case_id="c")]))
    for line in (f"{PHASE}PASSED test_it.py", "==== 1 passed ===="):
        keep(line)
    assert lines == ["  PASSED test_it.py"]
    assert list(attempts.logs["c"]) == ["PASSED test_it.py", "==== 1 passed ===="]


def test_an_error_of_the_clients_libraries_is_translated_too():
    with pytest.raises(ExecutorError, match="lost: reset"), translated():
        raise StreamTerminatedError("reset")


def test_what_is_not_answered_is_not_waited_for():
    """A request without an answer ends after its limit; answers and errors are returned."""
    assert within(60, lambda: "answer") == "answer"
    with pytest.raises(KeyError):
        within(60, lambda: {}["x"])
    answered = threading.Event()
    with pytest.raises(ExecutorError, match="did not answer within"):
        within(0.01, answered.wait)
    answered.set()
