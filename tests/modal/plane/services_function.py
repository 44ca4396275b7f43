"""Functions and calls, as a client sees them."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from google.protobuf.empty_pb2 import Empty
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from modal_proto import api_pb2

from .rpc import Caller
from .state import Call, Function, Input, Result

if TYPE_CHECKING:
    from .server import Plane


class FunctionServices:
    def __init__(self, plane: "Plane") -> None:
        self.plane = plane

    def find(self, function_id: str) -> Function:
        function = self.plane.registry.functions.get(function_id)
        if function is None:
            raise GRPCError(Status.NOT_FOUND, f"Function {function_id} not found")
        return function

    def find_call(self, call_id: str) -> Call:
        call = self.plane.registry.calls.get(call_id)
        if call is None:
            raise GRPCError(Status.NOT_FOUND, f"Function call {call_id} not found")
        return call

    # Definition.

    async def FunctionPrecreate(
        self, request: api_pb2.FunctionPrecreateRequest, caller: Caller
    ) -> api_pb2.FunctionPrecreateResponse:
        registry = self.plane.registry
        app = self.plane.apps.find(request.app_id)
        handle = api_pb2.FunctionHandleMetadata(
            function_name=request.function_name,
            function_type=request.function_type,
            function_schema=request.function_schema,
            supported_input_formats=request.supported_input_formats,
            supported_output_formats=request.supported_output_formats,
            app_id=app.id,
        )
        function = Function(registry.new_id("fu"), app, api_pb2.Function(), handle)
        function.handle.definition_id = function.id.replace("fu-", "de-")
        registry.functions[function.id] = function
        app.functions[function.id] = function
        return api_pb2.FunctionPrecreateResponse(function_id=function.id, handle_metadata=handle)

    async def FunctionCreate(
        self, request: api_pb2.FunctionCreateRequest, caller: Caller
    ) -> api_pb2.FunctionCreateResponse:
        function = self.find(request.existing_function_id)
        function.definition = request.function
        ranked = api_pb2.FunctionData.RankedFunction(function=request.function)
        data = api_pb2.FunctionData(
            function_name=function.name,
            timeout_secs=request.function.timeout_secs,
            ranked_functions=[ranked],
        )
        return api_pb2.FunctionCreateResponse(
            function_id=function.id,
            function=request.function,
            function_data=data,
            handle_metadata=function.handle,
        )

    async def FunctionBindParams(
        self, request: api_pb2.FunctionBindParamsRequest, caller: Caller
    ) -> api_pb2.FunctionBindParamsResponse:
        """`Function.with_options`: the function with options replaced, in containers of its own."""
        registry = self.plane.registry
        base = self.find(request.function_id)
        variant = Function(
            registry.new_id("fu"), base.app, api_pb2.Function(), api_pb2.FunctionHandleMetadata()
        )
        variant.definition.CopyFrom(base.definition)
        variant.handle.CopyFrom(base.handle)
        _override(variant.definition, request.function_options)
        registry.functions[variant.id] = variant
        base.app.functions[variant.id] = variant
        return api_pb2.FunctionBindParamsResponse(
            bound_function_id=variant.id, handle_metadata=variant.handle
        )

    async def FunctionGetCurrentStats(
        self, request: api_pb2.FunctionGetCurrentStatsRequest, caller: Caller
    ) -> api_pb2.FunctionStats:
        function = self.find(request.function_id)
        live = [container for container in function.containers if container.alive]
        running = sum(len(container.current) for container in live)
        return api_pb2.FunctionStats(
            backlog=len(function.pending), num_total_tasks=len(live), num_running_inputs=running
        )

    # Calls.

    async def FunctionMap(
        self, request: api_pb2.FunctionMapRequest, caller: Caller
    ) -> api_pb2.FunctionMapResponse:
        function = self.find(request.function_id)
        if function.app.stopping:
            raise GRPCError(Status.FAILED_PRECONDITION, f"App {function.app.id} is stopped")
        call = Call(
            self.plane.registry.new_id("fc"),
            function,
            time.time(),
            request.function_call_invocation_type,
        )
        self.plane.registry.calls[call.id] = call
        answers = [self._add(call, item) for item in request.pipelined_inputs]
        return api_pb2.FunctionMapResponse(
            function_call_id=call.id,
            function_call_jwt=call.id,
            pipelined_inputs=answers,
            retry_policy=function.definition.retry_policy,
            max_inputs_outstanding=1000,
        )

    def _add(
        self, call: Call, item: api_pb2.FunctionPutInputsItem
    ) -> api_pb2.FunctionPutInputsResponseItem:
        added = Input(self.plane.registry.new_id("in"), call, item.idx, item.input)
        self.plane.registry.inputs[added.id] = added
        call.inputs.append(added)
        self.plane.scheduler.submit(added)
        return api_pb2.FunctionPutInputsResponseItem(
            idx=item.idx, input_id=added.id, input_jwt=added.id
        )

    async def FunctionPutInputs(
        self, request: api_pb2.FunctionPutInputsRequest, caller: Caller
    ) -> api_pb2.FunctionPutInputsResponse:
        call = self.find_call(request.function_call_id)
        return api_pb2.FunctionPutInputsResponse(
            inputs=[self._add(call, item) for item in request.inputs]
        )

    async def FunctionFinishInputs(
        self, request: api_pb2.FunctionFinishInputsRequest, caller: Caller
    ) -> Empty:
        return Empty()

    async def FunctionGetOutputs(
        self, request: api_pb2.FunctionGetOutputsRequest, caller: Caller
    ) -> api_pb2.FunctionGetOutputsResponse:
        call = self.find_call(request.function_call_id)
        deadline = time.monotonic() + request.timeout
        while True:
            news = self.plane.scheduler.news
            ready = _ready(call, request)
            remaining = deadline - time.monotonic()
            if ready or remaining <= 0:
                break
            try:
                await asyncio.wait_for(news.wait(), remaining)
            except TimeoutError:
                continue
        last = max((item.seq for item in ready), default=_position(request.last_entry_id))
        return api_pb2.FunctionGetOutputsResponse(
            idxs=[item.idx for item in ready],
            outputs=[item.output for item in ready if item.output is not None],
            last_entry_id=f"{last}-0",
            num_unfinished_inputs=len(call.inputs) - call.done_count,
        )

    async def FunctionCallCancel(
        self, request: api_pb2.FunctionCallCancelRequest, caller: Caller
    ) -> Empty:
        for item in self.find_call(request.function_call_id).inputs:
            if item.output is None:
                self.plane.scheduler.cancel(item, terminate=request.terminate_containers)
        return Empty()

    async def FunctionCallFromId(
        self, request: api_pb2.FunctionCallFromIdRequest, caller: Caller
    ) -> api_pb2.FunctionCallFromIdResponse:
        call = self.find_call(request.function_call_id)
        metadata = api_pb2.FunctionCallHandleMetadata(
            app_id=call.function.app.id, function_id=call.function.id
        )
        return api_pb2.FunctionCallFromIdResponse(
            function_call_id=call.id, num_inputs=len(call.inputs), metadata=metadata
        )

    async def FunctionCallGetInfo(
        self, request: api_pb2.FunctionCallGetInfoRequest, caller: Caller
    ) -> api_pb2.FunctionCallGetInfoResponse:
        call = self.find_call(request.function_call_id)
        states = [item.output.result.status if item.output else 0 for item in call.inputs]
        kinds = {
            0: "pending_inputs",
            Result.GENERIC_STATUS_SUCCESS: "succeeded_inputs",
            Result.GENERIC_STATUS_TIMEOUT: "timeout_inputs",
            Result.GENERIC_STATUS_TERMINATED: "cancelled_inputs",
        }
        info = api_pb2.FunctionCallInfo(
            function_call_id=call.id, created_at=call.created_at, total_inputs=len(states)
        )
        for state in states:
            getattr(info, kinds.get(state, "failed_inputs")).total += 1
        return api_pb2.FunctionCallGetInfoResponse(info=info)

    async def FunctionCallGetDataOut(
        self, request: api_pb2.FunctionCallGetDataRequest, caller: Caller
    ) -> AsyncIterator[api_pb2.DataChunk]:
        call = self.find_call(request.function_call_id)
        position = request.last_index
        while True:
            news = self.plane.scheduler.news
            for chunk in call.data_out[position:]:
                position = chunk.index
                yield chunk
            if call.finished:
                return
            await news.wait()


def _position(entry_id: str) -> int:
    return int(entry_id.split("-", maxsplit=1)[0] or 0) if entry_id else 0


def _ready(call: Call, request: api_pb2.FunctionGetOutputsRequest) -> list[Input]:
    """The finished inputs that a request asks for, in order of completion."""
    start = request.start_idx if request.HasField("start_idx") else None
    end = request.end_idx if request.HasField("end_idx") else None
    after = _position(request.last_entry_id)
    ready = [
        item
        for item in call.inputs
        if item.output is not None
        and item.seq > after
        and (start is None or item.idx >= start)
        and (end is None or item.idx <= end)
    ]
    return sorted(ready, key=lambda item: item.seq)


def _override(definition: api_pb2.Function, options: api_pb2.FunctionOptions) -> None:
    for field in ("resources", "retry_policy", "scheduler_placement"):
        if options.HasField(field):
            getattr(definition, field).CopyFrom(getattr(options, field))
    for field in ("concurrency_limit", "timeout_secs", "task_idle_timeout_secs"):
        if options.HasField(field):
            setattr(definition, field, getattr(options, field))
    if options.HasField("concurrency_limit"):
        definition.autoscaler_settings.max_containers = options.concurrency_limit
    if options.replace_volume_mounts:
        del definition.volume_mounts[:]
        definition.volume_mounts.extend(options.volume_mounts)
    if options.replace_secret_ids:
        del definition.secret_ids[:]
        definition.secret_ids.extend(options.secret_ids)
