"""What goes wrong with brokers and processes, and what becomes of sessions then."""

import asyncio
import gc
from collections.abc import Callable

import pytest
import redis.asyncio

from busgate_asgi import worker as worker_module
from busgate_asgi.exchange import Exchange
from busgate_asgi.session import Session
from busgate_asgi.types import Application, Receive, Scope, Send
from tests.support.gateway import gateway_at
from tests.support.proxy import proxy_to
from tests.support.servers import Server, start_nats, start_redis
from tests.support.workers import has_spoken, worker


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers frames with the same, and requests with nothing."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


def saying_three(say: asyncio.Event) -> Application:
    """Sends three frames once it is told to."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await say.wait()
        for number in range(3):
            await send({"type": "websocket.send", "text": str(number)})
        await receive()

    return application


@pytest.mark.parametrize("start", [start_redis, start_nats])
async def test_a_worker_reads_on_after_a_restart_of_the_broker(start: Callable[[], Server]) -> None:
    with start() as server:
        async with gateway_at(server.url) as (gateway, prefix), worker(server.url, prefix, echo) as running:
            session = gateway.session()
            await session.accepted()
            await has_spoken(running)
            server.kill()
            server.start()
            await gateway.reconnect(server.url, prefix)
            newcomer = gateway.session()
            await newcomer.accepted()
            for client in (session, newcomer):
                await client.receive(text="served again")
                assert (await client.reply("websocket.send"))["text"] == "served again"
                await client.disconnect()


async def test_what_is_said_while_the_broker_is_away_arrives_when_it_is_back() -> None:
    say = asyncio.Event()
    application = saying_three(say)
    with start_redis() as server:
        async with gateway_at(server.url) as (gateway, prefix), proxy_to(server.port) as proxy, worker(proxy.url, prefix, application):
            session = gateway.session()
            await session.accepted()
            await proxy.close()
            say.set()
            await asyncio.sleep(0.1)
            assert session.replies.empty()
            await proxy.open()
            assert [(await session.reply("websocket.send"))["text"] for _ in range(3)] == ["0", "1", "2"]
            await session.disconnect()


async def test_what_is_said_before_a_gateway_is_back_at_the_broker_waits_for_it() -> None:
    say = asyncio.Event()
    application = saying_three(say)
    with start_redis() as server:
        async with gateway_at(server.url) as (gateway, prefix), worker(server.url, prefix, application) as running:
            session = gateway.session()
            await session.accepted()
            await has_spoken(running)
            server.kill()
            say.set()
            server.start()
            async with redis.asyncio.Redis.from_url(server.url) as client:
                # A new server counts from nothing: what is said was tried, and is tried again.
                while (await client.info("commandstats")).get("cmdstat_publish", {"calls": 0})["calls"] < 3:
                    await asyncio.sleep(0.05)
            assert session.replies.empty()
            await gateway.reconnect(server.url, prefix)
            assert [(await session.reply("websocket.send"))["text"] for _ in range(3)] == ["0", "1", "2"]
            await session.disconnect()


async def test_a_password_that_changes_under_a_worker_does_not_end_it() -> None:
    with start_redis("--requirepass", "one") as server:
        url = server.url.replace("//", "//:one@")
        async with gateway_at(url) as (gateway, prefix), worker(url, prefix, echo), redis.asyncio.Redis.from_url(url) as admin:
            session = gateway.session()
            await session.accepted()
            await admin.config_set("requirepass", "another")
            ours = [client["id"] for client in await admin.client_list() if client["name"] == "busgate-asgi"]
            for name in ours:
                await admin.client_kill_filter(_id=name)
            failures = "errorstat_WRONGPASS"
            while (await admin.info("errorstats")).get(failures, {"count": 0})["count"] < 2 * len(ours):
                await asyncio.sleep(0.05)
            await admin.config_set("requirepass", "one")
            await session.receive(text="let in again")
            assert (await session.reply("websocket.send"))["text"] == "let in again"
            newcomer = gateway.session()
            await newcomer.accepted()
            for client in (session, newcomer):
                await client.disconnect()


async def test_a_session_whose_reply_may_be_lost_is_closed_and_no_other(redis_server: Server) -> None:
    async with gateway_at(redis_server.url) as (gateway, prefix), proxy_to(redis_server.port) as proxy, worker(proxy.url, prefix, echo):
        sessions = [gateway.session() for _ in range(2)]
        for session in sessions:
            await session.accepted()
        proxy.deafen(b"lost?")
        await sessions[0].receive(text="lost?")
        assert (await sessions[0].reply("websocket.send"))["text"] == "lost?"
        assert await sessions[0].reply() == {"type": "websocket.close", "code": 1011, "reason": "a message may have been lost", "lease": 1}
        await sessions[1].receive(text="not lost")
        assert (await sessions[1].reply("websocket.send"))["text"] == "not lost"
        for session in sessions:
            await session.disconnect()


async def test_what_was_handled_when_a_reply_may_be_lost_is_said_again_and_the_session_is_no_other_workers(redis_server: Server) -> None:
    seen: asyncio.Queue[object] = asyncio.Queue()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            seen.put_nowait(message["text"])
            # Also when it was closed, of which it has not heard.
            await send({**message, "type": "websocket.send"})
        seen.put_nowait(message["code"])

    async with gateway_at(redis_server.url) as (gateway, prefix), proxy_to(redis_server.port) as proxy, worker(proxy.url, prefix, application) as running:
        closed, open_one = gateway.session(), gateway.session()
        for session in (closed, open_one):
            await session.accepted()
        proxy.deafen(b"lost?")
        await closed.receive(text="lost?")
        assert (await closed.reply("websocket.send"))["done"] == 1
        await closed.reply("websocket.close")
        assert await closed.reply() == {"type": "done", "order": 1, "lease": 1}
        # What crosses with the close is nobody's.
        await closed.receive(text="late")
        assert await closed.reply() == {"type": "done", "order": 2, "lease": 1}
        await closed.disconnect(1011)
        assert [await seen.get(), await seen.get()] == ["lost?", 1011]
        again = gateway.session()
        await again.accepted()
        proxy.deafen(b"lost?")
        await again.receive(text="lost?")
        await again.reply("websocket.send")
        await again.reply("websocket.close")
        running.stop()
        assert await open_one.reply() == {"type": "websocket.release", "lease": 1}
    while not again.replies.empty():
        assert (await again.reply())["type"] == "done"


async def test_an_event_that_was_begun_is_no_other_workers_when_a_handler_takes_too_long(monkeypatch: pytest.MonkeyPatch, layer: str) -> None:
    monkeypatch.setattr(worker_module, "STOP_BUSY", 0.1)
    begun = asyncio.Event()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        begun.set()
        await asyncio.Event().wait()

    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, application) as running:
        session = gateway.session()
        await session.accepted()
        for text in ("begun", "not begun"):
            await session.receive(text=text)
        await begun.wait()
        running.stop()
        assert await session.reply() == {"type": "done", "order": 1, "lease": 1}
        assert await session.reply() == {"type": "websocket.release", "lease": 1}


async def test_a_worker_that_was_not_heard_for_long_gives_its_sessions_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "SILENCE", 1.0)
    monkeypatch.setattr(worker_module, "BEAT", 0.1)
    with start_redis() as server:
        async with gateway_at(server.url) as (gateway, prefix), worker(server.url, prefix, echo):
            session = gateway.session()
            accept = await session.accepted()
            beats = await gateway.beats(accept["queue"])
            assert await beats.get() == "working"
            server.pause()
            await asyncio.sleep(1.5)
            server.resume()
            assert await session.reply() == {"type": "websocket.release", "lease": 1}
            await session.resume()
            again = await session.reply("websocket.accept")
            assert again["lease"] == 2
            # Gateways read what was left in the one that it had.
            assert again["queue"] != accept["queue"]
            session.own_queue = again["queue"]
            await session.receive(text="goes on")
            assert (await session.reply("websocket.send"))["text"] == "goes on"
            await session.disconnect()


def kept() -> list[str]:
    """The sessions and requests that are in memory."""
    gc.collect()
    return [found.id for found in gc.get_objects() if isinstance(found, Session | Exchange)]


async def test_nothing_is_kept_of_what_is_over(layer: str) -> None:
    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, echo):
        for _ in range(100):
            session, request = gateway.session(), gateway.session()
            await session.accepted()
            await request.request()
            await request.reply("http.response")
            await session.disconnect()
        marker = gateway.session()
        await marker.accepted()
        await marker.receive(text="all others are over")
        await marker.reply("websocket.send")
        while kept() != [marker.id]:
            await asyncio.sleep(0.05)
        await marker.disconnect()


async def test_an_event_that_is_handed_out_twice_is_handled_once(layer: str) -> None:
    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, echo):
        session = gateway.session()
        await session.accepted()
        await session.receive(text="one")
        session.order = 0
        await session.receive(text="one again")
        await session.receive(text="two")
        assert [(await session.reply("websocket.send"))["text"] for _ in range(2)] == ["one", "two"]
        await session.disconnect()
