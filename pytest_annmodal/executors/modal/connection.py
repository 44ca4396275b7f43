"""Whether Modal can be used at all, and its exceptions in words that say what to do."""

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
WAKES_S = 0.2  # how late Ctrl-C may be, when another thread took the signal
TRANSPORT = {"grpclib", "h2", "aiohttp"}


def has_token() -> bool:
    """Whether this machine has a whole one, right or wrong."""
    settings = modal.config.config
    return bool(settings.get("token_id") and settings.get("token_secret"))


def check_token() -> None:
    """Ask the server whether it takes the token.

    Raises:
        ConfigurationError: no token, or one that is refused. ExecutorError: nobody answers.
    """
    check_reachable()
    with translated():
        modal.Client.from_env().hello()


def check_reachable() -> None:
    """Fail within seconds where the client would try for a minute.

    Raises:
        ConfigurationError: no token. ExecutorError: nobody answers at the server's address.
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
    """Do what is answered at once; what is not, is not waited for, and Ctrl-C ends it.

    Raises:
        ExecutorError: no answer.
    """
    future: Future[T] = Future()

    def fill() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 -- whoever waits must not wait for ever
            future.set_exception(error)

    threading.Thread(target=fill, name="annmodal question", daemon=True).start()
    deadline = time.monotonic() + limit_s
    while not future.done() and time.monotonic() < deadline:
        wait([future], WAKES_S)  # in steps: a signal may come to another thread
    if not future.done():
        raise ExecutorError(
            f"Modal's server accepts connections and does not answer ({limit_s:g} s)"
        )
    return future.result()


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Modal's exceptions as ours, once, at this seam."""
    try:
        yield
    except modal.exception.AuthError as error:
        raise ConfigurationError(explain(error)) from error
    except AnnModalError:
        raise
    except Exception as error:  # a broken connection comes in the terms of the client's libraries
        raise ExecutorError(explain(error)) from error


def is_of_transport(error: Exception) -> bool:
    """Whether a library below the client raised it: the connection broke in the middle."""
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in TRANSPORT


def explain(error: Exception) -> str:
    """What happened on Modal, and what to do about it."""
    text = str(error).strip() or type(error).__name__
    known = modal.exception
    if isinstance(error, known.AuthError):
        return f"Modal refused the token: {text}. Run `modal setup` to make a new one."
    if isinstance(error, known.ConnectionError) or is_of_transport(error):
        return f"The connection to Modal was lost: {text}. Try again; finished results are kept."
    if isinstance(error, known.FunctionTimeoutError):
        return f"It took longer than a container may: {text}."
    if isinstance(error, (known.InternalFailure, known.RemoteError)):
        return (
            f"The container was lost or could not do its work: {text}. It may have been killed, "
            "preempted, out of memory (--modal-memory-mb gives more) or, where the service does "
            "not tell these apart, out of time (--modal-timeout); try again."
        )
    if isinstance(error, ExecutorError):
        return text
    return f"{type(error).__name__}: {text}"
