"""A way to a broker that can be cut."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Proxy:
    """Passes connections on to a port of this machine."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._deaf_after: bytes | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}"

    async def open(self) -> None:
        """Takes connections, on the same port as before."""
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Cuts every connection, and takes none."""
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)

    def deafen(self, said: bytes) -> None:
        """The connection on which a client says that is cut once it was passed on, before it is answered."""
        self._deaf_after = said

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers |= {writer, there_writer}
        back = asyncio.create_task(self._copy(there_reader, writer))
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                there_writer.write(data)
                if self._deaf_after is not None and self._deaf_after in data and b"PUBLISH" in data:
                    self._deaf_after = None
                    back.cancel()
                    await there_writer.drain()
                    break
        for end in (writer, there_writer):
            end.close()
            self._writers.discard(end)
        back.cancel()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
            writer.close()


@contextlib.asynccontextmanager
async def proxy_to(port: int) -> AsyncIterator[Proxy]:
    """A proxy that takes connections."""
    proxy = Proxy(port)
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.close()
