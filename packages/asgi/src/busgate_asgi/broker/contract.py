"""What a worker needs of a broker."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from busgate_asgi.types import Json


class BrokerAway(Exception):
    """The broker cannot be reached: nothing was done."""


class OutcomeUnknown(Exception):
    """The connection broke before the broker answered: it may have been done or not."""


class BrokerRefused(Exception):
    """The broker does not let us in; trying again would not help."""


@dataclass(slots=True)
class Taken:
    """An event that was taken out of a queue: nobody else gets it."""

    event: Json
    #: As it stood in the queue, to go back there or on to another one.
    raw: bytes
    #: Seconds until it would have expired; None where it says nothing of that.
    expires_in: float | None


class Queue(Protocol):
    """A worker queue that is being read. One caller at a time."""

    async def take(self, most: int) -> list[Taken]:
        """Waits for the oldest unexpired events, half a second or so; an empty list where none came.

        It never raises because the broker is away, or does not let us in any more: it waits for it. What is no event is counted out and logged.
        """

    async def give_back(self, events: Sequence[Taken]) -> None:
        """Puts events back at the head, oldest first, as if nobody had taken them. Where a broker has no head, at the end."""

    async def close(self) -> None:
        """Lets go of the queue. What is in it stays: a gateway reads what a worker of its own left behind."""


class Broker(Protocol):
    """A broker. A name in it is a queue's, a room's or a topic's; a topic is used as it is told."""

    @property
    def address(self) -> str:
        """Where it is, for people: without secrets."""

    async def open(self) -> None:
        """Connects, and waits for a broker that is away. Raises BrokerRefused."""

    def queue(self, name: str) -> Queue:
        """A queue to be read."""

    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> Sequence[int]:
        """Publishes to topics, in order, in one go.

        Returns which of them nobody heard although somebody may hear them soon: the broker is back, and gateways have 5 s to come back to it. None where
        a broker cannot tell. Raises BrokerAway where nothing was sent, OutcomeUnknown where the answer was lost. A message that the broker refuses is
        logged and counts as sent.
        """

    def room(self, name: str) -> str:
        """The topic of a room."""

    async def push(self, queue: str, event: Taken) -> None:
        """Hands an event on to another queue, as it is. Raises BrokerAway, OutcomeUnknown."""

    async def listen(self, room: str, hear: Callable[[bytes], None]) -> Callable[[], Awaitable[None]]:
        """Calls `hear` with each message of a room from now on, until what it returns is called. Raises BrokerAway."""

    async def close(self) -> None:
        """Lets go of every connection."""
