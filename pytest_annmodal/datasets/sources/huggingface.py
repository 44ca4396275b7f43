"""Locates files on the Hugging Face Hub: ``hf://datasets/OWNER/REPO/PATH@REVISION``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pytest_annmodal.datasets.sources.http_errors import http_errors
from pytest_annmodal.errors import ConfigurationError, DownloadError

ENDPOINT = "HF_ENDPOINT"  # environment variables of the Hub's own client
TOKEN = "HF_TOKEN"  # noqa: S105 -- its name
HUB = "https://huggingface.co"
TIMEOUT_S = 30.0
FORM = re.compile(r"hf://datasets/([\w.-]+/[\w.-]+)/([^@]+?)(?:@(.+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """The location of one file at one commit.

    Attributes:
        commit: the present commit of the revision.
        sha256, size_bytes: of the file, if the Hub gives them.
    """

    url: str
    commit: str
    sha256: str | None
    size_bytes: int | None


def file_name(text: str) -> str:
    """Returns the last part of the path, without the revision.

    Raises:
        ConfigurationError: the address has another form.
    """
    return _parts(text)[1].rpartition("/")[2]


def _parts(text: str) -> tuple[str, str, str]:
    match = FORM.fullmatch(text)
    if match is None:
        raise ConfigurationError(
            f"{text}: expected hf://datasets/OWNER/REPO/PATH@REVISION, such as "
            "hf://datasets/shop/embeddings/data/train.parquet@main"
        )
    return match[1], match[2], match[3] or "main"


def located(text: str) -> Located:
    """Asks the Hub for the commit of a revision, and for the file's digest and size.

    Raises:
        ConfigurationError: the address has another form.
        DownloadError: the Hub does not have the file, or this user may not read it.
    """
    import requests

    repo, path, revision = _parts(text)
    base = f"{os.environ.get(ENDPOINT) or HUB}/datasets/{repo}/resolve"
    asked = f"{base}/{quote(revision, safe='')}/{quote(path)}"
    with http_errors(asked), requests.Session() as session:
        session.auth = authorised()
        response = session.get(asked, allow_redirects=False, stream=True, timeout=TIMEOUT_S)
        response.close()
    status, said = response.status_code, response.headers
    commit = said.get("X-Repo-Commit", "")
    if status >= 400 or not re.fullmatch(r"[0-9a-f]{40}", commit):
        advice = (
            f"Set {TOKEN} to a token that may read it."
            if status in {401, 403}
            else "Check owner, repository, path and revision."
        )
        raise DownloadError(f"{text}: {asked} answered {status}. {advice}", retryable=False)
    tag = said.get("X-Linked-ETag", "").strip('"')
    size = said.get("X-Linked-Size", "")
    return Located(
        url=f"{base}/{commit}/{quote(path)}",
        commit=commit,
        sha256=tag if re.fullmatch(r"[0-9a-f]{64}", tag) else None,
        size_bytes=int(size) if size.isdecimal() else None,
    )


def authorised() -> Callable[[Any], Any] | None:
    """Returns a function that adds the environment's token to a request, or None without one.

    On a redirect, requests does not send the token to another host.
    """
    token = os.environ.get(TOKEN)
    if not token:
        return None

    def add(request: Any) -> Any:
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    return add
