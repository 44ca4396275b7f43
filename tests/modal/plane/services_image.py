"""Images, and what goes into a container besides them: mounts, secrets, blobs."""

import asyncio
import hashlib
import re
import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from modal_proto import api_pb2
from packaging.requirements import Requirement

from . import environments, rootfs
from .rpc import Caller
from .site import ALWAYS, Installed, link_farm
from .state import Image, Result

if TYPE_CHECKING:
    from .server import Plane

PACKAGE_TOOLS = ("pip", "setuptools", "uv", "wheel")
"""What base images install for themselves."""


def pip_packages(commands: list[str], files: dict[str, bytes]) -> list[str]:
    """The requirements that Dockerfile lines install with pip or uv, in order."""
    found: list[str] = []
    for command in commands:
        if not command.startswith("RUN ") or "pip install" not in command:
            continue
        if environments.is_of_environment(command):
            continue
        # uv is told the interpreter by a command substitution.
        rest = re.sub(r"\$\([^)]*\)", "python", command.split("pip install", 1)[1])
        words = iter(shlex.split(rest))
        for word in words:
            if word in ("-r", "--requirement", "--requirements"):
                found += _requirements_in(files, next(words))
            elif word in ("--python", "--find-links", "--index-url", "--extra-index-url"):
                next(words, None)
            elif word in ("&&", "||", ";", "|"):
                break
            elif not word.startswith("-") and _is_requirement(word):
                found.append(word)
    return found


def _is_requirement(word: str) -> bool:
    # Addresses and paths name no distribution: nothing can be said about them here.
    return "/" not in word and word != "."


def _requirements_in(files: dict[str, bytes], path: str) -> list[str]:
    text = next(
        (data for name, data in files.items() if Path(name).name == Path(path).name), b""
    ).decode()
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("-")]


class ImageServices:
    """Serves image builds; `plane.images` answers tests and containers about them."""

    def __init__(self, plane: "Plane") -> None:
        self.plane = plane
        self.strict = True
        """Show a container only the packages that its image installs."""
        self.unknown_packages_fail = True
        """Fail a build with a package that is not installed here, as an index would for a typo."""
        self._ids: dict[bytes, str] = {}
        self._installed: Installed | None = None
        self._making = asyncio.Lock()
        self._made: list[list[str]] = []

    # What tests and containers ask.

    def installed(self) -> Installed:
        if self._installed is None:
            self._installed = Installed(rootfs.interpreter_paths(self.plane.python)[2])
        return self._installed

    def all(self) -> list[Image]:
        return list(self.plane.registry.images.values())

    def commands(self, image_id: str) -> list[str]:
        return self.plane.registry.images[image_id].commands if image_id else []

    def packages(self, image_id: str) -> list[str]:
        """The requirements that an image and the images under it install."""
        if not image_id:
            return []
        image = self.plane.registry.images[image_id]
        under = [package for base in image.bases for package in self.packages(base.id)]
        files = {file.filename: file.data for file in image.definition.context_files}
        return [*under, *pip_packages(list(image.definition.dockerfile_commands), files)]

    def environment(self, image_id: str) -> dict[str, str]:
        env: dict[str, str] = {}
        for line in self.commands(image_id):
            if line.startswith("ENV "):
                for word in shlex.split(line[4:]):
                    name, _, value = word.partition("=")
                    env[name] = value
        return env

    def workdir(self, image_id: str) -> str:
        lines = [line for line in self.commands(image_id) if line.startswith("WORKDIR ")]
        return shlex.split(lines[-1])[1] if lines else "/root"

    def site(self, image_id: str) -> Path:
        """The site-packages that containers of this image see; made once."""
        folder = self.plane.folder / "sites" / (image_id or "none")
        if not folder.exists():
            folder.parent.mkdir(exist_ok=True)
            installed = self.installed()
            entries = installed.everything_but(self.plane.hidden)
            if self.strict:
                entries &= installed.entries(installed.closure([*ALWAYS, *self.packages(image_id)]))
            link_farm(folder, entries, f"{rootfs.RUN}/site")
        return folder

    # The protocol.

    async def ImageGetOrCreate(
        self, request: api_pb2.ImageGetOrCreateRequest, caller: Caller
    ) -> api_pb2.ImageGetOrCreateResponse:
        key = hashlib.sha256(request.image.SerializeToString(deterministic=True)).digest()
        image = self._known(key, request)
        if image.failure is None and image.builds and not request.force_build:
            status = Result(status=Result.GENERIC_STATUS_SUCCESS)
            return api_pb2.ImageGetOrCreateResponse(
                image_id=image.id, result=status, metadata=_metadata()
            )
        await self._build(image)
        # No status: the client then joins the stream of the build, where its log is.
        return api_pb2.ImageGetOrCreateResponse(image_id=image.id)

    def _known(self, key: bytes, request: api_pb2.ImageGetOrCreateRequest) -> Image:
        registry = self.plane.registry
        if key not in self._ids:
            bases = [
                registry.images[base.image_id]
                for base in request.image.base_images
                if base.image_id
            ]
            image = Image(registry.new_id("im"), request.image, bases)
            registry.images[image.id] = image
            self._ids[key] = image.id
        return registry.images[self._ids[key]]

    async def _build(self, image: Image) -> None:
        image.builds += 1
        image.failure = None
        image.log = "".join(f"=> {line}\n" for line in image.definition.dockerfile_commands)
        files = {file.filename: file.data for file in image.definition.context_files}
        fault = self.plane.faults.build_due(list(image.definition.dockerfile_commands))
        wanted = pip_packages(list(image.definition.dockerfile_commands), files)
        names = [Requirement(package).name for package in wanted]
        missing = [
            name for name in names if name not in self.installed() and name not in PACKAGE_TOOLS
        ]
        if fault is not None:
            image.failure = fault.log
        elif missing and self.strict and self.unknown_packages_fail:
            image.failure = f"ERROR: No matching distribution found for {missing[0]}"
        else:
            async with self._making:
                await asyncio.to_thread(self._make_environments, image)
        image.log += (image.failure or "") + "\n"

    def _make_environments(self, image: Image) -> None:
        environments.copy_context(self.plane, image)
        lines = list(image.definition.dockerfile_commands)
        if lines in self._made:  # by another image; an image has its own files elsewhere
            return
        for line in filter(environments.is_of_environment, lines):
            well, said = environments.build(self.plane, line)
            image.log += said
            if not well:
                image.failure = f"ERROR: {line.removeprefix('RUN ')} failed"
                return
        self._made.append(lines)

    async def ImageJoinStreaming(
        self, request: api_pb2.ImageJoinStreamingRequest, caller: Caller
    ) -> AsyncIterator[api_pb2.ImageJoinStreamingResponse]:
        image = self.plane.registry.images[request.image_id]
        logs = [api_pb2.TaskLogs(data=image.log, file_descriptor=api_pb2.FILE_DESCRIPTOR_STDOUT)]
        if image.failure is None:
            result = Result(status=Result.GENERIC_STATUS_SUCCESS)
        else:
            result = Result(status=Result.GENERIC_STATUS_FAILURE)
        yield api_pb2.ImageJoinStreamingResponse(
            result=result, task_logs=logs, entry_id="1-0", eof=True, metadata=_metadata()
        )

    async def MountBatchedCheckExistence(
        self, request: api_pb2.MountBatchedCheckExistenceRequest, caller: Caller
    ) -> api_pb2.MountBatchedCheckExistenceResponse:
        missing = [
            name for name in request.sha256_hex_hashes if not (self.plane.files / name).exists()
        ]
        return api_pb2.MountBatchedCheckExistenceResponse(missing_sha256_hex_hashes=missing)

    async def MountPutFile(
        self, request: api_pb2.MountPutFileRequest, caller: Caller
    ) -> api_pb2.MountPutFileResponse:
        target = self.plane.files / request.sha256_hex
        kind = request.WhichOneof("data_oneof")
        if kind == "data_blob_id":
            self.plane.blobs.path(request.data_blob_id).replace(target)
        elif kind == "data":
            target.write_bytes(request.data)
        return api_pb2.MountPutFileResponse(exists=target.exists())

    async def MountGetOrCreate(
        self, request: api_pb2.MountGetOrCreateRequest, caller: Caller
    ) -> api_pb2.MountGetOrCreateResponse:
        # Published mounts hold the client and its dependencies: the interpreter has them here.
        mount_id = self.plane.registry.new_id("mo")
        self.plane.registry.mounts[mount_id] = list(request.files)
        checksum = hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest()
        metadata = api_pb2.MountHandleMetadata(content_checksum_sha256_hex=checksum)
        return api_pb2.MountGetOrCreateResponse(mount_id=mount_id, handle_metadata=metadata)

    async def SecretGetOrCreate(
        self, request: api_pb2.SecretGetOrCreateRequest, caller: Caller
    ) -> api_pb2.SecretGetOrCreateResponse:
        secret_id = self.plane.registry.new_id("st")
        self.plane.registry.secrets[secret_id] = dict(request.env_dict)
        return api_pb2.SecretGetOrCreateResponse(secret_id=secret_id)

    async def BlobCreate(
        self, request: api_pb2.BlobCreateRequest, caller: Caller
    ) -> api_pb2.BlobCreateResponse:
        blob_id = self.plane.blobs.new()
        urls = api_pb2.UploadUrlList(items=[self.plane.blobs.url_of(blob_id)])
        return api_pb2.BlobCreateResponse(blob_ids=[blob_id], upload_urls=urls)

    async def BlobGet(
        self, request: api_pb2.BlobGetRequest, caller: Caller
    ) -> api_pb2.BlobGetResponse:
        return api_pb2.BlobGetResponse(download_url=self.plane.blobs.url_of(request.blob_id))


def _metadata() -> api_pb2.ImageMetadata:
    return api_pb2.ImageMetadata(image_builder_version="2025.06")
