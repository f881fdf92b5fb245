"""Disconnects of sessions that another worker has, or had: a gateway that died leaves them on the route's queue."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable

from busgate_asgi.broker import Broker, BrokerAway, OutcomeUnknown, Taken

#: A worker that lives is heard in its room within that time, in seconds.
HEARD_WITHIN = 3.0
#: While the broker is away it is tried again that often, in seconds.
_AGAIN = 0.25

log = logging.getLogger("busgate_asgi")


def room_of(queue: str) -> str:
    """Where a worker that reads a queue of its own says that it lives."""
    return f"_worker.{queue}"


class Handover:
    """Hands a disconnect on to the worker that has the session, if that one is heard; else it is `ours`. A dead worker's many are decided together."""

    def __init__(self, broker: Broker, ours: Callable[[Taken], None]) -> None:
        self._broker = broker
        self._ours = ours
        self._waiting: dict[str, list[Taken]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, queue: str, event: Taken) -> None:
        """A disconnect whose session is with the worker that reads `queue`."""
        waiting = self._waiting.get(queue)
        if waiting is not None:
            waiting.append(event)
            return
        self._waiting[queue] = [event]
        task = asyncio.create_task(self._decide(queue))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @property
    def pending(self) -> bool:
        """Whether any waits to be decided."""
        return bool(self._tasks)

    async def _decide(self, queue: str) -> None:
        lives = await self._hears(queue)
        events = self._waiting.pop(queue)
        for event in events:
            if lives:
                await self._hand_on(queue, event)
            else:
                self._ours(event)

    async def _hears(self, queue: str) -> bool:
        heard = asyncio.Event()
        close = await self._listen(room_of(queue), lambda _: heard.set())
        try:
            await asyncio.wait_for(heard.wait(), HEARD_WITHIN)
        except asyncio.TimeoutError:
            return False
        finally:
            await close()
        return True

    async def _listen(self, room: str, hear: Callable[[bytes], None]) -> Callable[[], Awaitable[None]]:
        """While the broker is away nobody can be heard, and nobody is dead."""
        while True:
            try:
                return await self._broker.listen(room, hear)
            except BrokerAway:
                await asyncio.sleep(_AGAIN)

    async def leave(self, shared: str, own: str, event: Taken) -> None:
        """A disconnect that came when the worker that reads `own` had given everything back, and stops: another one handles it."""
        await self._hand_on(shared, Taken(event.event, b'{"own_queue":%b,%b' % (json.dumps(own).encode(), event.raw[1:]), None))

    async def _hand_on(self, queue: str, event: Taken) -> None:
        while True:
            try:
                await self._broker.push(queue, event)
            except BrokerAway:
                await asyncio.sleep(_AGAIN)
                continue
            except OutcomeUnknown:
                log.warning("A disconnect may not have reached the worker that reads %s.", queue)
            return
