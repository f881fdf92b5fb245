"""NATS: queues are subjects of one work-queue stream, each with a durable consumer; topics are subjects. Needs the extra `nats`."""

import asyncio
import json
import logging
import math
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import AuthorizationError, Error

from busgate_asgi.broker.contract import BrokerAway, BrokerRefused, OutcomeUnknown, Taken
from busgate_asgi.broker.nats_names import Names
from busgate_asgi.broker.nats_queue import AGAIN, ANSWER, LIFETIME, NatsQueue
from busgate_asgi.broker.url import Target, Tls
from busgate_asgi.logs import Seldom
from busgate_asgi.types import Json

_CONNECT_TIMEOUT = 5
#: Gateways have so long to come back to a NATS that is back, in seconds.
_RETURN = 5.0
#: What is handed on lives as long as the longest event, in milliseconds.
_DAY = 86_400_000
#: Servers before that one forget acknowledgements when they are killed.
_KEEPS_ACKNOWLEDGEMENTS = (2, 10)
#: The status of an answer to what nobody listens to.
_NOBODY = "503"

T = TypeVar("T")

log = logging.getLogger("busgate_asgi")


class NatsBroker:
    """NATS with JetStream."""

    def __init__(self, target: Target, prefix: str) -> None:
        self._target = target
        self.names = Names(prefix, target.domain)
        self._client: Client | None = None
        self._errors = Seldom(log)
        self.address = target.address
        #: Until then, by our monotonic clock, gateways may still be on their way back.
        self._returning_until = 0.0
        self._lost = asyncio.Event()
        self._refused = asyncio.Event()
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
                self._client = await self._connected()
            except AuthorizationError as error:
                raise BrokerRefused(str(error)) from error
            except (Error, OSError, asyncio.TimeoutError) as error:
                if "authorization" in str(error).lower():
                    raise BrokerRefused(str(error)) from error
                if not told:
                    log.warning("The broker at %s is away (%s); trying on.", self.address, error)
                told = True
                await asyncio.sleep(AGAIN)

    async def _connected(self) -> Client:
        """The library tries on for ever, and tells only `error_cb` that the server does not let us in."""
        connecting, refusal = asyncio.ensure_future(nats.connect(**self._options())), asyncio.ensure_future(self._refused.wait())
        either: set[asyncio.Future[Any]] = {connecting, refusal}
        await asyncio.wait(either, timeout=2 * _CONNECT_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
        refusal.cancel()
        if connecting.done():
            return connecting.result()
        connecting.cancel()
        raise AuthorizationError if self._refused.is_set() else asyncio.TimeoutError

    def queue(self, name: str) -> NatsQueue:
        """See Broker."""
        return NatsQueue(self, name)

    def room(self, name: str) -> str:
        """See Broker."""
        return self.names.room(name)

    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> Sequence[int]:
        """See Broker."""
        client = self.client
        if time.monotonic() < self._returning_until:
            return await self._publish_asking(client, messages)
        try:
            for topic, payload in messages:
                await client.publish(topic, payload)
            await self.answered([client.flush(timeout=int(ANSWER))])
        except (Error, OSError, asyncio.TimeoutError) as error:
            raise OutcomeUnknown(str(error) or "no answer") from error
        return ()

    async def _publish_asking(self, client: Client, messages: Sequence[tuple[str, bytes]]) -> Sequence[int]:
        """The server answers what it has no subscriber for, before it says that it has processed everything."""
        inbox = client.new_inbox()
        try:
            answers = await client.subscribe(f"{inbox}.*")
            for at, (topic, payload) in enumerate(messages):
                await client.publish(topic, payload, reply=f"{inbox}.{at}")
            await self.answered([client.flush(timeout=int(ANSWER))])
            unheard = [await answers.next_msg() for _ in range(answers.pending_msgs)]
            await answers.unsubscribe()
        except (Error, OSError, asyncio.TimeoutError) as error:
            raise OutcomeUnknown(str(error) or "no answer") from error
        return [int(answer.subject.rpartition(".")[2]) for answer in unheard if (answer.headers or {}).get("Status") == _NOBODY]

    async def answered(self, steps: Iterable[Awaitable[T]]) -> list[T]:
        """What the server answers to steps that run at once. Raises Error where the connection is lost first, or an answer is late."""
        answers, loss = asyncio.gather(*steps), asyncio.ensure_future(self._lost.wait())
        either: set[asyncio.Future[Any]] = {answers, loss}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        loss.cancel()
        if answers.done():
            return answers.result()
        answers.cancel()
        raise Error("the connection was lost")

    @property
    def keeps_acknowledgements(self) -> bool:
        """Whether the server remembers an acknowledgement when it is killed. Raises BrokerAway."""
        version = self.client.connected_server_version
        return (version.major, version.minor) >= _KEEPS_ACKNOWLEDGEMENTS

    async def push(self, queue: str, event: Taken) -> None:
        """See Broker."""
        try:
            answer = await self.client.request(self.names.queue(queue), event.raw, timeout=ANSWER, headers={LIFETIME: str(_DAY)})
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
            await self.client.flush(timeout=int(ANSWER))
        except (Error, OSError, asyncio.TimeoutError) as error:
            raise BrokerAway(str(error)) from error
        return subscription.unsubscribe

    async def ask(self, call: str, body: Json | None = None) -> Json:
        """A call of JetStream's. Its error has the member `error`. Raises BrokerAway."""
        try:
            answer = await self.client.request(self.names.call(call), json.dumps(body).encode() if body else b"", timeout=ANSWER)
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
            "reconnect_time_wait": AGAIN,
            "ping_interval": 2,
            "error_cb": self._failed,
            "disconnected_cb": self._disconnected,
            "reconnected_cb": self._reconnected,
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

    async def _disconnected(self) -> None:
        # The library publishes again before it tells that it is back.
        self._returning_until = math.inf
        self._lost.set()
        self._lost = asyncio.Event()

    async def _reconnected(self) -> None:
        self._returning_until = time.monotonic() + _RETURN

    async def _failed(self, error: Exception) -> None:
        if "authorization" in str(error).lower():
            self._refused.set()
        self._errors.error("NATS: %s", str(error) or type(error).__name__)


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca)
    if tls.cert is not None:
        context.load_cert_chain(tls.cert, tls.key)
    return context
