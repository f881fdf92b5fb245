"""Disconnects of sessions that another worker has, or had: a gateway that died leaves them on the route's queue."""

import asyncio
import logging
from collections.abc import Callable

from busgate_asgi.broker import Broker, BrokerAway, BrokerRefused, OutcomeUnknown, Taken

#: A worker that lives is heard in its room within that time, in seconds.
HEARD_WITHIN = 3.0

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
            if not (lives and await self._hand_on(queue, event)):
                self._ours(event)

    async def _hears(self, queue: str) -> bool:
        heard = asyncio.Event()
        try:
            close = await self._broker.listen(room_of(queue), lambda payload: heard.set() if b"working" in payload else None)
        except (BrokerAway, BrokerRefused) as error:
            log.warning("The worker that reads %s could not be listened for (%s).", queue, error)
            return False
        try:
            await asyncio.wait_for(heard.wait(), HEARD_WITHIN)
        except asyncio.TimeoutError:
            return False
        finally:
            await close()
        return True

    async def _hand_on(self, queue: str, event: Taken) -> bool:
        try:
            await self._broker.push(queue, event)
        except (BrokerAway, BrokerRefused):
            return False
        except OutcomeUnknown:
            log.warning("A disconnect may not have reached the worker that reads %s.", queue)
        return True
