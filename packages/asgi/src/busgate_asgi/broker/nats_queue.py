"""A queue on NATS: a subject of the work-queue stream, read through its durable consumer."""

import asyncio
import json
import logging
import time
from calendar import timegm
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error

from busgate_asgi.broker.contract import BrokerAway, Taken
from busgate_asgi.broker.nats_names import Names
from busgate_asgi.logs import Seldom
from busgate_asgi.types import Json

#: The header with how long an event lives, in milliseconds.
LIFETIME = "Busgate-Lifetime"
#: A server that is later than that with an answer has gone, in seconds.
ANSWER = 5.0
#: While NATS is away, or its stream is not made yet, it is tried again that often, in seconds.
AGAIN = 0.25
#: How long a request for events stands with the server, in seconds: so long may a stop take.
_WAIT = 0.5
#: A consumer that nobody asks for that long is removed by the server, and messages that wait for their acknowledgement: as Busgate's layers have it.
_INACTIVE = 300 * 10**9
_MAX_UNACKNOWLEDGED = 100_000
#: Where acknowledgements are forgotten a message is removed from the stream, which one reader alone can do, and what nobody has removed in time, in
#: nanoseconds, is handed out again.
_HANDED_AGAIN = 2 * 10**9
_NO_SUCH_CONSUMER = 10014

T = TypeVar("T")

log = logging.getLogger("busgate_asgi")


class QueueServer(Protocol):
    """What a queue needs of the server that keeps it."""

    names: Names
    #: The server's clock less our monotonic one, in seconds; read when a consumer of our own is made.
    clock_ahead: float | None

    @property
    def client(self) -> Client:
        """The connection. Raises BrokerAway."""

    @property
    def keeps_acknowledgements(self) -> bool:
        """Whether the server remembers an acknowledgement when it is killed. Raises BrokerAway."""

    async def answered(self, steps: Iterable[Awaitable[T]]) -> list[T]:
        """What the server answers to steps that run at once. Raises Error where the connection is lost first, or an answer is late."""

    async def ask(self, call: str, body: Json | None = None) -> Json:
        """A call of JetStream's. Its error has the member `error`. Raises BrokerAway."""

    async def push(self, queue: str, event: Taken) -> None:
        """See Broker."""


class NatsQueue:
    """A queue that is read through its durable consumer, by one request at a time for as many events as are wanted."""

    def __init__(self, broker: QueueServer, name: str) -> None:
        self._broker = broker
        self._name = name
        self._ready: list[Msg] = []
        self._arrived = asyncio.Event()
        self._inbox: str | None = None
        self._subscription: Any = None
        #: What the request that stands may still bring, and when the server forgets it.
        self._left = 0
        self._ends_at = 0.0
        self._age = 0.0
        self._away = False
        self._unreadable = Seldom(log)

    async def take(self, most: int) -> list[Taken]:
        """See Queue."""
        try:
            if self._inbox is None:
                await self._open()
            await self._fill(most)
            messages, self._ready = self._ready[:most], self._ready[most:]
            ours = await self._settled(messages)
        except (BrokerAway, Error, OSError) as error:
            return await self._pause(error)
        if self._away:
            log.info("Queue %s is read again.", self._name)
            self._away = False
        return self._living(ours)

    async def give_back(self, events: Sequence[Taken]) -> None:
        """See Queue."""
        for event in events:
            await self._broker.push(self._name, event)

    async def close(self) -> None:
        """See Queue."""
        if self._inbox is None:
            return
        if self._left > 0:
            await asyncio.sleep(max(self._ends_at - time.monotonic(), 0))
        try:
            for message in self._ready:
                await self._broker.client.publish(message.reply, b"-NAK")
            await self._subscription.unsubscribe()
        except (BrokerAway, Error, OSError) as error:
            log.warning("Queue %s could not be closed (%s).", self._name, error)

    async def _settled(self, messages: list[Msg]) -> list[Msg]:
        """Those that nobody else has, and that the server has forgotten for good: it confirms that before anybody sees them."""
        if not messages:
            return []
        answers = await self._broker.answered(self._settle(message) for message in messages)
        return [message for message, is_ours in zip(messages, answers, strict=True) if is_ours]

    async def _settle(self, message: Msg) -> bool:
        broker = self._broker
        if broker.keeps_acknowledgements:
            await broker.client.request(message.reply, b"+ACK", timeout=ANSWER)
            return True
        removed = await broker.ask(f"STREAM.MSG.DELETE.{broker.names.stream}", {"seq": _sequence(message.reply)})
        return bool(removed.get("success"))

    async def _fill(self, most: int) -> None:
        if self._ready:
            return
        now = time.monotonic()
        if self._left <= 0 or now > self._ends_at:
            self._left, self._ends_at = most, now + _WAIT
            request = {"batch": most, "expires": int(_WAIT * 1e9)}
            call = self._broker.names.call(f"CONSUMER.MSG.NEXT.{self._broker.names.stream}.{self._broker.names.consumer(self._name)}")
            await self._broker.client.publish(call, json.dumps(request).encode(), reply=self._inbox or "")
        self._arrived.clear()
        try:
            await asyncio.wait_for(self._arrived.wait(), self._ends_at - now + AGAIN)
        except asyncio.TimeoutError:
            # A server that has the consumer tells when the time of a request is over.
            await self._forget()

    async def _open(self) -> None:
        """Finds the stream, which a gateway makes, and the consumer, which we make where there is none."""
        names, broker = self._broker.names, self._broker
        stream = await broker.ask(f"STREAM.INFO.{names.stream}")
        if "error" in stream:
            raise BrokerAway(f"stream {names.stream}, which a gateway makes: {stream['error'].get('description')}")
        age = int(stream["config"]["max_age"])
        self._age = age / 1e9
        consumer = names.consumer(self._name)
        known = await broker.ask(f"CONSUMER.INFO.{names.stream}.{consumer}")
        if known.get("error", {}).get("err_code") == _NO_SUCH_CONSUMER:
            before = time.monotonic()
            made = await broker.ask(f"CONSUMER.DURABLE.CREATE.{names.stream}.{consumer}", self._configuration(consumer, age))
            if "error" in made:
                raise BrokerAway(f"consumer {consumer}: {made['error'].get('description')}")
            broker.clock_ahead = _seconds(made["created"]) - (before + time.monotonic()) / 2
        self._inbox = broker.client.new_inbox()
        self._subscription = await broker.client.subscribe(self._inbox, cb=self._arrive)

    def _configuration(self, consumer: str, age: int) -> Json:
        return {
            "stream_name": self._broker.names.stream,
            "config": {
                "durable_name": consumer,
                "ack_policy": "explicit",
                "ack_wait": age if self._broker.keeps_acknowledgements else min(age, _HANDED_AGAIN),
                "deliver_policy": "all",
                "filter_subject": self._broker.names.queue(self._name),
                "replay_policy": "instant",
                "max_ack_pending": _MAX_UNACKNOWLEDGED,
                "inactive_threshold": _INACTIVE,
            },
        }

    async def _arrive(self, message: Msg) -> None:
        status = (message.headers or {}).get("Status")
        if status is None:
            self._left -= 1
            self._ready.append(message)
        else:
            self._left = 0
            if status != "408":
                await self._forget()
        self._arrived.set()

    async def _forget(self) -> None:
        """The consumer has gone, or its leader moved: it is looked for anew."""
        self._inbox = None
        self._left = 0
        await self._subscription.unsubscribe()

    async def _pause(self, error: Exception) -> list[Taken]:
        if not self._away:
            log.warning("Queue %s cannot be read (%s); trying on.", self._name, error)
        self._away = True
        self._left = 0
        # What came through a connection that is lost may be handed to another one.
        self._ready = []
        await asyncio.sleep(AGAIN)
        return []

    def _living(self, messages: list[Msg]) -> list[Taken]:
        taken = []
        for message in messages:
            try:
                event = json.loads(message.data)
                event.get("type")
            except (ValueError, AttributeError):
                self._unreadable.error("What is no JSON object was skipped in queue %s.", self._name)
                continue
            left = self._expires_in(message)
            if left > 0:
                taken.append(Taken(event, message.data, left))
        return taken

    def _expires_in(self, message: Msg) -> float:
        lifetime = float((message.headers or {}).get(LIFETIME, 0)) / 1000 or self._age
        ahead = time.time() - time.monotonic() if self._broker.clock_ahead is None else self._broker.clock_ahead
        return _kept_at(message.reply) + lifetime - time.monotonic() - ahead


def _kept_at(acknowledgement: str) -> float:
    """When the stream took the message, by the server's clock, in seconds: in the subject of its acknowledgement (ADR-15)."""
    parts = acknowledgement.split(".")
    return int(parts[7 if len(parts) == 9 else 9]) / 1e9


def _sequence(acknowledgement: str) -> int:
    """The number of the message in its stream."""
    parts = acknowledgement.split(".")
    return int(parts[5 if len(parts) == 9 else 7])


def _seconds(timestamp: str) -> float:
    """RFC 3339 with up to nine digits, which is more than Python's own reader takes."""
    whole, _, fraction = timestamp.rstrip("Z").partition(".")
    return timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float(f"0.{fraction or 0}")
