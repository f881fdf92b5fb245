"""Echoes, and writes what it is given into a list of Redis, so that a test sees it whatever becomes of this process."""

import os
from typing import Any

import redis.asyncio

# Few connections, each waited for as long as a busy machine takes.
_pool = redis.asyncio.BlockingConnectionPool.from_url(os.environ["WITNESS_REDIS"], max_connections=4, timeout=None, socket_timeout=None)
_redis = redis.asyncio.Redis(connection_pool=_pool)


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Frames are numbers; what arrives is written with the number of the client, which is its path's."""
    if scope["type"] != "websocket":
        raise RuntimeError("no lifespan")
    busgate = scope["extensions"]["busgate"]
    client = scope["path"].rsplit("/", 1)[1]

    async def write(what: str) -> None:
        await _redis.rpush(os.environ["WITNESS_KEY"], f"{client} {what}")

    await receive()
    await write("resumed" if busgate["resumed"] else "connect")
    await send({"type": "websocket.accept"})
    if busgate["resumed"]:
        await send({"type": "websocket.send", "text": f"resumed {busgate['state']} {busgate.get('undone')}"})
    while (message := await receive())["type"] == "websocket.receive":
        await write(message["text"])
        await send({"type": "state", "state": {"last": message["text"]}})
        await send({"type": "websocket.send", "text": f"{os.getpid()} {message['text']}"})
    await write(f"disconnect {message['code']}")
