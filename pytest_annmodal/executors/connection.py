"""Whether Modal can be used at all, and its exceptions in words that say what to do."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import modal

from pytest_annmodal.errors import ConfigurationError, ExecutorError

CONNECT_TIMEOUT_S = 5.0


def check_reachable() -> None:
    """Fail within seconds where the client would try for a minute.

    Raises:
        ConfigurationError: no token. ExecutorError: nobody answers at the server's address.
    """
    settings = modal.config.config
    if not (settings.get("token_id") and settings.get("token_secret")):
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


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Modal's exceptions as ours, once, at this seam."""
    try:
        yield
    except modal.exception.AuthError as error:
        raise ConfigurationError(explain(error)) from error
    except modal.exception.Error as error:
        raise ExecutorError(explain(error)) from error


def explain(error: Exception) -> str:
    """What happened on Modal, and what to do about it."""
    text = str(error).strip() or type(error).__name__
    known = modal.exception
    if isinstance(error, known.AuthError):
        return f"Modal refused the token: {text}. Run `modal setup` to make a new one."
    if isinstance(error, known.ConnectionError):
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
