"""One connection to a Redis server, and where in a deployment it goes: Redis itself, the primary behind Sentinel, or the node of a cluster."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, Protocol, TypeVar

from redis.asyncio import RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import AuthenticationError, AuthorizationError, NoPermissionError, RedisClusterException, RedisError, ResponseError

from busgate_asgi.broker.contract import BrokerAway, BrokerRefused, OutcomeUnknown
from busgate_asgi.broker.url import Target, Tls

#: A server that does not take a connection for that long counts as away, in seconds.
CONNECT_TIMEOUT = 5.0
#: A server that is later than that with an answer has gone, and so has the connection, in seconds.
ANSWER_TIMEOUT = 5.0

#: What all connections have in common.
_PATIENCE: dict[str, Any] = {"protocol": 2, "socket_timeout": None, "socket_connect_timeout": CONNECT_TIMEOUT}

Command = tuple[str | bytes | float, ...]
T = TypeVar("T")


class Link:
    """A connection. What is sent in one go is answered in order; one caller at a time."""

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection

    @property
    def gone(self) -> bool:
        """Whether the server has ended the connection already, so that nothing that is written to it would arrive."""
        reader = self._connection._reader
        return reader is None or reader.at_eof() or reader.exception() is not None

    async def run(self, commands: Sequence[Command], patience: float = ANSWER_TIMEOUT) -> list[Any]:
        """Sends commands in one write; their answers, of which an error of the server's may be one.

        Raises OutcomeUnknown where the connection broke, or the last answer is later than `patience` seconds; the connection is of no more use then.
        """
        return await self._proved(self._run(self._connection.pack_commands(commands), len(commands)), patience)

    async def publish(self, messages: Sequence[tuple[str, bytes]], only_where_writable: str | None = None) -> list[Any]:
        """As `run`, for nothing but PUBLISH, whose packing is most of what a reply would cost.

        The answers are how many subscribers each had. With the key that never exists nothing is published by a server that has become a replica,
        whose subscribers are nearly nobody. Raises BrokerAway then.
        """
        packed = [b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % _sized(topic.encode(), payload) for topic, payload in messages]
        if only_where_writable is None:
            return await self._proved(self._run(packed, len(packed)), ANSWER_TIMEOUT)
        guard = self._connection.pack_commands([("MULTI",), ("DEL", only_where_writable)])
        answers = await self._proved(self._run([*guard, *packed, *self._connection.pack_command("EXEC")], len(packed) + 3), ANSWER_TIMEOUT)
        if isinstance(answers[1], ResponseError):
            await self.close()
            raise BrokerAway(str(answers[1]))
        done = answers[-1]
        return answers[2:-1] if isinstance(done, ResponseError) else done[1:]

    async def send(self, command: Command) -> None:
        """Sends a command whose answer comes through :meth:`read`. Raises OutcomeUnknown."""
        await self._proved(self._connection.send_command(*command), ANSWER_TIMEOUT)

    async def read(self) -> Any:
        """The next thing that the server says, however long it takes. Raises OutcomeUnknown when the connection has gone."""
        return await self._proved(self._connection.read_response(), None)

    async def close(self) -> None:
        """Ends the connection."""
        await self._connection.disconnect(nowait=True)

    async def _run(self, packed: list[bytes], answers: int) -> list[Any]:
        await self._connection.send_packed_command(packed)
        return [await self._answer() for _ in range(answers)]

    async def _answer(self) -> Any:
        try:
            return await self._connection.read_response()
        except ResponseError as error:
            return error

    async def _proved(self, step: Awaitable[T], patience: float | None) -> T:
        try:
            return await asyncio.wait_for(step, patience)
        except (RedisError, OSError, asyncio.TimeoutError) as error:
            await self.close()
            raise OutcomeUnknown(str(error) or "no answer") from error


class Place(Protocol):
    """Finds the server for a key."""

    async def link(self, key: str) -> Link:
        """A new connection to the server that holds the key. Raises BrokerAway, BrokerRefused."""


def place_of(target: Target) -> Place:
    """The place that a URL names."""
    if target.kind == "cluster":
        return _Cluster(target)
    return _Primary(target) if target.kind == "sentinel" else _Alone(target)


class _Alone:
    def __init__(self, target: Target) -> None:
        self._target = target

    async def link(self, key: str) -> Link:
        target = self._target
        if target.path is not None:
            return await _opened(UnixDomainSocketConnection(path=target.path, **_identity(target)))
        return await _connect(target, *target.hosts[0], _identity(target))


class _Primary:
    """The primary that the sentinels name at the moment."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._sentinels = list(target.hosts)

    async def link(self, key: str) -> Link:
        link = await _connect(self._target, *await self._address(), _identity(self._target))
        try:
            [role] = await link.run([("ROLE",)])
        except OutcomeUnknown as error:
            raise BrokerAway(str(error)) from error
        if isinstance(role, list) and role[0] != b"master":
            await link.close()
            raise BrokerAway("the sentinels name a server that is no primary")
        return link

    async def _address(self) -> tuple[str, int]:
        """What the first sentinel says that names one. It is asked last the next time: others may know better where that primary is of no use.

        Raises BrokerRefused where no sentinel answers, and one at least does not let us in.
        """
        faults: list[str] = []
        refused = answered = False
        for host, port in list(self._sentinels):
            self._sentinels.remove((host, port))
            self._sentinels.append((host, port))
            try:
                address = await self._ask(host, port)
            except (BrokerAway, BrokerRefused) as error:
                refused = refused or isinstance(error, BrokerRefused)
                faults.append(f"{host}:{port}: {error}")
                continue
            if address is not None:
                return address
            answered = True
            faults.append(f"{host}:{port} knows no primary {self._target.primary!r}")
        words = f"no sentinel says where the primary is: {'; '.join(faults)}"
        if answered or not refused:
            raise BrokerAway(words)
        raise BrokerRefused(f"{words}; sentinels have their own parameters in the URL: sentinelUsername, sentinelPassword")

    async def _ask(self, host: str, port: int) -> tuple[str, int] | None:
        target = self._target
        identity = {"username": target.sentinel_username, "password": target.sentinel_password, **_PATIENCE}
        link = await _connect(target, host, port, identity)
        try:
            [answer] = await link.run([("SENTINEL", "GET-MASTER-ADDR-BY-NAME", target.primary)])
        except OutcomeUnknown as error:
            raise _judged(error) from error
        finally:
            await link.close()
        if isinstance(answer, RedisError):
            raise _judged(answer)
        return None if answer is None else (answer[0].decode(), int(answer[1]))


class _Cluster:
    """The node that serves a key's slot; the slots are asked anew for every connection, since one is only made after another was lost."""

    def __init__(self, target: Target) -> None:
        self._target = target

    async def link(self, key: str) -> Link:
        target = self._target
        cluster = RedisCluster(
            startup_nodes=[ClusterNode(host, port) for host, port in target.hosts],
            username=target.username,
            password=target.password,
            socket_timeout=ANSWER_TIMEOUT,
            socket_connect_timeout=CONNECT_TIMEOUT,
            **({"ssl": True, **_files(target.tls)} if target.tls else {}),
        )
        try:
            await cluster.initialize()
            node = cluster.get_node_from_key(key)
        except (RedisError, RedisClusterException, OSError) as error:
            raise _judged(error) from error
        finally:
            await cluster.aclose()
        if node is None:
            raise BrokerAway("no node of the cluster serves the slot")
        return await _connect(target, str(node.host), int(node.port), _identity(target))


class _NamedSSLConnection(SSLConnection):
    """TLS to a server whose certificate has another name than its host."""

    def __init__(self, *, servername: str, **options: Any) -> None:
        self._servername = servername
        super().__init__(**options)

    def _connection_arguments(self) -> dict[str, Any]:
        return {**super()._connection_arguments(), "server_hostname": self._servername}


async def _connect(target: Target, host: str, port: int, identity: dict[str, Any]) -> Link:
    options = {"host": host, "port": port, **identity}
    if target.tls is None:
        return await _opened(Connection(**options))
    if target.tls.servername is None:
        return await _opened(SSLConnection(**options, **_files(target.tls)))
    return await _opened(_NamedSSLConnection(servername=target.tls.servername, **options, **_files(target.tls)))


def _identity(target: Target) -> dict[str, Any]:
    """Who we are to a server that has our queues and topics."""
    return {"db": target.db, "username": target.username, "password": target.password, "client_name": "busgate-asgi", **_PATIENCE}


async def _opened(connection: AbstractConnection) -> Link:
    try:
        await asyncio.wait_for(connection.connect(), CONNECT_TIMEOUT + ANSWER_TIMEOUT)
    except (RedisError, OSError, asyncio.TimeoutError) as error:
        raise _judged(error) from error
    return Link(connection)


def _sized(name: bytes, payload: bytes) -> tuple[int, bytes, int, bytes]:
    return len(name), name, len(payload), payload


def _files(tls: Tls | None) -> dict[str, Any]:
    if tls is None:
        return {}
    return {"ssl_ca_certs": tls.ca, "ssl_certfile": tls.cert, "ssl_keyfile": tls.key, "ssl_check_hostname": True}


def _judged(error: Exception) -> Exception:
    """What an error of the library means, or the one that it came from, which a cluster hides."""
    refused = any(isinstance(one, AuthenticationError | AuthorizationError | NoPermissionError) for one in (error, error.__cause__))
    return (BrokerRefused if refused else BrokerAway)(str(error) or "no answer")
