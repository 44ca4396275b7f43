"""Checks whether Modal can be used, and translates its exceptions into ours."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from typing import TypeVar
from urllib.parse import urlsplit

import modal

from pytest_annmodal.errors import AnnModalError, ConfigurationError, ExecutorError

T = TypeVar("T")
CONNECT_TIMEOUT_S = 5.0
WAKES_S = 0.2  # how late Ctrl-C may be, if another thread got the signal
# A question for a result waits so long. Without a limit, the client asks forever for one that is
# gone.
POLL_S = 60.0
TRANSPORT = {"grpclib", "h2", "aiohttp"}


def has_token() -> bool:
    """Whether this machine has both parts of a token, valid or not."""
    settings = modal.config.config
    return bool(settings.get("token_id") and settings.get("token_secret"))


def check_token() -> None:
    """Asks the server whether it accepts the token.

    Raises:
        ConfigurationError: no token, or it is refused. ExecutorError: no answer.
    """
    check_reachable()
    with translated():
        modal.Client.from_env().hello()


def check_reachable() -> None:
    """Fails within seconds if the server cannot be reached; the client would try for a minute.

    Raises:
        ConfigurationError: no token. ExecutorError: no answer at the server's address.
    """
    settings = modal.config.config
    if not has_token():
        raise ConfigurationError(
            "Modal has no token (or half of one) on this machine. Run `modal setup` once, or set "
            "MODAL_TOKEN_ID and MODAL_TOKEN_SECRET; or leave --modal out to run here."
        )
    problems = []
    for server in str(settings.get("server_url")).split(","):  # the client takes several
        url = urlsplit(server.strip())
        if url.scheme == "unix":
            return
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            socket.create_connection((url.hostname or "", port), CONNECT_TIMEOUT_S).close()
            return
        except OSError as error:
            problems.append(f"{url.hostname}:{port}: {error}")
    raise ExecutorError(
        f"Modal's server cannot be reached ({'; '.join(problems)}). Check the network (a proxy "
        "or firewall?), or leave --modal out to run here."
    )


def within(limit_s: float, work: Callable[[], T]) -> T:
    """Runs ``work`` in a thread and returns its result; waits at most ``limit_s``.

    Ctrl-C ends the wait.

    Raises:
        ExecutorError: no answer in time.
    """
    future: Future[T] = Future()

    def fill() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 -- a waiting thread must not hang
            future.set_exception(error)

    threading.Thread(target=fill, name="annmodal question", daemon=True).start()
    deadline = time.monotonic() + limit_s
    while not future.done() and time.monotonic() < deadline:
        wait([future], WAKES_S)  # in steps: another thread may get the signal
    if not future.done():
        raise ExecutorError(
            f"Modal's server accepts connections but did not answer within {limit_s:g} s"
        )
    return future.result()


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Translates Modal's exceptions into ours; the only place that does."""
    try:
        yield
    except modal.exception.AuthError as error:
        raise ConfigurationError(explain(error)) from error
    except AnnModalError:
        raise
    except Exception as error:  # the client's libraries raise their own for a broken connection
        raise ExecutorError(explain(error)) from error


def is_of_transport(error: Exception) -> bool:
    """Whether a library below the client raised it, as for a broken connection."""
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in TRANSPORT


def explain(error: Exception) -> str:
    """Returns what happened on Modal, and what to do about it."""
    text = str(error).strip() or type(error).__name__
    known = modal.exception
    if isinstance(error, known.AuthError):
        return f"Modal refused the token: {text}. Run `modal setup` to make a new one."
    if isinstance(error, known.ConnectionError) or is_of_transport(error):
        return f"The connection to Modal was lost: {text}. Try again; finished results are kept."
    if isinstance(error, known.OutputExpiredError):
        return "Modal no longer has the result of this call: it expired, or was removed. Try again."
    if isinstance(error, known.FunctionTimeoutError):
        return f"It took longer than a container is allowed to: {text}."
    if isinstance(error, (known.InternalFailure, known.RemoteError)):
        return (
            f"The container was lost or failed: {text}. It may have been killed, preempted, out "
            "of memory (--modal-memory-mb gives more) or out of time (--modal-timeout); try again."
        )
    return text if isinstance(error, ExecutorError) else f"{type(error).__name__}: {text}"
