"""Redis: queues are lists, topics are pub/sub channels."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Sequence

from redis.exceptions import ResponseError

from busgate_asgi.broker.contract import BrokerAway, BrokerRefused, OutcomeUnknown, Taken
from busgate_asgi.broker.redis_link import ANSWER_TIMEOUT, Command, Link, Place, place_of
from busgate_asgi.broker.url import Target
from busgate_asgi.logs import Seldom

#: How long a reader waits in the server for an event, in seconds: so long may a stop take.
_WAIT = 0.5
#: While Redis is away it is tried again that often, in seconds.
_AGAIN = 0.25
#: Gateways have so long to come back to a Redis that is back, in seconds.
_RETURN = 5.0
#: What is handed on lives as long as the longest event, in milliseconds.
_DAY = 86_400_000

log = logging.getLogger("busgate_asgi")


class RedisBroker:
    """Redis, standalone, behind Sentinel or as a cluster."""

    def __init__(self, target: Target, prefix: str) -> None:
        self._place = place_of(target)
        self._prefix = prefix
        self._sharded = target.kind == "cluster"
        #: Behind Sentinel a server may become a replica under us.
        self._only_where_writable = f"{prefix}:nothing" if target.kind == "sentinel" else None
        self._publisher: Link | None = None
        self._returned_at: float | None = None
        self._opening = asyncio.Lock()
        self._refusals = Seldom(log)
        self.address = target.address

    async def open(self) -> None:
        """See Broker."""
        told = False
        while self._publisher is None:
            try:
                self._publisher = await self._place.link(self._prefix)
            except BrokerAway as away:
                if not told:
                    log.warning("The broker at %s is away (%s); trying on.", self.address, away)
                told = True
                await asyncio.sleep(_AGAIN)

    def queue(self, name: str) -> "RedisQueue":
        """See Broker."""
        return RedisQueue(self._place, f"{self._prefix}:queue:{name}", name)

    def room(self, name: str) -> str:
        """See Broker."""
        return f"{self._prefix}:room:{name}"

    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> Sequence[int]:
        """See Broker."""
        async with self._opening:
            if self._publisher is not None and self._publisher.gone:
                await self._publisher.close()
                self._publisher = None
            if self._publisher is None:
                self._publisher = await self._place.link(self._prefix)
                self._returned_at = asyncio.get_running_loop().time()
            try:
                answers = await self._publisher.publish(messages, self._only_where_writable)
            except (BrokerAway, OutcomeUnknown):
                self._publisher = None
                raise
        for answer in answers:
            if isinstance(answer, ResponseError):
                self._refusals.error("Redis refused a reply: %s", answer)
        # A node of a cluster counts its own subscribers alone.
        is_returning = self._returned_at is not None and asyncio.get_running_loop().time() - self._returned_at < _RETURN
        return [at for at, answer in enumerate(answers) if answer == 0] if is_returning and not self._sharded else ()

    async def push(self, queue: str, event: Taken) -> None:
        """See Broker."""
        key = f"{self._prefix}:queue:{queue}"
        link = await self._place.link(key)
        try:
            await link.run([("RPUSH", key, event.raw), ("PEXPIRE", key, _DAY)])
        finally:
            await link.close()

    async def listen(self, room: str, hear: Callable[[bytes], None]) -> Callable[[], Awaitable[None]]:
        """See Broker."""
        topic = self.room(room)
        link = await self._subscribed(topic)
        listening = asyncio.create_task(self._hear(link, topic, hear))

        async def close() -> None:
            listening.cancel()
            await asyncio.wait([listening])

        return close

    async def close(self) -> None:
        """See Broker."""
        if self._publisher is not None:
            await self._publisher.close()

    async def _subscribed(self, topic: str) -> Link:
        link = await self._place.link(topic)
        try:
            for command in ("SUBSCRIBE", *(("SSUBSCRIBE",) if self._sharded else ())):
                await link.send((command, topic))
                await asyncio.wait_for(link.read(), ANSWER_TIMEOUT)
        except (OutcomeUnknown, asyncio.TimeoutError) as error:
            await link.close()
            raise BrokerAway(str(error)) from error
        return link

    async def _hear(self, link: Link, topic: str, hear: Callable[[bytes], None]) -> None:
        try:
            while True:
                try:
                    message = await link.read()
                    if isinstance(message, list) and message[0] in (b"message", b"smessage"):
                        hear(message[2])
                except OutcomeUnknown:
                    link = await self._again(topic)
        finally:
            await link.close()

    async def _again(self, topic: str) -> Link:
        while True:
            await asyncio.sleep(_AGAIN)
            try:
                return await self._subscribed(topic)
            except (BrokerAway, BrokerRefused):
                continue


class RedisQueue:
    """A list that is read: the first event is waited for, what else is there comes in the same round trip, with the clock to judge it by."""

    def __init__(self, place: Place, key: str, name: str) -> None:
        self._place = place
        self._key = key
        self._name = name
        self._link: Link | None = None
        self._away = False
        self._unreadable = Seldom(log)

    async def take(self, most: int) -> list[Taken]:
        """See Queue."""
        try:
            if self._link is None:
                self._link = await self._place.link(self._key)
            commands: list[Command] = [("BLPOP", self._key, _WAIT), ("TIME",)]
            if most > 1:
                commands.insert(1, ("LPOP", self._key, most - 1))
            first, *rest, clock = await self._link.run(commands, _WAIT + ANSWER_TIMEOUT)
        except (BrokerAway, BrokerRefused, OutcomeUnknown) as error:
            return await self._pause(error)
        elements = [first[1]] if isinstance(first, list) else []
        for more in rest:
            elements += more if isinstance(more, list) else []
        failed = next((answer for answer in (first, *rest, clock) if isinstance(answer, ResponseError)), None)
        if failed is not None and not elements:
            return await self._pause(failed)
        if self._away:
            log.info("Queue %s is read again.", self._name)
            self._away = False
        return self._living(elements, clock)

    async def give_back(self, events: Sequence[Taken]) -> None:
        """See Queue."""
        if not events:
            return
        link = self._link or await self._place.link(self._key)
        self._link = link
        await link.run([("LPUSH", self._key, *(event.raw for event in reversed(events)))])

    async def close(self) -> None:
        """See Queue."""
        if self._link is not None:
            await self._link.close()

    async def _pause(self, error: Exception) -> list[Taken]:
        if not self._away:
            log.warning("Queue %s cannot be read (%s); trying on.", self._name, error)
        self._away = True
        if self._link is not None:
            await self._link.close()
        self._link = None
        await asyncio.sleep(_AGAIN)
        return []

    def _living(self, elements: list[bytes], clock: object) -> list[Taken]:
        now = int(clock[0]) + int(clock[1]) / 1e6 if isinstance(clock, list) else None
        taken = []
        for raw in elements:
            try:
                event = json.loads(raw)
                expires = event.pop("__expires", None)
            except (ValueError, AttributeError):
                self._unreadable.error("What is no JSON object was skipped in queue %s.", self._name)
                continue
            left = None if expires is None or now is None else expires / 1000 - now
            if left is None or left > 0:
                taken.append(Taken(event, raw, left))
        return taken
