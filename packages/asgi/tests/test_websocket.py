"""WebSocket sessions: what an application is given, and what becomes of what it says."""

import asyncio

from busgate_asgi.types import Message, Receive, Scope, Send
from tests.support.gateway import gateway_at
from tests.support.servers import Server
from tests.support.workers import worker


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers each frame with the same."""
    assert scope["type"] == "websocket"
    while True:
        message = await receive()
        if message["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        elif message["type"] == "websocket.receive":
            await send({**message, "type": "websocket.send"})
        else:
            return


async def test_a_frame_is_answered_and_done_travels_with_the_answer(layer: str) -> None:
    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, echo) as running:
        session = gateway.session()
        accept = await session.accepted()
        assert accept == {"type": "websocket.accept", "queue": running.own_queue, "window": 32, "lease": 1, "done": 0}
        await session.receive(text='grüße "\n\u2028')
        assert await session.reply() == {"type": "websocket.send", "text": 'grüße "\n\u2028', "lease": 1, "done": 1}
        await session.receive(bytes={"$bytes": "AP8="})
        assert await session.reply() == {"type": "websocket.send", "bytes": {"$bytes": "AP8="}, "lease": 1, "done": 2}
        await session.disconnect()


async def test_the_scope_is_what_the_event_says(layer: str) -> None:
    seen: asyncio.Queue[Scope] = asyncio.Queue()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await seen.put(scope)
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "v1", "headers": [(b"X-One", b"1"), (b"sec-websocket-protocol", b"x")]})

    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, application, state={"pool": 1}):
        session = gateway.session(user="u1", state={"n": 1}, subprotocols=["v1", "v2"], path="/app/ü", raw_path="/app/%C3%BC")
        accept = await session.accepted()
        scope = await seen.get()
        assert (accept["subprotocol"], accept["headers"]) == ("v1", [["x-one", "1"]])
        assert (scope["type"], scope["asgi"], scope["scheme"], scope["http_version"]) == ("websocket", {"version": "3.0", "spec_version": "2.4"}, "ws", "1.1")
        assert (scope["path"], scope["raw_path"], scope["query_string"], scope["root_path"]) == ("/app/ü", b"/app/%C3%BC", b"a=1", "")
        assert scope["headers"] == [(b"host", b"example.org"), (b"cookie", b"a=b"), (b"cookie", b"c=d")]
        assert (scope["client"], scope["server"], scope["subprotocols"]) == (("203.0.113.9", 51234), ("192.0.2.1", 8080), ["v1", "v2"])
        assert scope["state"] == {"pool": 1}
        assert scope["extensions"]["websocket.http.response"] == {}
        assert scope["extensions"]["busgate"] == {"session": session.id, "state": {"n": 1}, "resumed": False, "user": "u1", "params": {"rest": "chat"}}
        assert "user" not in scope


async def test_the_extension_says_which_trace_the_gateway_follows(layer: str) -> None:
    seen: asyncio.Queue[Scope] = asyncio.Queue()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await seen.put(scope)
        await receive()
        await send({"type": "websocket.accept"})
        traceparent = scope["extensions"]["busgate"]["traceparent"]
        await send({"type": "room.publish", "room": "news", "text": "x", "traceparent": traceparent})

    traceparent = f"00-{'a' * 32}-{'b' * 16}-01"
    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, application):
        session = gateway.session(traceparent=traceparent)
        await session.accepted()
        assert (await seen.get())["extensions"]["busgate"]["traceparent"] == traceparent
        published = await session.reply()
        assert (published["type"], published["traceparent"]) == ("room.publish", traceparent)


async def test_one_publish_has_all_that_a_turn_brings(layer: str) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        for number in range(500):
            await send({"type": "websocket.send", "text": str(number)})
        await receive()

    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, application):
        session = gateway.session()
        await session.accepted()
        assert [(await session.reply("websocket.send"))["text"] for _ in range(500)] == [str(number) for number in range(500)]
        assert session.messages == 1
        await session.disconnect()


async def test_done_is_told_when_the_application_asks_for_the_next_event(layer: str) -> None:
    go_on = asyncio.Event()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": "in hand"})
            await go_on.wait()

    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, application):
        session = gateway.session()
        await session.accepted()
        await session.receive(text="one")
        assert await session.reply() == {"type": "websocket.send", "text": "in hand", "lease": 1}
        go_on.set()
        assert await session.reply() == {"type": "done", "order": 1, "lease": 1}
        await session.disconnect()


async def test_a_handler_that_takes_long_says_that_it_works(layer: str) -> None:
    go_on = asyncio.Event()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] == "websocket.receive":
            await go_on.wait()

    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, application):
        session = gateway.session()
        await session.accepted()
        await session.receive(text="one", seconds=2)
        await session.receive(text="two", seconds=2)
        assert await session.reply() == {"type": "working", "order": 1, "lease": 1}
        assert await session.reply() == {"type": "working", "order": 2, "lease": 1}
        go_on.set()
        while (last := await session.reply())["type"] == "working":
            pass
        assert last == {"type": "done", "order": 1, "lease": 1}
        await session.disconnect()


async def test_the_application_is_told_the_end_once_and_then_always(layer: str) -> None:
    ends: list[Message] = []
    over = asyncio.Event()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        ends.append(await receive())
        await send({"type": "websocket.send", "text": "into the void"})
        ends.append(await receive())
        over.set()

    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, application):
        session = gateway.session()
        await session.accepted()
        await session.disconnect(code=1001, reason="away")
        await over.wait()
        assert ends == [{"type": "websocket.disconnect", "code": 1001, "reason": "away"}] * 2
        marker = gateway.session()
        await marker.accepted()
        assert session.replies.empty()
        await marker.disconnect()


async def test_an_application_that_only_sends_learns_that_the_client_has_left(redis_server: Server) -> None:
    layer = redis_server.url
    error: asyncio.Future[OSError] = asyncio.get_running_loop().create_future()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        try:
            while True:
                await send({"type": "websocket.send", "text": "tick"})
                await asyncio.sleep(0.05)
        except OSError as gone:
            error.set_result(gone)
            raise

    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, application):
        session = gateway.session()
        await session.accepted()
        await session.disconnect(code=1006)
        assert "left" in str(await error)


async def test_a_refusal_closes_and_the_application_hears_of_its_end_here(layer: str) -> None:
    end: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.close", "code": 4000, "reason": "no"})
        end.set_result(await receive())

    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, application):
        session = gateway.session()
        await session.connect()
        assert await session.reply() == {"type": "websocket.close", "code": 4000, "reason": "no", "lease": 1, "done": 0}
        assert (await end)["code"] == 1006


async def test_a_denial_response_refuses_with_its_status(layer: str) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.http.response.start", "status": 401, "headers": [(b"www-authenticate", b"x"), (b"content-length", b"2")]})
        await send({"type": "websocket.http.response.body", "body": b"n", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"o"})

    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, application):
        session = gateway.session()
        await session.connect()
        start = {"type": "websocket.http.response.start", "status": 401, "headers": [["www-authenticate", "x"]], "lease": 1}
        assert await session.reply() == start
        assert await session.reply() == {"type": "websocket.http.response.body", "body": {"$bytes": "bg=="}, "more_body": True, "lease": 1}
        assert await session.reply() == {"type": "websocket.http.response.body", "body": {"$bytes": "bw=="}, "more_body": False, "lease": 1, "done": 0}


async def test_who_throws_is_closed_with_1011_and_who_returns_with_1000(layer: str) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if scope["query_string"] == b"never":
            return
        await send({"type": "websocket.accept"})
        if (await receive()).get("text") == "throw":
            raise LookupError("of the application")

    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, application):
        for text, code in (("throw", 1011), ("return", 1000)):
            session = gateway.session()
            await session.accepted()
            await session.receive(text=text)
            assert await session.reply() == {"type": "websocket.close", "code": code, "reason": "", "lease": 1, "done": 1}
            await session.disconnect(code)
        session = gateway.session(query_string="never")
        await session.connect()
        assert (await session.reply("websocket.http.response.start"))["status"] == 500
        assert (await session.reply("websocket.http.response.body"))["done"] == 0


async def test_a_close_code_that_may_not_be_sent_becomes_one_that_may(layer: str) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": int((await receive())["text"]), "reason": "ä" * 100})

    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, application):
        for said, sent in (("1003", 1008), ("1006", 1011), ("4321", 4321)):
            session = gateway.session()
            await session.accepted()
            await session.receive(text=said)
            close = await session.reply("websocket.close")
            assert (close["code"], close["reason"]) == (sent, "ä" * 61)
            await session.disconnect(sent)


async def test_messages_of_busgate_go_to_the_gateway_as_they_are(layer: str) -> None:
    sent: list[Message] = [{"type": "room.join", "room": "r", "last": 5}, {"type": "room.leave", "room": "r"}, {"type": "state", "state": {"n": [1, None]}}]

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        for message in sent:
            await send(message)
        await send({"type": "room.publish", "room": "r", "bytes": b"\x00"})
        await receive()

    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, application):
        session = gateway.session()
        await session.accepted()
        assert [await session.reply() for _ in sent] == [{**message, "lease": 1} for message in sent]
        assert await session.reply() == {"type": "room.publish", "room": "r", "bytes": {"$bytes": "AA=="}, "lease": 1}
        await session.disconnect()


async def test_an_application_that_answers_too_late_finds_that_the_client_has_left(layer: str) -> None:
    end: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        end.set_result(await receive())
        await send({"type": "websocket.accept"})

    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, application):
        session = gateway.session()
        await session.connect(seconds=1)
        assert await end == {"type": "websocket.disconnect", "code": 1006, "reason": ""}
        marker = gateway.session()
        await marker.connect(seconds=1)
        assert session.replies.empty()


async def test_an_event_that_has_expired_is_not_seen(layer: str) -> None:
    async with gateway_at(layer) as (gateway, prefix):
        late, live = gateway.session(), gateway.session()
        await late.connect(seconds=0.001)
        await asyncio.sleep(0.01)
        await live.connect()
        async with worker(layer, prefix, echo):
            await live.reply("websocket.accept")
            assert late.replies.empty()
            await live.disconnect()


async def test_what_is_no_event_stops_nothing(layer: str) -> None:
    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, echo):
        for malformed in ({}, {"type": "websocket.connect"}, {"type": "x", "session": "s"}, {"type": "websocket.connect", "session": "s", "headers": 5}):
            await gateway.wire.push("app", malformed, 10)
        session = gateway.session()
        accept = await session.accepted()
        await gateway.wire.push(accept["queue"], {"type": "websocket.receive", "session": session.id, "lease": 1, "order": 1, "bytes": 5}, 10)
        await gateway.wire.push(accept["queue"], {"type": "websocket.receive"}, 10)
        session.order = 1
        await session.receive(text="still here")
        assert (await session.reply("websocket.send"))["bytes"] == {"$bytes": ""}
        assert (await session.reply("websocket.send"))["text"] == "still here"
        await session.disconnect()


async def test_a_frame_that_no_gateway_takes_ends_its_session_only(layer: str) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        size = int((await receive())["text"])
        for _ in range(3):
            await send({"type": "websocket.send", "text": "x" * size})
        await receive()

    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, application):
        for size, kinds in ((900_000, ["websocket.send"] * 3), (1_100_000, ["websocket.close"])):
            session = gateway.session()
            await session.accepted()
            await session.receive(text=str(size))
            assert [(await session.reply())["type"] for _ in kinds] == kinds
            await session.disconnect()
