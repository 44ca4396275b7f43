"""Large values travel by HTTP: blobs of calls and files, blocks of volumes."""

import asyncio
import hashlib
import re
from pathlib import Path

from aiohttp import web

BLOCK = 8 * 1024 * 1024
LIMIT = 1 << 32


class BlobStore:
    """An HTTP server on 127.0.0.1 with PUT and GET, and files behind it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._count = 0
        self._runner: web.AppRunner | None = None
        self._ranges: dict[str, tuple[Path, int, int]] = {}
        self.url = ""

    async def start(self) -> None:
        app = web.Application(client_max_size=LIMIT)
        app.router.add_put("/blob/{name}", self._put)
        app.router.add_get("/blob/{name}", self._get)
        app.router.add_get("/range/{name}", self._get_range)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def new(self) -> str:
        self._count += 1
        return f"bl-{self._count}"

    def put(self, data: bytes) -> str:
        blob_id = self.new()
        self.path(blob_id).write_bytes(data)
        return blob_id

    def path(self, blob_id: str) -> Path:
        if not re.fullmatch(r"[A-Za-z0-9-]+", blob_id):
            raise web.HTTPBadRequest
        return self.folder / blob_id

    def url_of(self, blob_id: str) -> str:
        return f"{self.url}/blob/{blob_id}"

    def block_urls(self, path: Path, start: int, length: int) -> list[str]:
        """Addresses for the blocks that a byte range of a file touches, cut at block borders."""
        urls = []
        position = start
        while position < start + length:
            end = min((position // BLOCK + 1) * BLOCK, start + length)
            name = self.new()
            self._ranges[name] = (path, position, end)
            urls.append(f"{self.url}/range/{name}")
            position = end
        return urls

    async def _put(self, request: web.Request) -> web.Response:
        digest = hashlib.md5(usedforsecurity=False)
        with self.path(request.match_info["name"]).open("wb") as file:
            async for chunk in request.content.iter_any():
                digest.update(chunk)
                file.write(chunk)
        return web.Response(body=b"stored", headers={"ETag": f'"{digest.hexdigest()}"'})

    async def _get(self, request: web.Request) -> web.StreamResponse:
        path = self.path(request.match_info["name"])
        if not path.exists():
            raise web.HTTPNotFound
        return web.FileResponse(path)

    async def _get_range(self, request: web.Request) -> web.Response:
        path, start, end = self._ranges[request.match_info["name"]]
        return web.Response(body=await asyncio.to_thread(_read, path, start, end))


def _read(path: Path, start: int, end: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(end - start)
