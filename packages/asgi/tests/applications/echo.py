"""Echoes frames, with the process that did it, and answers requests with what its lifespan made."""

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]


async def application(scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
    """An ASGI 3 application without any framework."""
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["made"] = "by the lifespan"
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("cleaned up")
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": scope["state"].get("made", "nothing").encode()})
    else:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": f"{os.getpid()} {message['text']}"})


def make() -> Any:
    """A factory."""
    return application


async def no_lifespan(scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
    """An application that knows requests only."""
    assert scope["type"] == "http"
    await application(scope, receive, send)


async def cannot_start(scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
    """An application whose start fails."""
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "the pool is empty"})
