"""The log lines of an app, and the streams that follow them."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Callable

from modal_proto import api_pb2


@dataclasses.dataclass(frozen=True)
class LogLine:
    seq: int
    text: str
    file_descriptor: int
    at_ns: int
    function_id: str
    task_id: str
    call_id: str
    input_id: str

    def batch(self) -> api_pb2.TaskLogsBatch:
        item = api_pb2.TaskLogs(
            data=self.text,
            file_descriptor=self.file_descriptor,
            timestamp=self.at_ns / 1e9,
            timestamp_ns=self.at_ns,
            function_call_id=self.call_id,
            input_id=self.input_id,
            container_id=self.task_id,
        )
        return api_pb2.TaskLogsBatch(
            task_id=self.task_id,
            items=[item],
            entry_id=f"{self.seq}-0",
            function_id=self.function_id,
            input_id=self.input_id,
        )


class LogBook:
    """The log lines of one app, in the order in which they were read from its containers."""

    def __init__(self) -> None:
        self.lines: list[LogLine] = []
        self._news = asyncio.Event()

    def add(
        self,
        text: str,
        file_descriptor: int,
        *,
        function_id: str,
        task_id: str,
        call_id: str,
        input_id: str,
    ) -> None:
        line = LogLine(
            len(self.lines) + 1,
            text,
            file_descriptor,
            time.time_ns(),
            function_id,
            task_id,
            call_id,
            input_id,
        )
        self.lines.append(line)
        self.wake()

    def wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def follow(
        self,
        wanted: Callable[[LogLine], bool],
        *,
        after: str,
        timeout: float,
        done: Callable[[], bool],
    ) -> AsyncIterator[api_pb2.TaskLogsBatch]:
        """Yield lines after the entry id until the time is over, or `done` and all lines were sent."""
        position = int(after.split("-", maxsplit=1)[0]) if after else 0
        deadline = time.monotonic() + timeout
        while True:
            news = self._news
            for line in self.lines[position:]:
                position = line.seq
                if wanted(line):
                    yield line.batch()
            if done():
                return
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return
            try:
                await asyncio.wait_for(news.wait(), remaining)
            except TimeoutError:
                return


def matches(
    request: api_pb2.AppGetLogsRequest | api_pb2.AppFetchLogsRequest,
) -> Callable[[LogLine], bool]:
    """The filter that a request for logs describes."""
    descriptor = getattr(request, "file_descriptor", 0) or getattr(request, "source", 0)

    def wanted(line: LogLine) -> bool:
        return (
            (not request.function_id or line.function_id == request.function_id)
            and (not request.function_call_id or line.call_id == request.function_call_id)
            and (not request.task_id or line.task_id == request.task_id)
            and (not descriptor or line.file_descriptor == descriptor)
            and request.search_text in line.text
        )

    return wanted
