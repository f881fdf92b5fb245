"""All that a worker asks of a broker."""

import asyncio

import pytest

from busgate_asgi.broker import BrokerRefused
from busgate_asgi.types import Receive, Scope, Send
from tests.support.gateway import Gateway
from tests.support.workers import worker


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers frames with the same."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


async def all_of_it(gateway: Gateway, url: str, prefix: str) -> None:
    """A conversation, and a disconnect that goes from one worker to another."""
    async with worker(url, prefix, echo) as has, worker(url, prefix, echo, queue="other"):
        session = gateway.session()
        await session.accepted()
        await session.receive(text="hello")
        assert (await session.reply("websocket.send"))["text"] == "hello"
        left = {**session.event("websocket.disconnect", code=1006, reason=""), "order": None, "own_queue": has.own_queue}
        await gateway.wire.push("other", left, 86_400)
        while session.id in has._sessions:
            await asyncio.sleep(0.01)


async def refused(url: str, why: str = ".") -> None:
    """A worker of that URL ends, since trying again would not help, and says why."""
    with pytest.raises(BrokerRefused, match=why):
        async with worker(url, "any", echo):
            pass
