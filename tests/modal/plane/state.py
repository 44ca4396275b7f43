"""What the plane knows: plain records, changed only on the plane's event loop."""

import asyncio
import dataclasses
import itertools
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modal_proto import api_pb2

if TYPE_CHECKING:
    from .containers import Container

Result = api_pb2.GenericResult


@dataclasses.dataclass(frozen=True)
class RpcRecord:
    """One call that the plane received."""

    name: str
    request: Any
    at: float
    container: str | None
    """Task id of the calling container, None for a client."""


@dataclasses.dataclass(eq=False)
class Input:
    id: str
    call: "Call"
    idx: int
    payload: api_pb2.FunctionInput
    retry_count: int = 0
    preempted: bool = False
    container: "Container | None" = None
    started_at: float = 0.0
    deadline: asyncio.TimerHandle | None = None
    output: api_pb2.FunctionGetOutputsItem | None = None
    seq: int = 0
    """Position among the outputs of its call, in order of completion, from 1."""


@dataclasses.dataclass(eq=False)
class Call:
    id: str
    function: "Function"
    created_at: float
    invocation_type: int
    inputs: list[Input] = dataclasses.field(default_factory=list)
    done_count: int = 0
    data_out: list[api_pb2.DataChunk] = dataclasses.field(default_factory=list)

    @property
    def finished(self) -> bool:
        return bool(self.inputs) and self.done_count == len(self.inputs)


@dataclasses.dataclass(eq=False)
class Function:
    id: str
    app: "App"
    definition: api_pb2.Function
    handle: api_pb2.FunctionHandleMetadata
    pending: deque[Input] = dataclasses.field(default_factory=deque)
    containers: list["Container"] = dataclasses.field(default_factory=list)
    failed_starts: int = 0

    @property
    def name(self) -> str:
        return self.definition.function_name or self.handle.function_name

    @property
    def max_containers(self) -> int:
        # The service bounds an account, not a function, when nothing is declared.
        return (
            self.definition.autoscaler_settings.max_containers
            or self.definition.concurrency_limit
            or 100
        )


@dataclasses.dataclass(eq=False)
class App:
    id: str
    description: str
    state: int
    functions: dict[str, Function] = dataclasses.field(default_factory=dict)
    tags: dict[str, str] = dataclasses.field(default_factory=dict)
    """Function name to function id, as published."""
    heartbeat_at: float = dataclasses.field(default_factory=time.monotonic)
    stopping: bool = False
    stopped: bool = False
    disconnect_reason: int = 0
    deployed_name: str = ""


@dataclasses.dataclass(eq=False)
class Image:
    id: str
    definition: api_pb2.Image
    bases: list["Image"]
    builds: int = 0
    failure: str | None = None
    log: str = ""

    @property
    def commands(self) -> list[str]:
        """The Dockerfile lines of the image and of everything under it, in order."""
        under = [line for base in self.bases for line in base.commands]
        return [*under, *self.definition.dockerfile_commands]


@dataclasses.dataclass(eq=False)
class Volume:
    id: str
    name: str
    version: int
    created_at: float
    path: Path
    """The committed state; tests may look at it and tamper with it."""

    def metadata(self) -> api_pb2.VolumeMetadata:
        creation = api_pb2.CreationInfo(created_at=self.created_at, created_by="loopback")
        return api_pb2.VolumeMetadata(version=self.version, name=self.name, creation_info=creation)


class Registry:
    """Every record by its id."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self.apps: dict[str, App] = {}
        self.functions: dict[str, Function] = {}
        self.calls: dict[str, Call] = {}
        self.inputs: dict[str, Input] = {}
        self.images: dict[str, Image] = {}
        self.mounts: dict[str, list[api_pb2.MountFile]] = {}
        self.secrets: dict[str, dict[str, str]] = {}
        self.volumes: dict[str, Volume] = {}

    def new_id(self, prefix: str) -> str:
        return f"{prefix}-{next(self._numbers):022d}"
