"""The gateway's side of the wire, for tests of the worker: events onto queues, replies from a topic, as PROTOCOL.md has them."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol

import nats
import redis.asyncio
from nats.aio.client import Client
from redis.asyncio import RedisCluster

Json = dict[str, Any]

#: How long a reply may take on a busy machine, in seconds.
PATIENCE = 30.0
#: A worker may take that long to start, or to find its broker, on a busy machine.
ACCEPT_TIMEOUT, HANDLER_TIMEOUT = 60.0, 30.0


class Wire(Protocol):
    """A broker, as gateways use it."""

    def topic(self, kind: str, name: str) -> str: ...
    async def push(self, queue: str, event: Json, seconds: float) -> None: ...
    async def publish(self, topic: str, payload: bytes) -> None: ...
    async def subscribe(self, topic: str, hear: Callable[[bytes], None]) -> None: ...
    async def length(self, queue: str) -> int: ...
    async def close(self) -> None: ...


class RedisWire:
    """Redis, or a cluster of them."""

    def __init__(self, client: "redis.asyncio.Redis | RedisCluster", prefix: str) -> None:
        self.client: Any = client
        self._prefix = prefix
        self._tasks: list[asyncio.Task[None]] = []

    def topic(self, kind: str, name: str) -> str:
        return f"{self._prefix}:{kind}:{name}"

    async def push(self, queue: str, event: Json, seconds: float) -> None:
        clock = await self.client.time()
        if isinstance(clock, dict):
            clock = next(iter(clock.values()))
        expires = int(clock[0] * 1000 + clock[1] / 1000 + seconds * 1000)
        await self.client.rpush(f"{self._prefix}:queue:{queue}", json.dumps({**event, "__expires": expires}))

    async def publish(self, topic: str, payload: bytes) -> None:
        await self.client.execute_command("PUBLISH", topic, payload)

    async def subscribe(self, topic: str, hear: Callable[[bytes], None]) -> None:
        client = self.client
        if isinstance(client, RedisCluster):
            node = client.get_random_node()
            client = redis.asyncio.Redis(host=str(node.host), port=int(node.port))
        channel = client.pubsub()
        await channel.subscribe(topic)
        while await channel.get_message(timeout=PATIENCE) is None:
            pass

        async def listen() -> None:
            async with channel:
                async for message in channel.listen():
                    if message["type"] == "message":
                        hear(message["data"])

        self._tasks.append(asyncio.create_task(listen()))

    async def length(self, queue: str) -> int:
        return int(await self.client.llen(f"{self._prefix}:queue:{queue}"))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self.client.aclose()


class NatsWire:
    """NATS, with the stream of queues made as a layer makes it."""

    def __init__(self, client: Client, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._stream = f"{prefix.upper()}_QUEUE"

    async def make(self) -> None:
        """Makes the stream."""
        stream = {
            "name": self._stream,
            "subjects": [f"{self._prefix}.queue.>"],
            "retention": "workqueue",
            "discard": "new",
            "discard_new_per_subject": True,
            "max_msgs_per_subject": 10_000,
            "max_age": 86_400 * 10**9,
            "storage": "memory",
            "num_replicas": 1,
        }
        await self._client.request(f"$JS.API.STREAM.CREATE.{self._stream}", json.dumps(stream).encode(), timeout=PATIENCE)

    def topic(self, kind: str, name: str) -> str:
        return f"{self._prefix}.{kind}.{name}"

    async def push(self, queue: str, event: Json, seconds: float) -> None:
        headers = {"Busgate-Lifetime": str(int(seconds * 1000))}
        await self._client.request(self.topic("queue", queue), json.dumps(event).encode(), timeout=PATIENCE, headers=headers)

    async def publish(self, topic: str, payload: bytes) -> None:
        await self._client.publish(topic, payload)

    async def subscribe(self, topic: str, hear: Callable[[bytes], None]) -> None:
        async def arrived(message: Any) -> None:
            hear(message.data)

        await self._client.subscribe(topic, cb=arrived)
        await self._client.flush()

    async def length(self, queue: str) -> int:
        body = json.dumps({"subjects_filter": self.topic("queue", queue)}).encode()
        answer = await self._client.request(f"$JS.API.STREAM.INFO.{self._stream}", body, timeout=PATIENCE)
        return sum((json.loads(answer.data)["state"].get("subjects") or {}).values())

    async def close(self) -> None:
        await self._client.close()


class Gateway:
    """A gateway process: its topic, and the sessions it has."""

    def __init__(self, wire: Wire, queue: str) -> None:
        self.wire = wire
        self.queue = queue
        self.process = secrets.token_hex(6)
        self.topic = wire.topic("process", self.process)
        self.sessions: dict[str, Session] = {}

    async def start(self) -> None:
        """Listens on its topic."""
        await self.wire.subscribe(self.topic, self._hear)

    async def reconnect(self, url: str, prefix: str) -> None:
        """The same process on a broker that is there again."""
        await self.wire.close()
        self.wire = await _open(url, prefix)
        await self.start()

    def session(self, **members: Any) -> "Session":
        """A client that has come."""
        session = Session(self, members)
        self.sessions[session.channel] = session
        return session

    async def beats(self, queue: str) -> "asyncio.Queue[str]":
        """What the worker that reads a queue of its own says of itself."""
        heard: asyncio.Queue[str] = asyncio.Queue()
        await self.wire.subscribe(self.wire.topic("room", f"_worker.{queue}"), lambda payload: heard.put_nowait(json.loads(payload)["state"]))
        return heard

    def _hear(self, payload: bytes) -> None:
        message = json.loads(payload)
        session = self.sessions.get(message.pop("channel"))
        if session is not None:
            session.messages += 1
            for reply in message.get("replies", [message]):
                session.replies.put_nowait(reply)


class Session:
    """A client's session: events of it in order, and what was replied."""

    def __init__(self, gateway: Gateway, members: Json) -> None:
        self.id = secrets.token_urlsafe(12)
        self.channel = f"busgate.{gateway.process}!{self.id}"
        self.replies: asyncio.Queue[Json] = asyncio.Queue()
        self.messages = 0
        self.order = 0
        self.lease = 1
        self.own_queue: str | None = None
        self._gateway = gateway
        self._members = members

    def event(self, kind: str, **members: Any) -> Json:
        """An event with the members that every one has."""
        return {
            "type": kind,
            "id": f"{self.id}:{self.order}",
            "session": self.id,
            "order": self.order,
            "lease": self.lease,
            "reply_channel": self.channel,
            "reply_topic": self._gateway.topic,
            "route": "/app/*",
            "path": "/app/chat",
            "params": {"rest": "chat"},
            "state": None,
            **members,
        }

    def opening(self, kind: str, **members: Any) -> Json:
        """An event that begins a session."""
        common = {
            "query_string": "a=1",
            "raw_path": "/app/chat",
            "http_version": "1.1",
            "headers": [["host", "example.org"], ["cookie", "a=b"], ["cookie", "c=d"]],
            "client": ["203.0.113.9", 51234],
            "server": ["192.0.2.1", 8080],
            "user": None,
        }
        return self.event(kind, **{**common, **members, **self._members})

    async def connect(self, seconds: float = ACCEPT_TIMEOUT, **members: Any) -> None:
        """Queues the connect."""
        event = self.opening("websocket.connect", **{"scheme": "ws", "subprotocols": [], "resumed": False, **members})
        await self._gateway.wire.push(self._gateway.queue, event, seconds)

    async def request(self, method: str = "GET", body: str | None = None, seconds: float = HANDLER_TIMEOUT, **members: Any) -> None:
        """Queues a request; `body` is in base64."""
        event = self.opening("http.request", method=method, scheme="http", **({} if body is None else {"body": {"$bytes": body}}), **members)
        await self._gateway.wire.push(self._gateway.queue, event, seconds)

    async def accepted(self, **members: Any) -> Json:
        """Connects; the accept."""
        await self.connect(**members)
        accept = await self.reply("websocket.accept")
        self.own_queue = accept["queue"]
        return accept

    async def receive(self, seconds: float = HANDLER_TIMEOUT, **members: Any) -> int:
        """Queues what the client says; the order of the event."""
        self.order += 1
        assert self.own_queue is not None
        await self._gateway.wire.push(self.own_queue, self.event("websocket.receive", **members), seconds)
        return self.order

    async def disconnect(self, code: int = 1000, queue: str | None = None, **members: Any) -> None:
        """Queues the end."""
        self.order += 1
        event = self.event("websocket.disconnect", **{"code": code, "reason": "", **members})
        await self._gateway.wire.push(queue or self.own_queue or self._gateway.queue, event, 86_400)

    async def resume(self, **members: Any) -> None:
        """Queues the connect again, for another worker."""
        self.lease += 1
        self.order += 1
        await self.connect(resumed=True, **members)

    async def reply(self, kind: str | None = None) -> Json:
        """The next reply; one of that type, where a `done` that came by itself does not count."""
        reply = await asyncio.wait_for(self.replies.get(), PATIENCE)
        while kind not in (None, "done") and reply["type"] == "done":
            reply = await asyncio.wait_for(self.replies.get(), PATIENCE)
        assert kind is None or reply["type"] == kind, reply
        return reply


@asynccontextmanager
async def gateway_at(url: str, prefix: str | None = None, client: "redis.asyncio.Redis | Client | None" = None) -> AsyncIterator[tuple[Gateway, str]]:
    """A gateway of the queue `app`, and the prefix that it has for itself; `client` where the URL does not say all."""
    prefix = prefix or f"t{secrets.token_hex(6)}"
    gateway = Gateway(await _open(url, prefix) if client is None else await _over(client, prefix), "app")
    await gateway.start()
    try:
        yield gateway, prefix
    finally:
        await gateway.wire.close()


async def _over(client: "redis.asyncio.Redis | Client", prefix: str) -> Wire:
    if not isinstance(client, Client):
        return RedisWire(client, prefix)
    wire = NatsWire(client, prefix)
    await wire.make()
    return wire


async def _open(url: str, prefix: str) -> Wire:
    if url.startswith("nats"):
        return await _over(await nats.connect(url), prefix)
    if url.startswith("redis-cluster"):
        return RedisWire(await RedisCluster.from_url(url.replace("redis-cluster", "redis", 1)).initialize(), prefix)
    return RedisWire(redis.asyncio.Redis.from_url(url), prefix)
