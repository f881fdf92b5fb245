"""NATS: queues are subjects of one work-queue stream, each with a durable consumer; topics are subjects. Needs the extra `nats`."""

import asyncio
import json
import logging
import ssl
import time
from calendar import timegm
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import AuthorizationError, Error

from busgate_asgi.broker.contract import BrokerAway, BrokerRefused, OutcomeUnknown, Taken
from busgate_asgi.broker.nats_names import Names
from busgate_asgi.broker.url import Target, Tls
from busgate_asgi.logs import Seldom
from busgate_asgi.types import Json

#: How long a request for events stands with the server, in seconds: so long may a stop take.
_WAIT = 0.5
#: A server that is later than that with an answer has gone, in seconds.
_ANSWER = 5.0
#: While NATS is away, or its stream is not made yet, it is tried again that often, in seconds.
_AGAIN = 0.25
_CONNECT_TIMEOUT = 5
#: A consumer that nobody asks for that long is removed by the server, and messages that wait for their acknowledgement: as Busgate's layers have it.
_INACTIVE = 300 * 10**9
_MAX_UNACKNOWLEDGED = 100_000
#: The header with how long an event lives, in milliseconds, and what is handed on lives as long as the longest.
_LIFETIME = "Busgate-Lifetime"
_DAY = 86_400_000
_NO_SUCH_CONSUMER = 10014

log = logging.getLogger("busgate_asgi")


class NatsBroker:
    """NATS with JetStream."""

    def __init__(self, target: Target, prefix: str) -> None:
        self._target = target
        self.names = Names(prefix, target.domain)
        self._client: Client | None = None
        self._errors = Seldom(log)
        self.address = target.address
        #: The server's clock less our monotonic one, in seconds; read when a consumer of our own is made.
        self.clock_ahead: float | None = None

    @property
    def client(self) -> Client:
        """The connection. Raises BrokerAway."""
        if self._client is None or not self._client.is_connected:
            raise BrokerAway("not connected")
        return self._client

    async def open(self) -> None:
        """See Broker."""
        told = False
        while self._client is None:
            try:
                self._client = await asyncio.wait_for(nats.connect(**self._options()), 2 * _CONNECT_TIMEOUT)
            except AuthorizationError as error:
                raise BrokerRefused(str(error)) from error
            except (Error, OSError, asyncio.TimeoutError) as error:
                if "authorization" in str(error).lower():
                    raise BrokerRefused(str(error)) from error
                if not told:
                    log.warning("The broker at %s is away (%s); trying on.", self.address, error)
                told = True
                await asyncio.sleep(_AGAIN)

    def queue(self, name: str) -> "NatsQueue":
        """See Broker."""
        return NatsQueue(self, name)

    def room(self, name: str) -> str:
        """See Broker."""
        return self.names.room(name)

    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> Sequence[int]:
        """See Broker."""
        client = self.client
        try:
            for topic, payload in messages:
                await client.publish(topic, payload)
            await client.flush(timeout=int(_ANSWER))
        except (Error, OSError, asyncio.TimeoutError) as error:
            raise OutcomeUnknown(str(error) or "no answer") from error
        return ()

    async def push(self, queue: str, event: Taken) -> None:
        """See Broker."""
        try:
            answer = await self.client.request(self.names.queue(queue), event.raw, timeout=_ANSWER, headers={_LIFETIME: str(_DAY)})
        except (Error, OSError, asyncio.TimeoutError) as error:
            raise OutcomeUnknown(str(error) or "no answer") from error
        if "error" in json.loads(answer.data):
            raise BrokerAway(answer.data.decode())

    async def listen(self, room: str, hear: Callable[[bytes], None]) -> Callable[[], Awaitable[None]]:
        """See Broker."""

        async def arrived(message: Msg) -> None:
            hear(message.data)

        try:
            subscription = await self.client.subscribe(self.room(room), cb=arrived)
            await self.client.flush(timeout=int(_ANSWER))
        except (Error, OSError, asyncio.TimeoutError) as error:
            raise BrokerAway(str(error)) from error
        return subscription.unsubscribe

    async def ask(self, call: str, body: Json | None = None) -> Json:
        """A call of JetStream's. Its error has the member `error`. Raises BrokerAway."""
        try:
            answer = await self.client.request(self.names.call(call), json.dumps(body).encode() if body else b"", timeout=_ANSWER)
        except (Error, OSError, asyncio.TimeoutError) as error:
            raise BrokerAway(str(error) or "no answer") from error
        found: Json = json.loads(answer.data)
        return found

    async def close(self) -> None:
        """See Broker."""
        if self._client is not None:
            await self._client.close()

    def _options(self) -> dict[str, Any]:
        target = self._target
        options: dict[str, Any] = {
            "servers": [f"nats://{f'[{host}]' if ':' in host else host}:{port}" for host, port in target.hosts],
            "name": "busgate-asgi",
            "connect_timeout": _CONNECT_TIMEOUT,
            "max_reconnect_attempts": -1,
            "reconnect_time_wait": _AGAIN,
            "ping_interval": 2,
            "error_cb": self._failed,
            "user": target.username,
            "password": target.password,
            "token": target.token,
            "user_credentials": target.creds,
            "nkeys_seed": target.nkey,
        }
        if target.tls is not None:
            options["tls"] = _context(target.tls)
            if target.tls.servername is not None:
                options["tls_hostname"] = target.tls.servername
        return {name: value for name, value in options.items() if value is not None}

    async def _failed(self, error: Exception) -> None:
        self._errors.error("NATS: %s", str(error) or type(error).__name__)


class NatsQueue:
    """A queue that is read through its durable consumer, by one request at a time for as many events as are wanted."""

    def __init__(self, broker: NatsBroker, name: str) -> None:
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
            for message in messages:
                await self._broker.client.publish(message.reply, b"+ACK")
        except (BrokerAway, Error, OSError) as error:
            return await self._pause(error)
        if self._away:
            log.info("Queue %s is read again.", self._name)
            self._away = False
        return self._living(messages)

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
            await asyncio.wait_for(self._arrived.wait(), self._ends_at - now + _AGAIN)
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
                "ack_wait": age,
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
        await asyncio.sleep(_AGAIN)
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
        lifetime = float((message.headers or {}).get(_LIFETIME, 0)) / 1000 or self._age
        ahead = time.time() - time.monotonic() if self._broker.clock_ahead is None else self._broker.clock_ahead
        return _kept_at(message.reply) + lifetime - time.monotonic() - ahead


def _kept_at(acknowledgement: str) -> float:
    """When the stream took the message, by the server's clock, in seconds: in the subject of its acknowledgement (ADR-15)."""
    parts = acknowledgement.split(".")
    return int(parts[7 if len(parts) == 9 else 9]) / 1e9


def _seconds(timestamp: str) -> float:
    """RFC 3339 with up to nine digits, which is more than Python's own reader takes."""
    whole, _, fraction = timestamp.rstrip("Z").partition(".")
    return timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float(f"0.{fraction or 0}")


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca)
    if tls.cert is not None:
        context.load_cert_chain(tls.cert, tls.key)
    return context
