"""Memory of a worker over many sessions that come, say something and leave."""

import json
import re
from pathlib import Path

import redis.asyncio

from tests.support.gateway import PATIENCE, Session, gateway_at
from tests.support.servers import Server
from tests.support.workers import command

SESSIONS, AT_ONCE = 100_000, 2_000
#: After so many a worker has what it needs; what it needs more at the end, in KiB: 13 bytes a session.
WARM, ALLOWED = 20_000, 1024


def resident(pid: int) -> int:
    """What a process has in memory, in KiB."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1])


class Crowd:
    """Sessions of one gateway, by the thousand; of what is replied to them it counts what it waits for."""

    def __init__(self, client: redis.asyncio.Redis, prefix: str, like: Session) -> None:
        self._client = client
        self._prefix = prefix
        self._like = like
        self._topic = f"{prefix}:process:crowd"
        self._queue = like.own_queue

    async def come_and_go(self, names: range) -> None:
        """All are accepted, each says a frame and has it back, and all leave."""
        channel = self._client.pubsub()
        async with channel:
            await channel.subscribe(self._topic)
            await channel.get_message(timeout=PATIENCE)
            await self._push("app", [self._event(name, "websocket.connect", 0, subprotocols=[], resumed=False) for name in names])
            await self._hear(channel, b'"type":"websocket.accept"', len(names))
            await self._push(self._queue, [self._event(name, "websocket.receive", 1, text="hello") for name in names])
            await self._hear(channel, b' hello"', len(names))
            await self._push(self._queue, [self._event(name, "websocket.disconnect", 2, code=1000, reason="") for name in names])

    def _event(self, name: int, kind: str, order: int, **members: object) -> str:
        session = f"{self._prefix}-{name}"
        common = {"session": session, "order": order, "reply_topic": self._topic, "reply_channel": f"busgate.crowd!{session}"}
        return json.dumps({**self._like.opening(kind), **common, **members})

    async def _push(self, queue: str | None, events: list[str]) -> None:
        await self._client.rpush(f"{self._prefix}:queue:{queue}", *events)

    async def _hear(self, channel: "redis.asyncio.client.PubSub", words: bytes, times: int) -> None:
        heard = 0
        while heard < times:
            message = await channel.get_message(ignore_subscribe_messages=True, timeout=PATIENCE)
            assert message is not None, f"{heard} of {times} times was heard {words!r}"
            heard += message["data"].count(words)


async def test_the_memory_of_a_worker_is_flat_over_a_hundred_thousand_sessions(redis_server: Server) -> None:
    arguments = ["tests.applications.echo:application", "--layer", redis_server.url, "--queue", "app", "--log-level", "warning"]
    async with (
        gateway_at(redis_server.url) as (gateway, prefix),
        command(*arguments, "--prefix", prefix) as worker,
        redis.asyncio.Redis.from_url(redis_server.url) as client,
    ):
        first = gateway.session()
        await first.accepted()
        crowd = Crowd(client, prefix, first)
        warm = 0
        for came in range(0, SESSIONS, AT_ONCE):
            if came == WARM:
                warm = resident(worker.pid)
            await crowd.come_and_go(range(came, came + AT_ONCE))
        assert resident(worker.pid) - warm < ALLOWED
        await first.disconnect()
