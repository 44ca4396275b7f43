"""The plane: its thread, its listeners, and the methods that tests call."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from . import rootfs
from .blobs import BlobStore
from .containers import Container
from .faults import Faults
from .rpc import Listener
from .scheduler import Scheduler
from .services_app import AppServices
from .services_container import ContainerServices
from .services_function import FunctionServices
from .services_image import ImageServices
from .services_volume import VolumeServices
from .state import Function, Registry, RpcRecord, Volume

T = TypeVar("T")

PATIENCE_S = 120.0
"""On a machine that does much else. Nothing waits as long unless something is wrong."""

TOKEN_ID, TOKEN_SECRET = "ak-loopback", "as-loopback"


class Plane:
    """A control plane on 127.0.0.1 in a thread of its own; a context manager.

    Args:
        python: Interpreter of the containers; its site-packages provide third-party packages.
        hidden: Projects that containers can import only if a mount ships them.
        heartbeat_timeout_s: How long an app lives without a sign of its client.
        background_commits: Let containers commit at their end what they forgot to commit.
        keep_files: Leave the files of ended containers for inspection.
    """

    def __init__(
        self,
        *,
        python: str = sys.executable,
        hidden: tuple[str, ...] = ("pytest-annmodal",),
        heartbeat_timeout_s: float = 60.0,
        background_commits: bool = False,
        keep_files: bool = False,
    ) -> None:
        self.python = python
        self.hidden = hidden
        self.heartbeat_timeout_s = heartbeat_timeout_s
        self.background_commits = background_commits
        self.keep_files = keep_files
        self.namespaces = rootfs.namespaces_available()
        self.rpcs: list[RpcRecord] = []
        self.containers: list[Container] = []
        self.errors: list[BaseException] = []
        self.registry = Registry()
        self.faults = Faults(self._refuse)
        self.url = ""
        # Short, since the path of a Unix socket has about a hundred characters.
        self.folder = Path(tempfile.mkdtemp(prefix="plane-", dir="/tmp")).resolve()
        self.files = self.folder / "files"
        self.files.mkdir()
        self.blobs = BlobStore(self.folder / "blobs")
        self.scheduler = Scheduler(self)
        self.apps = AppServices(self)
        self.images = ImageServices(self)
        self.functions = FunctionServices(self)
        self.volumes = VolumeServices(self)
        self.handlers = _handlers(
            self.apps, self.images, self.functions, self.volumes, ContainerServices(self)
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._listener: Listener | None = None
        self._stop: asyncio.Event | None = None

    # Lifecycle.

    def start(self) -> Self:
        ready = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(ready)), name="plane", daemon=True
        )
        self._thread.start()
        if not ready.wait(PATIENCE_S):
            raise RuntimeError("the plane did not start")
        return self

    def close(self) -> None:
        """Stop serving; kill every container and wait until it is gone."""
        if self._thread is not None and self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(PATIENCE_S)
            if self._thread.is_alive():
                raise RuntimeError(f"the plane does not end; live: {self.live_containers()}")
            self._thread = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _run(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        await self.blobs.start()
        self._listener = Listener(self)
        await self._listener.start("127.0.0.1", 0)
        sockets = self._listener._server.sockets  # type: ignore[union-attr]
        self.url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
        watch = asyncio.create_task(self._watch_heartbeats())
        ready.set()
        await self._stop.wait()
        watch.cancel()
        await self._end_containers()
        await self._listener.cut()
        await self.blobs.close()

    async def _end_containers(self) -> None:
        for app in self.registry.apps.values():
            app.stopping = True
        # A start under way is let through: a process is easier to end than to prevent.
        await self.scheduler.settle()
        for container in self.live_containers():
            container.kill()
        for container in self.containers:
            if container.started_process:
                await container.gone.wait()
        await self.scheduler.settle()

    async def _watch_heartbeats(self) -> None:
        while True:
            await asyncio.sleep(0.2)
            oldest = time.monotonic() - self.heartbeat_timeout_s
            for app in list(self.registry.apps.values()):
                if not app.stopping and app.heartbeat_at < oldest:
                    self.scheduler.spawn(self.scheduler.stop_app(app))

    # For clients.

    def environment(self, home: Path, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment in which a client process finds this plane and no account."""
        env = dict(os.environ if base is None else base)
        for name in [name for name in env if name.startswith("MODAL_")]:
            del env[name]
        env |= {
            "MODAL_SERVER_URL": self.url,
            "MODAL_TOKEN_ID": TOKEN_ID,
            "MODAL_TOKEN_SECRET": TOKEN_SECRET,
            "MODAL_CONFIG_PATH": str(home / "modal.toml"),
            "MODAL_LOGS_TIMEOUT": "5",
            "HOME": str(home),
            "NO_PROXY": "127.0.0.1,localhost",
        }
        return env

    def check_token(self, metadata: Mapping[str, Any]) -> None:
        given = (metadata.get("x-modal-token-id"), metadata.get("x-modal-token-secret"))
        if given != (TOKEN_ID, TOKEN_SECRET):
            raise GRPCError(Status.UNAUTHENTICATED, "Token ID is malformed or the token is invalid")

    # For tests.

    def live_containers(self) -> list[Container]:
        return [container for container in self.containers if container.alive]

    def calls_of(self, rpc: str) -> list[RpcRecord]:
        """The calls received under this name, in order."""
        return [record for record in list(self.rpcs) if record.name == rpc]

    def function(self, name: str) -> Function:
        """The latest function of this name."""
        return [f for f in self.registry.functions.values() if f.name == name][-1]

    def volume(self, name: str) -> Volume:
        """The volume of this name, created if there is none; its `path` is what is committed."""
        return self.volumes.named(name) or self.call(self._create_volume(name))

    async def _create_volume(self, name: str) -> Volume:
        return self.volumes.named(name) or self.volumes.create(name)

    def log_text(self) -> str:
        """All that containers have printed."""
        books = [self.apps.log_book(app_id) for app_id in list(self.registry.apps)]
        return "".join(line.text for book in books for line in list(book.lines))

    def background_commit(self, container: Container) -> None:
        """Publish now what a container has written, as the service does every few seconds."""
        for works in container.volumes.values():
            for work in works:
                if not work.mount.read_only:
                    work.commit()

    def kill(self, container: Container, number: int = signal.SIGKILL) -> None:
        self.call(_send(container, number))

    def wait_for(
        self, condition: Callable[[], T], timeout: float = PATIENCE_S, what: str = ""
    ) -> T:
        """Poll until a condition of the plane's state holds."""
        deadline = time.monotonic() + timeout
        while not (value := condition()):
            if time.monotonic() > deadline:
                raise TimeoutError(
                    what or f"not within {timeout} s; log so far:\n{self.log_text()}"
                )
            time.sleep(0.01)
        return value

    def no_container_is_left(self) -> bool:
        """Waits until every container has ended; after the client has ended they may still be ending."""
        return self.wait_for(lambda: not self.live_containers(), what="containers are left")

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the plane's loop."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE_S)

    # Faults of the server as a whole.

    def _refuse(self) -> None:
        assert self._listener is not None
        self.call(self._listener.cut())

    def drop_connections(self) -> None:
        """Break every connection of clients, and accept new ones."""
        assert self._listener is not None
        self._listener.drop()

    async def die(self) -> None:
        """As if the service had gone down: every connection is cut, every container ends."""
        assert self._listener is not None
        for app in self.registry.apps.values():
            app.stopping = True
        await self._listener.cut()
        for container in self.live_containers():
            container.kill()


async def _send(container: Container, number: int) -> None:
    container.signal(number)


def _handlers(*services: object) -> dict[str, Any]:
    """The RPC methods of the services by name; they alone begin with a capital."""
    return {
        name: getattr(service, name)
        for service in services
        for name in dir(service)
        if name[0].isupper()
    }
