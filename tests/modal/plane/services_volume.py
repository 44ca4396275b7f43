"""Volumes: reload and commit for containers, files for clients."""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from google.protobuf.empty_pb2 import Empty
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from modal_proto import api_pb2

from .blobs import BLOCK
from .rpc import Caller
from .state import Volume
from .volumes import Working

if TYPE_CHECKING:
    from .server import Plane

V1, V2 = api_pb2.VOLUME_FS_VERSION_V1, api_pb2.VOLUME_FS_VERSION_V2


class VolumeServices:
    def __init__(self, plane: "Plane") -> None:
        self.plane = plane
        self.default_version = V1
        """What a volume becomes that is created with no version."""
        self.reload_after_commit = True
        """Have the client reload after a commit, which open files prevent."""
        self.late_commits = 0
        """For how many of others' reloads (refused ones count) a commit stays invisible."""
        self._unseen: list[tuple[Working, str, int]] = []

    def find(self, volume_id: str) -> Volume:
        volume = self.plane.registry.volumes.get(volume_id)
        if volume is None:
            raise GRPCError(Status.NOT_FOUND, f"Volume {volume_id} not found")
        return volume

    def create(self, name: str, version: int = 0) -> Volume:
        volume_id = self.plane.registry.new_id("vo")
        path = self.plane.folder / "volumes" / (name or volume_id)
        path.mkdir(parents=True)
        volume = Volume(volume_id, name, version or self.default_version, time.time(), path)
        self.plane.registry.volumes[volume.id] = volume
        return volume

    def named(self, name: str) -> Volume | None:
        return next((v for v in self.plane.registry.volumes.values() if v.name == name), None)

    def _inside(self, volume: Volume, path: str) -> Path:
        target = (volume.path / path.lstrip("/")).resolve()
        if not target.is_relative_to(volume.path.resolve()):
            raise GRPCError(Status.INVALID_ARGUMENT, f"{path} is outside the volume")
        return target

    def _existing(self, volume: Volume, path: str) -> Path:
        target = self._inside(volume, path)
        if not target.exists():
            raise GRPCError(Status.NOT_FOUND, f"No such file or directory: {path}")
        return target

    # For containers.

    def _mounted(self, volume_id: str, caller: Caller) -> list[Working]:
        if caller.container is None or volume_id not in caller.container.volumes:
            raise GRPCError(
                Status.FAILED_PRECONDITION, f"Volume {volume_id} is not mounted in this container"
            )
        return caller.container.volumes[volume_id]

    def _refuse_restricted(self, caller: Caller) -> None:
        if caller.container is not None and caller.container.function.definition.untrusted:
            raise GRPCError(
                Status.PERMISSION_DENIED, "restricted functions have no access to Modal resources"
            )

    async def VolumeReload(self, request: api_pb2.VolumeReloadRequest, caller: Caller) -> Empty:
        self._show_late_commits(caller)
        self._refuse_restricted(caller)
        works = self._mounted(request.volume_id, caller)
        assert caller.container is not None
        for work in works:
            if work.open_file(caller.container.pids()) is not None:
                raise GRPCError(
                    Status.FAILED_PRECONDITION, "there are open files preventing the operation"
                )
        for work in works:
            await asyncio.to_thread(work.reload)
        return Empty()

    async def VolumeCommit(
        self, request: api_pb2.VolumeCommitRequest, caller: Caller
    ) -> api_pb2.VolumeCommitResponse:
        self._refuse_restricted(caller)
        for work in self._mounted(request.volume_id, caller):
            if work.mount.read_only:
                raise GRPCError(
                    Status.FAILED_PRECONDITION, "cannot commit a volume that is mounted read-only"
                )
            if self.late_commits:
                task_id = caller.require_container().task_id
                self._unseen.append((work, task_id, self.late_commits))
                continue
            await asyncio.to_thread(work.commit)
        return api_pb2.VolumeCommitResponse(skip_reload=not self.reload_after_commit)

    def _show_late_commits(self, caller: Caller) -> None:
        unseen, self._unseen = self._unseen, []
        for work, task_id, count in unseen:
            left = count - (caller.require_container().task_id != task_id)
            if left:
                self._unseen.append((work, task_id, left))
            else:
                work.commit()

    # For clients.

    async def VolumeGetOrCreate(
        self, request: api_pb2.VolumeGetOrCreateRequest, caller: Caller
    ) -> api_pb2.VolumeGetOrCreateResponse:
        kind, name = request.object_creation_type, request.deployment_name
        volume = self.named(name) if name else None
        if volume is not None and kind == api_pb2.OBJECT_CREATION_TYPE_CREATE_FAIL_IF_EXISTS:
            raise GRPCError(Status.ALREADY_EXISTS, f"Volume '{name}' already exists")
        if volume is None:
            if kind == api_pb2.OBJECT_CREATION_TYPE_UNSPECIFIED:
                raise GRPCError(
                    Status.NOT_FOUND, f"Volume '{name}' not found in environment 'main'"
                )
            volume = self.create(name, request.version)
        return api_pb2.VolumeGetOrCreateResponse(
            volume_id=volume.id, version=volume.version, metadata=volume.metadata()
        )

    async def VolumeGetById(
        self, request: api_pb2.VolumeGetByIdRequest, caller: Caller
    ) -> api_pb2.VolumeGetByIdResponse:
        volume = self.find(request.volume_id)
        return api_pb2.VolumeGetByIdResponse(volume_id=volume.id, metadata=volume.metadata())

    async def VolumeHeartbeat(
        self, request: api_pb2.VolumeHeartbeatRequest, caller: Caller
    ) -> Empty:
        return Empty()

    async def VolumeList(
        self, request: api_pb2.VolumeListRequest, caller: Caller
    ) -> api_pb2.VolumeListResponse:
        volumes = [v for v in self.plane.registry.volumes.values() if v.name]
        items = [
            api_pb2.VolumeListItem(
                label=v.name, volume_id=v.id, created_at=v.created_at, metadata=v.metadata()
            )
            for v in volumes
        ]
        return api_pb2.VolumeListResponse(items=items, environment_name="main")

    async def VolumeDelete(self, request: api_pb2.VolumeDeleteRequest, caller: Caller) -> Empty:
        volume = self.find(request.volume_id)
        del self.plane.registry.volumes[volume.id]
        shutil.rmtree(volume.path)
        return Empty()

    async def VolumeListFiles(
        self, request: api_pb2.VolumeListFilesRequest, caller: Caller
    ) -> AsyncIterator[api_pb2.VolumeListFilesResponse]:
        yield api_pb2.VolumeListFilesResponse(
            entries=self._list(request.volume_id, request.path, request.recursive)
        )

    async def VolumeListFiles2(
        self, request: api_pb2.VolumeListFiles2Request, caller: Caller
    ) -> AsyncIterator[api_pb2.VolumeListFiles2Response]:
        yield api_pb2.VolumeListFiles2Response(
            entries=self._list(request.volume_id, request.path, request.recursive)
        )

    def _list(self, volume_id: str, path: str, recursive: bool) -> list[api_pb2.FileEntry]:
        volume = self.find(volume_id)
        target = self._existing(volume, path)
        if not target.is_dir():
            return [_entry(volume.path, target)]
        found = sorted(target.rglob("*") if recursive else target.iterdir())
        return [_entry(volume.path, item) for item in found]

    async def VolumeGetFile2(
        self, request: api_pb2.VolumeGetFile2Request, caller: Caller
    ) -> api_pb2.VolumeGetFile2Response:
        path = self._existing(self.find(request.volume_id), request.path)
        if not path.is_file():
            raise GRPCError(Status.INVALID_ARGUMENT, f"{request.path} is not a file")
        size = path.stat().st_size
        length = min(request.len or size, size - request.start)
        urls = self.plane.blobs.block_urls(path, request.start, length)
        return api_pb2.VolumeGetFile2Response(
            get_urls=urls, size=size, start=request.start, len=length
        )

    async def VolumePutFiles(self, request: api_pb2.VolumePutFilesRequest, caller: Caller) -> Empty:
        volume = self.find(request.volume_id)
        self._refuse_overwrite(
            volume, [f.filename for f in request.files], request.disallow_overwrite_existing_files
        )
        for file in request.files:
            target = self._inside(volume, file.filename)
            _place(target, [self.plane.files / file.sha256_hex], file.mode)
        return Empty()

    def _refuse_overwrite(self, volume: Volume, names: list[str], disallow: bool) -> None:
        for name in names:
            if disallow and self._inside(volume, name).exists():
                raise GRPCError(Status.ALREADY_EXISTS, f"{name}: already exists")

    async def VolumePutFiles2(
        self, request: api_pb2.VolumePutFiles2Request, caller: Caller
    ) -> api_pb2.VolumePutFiles2Response:
        volume = self.find(request.volume_id)
        self._refuse_overwrite(
            volume, [f.path for f in request.files], request.disallow_overwrite_existing_files
        )
        answer = api_pb2.VolumePutFiles2Response()
        for number, file in enumerate(request.files):
            for index, block in enumerate(file.blocks):
                name = block.contents_sha256.hex()
                if not block.HasField("put_response") and not self.plane.blobs.path(name).exists():
                    answer.missing_blocks.add(
                        file_index=number, block_index=index, put_url=self.plane.blobs.url_of(name)
                    )
        if not answer.missing_blocks:
            for file in request.files:
                blocks = [
                    self.plane.blobs.path(block.contents_sha256.hex()) for block in file.blocks
                ]
                _place(self._inside(volume, file.path), blocks, file.mode, file.size)
        return answer

    async def VolumeRemoveFile(
        self, request: api_pb2.VolumeRemoveFileRequest, caller: Caller
    ) -> Empty:
        self._remove(request.volume_id, request.path, request.recursive)
        return Empty()

    async def VolumeRemoveFile2(
        self, request: api_pb2.VolumeRemoveFile2Request, caller: Caller
    ) -> Empty:
        self._remove(request.volume_id, request.path, request.recursive)
        return Empty()

    def _remove(self, volume_id: str, path: str, recursive: bool) -> None:
        target = self._existing(self.find(volume_id), path)
        if not target.is_dir():
            target.unlink()
        elif recursive:
            shutil.rmtree(target)
        else:
            raise GRPCError(Status.INVALID_ARGUMENT, f"{path} is a directory")


def _entry(root: Path, path: Path) -> api_pb2.FileEntry:
    info = path.stat()
    kind = api_pb2.FileEntry.DIRECTORY if path.is_dir() else api_pb2.FileEntry.FILE
    name = path.relative_to(root).as_posix()
    return api_pb2.FileEntry(path=name, type=kind, mtime=int(info.st_mtime), size=info.st_size)


def _place(target: Path, parts: list[Path], mode: int, size: int | None = None) -> None:
    """Write a file from its parts; blocks come without their trailing zeros."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{target.name}.{os.urandom(4).hex()}"
    with temporary.open("wb") as file:
        for number, part in enumerate(parts):
            if size is not None:
                file.seek(number * BLOCK)
            with part.open("rb") as source:
                shutil.copyfileobj(source, file)
        if size is not None:
            file.truncate(size)
    if mode:
        temporary.chmod(mode & 0o777)
    temporary.replace(target)
