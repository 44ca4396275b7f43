"""From a gRPC stream to a handler method: recording, authentication, faults, errors."""

import asyncio
import dataclasses
import inspect
import time
from typing import TYPE_CHECKING, Any

import grpclib.server
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.protocol import H2Protocol
from modal_proto.api_grpc import ModalClientBase

from .state import RpcRecord

if TYPE_CHECKING:
    from .containers import Container
    from .server import Plane


@dataclasses.dataclass(frozen=True)
class Caller:
    """Who calls: a container is known by the socket it was given, a client by its token."""

    container: "Container | None"

    def require_container(self) -> "Container":
        if self.container is None:
            raise GRPCError(Status.PERMISSION_DENIED, "only a container may call this")
        return self.container


def _forward(name: str) -> Any:
    async def method(self: Any, stream: grpclib.server.Stream[Any, Any]) -> None:
        await self.serve(name, stream)

    method.__name__ = name
    return method


class _Endpoint:
    """One listener's face: serves the whole protocol for one kind of caller."""

    def __init__(self, plane: "Plane", container: "Container | None") -> None:
        self.plane = plane
        self.caller = Caller(container)

    async def serve(self, name: str, stream: grpclib.server.Stream[Any, Any]) -> None:
        request = await stream.recv_message()
        plane = self.plane
        task_id = self.caller.container.task_id if self.caller.container else None
        plane.rpcs.append(RpcRecord(name, request, time.monotonic(), task_id))
        if self.caller.container is None:
            plane.check_token(stream.metadata or {})
        await self._strike(name, request)
        handler = plane.handlers.get(name)
        if handler is None:
            raise GRPCError(Status.UNIMPLEMENTED, f"the loopback plane does not serve {name}")
        if inspect.isasyncgenfunction(handler):
            async for message in handler(request, self.caller):
                await self._answer(stream, message)
        else:
            await self._answer(stream, await handler(request, self.caller))

    async def _answer(self, stream: Any, message: Any) -> None:
        """Sends the answer, unless the plane was told to be silent."""
        if self.plane.faults.silent.is_set():
            await asyncio.Event().wait()
        await stream.send_message(message)

    async def _strike(self, name: str, request: Any) -> None:
        for fault in self.plane.faults.rpc_due(name, request):
            if fault.action == "delay":
                await asyncio.sleep(fault.seconds)
            elif fault.action == "cut":
                self.plane.drop_connections()
                await asyncio.Event().wait()
            elif fault.action == "silence":
                self.plane.faults.silent.set()
            elif fault.action == "hang":
                await asyncio.Event().wait()
            elif fault.action == "die":
                self.plane.scheduler.spawn(self.plane.die())
                await asyncio.Event().wait()
            else:
                raise GRPCError(fault.status, fault.message)


# The protocol has some 280 calls; a class that answers them all alike is made rather than written.
_METHODS = {name: _forward(name) for name in ModalClientBase.__abstractmethods__}
Endpoint: Any = type("Endpoint", (_Endpoint, ModalClientBase), _METHODS)


class Listener(grpclib.server.Server):
    """A gRPC server whose connections can be cut, as by a service that dies."""

    def __init__(self, plane: "Plane", container: "Container | None" = None) -> None:
        super().__init__([Endpoint(plane, container)])
        self._protocols: list[H2Protocol] = []

    def _protocol_factory(self) -> H2Protocol:
        protocol = super()._protocol_factory()
        self._protocols.append(protocol)
        return protocol

    async def cut(self) -> None:
        """Stop listening and drop every connection without a goodbye."""
        assert self._server is not None
        if not self._server.is_serving():
            return
        loop = asyncio.get_running_loop()
        for listening in self._server.sockets:
            loop.remove_reader(listening.fileno())
        # asyncio cannot finish accepting a connection of a server that is closed meanwhile.
        await _turns(3)
        self.close()
        self.drop()
        await _turns(3)

    def drop(self) -> None:
        """Break every connection without a goodbye."""
        for protocol in self._protocols:
            # Both are gone once a connection has ended.
            transport = getattr(getattr(protocol, "connection", None), "_transport", None)
            if transport is not None:
                transport.abort()


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
