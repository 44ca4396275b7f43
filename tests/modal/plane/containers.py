"""Containers: real processes, their files, their output and their end."""

import asyncio
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from modal_proto import api_pb2

from . import environments, rootfs
from .process import Process
from .rpc import Listener
from .state import Function, Input
from .volumes import Working

if TYPE_CHECKING:
    from .server import Plane

UNBOUNDED = 1 << 40


class Container:
    """One container: what tests see of it, and the process behind it."""

    def __init__(self, plane: "Plane", function: Function, task_id: str) -> None:
        self.plane = plane
        self.function = function
        self.task_id = task_id
        self.started = time.monotonic()
        self.ended: float | None = None
        self.current: dict[str, Input] = {}
        self.served = 0
        self.waiter: asyncio.Future[list[api_pb2.FunctionGetInputsItem]] | None = None
        self.retiring = False
        self.preempting = False
        self.struck = False
        self.failure: api_pb2.GenericResult | None = None
        self.cancelled_inputs: list[str] = []
        """To be told at the next heartbeat."""
        self.cancelling: set[str] = set()
        """Told, or about to be, and not yet given up by the container."""
        self.cancel_news = asyncio.Event()
        self.gone = asyncio.Event()
        self.folder = plane.folder / "c" / task_id
        self.root = self.folder / "root"
        self.volumes: dict[str, list[Working]] = {}
        self.environment: dict[str, str] = {}
        self._process: Process | None = None
        self._listener: Listener | None = None
        self._last_context: tuple[str, str] = ("", "")

    # What tests ask.

    @property
    def function_name(self) -> str:
        return self.function.name

    @property
    def pid(self) -> int | None:
        """Host pid of the main process, once it runs."""
        return self._process.pid if self._process else None

    @property
    def returncode(self) -> int | None:
        """How the main process ended, as `subprocess` tells it: negative for a signal."""
        return self._process.returncode if self._process else None

    @property
    def alive(self) -> bool:
        return self.ended is None

    @property
    def started_process(self) -> bool:
        return self._process is not None

    def __repr__(self) -> str:
        state = "live" if self.alive else f"ended {self.returncode}"
        return f"<Container {self.task_id} {self.function_name} pid={self.pid} {state}>"

    def visible_path(self, path: str) -> Path:
        """Where on the host a path inside the container is."""
        for works in self.volumes.values():
            for work in works:
                if path == work.mount.mount_path or path.startswith(work.mount.mount_path + "/"):
                    return work.path / path[len(work.mount.mount_path) :].lstrip("/")
        return self.root / path.lstrip("/")

    def pids(self) -> list[int]:
        """Host pids of the main process and all that descends from it."""
        return self._process.pids() if self._process else []

    # The life of it, on the plane's loop.

    async def start(self) -> None:
        binds = self._prepare_files()
        arguments = self._arguments()
        run = self.root / rootfs.RUN[1:] / "run"
        run.mkdir(parents=True, exist_ok=True)
        (run / "arguments.pb").write_bytes(arguments.SerializeToString())
        self._listener = Listener(self.plane, self)
        await self._listener.start(path=str(run / "api.sock"))
        namespaces = self.plane.namespaces
        inside = f"{rootfs.RUN}/run" if namespaces else str(run)
        self.environment = self._environment(inside, namespaces)
        spec = {
            "root": str(self.root),
            "binds": binds,
            "namespaces": namespaces,
            "network": not self.function.definition.block_network,
            "argv": [self.plane.python, "-m", "modal._container_entrypoint"],
            "env": self.environment,
            "cwd": self._working_directory() if namespaces else str(self.root / "root"),
        }
        (self.folder / "spec.json").write_text(json.dumps(spec))
        self._process = Process(
            self.plane.python,
            self.folder,
            namespaces=namespaces,
            on_start=lambda: self.plane.scheduler.moment(self, "started"),
            on_line=self._log,
            on_end=self._ended,
        )

    def _prepare_files(self) -> list[rootfs.Bind]:
        definition, plane = self.function.definition, self.plane
        self.root.mkdir(parents=True)
        rootfs.make_root(self.root)
        for mount_id in definition.mount_ids:
            files = plane.registry.mounts[mount_id]
            rootfs.materialise(files, plane.files, self.root)
            if plane.python == sys.executable:
                rootfs.add_bytecode(files, self.root)
        binds: list[rootfs.Bind] = []
        if plane.namespaces:
            site = plane.images.site(definition.image_id)
            binds = [
                *rootfs.system_binds(self.root),
                *rootfs.interpreter_binds(self.root, plane.python, site),
                *environments.binds(plane, self.root, plane.images.commands(definition.image_id)),
            ]
        else:
            rootfs.hide_projects(self.root, plane.hidden)
        for number, mount in enumerate(definition.volume_mounts):
            store = plane.registry.volumes[mount.volume_id].path / mount.sub_path.strip("/")
            work = Working(mount, store, self.folder / "volumes" / str(number))
            work.checkout()
            self.volumes.setdefault(mount.volume_id, []).append(work)
            binds.append(
                rootfs.add_bind(self.root, work.path, mount.mount_path, read_only=mount.read_only)
            )
        return binds

    def _arguments(self) -> api_pb2.ContainerArguments:
        function, app = self.function, self.function.app
        definition = api_pb2.Function()
        definition.CopyFrom(function.definition)
        for mount in definition.volume_mounts:
            # A background commit would hide a commit that was forgotten.
            mount.allow_background_commits &= self.plane.background_commits
        layout = self.plane.apps.layout(app)
        if definition.block_network:
            # No HTTP without a network: values of any size go through the socket, and the plane
            # makes the blobs.
            for entry in layout.objects:
                if entry.HasField("function_handle_metadata"):
                    entry.function_handle_metadata.max_object_size_bytes = UNBOUNDED
                    entry.function_handle_metadata.max_async_object_size_bytes = UNBOUNDED
        return api_pb2.ContainerArguments(
            task_id=self.task_id,
            function_id=function.id,
            app_id=app.id,
            function_def=definition,
            environment_name="main",
            app_layout=layout,
        )

    def _environment(self, run: str, namespaces: bool) -> dict[str, str]:
        definition = self.function.definition
        root = "" if namespaces else str(self.root)
        search = [f"{root}/root", f"{root}/pkg"]
        env = {
            "PATH": os.pathsep.join(
                [str(Path(self.plane.python).parent), "/usr/local/bin", "/usr/bin", "/bin"]
            ),
            "HOME": f"{root}/root",
            "LANG": "C.UTF-8",
            "PYTHONPATH": os.pathsep.join(search),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "MODAL_IS_REMOTE": "1",
            "MODAL_SERVER_URL": f"unix://{run}/api.sock",
            "MODAL_CONTAINER_ARGUMENTS_PATH": f"{run}/arguments.pb",
            "MODAL_TASK_ID": self.task_id,
            "MODAL_IMAGE_ID": definition.image_id,
            "MODAL_ENVIRONMENT": "main",
            "MODAL_REGION": "loopback",
            "MODAL_CLOUD_PROVIDER": "CLOUD_PROVIDER_AUTO",
        }
        env |= self.plane.images.environment(definition.image_id)
        for secret_id in definition.secret_ids:
            env |= self.plane.registry.secrets[secret_id]
        return env

    def _working_directory(self) -> str:
        return self.plane.images.workdir(self.function.definition.image_id)

    # Output.

    def drain(self) -> None:
        """Take in what has been written so far, so that it counts for the input that wrote it."""
        if self._process is not None:
            self._process.drain()

    def _log(self, line: str, descriptor: int) -> None:
        current = next(iter(self.current.values()), None)
        if current is not None:
            self._last_context = (current.call.id, current.id)
        call_id, input_id = self._last_context
        book = self.plane.apps.log_book(self.function.app.id)
        book.add(
            line,
            descriptor,
            function_id=self.function.id,
            task_id=self.task_id,
            call_id=call_id,
            input_id=input_id,
        )
        self.plane.scheduler.moment(self, "output", line)

    # The end.

    def signal(self, number: int) -> None:
        """Signal the main process."""
        if self._process is not None:
            self._process.signal(number)

    def kill(self) -> None:
        """End the container with all its processes."""
        if self._process is not None:
            self._process.kill()

    def _ended(self) -> None:
        assert self._listener is not None
        self.plane.scheduler.spawn(self._listener.cut())
        self.ended = time.monotonic()
        self.gone.set()
        self.plane.scheduler.container_ended(self)

    def discard_files(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
