"""What a container asks of the service: its inputs, its outputs, whether to go on."""

import asyncio
from typing import TYPE_CHECKING

from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2

from .rpc import Caller

if TYPE_CHECKING:
    from .server import Plane

HEARTBEAT_HOLD_S = 14.0
"""Shorter than the client's patience (15.1 s): a cancellation reaches the container at once."""

INLINE_LIMIT = 2 * 1024 * 1024


class ContainerServices:
    def __init__(self, plane: "Plane") -> None:
        self.plane = plane

    async def ContainerHello(self, request: Empty, caller: Caller) -> Empty:
        return Empty()

    async def ContainerHeartbeat(
        self, request: api_pb2.ContainerHeartbeatRequest, caller: Caller
    ) -> api_pb2.ContainerHeartbeatResponse:
        container = caller.require_container()
        try:
            await asyncio.wait_for(container.cancel_news.wait(), HEARTBEAT_HOLD_S)
        except TimeoutError:
            return api_pb2.ContainerHeartbeatResponse()
        container.cancel_news.clear()
        ids, container.cancelled_inputs = container.cancelled_inputs, []
        event = api_pb2.CancelInputEvent(input_ids=ids)
        return api_pb2.ContainerHeartbeatResponse(cancel_input_event=event)

    async def ContainerStop(
        self, request: api_pb2.ContainerStopRequest, caller: Caller
    ) -> api_pb2.ContainerStopResponse:
        for container in self.plane.live_containers():
            if container.task_id == request.task_id:
                self.plane.scheduler.retire(container)
        return api_pb2.ContainerStopResponse()

    async def FunctionGetInputs(
        self, request: api_pb2.FunctionGetInputsRequest, caller: Caller
    ) -> api_pb2.FunctionGetInputsResponse:
        container = caller.require_container()
        function = container.function
        if container.retiring or function.app.stopping:
            kill = api_pb2.FunctionGetInputsItem(kill_switch=True)
            return api_pb2.FunctionGetInputsResponse(inputs=[kill])
        if function.pending:
            return api_pb2.FunctionGetInputsResponse(inputs=self.plane.scheduler.take(container))
        container.waiter = asyncio.get_running_loop().create_future()
        idle = function.definition.task_idle_timeout_secs or 60
        try:
            inputs = await asyncio.wait_for(container.waiter, idle)
        except TimeoutError:
            container.retiring = True
            inputs = [api_pb2.FunctionGetInputsItem(kill_switch=True)]
        finally:
            container.waiter = None
        return api_pb2.FunctionGetInputsResponse(inputs=inputs)

    async def FunctionPutOutputs(
        self, request: api_pb2.FunctionPutOutputsRequest, caller: Caller
    ) -> Empty:
        container = caller.require_container()
        # What was written before the output belongs to the input that is about to end.
        container.drain()
        self.plane.scheduler.moment(container, "output")
        if container.struck:
            await container.gone.wait()
            return Empty()
        for item in request.outputs:
            container.cancelling.discard(item.input_id)
            known = self.plane.registry.inputs.get(item.input_id)
            if (
                known is None
                or known.container is not container
                or item.retry_count != known.retry_count
            ):
                continue
            if container.function.definition.block_network and len(item.result.data) > INLINE_LIMIT:
                item.result.data_blob_id = self.plane.blobs.put(item.result.data)
            self.plane.scheduler.finish(
                known, item.result, item.data_format, item.output_created_at
            )
        return Empty()

    async def FunctionCallPutDataOut(
        self, request: api_pb2.FunctionCallPutDataRequest, caller: Caller
    ) -> Empty:
        self.plane.functions.find_call(request.function_call_id).data_out.extend(
            request.data_chunks
        )
        self.plane.scheduler.wake()
        return Empty()

    async def TaskResult(self, request: api_pb2.TaskResultRequest, caller: Caller) -> Empty:
        """A container that could not import its function: waiting inputs cannot be served."""
        container = caller.require_container()
        container.drain()
        container.failure = request.result
        self.plane.scheduler.fail_pending(container.function, request.result)
        return Empty()
