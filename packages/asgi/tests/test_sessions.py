"""Sessions among workers: leases, release, resumption, and who is told of an end."""

import asyncio
from collections.abc import Callable

from busgate_asgi.types import Receive, Scope, Send
from tests.support.gateway import gateway_at
from tests.support.workers import worker


class Recorder:
    """An application that tells what it is given, and echoes."""

    def __init__(self) -> None:
        self.seen: asyncio.Queue[tuple[str, object]] = asyncio.Queue()
        self.wait: Callable[[], asyncio.Future[None]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        busgate = scope["extensions"]["busgate"]
        while True:
            message = await receive()
            if message["type"] == "websocket.connect":
                self.seen.put_nowait(("connect", (busgate["resumed"], busgate["state"], busgate.get("undone"))))
                await send({"type": "websocket.accept", "subprotocol": "v1"})
            elif message["type"] == "websocket.receive":
                self.seen.put_nowait(("receive", message["text"]))
                if self.wait is not None:
                    await self.wait()
                await send({"type": "websocket.send", "text": message["text"]})
            else:
                self.seen.put_nowait(("disconnect", message["code"]))
                return


async def test_a_worker_that_stops_gives_its_sessions_back(layer: str) -> None:
    first, second = Recorder(), Recorder()
    async with gateway_at(layer) as (gateway, prefix):
        async with worker(layer, prefix, first) as running:
            session = gateway.session()
            await session.accepted()
            beats = await gateway.beats(running.own_queue)
            assert await beats.get() == "working"
            running.stop()
            assert await session.reply() == {"type": "websocket.release", "lease": 1}
            while await beats.get() != "stopping":
                pass
        assert first.seen.get_nowait() == ("connect", (False, None, None))
        # Its application has no disconnect: the session goes on elsewhere.
        assert first.seen.empty()
        async with worker(layer, prefix, second) as other:
            await session.resume(state={"n": 1}, undone=2)
            # The client has had its 101, with its subprotocol.
            assert await session.reply() == {"type": "websocket.accept", "queue": other.own_queue, "window": 32, "lease": 2, "done": 1}
            session.own_queue = other.own_queue
            await session.receive(text="again")
            assert await session.reply() == {"type": "websocket.send", "text": "again", "lease": 2, "done": 2}
            await session.disconnect(code=1001)
            assert [await second.seen.get() for _ in range(3)] == [("connect", (True, {"n": 1}, 2)), ("receive", "again"), ("disconnect", 1001)]


async def test_the_event_in_hand_is_finished_and_no_other_begun_before_the_session_is_given_back(layer: str) -> None:
    recorder = Recorder()
    go_on = asyncio.get_running_loop().create_future()
    recorder.wait = lambda: go_on
    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, recorder) as running:
        session = gateway.session()
        await session.accepted()
        await session.receive(text="one")
        await session.receive(text="another worker's")
        await recorder.seen.get()
        await recorder.seen.get()
        beats = await gateway.beats(running.own_queue)
        running.stop()
        while await beats.get() != "stopping":
            pass
        go_on.set_result(None)
        assert await session.reply() == {"type": "websocket.send", "text": "one", "lease": 1, "done": 1}
        assert await session.reply() == {"type": "websocket.release", "lease": 1}
    assert recorder.seen.empty()


async def test_a_worker_that_stops_takes_nothing_new(layer: str) -> None:
    recorder = Recorder()
    async with gateway_at(layer) as (gateway, prefix):
        async with worker(layer, prefix, recorder) as running:
            session = gateway.session()
            await session.accepted()
            running.stop()
            waiting = gateway.session()
            await waiting.connect()
        assert waiting.replies.empty()
        async with worker(layer, prefix, recorder):
            await waiting.reply("websocket.accept")
            await waiting.disconnect()


async def test_an_event_of_another_lease_is_not_handled(layer: str) -> None:
    recorder = Recorder()
    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, recorder):
        session = gateway.session()
        session.lease = 5
        await session.accepted()
        session.lease = 4
        await session.receive(text="stale")
        session.lease = 5
        await session.receive(text="now")
        assert (await session.reply("websocket.send"))["text"] == "now"
        await session.disconnect()


async def test_a_session_that_comes_back_to_the_same_worker_begins_anew(layer: str) -> None:
    recorder = Recorder()
    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, recorder):
        session = gateway.session()
        await session.accepted()
        await session.resume()
        assert (await session.reply("websocket.accept"))["lease"] == 2
        await session.receive(text="one")
        assert await session.reply() == {"type": "websocket.send", "text": "one", "lease": 2, "done": 2}
        await session.disconnect()
        kinds = [(await recorder.seen.get())[0] for _ in range(4)]
        assert kinds == ["connect", "connect", "receive", "disconnect"]
        assert recorder.seen.empty()


async def test_a_resumed_session_that_is_refused_is_closed_with_the_code(layer: str) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if scope["query_string"] == b"throw":
            raise LookupError("of the application")
        if scope["query_string"] == b"deny":
            await send({"type": "websocket.http.response.start", "status": 403, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b"no"})
        else:
            await send({"type": "websocket.close", "code": 4001})

    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, application):
        for query, code in (("close", 4001), ("deny", 1008), ("throw", 1011)):
            session = gateway.session(query_string=query)
            await session.resume()
            assert await session.reply() == {"type": "websocket.close", "code": code, "reason": "", "lease": 2, "done": 1}


async def test_what_a_dead_gateway_left_goes_to_the_worker_that_has_the_session(layer: str) -> None:
    has, reads = Recorder(), Recorder()
    async with gateway_at(layer) as (gateway, prefix):
        async with worker(layer, prefix, has, queue="first"), worker(layer, prefix, reads):
            gateway.queue = "first"
            sessions = [gateway.session() for _ in range(20)]
            for session in sessions:
                await session.accepted()
                assert await has.seen.get() == ("connect", (False, None, None))
            for session in sessions:
                left = {**session.event("websocket.disconnect", code=1006, reason=""), "order": None, "own_queue": session.own_queue}
                await gateway.wire.push("app", left, 86_400)
            assert [await has.seen.get() for _ in sessions] == [("disconnect", 1006)] * 20
        assert reads.seen.empty()


async def test_what_a_dead_gateway_left_of_a_dead_worker_is_handled_here(layer: str) -> None:
    recorder = Recorder()
    async with gateway_at(layer) as (gateway, prefix):
        async with worker(layer, prefix, recorder):
            session = gateway.session()
            left = {**session.event("websocket.disconnect", code=1006, reason="", state={"n": 1}), "order": None, "own_queue": "app.w.dead"}
            await gateway.wire.push("app", left, 86_400)
            # A new coroutine finds its session resumed, and then over.
            assert await recorder.seen.get() == ("connect", (True, {"n": 1}, None))
            assert await recorder.seen.get() == ("disconnect", 1006)
        assert session.replies.empty()
        assert recorder.seen.empty()


async def test_the_end_of_a_session_without_a_worker_of_its_own_is_told_to_the_one_that_has_it(layer: str) -> None:
    ended = asyncio.Semaphore(0)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        assert (await receive())["code"] == 1001
        ended.release()

    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, application), worker(layer, prefix, application):
        sessions = [gateway.session() for _ in range(8)]
        for session in sessions:
            await session.connect()
        while await gateway.wire.length("app") > 0:
            await asyncio.sleep(0.01)
        for session in sessions:
            await session.disconnect(code=1001, queue="app")
        for _ in sessions:
            await ended.acquire()
