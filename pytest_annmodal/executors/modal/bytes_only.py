"""Reads the bytes that a container returned, without unpickling anything.

``FunctionCall.get`` unpickles what a container sent, errors too, so code that took over a
container could run on this machine. So this module reads the service's raw answer and accepts
only one byte string, or the text of an error. The client has no public call for this; the
names used here are those of modal 1.4 to 1.6.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import modal

from pytest_annmodal.errors import ExecutorError
from pytest_annmodal.executors.modal.connection import POLL_S

MAX_BYTES = 500 * 10**6
BYTE_STRING = 2  # CBOR's major type
MAX_TEXT = 2000
# Protocol 4 or 5, an optional frame, a short or long bytes object…
PICKLED_BYTES = re.compile(
    rb"\x80[\x04\x05](?:\x95.{8})?(?:C(?=.)|B(?=.{4}))(?P<length>(?<=C).|(?<=B).{4})", re.DOTALL
)
PICKLE_END = b"\x94."  # …a memo entry, and the end


def bytes_of(call: Any) -> bytes:
    """Waits for the call's result, at most POLL_S; raises as ``call.get`` does, but from texts.

    Raises:
        ExecutorError: the container returned something other than one byte string.
        TimeoutError: there is no result yet.
        modal.exception.OutputExpiredError: the service no longer has the result.
    """
    from modal_proto import api_pb2

    status, text, data_format, data = _waiter()(call)
    result = api_pb2.GenericResult
    if status == result.GENERIC_STATUS_TIMEOUT:
        raise modal.exception.FunctionTimeoutError(text)
    if status == result.GENERIC_STATUS_INTERNAL_FAILURE:
        raise modal.exception.InternalFailure(text)
    if status != result.GENERIC_STATUS_SUCCESS:
        raise modal.exception.RemoteError(text)
    content = None
    if data_format == api_pb2.DATA_FORMAT_CBOR:
        content = cbor_string(data)
    elif data_format == api_pb2.DATA_FORMAT_PICKLE:  # of a service that allows both
        content = pickled_string(data)
    if content is None:
        raise ExecutorError(
            "A container with a submission returned something other than plain bytes. It was "
            "not read, since reading it could run code on this machine."
        )
    return content


def _waiter() -> Callable[[Any], tuple[int, str, int, bytes]]:
    try:
        from modal._utils.async_utils import synchronize_api
        from modal._utils.blob_utils import blob_iter
    except ImportError as error:
        raise ExecutorError(
            f"modal {modal.__version__} cannot read a result without unpickling it: "
            "run submissions with modal 1.6, or without --modal"
        ) from error

    async def wait(call: Any) -> tuple[int, str, int, bytes]:
        response = await call._invocation().pop_function_call_outputs(timeout=POLL_S)
        if not response.outputs and response.num_unfinished_inputs:
            raise TimeoutError
        if not response.outputs:
            raise modal.exception.OutputExpiredError
        output = response.outputs[0]
        result, data = output.result, bytes(output.result.data)
        if result.WhichOneof("data_oneof") == "data_blob_id":
            buffer = bytearray()
            async for chunk in blob_iter(result.data_blob_id, call.client._stub):
                buffer += chunk
                if len(buffer) > MAX_BYTES:
                    raise ExecutorError(f"A container returned more than {MAX_BYTES:,} bytes.")
            data = bytes(buffer)
        return result.status, result.exception[:MAX_TEXT], output.data_format, data

    blocking: Callable[[Any], Callable[[Any], tuple[int, str, int, bytes]]] = synchronize_api
    return blocking(wait)


def cbor_string(data: bytes) -> bytes | None:
    """Returns the content if ``data`` is exactly one byte string of definite length, else None."""
    head = data[0] if data else 0
    major, size = head >> 5, head & 31
    n_more = {24: 1, 25: 2, 26: 4, 27: 8}.get(size, 0)
    start = 1 + n_more
    length = int.from_bytes(data[1:start], "big") if n_more else size
    if major != BYTE_STRING or size > 27 or len(data) != start + length:
        return None
    return data[start:]


def pickled_string(data: bytes) -> bytes | None:
    """Returns the content if ``data`` is a pickle of exactly one ``bytes``; does not execute it."""
    start = PICKLED_BYTES.match(data)
    end = len(data) - len(PICKLE_END)
    if start is None or data[end:] != PICKLE_END:
        return None
    length = int.from_bytes(start["length"], "little")
    return data[start.end() : end] if start.end() + length == end else None
