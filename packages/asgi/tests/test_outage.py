"""A broker that goes away and comes back while clients talk: what they said comes back in order and once, or they are told."""

import asyncio
import contextlib
import secrets
from collections import defaultdict
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from busgate_asgi.types import Receive, Scope, Send
from tests.support.busgate import Busgate, busgate
from tests.support.servers import Server, start_nats, start_redis
from tests.support.workers import worker

CLIENTS, OUTAGES = 60, 2
#: How many numbers of a client are under way at most, and how often it says the next one, in seconds.
UNDER_WAY, PACE = 4, 0.1
#: What a client is told where something may have been lost.
TOLD = (1011, 1012)


class Visit:
    """One socket of a client, from its 101 to its end."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.said = 0
        self.heard: list[int] = []

    @property
    def loss(self) -> str | None:
        """What is wrong with what it heard."""
        in_order_and_once = self.heard == sorted(set(self.heard))
        if in_order_and_once and (len(self.heard) == self.said or self.socket.close_code in TOLD):
            return None
        return f"said 1 to {self.said}, heard {self.heard}, told {self.socket.close_code}"


class Talker:
    """A client that says numbers, hears each again, and comes back when its socket was closed."""

    def __init__(self, gateway: Busgate) -> None:
        self.visits: list[Visit] = []
        self.answered = asyncio.Event()
        self._gateway = gateway
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(self._come_back())

    @property
    def waits(self) -> bool:
        """Whether it says nothing more before it was answered, or let in again."""
        last = self.visits[-1]
        return last.said - len(last.heard) >= UNDER_WAY or last.socket.close_code is not None

    async def end(self) -> None:
        """Hears what is under way, and leaves."""
        self._stop.set()
        await self._task

    async def _come_back(self) -> None:
        while not self._stop.is_set():
            try:
                socket = await self._gateway.connect("/app/x")
            except InvalidStatus:
                await asyncio.sleep(PACE)
                continue
            visit = Visit(socket)
            self.visits.append(visit)
            hearing = asyncio.create_task(self._hear(visit))
            with contextlib.suppress(ConnectionClosed):
                await self._talk(visit)
            await hearing

    async def _talk(self, visit: Visit) -> None:
        while not self._stop.is_set() and visit.socket.close_code is None:
            if visit.said - len(visit.heard) < UNDER_WAY:
                visit.said += 1
                await visit.socket.send(str(visit.said))
            await asyncio.sleep(PACE)
        while len(visit.heard) < visit.said and visit.socket.close_code is None:
            await asyncio.sleep(PACE)
        await visit.socket.close()

    async def _hear(self, visit: Visit) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for frame in visit.socket:
                visit.heard.append(int(frame))
                self.answered.set()


async def outages(start: Callable[[], Server], *, keeps: bool) -> None:
    """Talks through them; `keeps`: what the broker had written is there again."""
    #: Of each session, in all the workers that it had.
    given: dict[str, list[int]] = defaultdict(list)

    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        numbers = given[scope["extensions"]["busgate"]["session"]]
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            numbers.append(int(message["text"]))
            await send({"type": "websocket.send", "text": message["text"]})

    async with AsyncExitStack() as stack:
        server = stack.enter_context(start())
        prefix = f"t{secrets.token_hex(6)}"
        gateway = await stack.enter_async_context(busgate(server.url, prefix, handler_timeout="5s"))
        for _ in range(2):
            await stack.enter_async_context(worker(server.url, prefix, echo))
        talkers = [Talker(gateway) for _ in range(CLIENTS)]
        await asyncio.gather(*(talker.answered.wait() for talker in talkers))
        for _ in range(OUTAGES):
            server.kill()
            if not keeps:
                server.forget()
            while not all(talker.waits for talker in talkers):
                await asyncio.sleep(PACE)
            for talker in talkers:
                talker.answered.clear()
            await asyncio.to_thread(server.start)
            await asyncio.gather(*(talker.answered.wait() for talker in talkers))
        await asyncio.gather(*(talker.end() for talker in talkers))
    visits = [visit for talker in talkers for visit in talker.visits]
    assert [visit.loss for visit in visits if visit.loss is not None] == []
    assert [numbers for numbers in given.values() if numbers != sorted(set(numbers))] == []
    # Not everybody is told: whoever can have lost nothing keeps the socket.
    assert len(visits) < CLIENTS * (OUTAGES + 1)


def redis_that_keeps() -> Server:
    """A Redis that has everything again after its death."""
    return start_redis("--appendonly", "yes", "--appendfsync", "always")


@pytest.mark.parametrize(
    ("start", "keeps"),
    [(redis_that_keeps, True), (start_redis, False), (start_nats, True), (start_nats, False)],
    ids=["redis", "an empty redis", "nats", "an empty nats"],
)
async def test_who_talks_while_the_broker_restarts_hears_everything_once_and_in_order_or_is_told(start: Callable[[], Server], keeps: bool) -> None:
    await outages(start, keeps=keeps)
