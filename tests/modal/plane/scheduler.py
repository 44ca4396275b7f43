"""Assigns inputs to containers: inputs wait, containers start and get lost, results come back."""

import asyncio
import signal
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from modal_proto import api_pb2

from .containers import Container
from .faults import When
from .state import App, Function, Input, Result

if TYPE_CHECKING:
    from .server import Plane

MAX_FAILED_STARTS = 3

FATAL = {signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS}
"""After one of these an output that was already under way does not count."""

CANCEL_GRACE_S = 5.0
"""How long a cancelled input may go on before its container is killed."""


class Scheduler:
    def __init__(self, plane: "Plane") -> None:
        self.plane = plane
        self.news = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """Tell everyone who waits for an output to look again."""
        self.news.set()
        self.news = asyncio.Event()

    # Inputs to containers.

    def submit(self, item: Input) -> None:
        item.call.function.pending.append(item)
        self.pump(item.call.function)

    def pump(self, function: Function) -> None:
        """Give waiting inputs to waiting containers, then start as many as are lacking."""
        if function.app.stopping:
            return
        for container in list(function.containers):
            if function.pending and container.waiter is not None and not container.waiter.done():
                container.waiter.set_result(self.take(container))
        live = [container for container in function.containers if container.alive]
        coming = [
            container for container in live if not container.retiring and not container.current
        ]
        room = function.max_containers - len(live)
        for _ in range(min(len(function.pending) - len(coming), room)):
            container = Container(self.plane, function, self.plane.registry.new_id("ta"))
            function.containers.append(container)
            self.plane.containers.append(container)
            self.spawn(container.start())

    def take(self, container: Container) -> list[api_pb2.FunctionGetInputsItem]:
        """Move the next input of the function to this container."""
        function = container.function
        item = function.pending.popleft()
        item.container = container
        item.started_at = time.time()
        container.current[item.id] = item
        container.served += 1
        if function.definition.single_use_containers or function.definition.max_inputs == 1:
            container.retiring = True
        timeout = function.definition.timeout_secs or 300
        item.deadline = asyncio.get_running_loop().call_later(
            timeout, self._timed_out, item, timeout
        )
        asyncio.get_running_loop().call_soon(self.moment, container, "input")
        payload = api_pb2.FunctionInput()
        payload.CopyFrom(item.payload)
        if function.definition.block_network and payload.WhichOneof("args_oneof") == "args_blob_id":
            # No way to the blob server from inside.
            payload.args = self.plane.blobs.path(payload.args_blob_id).read_bytes()
        answer = api_pb2.FunctionGetInputsItem(
            input_id=item.id,
            input=payload,
            function_call_id=item.call.id,
            function_call_invocation_type=item.call.invocation_type,
            retry_count=item.retry_count,
        )
        return [answer]

    # Outputs.

    def finish(
        self, item: Input, result: Result, data_format: int = 0, output_created_at: float = 0.0
    ) -> None:
        """Record how an attempt ended; start the next one if the retry policy allows it."""
        self._release(item)
        if item.output is not None:
            return
        policy = item.call.function.definition.retry_policy
        retried = (Result.GENERIC_STATUS_FAILURE, Result.GENERIC_STATUS_TIMEOUT)
        if (
            result.status in retried
            and item.retry_count < policy.retries
            and not item.call.function.app.stopping
        ):
            item.retry_count += 1
            delay = (
                min(policy.initial_delay_ms, policy.max_delay_ms or policy.initial_delay_ms) / 1000
            )
            asyncio.get_running_loop().call_later(delay, self.submit, item)
            return
        item.call.done_count += 1
        item.seq = item.call.done_count
        item.output = api_pb2.FunctionGetOutputsItem(
            result=result,
            idx=item.idx,
            input_id=item.id,
            data_format=data_format,
            task_id=item.container.task_id if item.container else "",
            input_started_at=item.started_at,
            output_created_at=output_created_at or time.time(),
            retry_count=item.retry_count,
        )
        self.wake()
        self.plane.apps.log_book(item.call.function.app.id).wake()

    def _release(self, item: Input) -> None:
        if item.deadline is not None:
            item.deadline.cancel()
            item.deadline = None
        if item.container is not None:
            item.container.current.pop(item.id, None)
        if item in item.call.function.pending:
            item.call.function.pending.remove(item)

    def _timed_out(self, item: Input, timeout: int) -> None:
        container = item.container
        text = f"Task's current input {item.id} hit its timeout of {timeout}s"
        if container is not None:
            container.drain()
        self.finish(item, Result(status=Result.GENERIC_STATUS_TIMEOUT, exception=text))
        if container is not None:
            container.kill()

    # Cancellation.

    def cancel(self, item: Input, *, terminate: bool) -> None:
        container = item.container if item.container and item.id in item.container.current else None
        if container is not None and not terminate:
            container.cancelled_inputs.append(item.id)
            container.cancelling.add(item.id)
            container.cancel_news.set()
            asyncio.get_running_loop().call_later(
                CANCEL_GRACE_S, self._cancelled_too_long, container, item.id
            )
        elif container is not None:
            container.retiring = True
            container.kill()
        text = "Input was cancelled by user"
        self.finish(item, Result(status=Result.GENERIC_STATUS_TERMINATED, exception=text))

    def _cancelled_too_long(self, container: Container, input_id: str) -> None:
        if input_id in container.cancelling:
            container.kill()

    # The end of containers.

    def moment(self, container: Container, when: When, line: str | None = None) -> None:
        """Let a scripted fault strike a container."""
        fault = self.plane.faults.container_due(container.function.name, when, line)
        if fault is not None:
            container.preempting = fault.preempt
            container.struck = fault.signal in FATAL
            container.signal(fault.signal)

    def container_ended(self, container: Container) -> None:
        function = container.function
        function.containers.remove(container)
        for item in list(container.current.values()):
            self._lost(container, item)
        if not container.served and container.returncode != 0 and not function.app.stopping:
            self._failed_start(container)
        if not self.plane.keep_files:
            container.discard_files()
        self.pump(function)
        self.wake()

    def _lost(self, container: Container, item: Input) -> None:
        """An input whose container has gone: start anew once after a preemption, else report it."""
        if container.preempting and not item.preempted and not item.call.function.app.stopping:
            self._release(item)
            item.preempted = True
            item.container = None
            item.call.function.pending.appendleft(item)
            return
        code = container.returncode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit status {code}"
        if item.call.function.app.stopping:
            status, text = Result.GENERIC_STATUS_TERMINATED, "App was stopped"
        else:
            status, text = (
                Result.GENERIC_STATUS_INTERNAL_FAILURE,
                f"Container {container.task_id} ended by {how}",
            )
        self.finish(item, Result(status=status, exception=text))

    def _failed_start(self, container: Container) -> None:
        function = container.function
        function.failed_starts += 1
        if function.failed_starts >= MAX_FAILED_STARTS:
            how = f"ended with {container.returncode} before it took an input"
            text = f"Container {container.task_id} {how}"
            self.fail_pending(
                function, Result(status=Result.GENERIC_STATUS_INTERNAL_FAILURE, exception=text)
            )

    def fail_pending(self, function: Function, result: Result) -> None:
        for item in list(function.pending):
            self.finish(item, result)

    async def stop_app(self, app: App, *, grace: float = 3.0) -> None:
        """End every container of an app: idle ones are asked to leave, busy ones are killed."""
        app.stopping = True
        text = "App was stopped"
        containers = [c for function in app.functions.values() for c in function.containers]
        for function in app.functions.values():
            self.fail_pending(
                function, Result(status=Result.GENERIC_STATUS_TERMINATED, exception=text)
            )
        for container in containers:
            self.retire(container)
        if containers:
            waits = [asyncio.ensure_future(container.gone.wait()) for container in containers]
            _, late = await asyncio.wait(waits, timeout=grace)
            for container in containers:
                container.kill()
            if late:
                await asyncio.wait(late)
        app.stopped = True
        self.plane.apps.log_book(app.id).wake()
        self.wake()

    def retire(self, container: Container) -> None:
        container.retiring = True
        idle = container.waiter is not None and not container.waiter.done()
        if idle:
            assert container.waiter is not None
            container.waiter.set_result([api_pb2.FunctionGetInputsItem(kill_switch=True)])
        elif container.served and not container.current and container.alive:
            return  # on its way to ask for more, or leaving by itself
        else:
            container.kill()

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._settled)

    async def settle(self) -> None:
        """Wait for what has been spawned to end."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _settled(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.plane.errors.append(error)
