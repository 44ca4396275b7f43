"""Apps, their log streams, environments, authentication."""

import base64
import json
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from google.protobuf.empty_pb2 import Empty
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from modal_proto import api_pb2

from .logs import LogBook, matches
from .rpc import Caller
from .state import App

if TYPE_CHECKING:
    from .server import Plane

IMAGE_BUILDER = "2025.06"


def _unsigned_jwt(claims: dict[str, float]) -> str:
    """A token in the form that the client reads its expiry from."""
    parts = [json.dumps({"alg": "none"}), json.dumps(claims)]
    return ".".join(
        [*(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts), "x"]
    )


class AppServices:
    def __init__(self, plane: "Plane") -> None:
        self.plane = plane
        self._books: dict[str, LogBook] = {}

    def log_book(self, app_id: str) -> LogBook:
        return self._books.setdefault(app_id, LogBook())

    def find(self, app_id: str) -> App:
        app = self.plane.registry.apps.get(app_id)
        if app is None:
            raise GRPCError(Status.NOT_FOUND, f"App {app_id} not found")
        return app

    def layout(self, app: App) -> api_pb2.AppLayout:
        objects = [
            api_pb2.Object(object_id=function.id, function_handle_metadata=function.handle)
            for function in app.functions.values()
        ]
        needed = {
            d.object_id for f in app.functions.values() for d in f.definition.object_dependencies
        }
        for object_id in sorted(needed):
            volume = self.plane.registry.volumes.get(object_id)
            if volume is None:
                objects.append(api_pb2.Object(object_id=object_id))
            else:
                objects.append(
                    api_pb2.Object(object_id=object_id, volume_metadata=volume.metadata())
                )
        names = {function.name: function.id for function in app.functions.values()}
        return api_pb2.AppLayout(objects=objects, function_ids=names)

    async def ClientHello(self, request: Empty, caller: Caller) -> api_pb2.ClientHelloResponse:
        return api_pb2.ClientHelloResponse(image_builder_version=IMAGE_BUILDER)

    async def AuthTokenGet(
        self, request: api_pb2.AuthTokenGetRequest, caller: Caller
    ) -> api_pb2.AuthTokenGetResponse:
        return api_pb2.AuthTokenGetResponse(token=_unsigned_jwt({"exp": time.time() + 3600}))

    async def EnvironmentGetOrCreate(
        self, request: api_pb2.EnvironmentGetOrCreateRequest, caller: Caller
    ) -> api_pb2.EnvironmentGetOrCreateResponse:
        settings = api_pb2.EnvironmentSettings(image_builder_version=IMAGE_BUILDER)
        metadata = api_pb2.EnvironmentMetadata(
            name=request.deployment_name or "main", settings=settings
        )
        return api_pb2.EnvironmentGetOrCreateResponse(environment_id="en-1", metadata=metadata)

    async def AppCreate(
        self, request: api_pb2.AppCreateRequest, caller: Caller
    ) -> api_pb2.AppCreateResponse:
        app = App(self.plane.registry.new_id("ap"), request.description, request.app_state)
        self.plane.registry.apps[app.id] = app
        page = f"http://loopback.invalid/apps/{app.id}"
        return api_pb2.AppCreateResponse(app_id=app.id, app_page_url=page, app_logs_url=page)

    async def AppGetLayout(
        self, request: api_pb2.AppGetLayoutRequest, caller: Caller
    ) -> api_pb2.AppGetLayoutResponse:
        return api_pb2.AppGetLayoutResponse(app_layout=self.layout(self.find(request.app_id)))

    async def AppPublish(
        self, request: api_pb2.AppPublishRequest, caller: Caller
    ) -> api_pb2.AppPublishResponse:
        app = self.find(request.app_id)
        app.state = request.app_state
        app.tags = dict(request.function_ids)
        return api_pb2.AppPublishResponse(
            url=f"http://loopback.invalid/apps/{app.id}", deployed_at=time.time()
        )

    async def AppHeartbeat(self, request: api_pb2.AppHeartbeatRequest, caller: Caller) -> Empty:
        app = self.find(request.app_id)
        if app.stopping:
            raise GRPCError(Status.NOT_FOUND, f"App {app.id} is stopped")
        app.heartbeat_at = time.monotonic()
        return Empty()

    async def AppClientDisconnect(
        self, request: api_pb2.AppClientDisconnectRequest, caller: Caller
    ) -> Empty:
        app = self.find(request.app_id)
        app.disconnect_reason = request.reason
        if app.state != api_pb2.APP_STATE_DETACHED:
            await self.plane.scheduler.stop_app(app)
        return Empty()

    async def AppStop(self, request: api_pb2.AppStopRequest, caller: Caller) -> Empty:
        await self.plane.scheduler.stop_app(self.find(request.app_id))
        return Empty()

    async def AppGetLogs(
        self, request: api_pb2.AppGetLogsRequest, caller: Caller
    ) -> AsyncIterator[api_pb2.TaskLogsBatch]:
        app = self.find(request.app_id)
        call = self.plane.registry.calls.get(request.function_call_id)
        last_look = request.timeout < 1

        def done() -> bool:
            # A short stream is the client's last look after a call's end: nothing more can come.
            return app.stopped or (call is not None and call.finished and last_look)

        book = self.log_book(app.id)
        async for batch in book.follow(
            matches(request), after=request.last_entry_id, timeout=request.timeout, done=done
        ):
            yield batch
        if app.stopped:
            yield api_pb2.TaskLogsBatch(app_done=True, entry_id=f"{len(book.lines)}-0")

    async def AppFetchLogs(
        self, request: api_pb2.AppFetchLogsRequest, caller: Caller
    ) -> api_pb2.AppFetchLogsResponse:
        wanted = matches(request)
        since, until = request.since.ToNanoseconds(), request.until.ToNanoseconds()
        lines = [
            line
            for line in self.log_book(request.app_id).lines
            if wanted(line) and since <= line.at_ns <= (until or line.at_ns)
        ]
        if request.limit:
            lines = lines[-request.limit :]
        return api_pb2.AppFetchLogsResponse(batches=[line.batch() for line in lines])

    async def AppCountLogs(
        self, request: api_pb2.AppCountLogsRequest, caller: Caller
    ) -> api_pb2.AppCountLogsResponse:
        wanted = matches(request)
        width = request.bucket_secs or 60
        counts: dict[int, int] = {}
        for line in self.log_book(request.app_id).lines:
            if wanted(line):
                start = line.at_ns // 10**9 // width * width
                counts[start] = counts.get(start, 0) + 1
        answer = api_pb2.AppCountLogsResponse(app_id=request.app_id)
        for start, count in sorted(counts.items()):
            bucket = answer.buckets.add(stdout_logs=count)
            bucket.bucket_start_at.seconds = start
        return answer
