"""Messages while a session waits for Modal."""

from __future__ import annotations

import threading
from concurrent.futures import Future

import pytest

from pytest_annmodal.executors.modal import client
from pytest_annmodal.executors.modal.client import ModalExecutor
from pytest_annmodal.settings.config import Settings


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(client, "SAYS_S", 0.0)
    return []


def waiting(said: list[str], future: Future[str]) -> ModalExecutor:
    """An executor whose wait ends after its first message."""

    def say(line: str) -> None:
        said.append(line)
        future.set_result("there")

    return ModalExecutor(Settings(executor="modal"), say=say)


def test_what_is_waited_for_is_said(said: list[str]) -> None:
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


def test_nothing_is_said_where_lines_come(said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no message while the container prints lines."""
    monkeypatch.setattr(client, "SAYS_S", 60.0)
    future: Future[str] = Future()
    executor = waiting(said, future)
    threading.Timer(0.05, executor._lines.put, ["building"]).start()
    executor.pump(future)
    assert said == ["building"]
