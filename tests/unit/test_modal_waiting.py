"""Messages while a session waits for Modal."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import modal
import pytest
from modal_proto import api_pb2

from pytest_annmodal.executors.modal import bytes_only, calls, client
from pytest_annmodal.executors.modal.calls import Calls
from pytest_annmodal.executors.modal.client import ModalExecutor
from pytest_annmodal.executors.modal.connection import explain
from pytest_annmodal.settings.config import Settings


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(client, "FIRST_MESSAGE_S", 0.0)
    return []


def waiting(said: list[str], future: Future[str]) -> ModalExecutor:
    """An executor whose wait ends after its first message."""

    def say(line: str) -> None:
        said.append(line)
        future.set_result("there")

    return ModalExecutor(Settings(executor="modal"), say=say)


def test_a_message_says_what_is_waited_for(said: list[str]) -> None:
    """A message says what is waited for, at most once a minute."""
    future: Future[str] = Future()
    executor = waiting(said, future)
    assert executor._wait(future, "2 images to be built") == "there"
    (line,) = said
    assert line.startswith("   Waiting on Modal for 2 images to be built (")


def test_a_job_is_named(said: list[str]) -> None:
    """The message names the job."""
    future: Future[str] = Future()
    executor = waiting(said, future)
    executor._waiting.append((type("Job", (), {"label": "annoy on digits"})(), future))  # type: ignore[arg-type]
    executor.pump(future)
    assert "a container that measures annoy on digits" in said[0]


def test_no_message_while_lines_arrive(said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no message while the container prints lines."""
    monkeypatch.setattr(client, "FIRST_MESSAGE_S", 60.0)
    future: Future[str] = Future()
    executor = waiting(said, future)
    threading.Timer(0.05, executor._lines.put, ["building"]).start()
    executor.pump(future)
    assert said == ["building"]


GONE = "gone"
LATER = "later"


class Service:
    """A call whose service gives these answers, one at each question; it stands for its client."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: Any) -> None:
        self.answers, self.now = list(answers), 0.0
        self.object_id, self.client = "fc-1", None
        monkeypatch.setattr(calls, "time", SimpleNamespace(monotonic=lambda: self.now))

    def _next(self, timeout: float) -> Any:
        answer = self.answers.pop(0)
        self.now += timeout if answer in (LATER, GONE) else 0.1
        return answer

    def get(self, timeout: float) -> Any:
        answer = self._next(timeout)
        if answer == LATER:
            raise TimeoutError
        if answer == GONE:
            raise modal.exception.OutputExpiredError
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _invocation(self) -> Service:
        return self

    async def pop_function_call_outputs(self, *, timeout: float) -> Any:
        answer = self._next(timeout)
        if answer in (LATER, GONE):
            return api_pb2.FunctionGetOutputsResponse(num_unfinished_inputs=int(answer == LATER))
        result = api_pb2.GenericResult(
            status=api_pb2.GenericResult.GENERIC_STATUS_SUCCESS, data=b"\x43" + answer
        )
        item = api_pb2.FunctionGetOutputsItem(result=result, data_format=api_pb2.DATA_FORMAT_CBOR)
        return api_pb2.FunctionGetOutputsResponse(outputs=[item])


WAYS = pytest.mark.parametrize("way", [{}, {"get": bytes_only.bytes_of}], ids=["any", "bytes"])


@WAYS
def test_a_result_that_comes_late_is_waited_for(monkeypatch: pytest.MonkeyPatch, way: Any) -> None:
    """However often the service has to be asked."""
    late = Service(monkeypatch, *[LATER] * 100, b"abc")
    assert Calls(longest_s=90).result_of(late, **way) == b"abc"


@WAYS
def test_a_result_that_is_gone_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, way: Any) -> None:
    """The client would ask for it forever, and the session would not end."""
    with pytest.raises(modal.exception.OutputExpiredError) as caught:
        Calls(longest_s=90).result_of(Service(monkeypatch, LATER, GONE, GONE), **way)
    assert "no longer has the result" in explain(caught.value)


@WAYS
def test_a_service_that_calls_a_running_call_gone_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, way: Any
) -> None:
    """While the call may still run."""
    there = Service(monkeypatch, GONE, LATER, GONE, b"abc")
    assert Calls(longest_s=90).result_of(there, **way) == b"abc"


def test_a_timeout_that_the_function_raised_is_its_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told from a wait without a result by the time that it takes."""
    with pytest.raises(TimeoutError, match="its own"):
        Calls().result_of(Service(monkeypatch, LATER, TimeoutError("its own")))
