"""HTTP requests: what an application is given, and its answers, whole and as streams."""

import asyncio

from busgate_asgi import replies
from busgate_asgi.types import Message, Receive, Scope, Send
from tests.support.gateway import gateway_at
from tests.support.workers import worker

PLAIN = [(b"content-type", b"text/plain"), (b"Content-Length", b"99"), (b"connection", b"close")]


async def test_a_whole_answer_is_one_reply_without_the_gateways_headers(layer: str) -> None:
    seen: asyncio.Queue[tuple[Scope, Message, Message]] = asyncio.Queue()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        request = await receive()
        await send({"type": "http.response.start", "status": 201, "headers": PLAIN})
        await send({"type": "http.response.body", "body": b"hi"})
        await seen.put((scope, request, await receive()))

    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, application):
        session = gateway.session(user="u1", info={"name": "U"})
        await session.request("POST", body="Ym9keQ==")
        body = {"$bytes": "aGk="}
        assert await session.reply() == {"type": "http.response", "status": 201, "headers": [["content-type", "text/plain"]], "body": body, "lease": 1}
        scope, request, end = await seen.get()
        assert (scope["type"], scope["method"], scope["scheme"], scope["path"], scope["query_string"]) == ("http", "POST", "http", "/app/chat", b"a=1")
        assert (scope["extensions"]["busgate"]["user"], scope["extensions"]["busgate"]["info"]) == ("u1", {"name": "U"})
        assert request == {"type": "http.request", "body": b"body", "more_body": False}
        assert end == {"type": "http.disconnect"}


async def test_an_answer_is_streamed_and_its_client_may_leave(layer: str) -> None:
    left = asyncio.Event()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        assert await receive() == {"type": "http.disconnect"}
        await send({"type": "http.response.body", "body": b"into the void", "more_body": True})
        left.set()

    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, application), worker(layer, prefix, application):
        for _ in range(4):
            left.clear()
            session = gateway.session()
            await session.request()
            start = {"type": "http.response.start", "status": 200, "headers": [["content-type", "text/event-stream"]], "lease": 1}
            assert await session.reply() == start
            part = {"type": "http.response.body", "body": {"$bytes": "ZGF0YTogMQoK"}, "more_body": True, "lease": 1}
            assert await session.reply() == part
            # On the queue of all workers: whichever takes it, the one that streams is told.
            session.order += 1
            await gateway.wire.push("app", session.event("http.disconnect"), 30)
            await left.wait()
            assert session.replies.empty()


async def test_a_large_body_goes_in_parts_that_a_gateway_takes(layer: str) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"x" * (replies.MAX_PART * 2 + 1)})

    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, application):
        session = gateway.session()
        await session.request()
        await session.reply("http.response.start")
        parts = [await session.reply("http.response.body") for _ in range(3)]
        assert [part["more_body"] for part in parts] == [True, True, False]
        assert len(parts[2]["body"]["$bytes"]) == 4


async def test_who_throws_or_says_nothing_is_answered_with_500(layer: str) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["query_string"] == b"throw":
            raise LookupError("of the application")
        if scope["query_string"] == b"begun":
            await send({"type": "http.response.start", "status": 200})
            raise LookupError("before the body")

    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, application):
        for query in ("throw", "begun", "silent"):
            session = gateway.session(query_string=query)
            await session.request()
            assert (await session.reply("http.response"))["status"] == 500


async def test_the_answer_to_head_has_no_body(layer: str) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"not sent"})

    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, application):
        session = gateway.session()
        await session.request("HEAD")
        assert (await session.reply("http.response"))["body"] == {"$bytes": ""}


async def test_a_request_that_takes_long_says_that_it_works(layer: str) -> None:
    go_on = asyncio.Event()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await go_on.wait()
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, application):
        session = gateway.session()
        await session.request(seconds=2)
        assert await session.reply() == {"type": "working", "order": 0, "lease": 1}
        go_on.set()
        while (last := await session.reply())["type"] == "working":
            pass
        assert (last["type"], last["status"]) == ("http.response", 204)
