"""Workers behind real gateways, with real clients: deploys, deaths, and what the browser sees."""

import asyncio
import json
import os
import secrets
import signal
from collections import defaultdict
from contextlib import AsyncExitStack
from typing import Any

import pytest
import redis.asyncio
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from busgate_asgi.types import Receive, Scope, Send
from tests.support.busgate import busgate
from tests.support.servers import Server, start_redis
from tests.support.workers import Command, command, worker

PATIENCE = 30.0
#: How many clients a deploy finds, and how often each says something, in seconds.
CLIENTS, PACE = 200, 1.0
#: How long the sessions of a worker that is killed are nobody's at most, in seconds.
BEGUN_ANEW_WITHIN = 12.0


class Witness:
    """What the workers of a test were given, by client."""

    def __init__(self, server: Server) -> None:
        self.prefix = f"t{secrets.token_hex(6)}"
        self._client = redis.asyncio.Redis.from_url(server.url, decode_responses=True)
        self.environment = {"WITNESS_REDIS": server.url, "WITNESS_KEY": f"{self.prefix}-seen"}
        self.arguments = ["tests.applications.witness:application", "--layer", server.url, "--queue", "app", "--prefix", self.prefix]

    async def seen(self) -> dict[str, list[str]]:
        """Everything so far."""
        found = defaultdict(list)
        for entry in await self._client.lrange(self.environment["WITNESS_KEY"], 0, -1):
            client, what = str(entry).split(" ", 1)
            found[client].append(what)
        return found

    async def sees(self, client: str, what: str) -> None:
        """Waits until a worker was given that."""
        while what not in (await self.seen())[client]:
            await asyncio.sleep(0.05)

    async def worker(self, stack: AsyncExitStack) -> Command:
        """One more worker, that reads."""
        started = await stack.enter_async_context(command(*self.arguments, environment=self.environment))
        await started.says("Reading queue")
        return started

    async def close(self) -> None:
        await self._client.aclose()


async def heard(client: ClientConnection) -> str:
    """The next frame."""
    return str(await asyncio.wait_for(client.recv(), PATIENCE))


async def test_workers_are_replaced_under_load_and_no_socket_closes_and_nothing_is_lost(redis_server: Server) -> None:
    witness = Witness(redis_server)
    stop = asyncio.Event()
    sent: dict[int, int] = {}
    answered: dict[int, set[int]] = defaultdict(set)

    async def talk(client: ClientConnection, name: int) -> None:
        number = 0
        last = False
        while not last:
            # Once more after the deploy, so that each is answered by a worker that stays.
            last = stop.is_set()
            number += 1
            sent[name] = number
            await client.send(str(number))
            while (answer := await heard(client)).startswith("resumed"):
                pass
            pid, text = answer.split()
            assert int(text) == number
            answered[name].add(int(pid))
            await asyncio.sleep(PACE)

    async with AsyncExitStack() as stack:
        gateways = [await stack.enter_async_context(busgate(redis_server.url, witness.prefix)) for _ in range(2)]
        old = [await witness.worker(stack) for _ in range(3)]
        clients = [await gateways[name % 2].connect(f"/app/{name}") for name in range(CLIENTS)]
        talking = [asyncio.create_task(talk(client, name)) for name, client in enumerate(clients)]
        new = []
        for leaving in old:
            new.append(await witness.worker(stack))
            assert await leaving.end() == 0
        stop.set()
        await asyncio.wait_for(asyncio.gather(*talking), PATIENCE)
        for client in clients:
            await client.close()
        for name in range(CLIENTS):
            await witness.sees(str(name), "disconnect 1000")
        for client_name, was_given in (await witness.seen()).items():
            assert [what for what in was_given if what.isdigit()] == [str(number) for number in range(1, sent[int(client_name)] + 1)]
            assert [what for what in was_given if not what.isdigit() and what != "resumed"] == ["connect", "disconnect 1000"]
        for gateway in gateways:
            assert await gateway.metric("busgate_event_timeouts_total") == 0
            assert await gateway.metric("busgate_event_replies_refused_total") == 0
    assert all(answered[name] & {one.pid for one in new} for name in range(CLIENTS))
    await witness.close()


async def test_the_sessions_of_a_worker_that_is_killed_go_on_elsewhere_with_their_state(redis_server: Server) -> None:
    witness = Witness(redis_server)
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(busgate(redis_server.url, witness.prefix))
        killed = await witness.worker(stack)
        client = await gateway.connect("/app/1")
        await client.send("1")
        assert await heard(client) == f"{killed.pid} 1"
        await witness.worker(stack)
        os.kill(killed.pid, signal.SIGKILL)
        killed_at = asyncio.get_running_loop().time()
        assert await heard(client) == "resumed {'last': '1'} 0"
        assert asyncio.get_running_loop().time() - killed_at < BEGUN_ANEW_WITHIN
        await client.send("2")
        assert (await heard(client)).endswith(" 2")
        await client.close()
        await witness.sees("1", "disconnect 1000")
        assert (await witness.seen())["1"] == ["connect", "1", "resumed", "2", "disconnect 1000"]
    await witness.close()


async def test_a_frozen_worker_that_wakes_up_says_nothing_for_the_sessions_that_another_one_has(redis_server: Server) -> None:
    witness = Witness(redis_server)
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(busgate(redis_server.url, witness.prefix))
        frozen = await witness.worker(stack)
        clients = [await gateway.connect(f"/app/{name}") for name in range(CLIENTS)]
        for client in clients:
            await client.send("1")
        for client in clients:
            assert await heard(client) == f"{frozen.pid} 1"
        other = await witness.worker(stack)
        frozen.process.send_signal(signal.SIGSTOP)
        for client in clients:
            await client.send("2")
        for client in clients:
            assert await heard(client) == "resumed {'last': '1'} 1"
        frozen.process.send_signal(signal.SIGCONT)
        await frozen.says(f"its {CLIENTS} sessions are given back")
        for number in ("3", "4"):
            for client in clients:
                await client.send(number)
            for client in clients:
                assert await heard(client) == f"{other.pid} {number}"
        # It works on, and has them again when the other one stops.
        assert await other.end() == 0
        for client in clients:
            assert await heard(client) == "resumed {'last': '4'} None"
            await client.send("5")
        for client in clients:
            assert await heard(client) == f"{frozen.pid} 5"
            await client.close()
        for name in range(CLIENTS):
            await witness.sees(str(name), "disconnect 1000")
        seen = await witness.seen()
        for name in range(CLIENTS):
            assert seen[str(name)] == ["connect", "1", "resumed", "3", "4", "resumed", "5", "disconnect 1000"]
    await witness.close()


async def test_sockets_stay_while_the_broker_is_away_and_go_on_when_it_is_back() -> None:
    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({**message, "type": "websocket.send"})

    with start_redis() as server:
        async with busgate(server.url, "away") as gateway, worker(server.url, "away", echo):
            clients = [await gateway.connect("/app/1") for _ in range(20)]
            for client in clients:
                await client.send("before")
                assert await heard(client) == "before"
            server.kill()
            for client in clients:
                await client.send("meanwhile")
            # Everything that was in it is lost, too.
            server.start()
            for client in clients:
                assert await heard(client) == "meanwhile"
                await client.send("after")
                assert await heard(client) == "after"
                await client.close()


async def test_what_a_client_sees_of_accepts_refusals_frames_and_closes(redis_server: Server) -> None:
    prefix = f"t{secrets.token_hex(6)}"
    ends: asyncio.Queue[Any] = asyncio.Queue()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if scope["path"] == "/app/denied":
            await send({"type": "websocket.http.response.start", "status": 401, "headers": [(b"x-why", b"because"), (b"content-length", b"3")]})
            await send({"type": "websocket.http.response.body", "body": b"who"})
        elif scope["path"] == "/app/refused":
            await send({"type": "websocket.close"})
        elif scope["path"] == "/app/broken":
            raise LookupError("of the application")
        else:
            await send({"type": "websocket.accept", "subprotocol": scope["subprotocols"][1], "headers": [(b"x-one", b"1")]})
            await send({"type": "room.join", "room": "news"})
            while (message := await receive())["type"] == "websocket.receive":
                if message.get("text") == "close":
                    await send({"type": "websocket.close", "code": 4001, "reason": "as you like"})
                else:
                    await send({**message, "type": "websocket.send"})
            await ends.put(message)
            return
        await ends.put((await receive())["code"])

    async with busgate(redis_server.url, prefix) as gateway, worker(redis_server.url, prefix, application):
        for path, status, body in (("/app/denied", 401, b"who"), ("/app/refused", 403, None), ("/app/broken", 500, b"Internal Server Error")):
            with pytest.raises(InvalidStatus) as refused:
                await gateway.connect(path)
            assert refused.value.response.status_code == status
            if body is not None:
                assert refused.value.response.body == body
            if path != "/app/broken":
                assert await ends.get() == 1006
        client = await gateway.connect("/app/x", subprotocols=["v1", "v2"])
        assert (client.subprotocol, client.response.headers["x-one"]) == ("v2", "1")  # type: ignore[union-attr]
        for frame in ("text ü", b"\x00\xff", "", "x" * 60_000):
            await client.send(frame)
            assert await asyncio.wait_for(client.recv(), PATIENCE) == frame
        async with redis.asyncio.Redis.from_url(redis_server.url) as publisher:
            while not await publisher.execute_command("PUBLISH", f"{prefix}:room:news", "to all"):
                await asyncio.sleep(0.01)
        assert await heard(client) == "to all"
        await client.send("close")
        await client.send("after it")
        with pytest.raises(ConnectionClosed):
            await heard(client)
        assert (client.close_code, client.close_reason) == (4001, "as you like")
        assert await asyncio.wait_for(ends.get(), 5) == {"type": "websocket.disconnect", "code": 4001, "reason": "as you like"}
        assert await gateway.metric("busgate_event_replies_refused_total") == 0
        assert await gateway.metric("busgate_events_in_flight") == 0


async def test_the_chat_of_the_tutorial_in_browsers_words(redis_server: Server, site: dict[str, str]) -> None:
    prefix = f"t{secrets.token_hex(6)}"
    arguments = ["tests.applications.django_site.asgi:application", "--layer", redis_server.url, "--queue", "app", "--prefix", prefix, "--processes", "2"]
    page: dict[str, Any] = {"site": "example.org", "origin": "http://example.org", "additional_headers": {"Cookie": f"sessionid={site['SESSION']}"}}
    async with busgate(redis_server.url, prefix) as gateway, command(*arguments, environment=site) as parent:
        await parent.says("Reading queue", times=2)
        clients = [await gateway.connect("/app/chat/lobby/", **page) for _ in range(6)]
        await clients[0].send('{"message": "hello"}')
        for client in clients:
            assert json.loads(await heard(client)) == {"message": "hello"}
        who = await gateway.connect("/app/who/", subprotocols=["v1"], **page)
        assert (json.loads(await heard(who)), who.subprotocol) == ({"user": "ada"}, "v1")
        for client in (*clients, who):
            await client.close()
