"""An application behind the gateway."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Response

from busgate_asgi.types import Application, Message, Receive, Scope, Send
from tests.support.busgate import PATIENCE, Busgate
from tests.support.workers import worker


class Served:
    """What a client of an application does and sees."""

    def __init__(self, gateway: Busgate) -> None:
        self.gateway = gateway

    @contextlib.asynccontextmanager
    async def connected(self, path: str = "/app/", **options: Any) -> AsyncIterator[ClientConnection]:
        """A client that is let in, and leaves."""
        client = await self.gateway.connect(path, **options)
        try:
            yield client
        finally:
            await client.close()

    async def refused(self, path: str = "/app/") -> Response:
        """What a client is answered that is not let in."""
        with pytest.raises(InvalidStatus) as refusal:
            await self.gateway.connect(path)
        return refusal.value.response

    async def request(self, request: str, body: bytes = b"") -> tuple[int, list[tuple[str, str]], bytes]:
        """A plain request of these lines; status, headers and body of its answer."""
        answer = await self.gateway.exchange(request.replace("\n", "\r\n").encode("latin-1") + b"host: 127.0.0.1\r\nconnection: close\r\n\r\n" + body)
        head, _, content = answer.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        if ("transfer-encoding", "chunked") in headers:
            content = _whole(content)
        return int(status.split()[1]), headers, content


@contextlib.asynccontextmanager
async def served(gateway: Busgate, application: Application, state: dict[str, Any] | None = None) -> AsyncIterator[Served]:
    """A worker that runs the application, while the case lasts."""
    async with worker(gateway.layer, gateway.prefix, application, state=state):
        yield Served(gateway)


async def heard(client: ClientConnection) -> str | bytes:
    """The next frame."""
    return await asyncio.wait_for(client.recv(), PATIENCE)


async def closed(client: ClientConnection) -> tuple[int | None, str | None]:
    """The close that comes next."""
    with pytest.raises(ConnectionClosed):
        await heard(client)
    return client.close_code, client.close_reason


class Recorder:
    """An application that keeps what it is given, and does with each message what a case says."""

    def __init__(self, **replies: list[Message]) -> None:
        self.scopes: asyncio.Queue[Scope] = asyncio.Queue()
        self.messages: asyncio.Queue[Message] = asyncio.Queue()
        self._replies: dict[str, list[Message]] = {"connect": [{"type": "websocket.accept"}], **replies}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.scopes.put(scope)
        while True:
            message = await receive()
            await self.messages.put(message)
            kind = message["type"].rpartition(".")[2]
            for reply in self._replies.get(kind, []):
                await send(reply)
            if kind in ("disconnect", "request"):
                return

    async def was_given(self, count: int) -> list[Message]:
        """The next messages."""
        return [await asyncio.wait_for(self.messages.get(), PATIENCE) for _ in range(count)]


def _whole(chunked: bytes) -> bytes:
    """The body of an answer in chunks (RFC 9112 section 7.1)."""
    body = b""
    while chunked:
        size, _, chunked = chunked.partition(b"\r\n")
        length = int(size, 16)
        body, chunked = body + chunked[:length], chunked[length + 2 :]
        if length == 0:
            break
    return body
