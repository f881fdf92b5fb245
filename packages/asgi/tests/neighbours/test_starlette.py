"""What Starlette's own suite asks of a WebSocket, asked of one behind Busgate."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection

from busgate_asgi.types import Receive, Scope, Send
from tests.neighbours.served import Served, closed, heard, served
from tests.support.busgate import PATIENCE, Busgate

Handler = Callable[[WebSocket], Awaitable[None]]


@asynccontextmanager
async def serving(gateway: Busgate, handler: Handler) -> AsyncIterator[Served]:
    """The handler behind the gateway."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await handler(WebSocket(scope, receive, send))

    async with served(gateway, application) as site:
        yield site


@asynccontextmanager
async def talking(gateway: Busgate, handler: Handler, path: str = "/app/", **options: object) -> AsyncIterator[ClientConnection]:
    """A client of the handler."""
    async with serving(gateway, handler) as site, site.connected(path, **options) as client:
        yield client


async def test_a_url_its_query_its_headers_and_its_port(gateway: Busgate) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        said = {"url": str(websocket.url), "query": dict(websocket.query_params), "x": websocket.headers["x-one"], "port": websocket.url.port}
        await websocket.send_json(said)
        await websocket.close()

    async with serving(gateway, handler) as site, site.connected("/app/123?a=abc&b=%C3%BC", additional_headers={"X-One": "1"}) as client:
        said = json.loads(await heard(client))
    assert said["url"].endswith("/app/123?a=abc&b=%C3%BC")
    assert said["url"].startswith("ws://127.0.0.1")
    assert (said["query"], said["x"]) == ({"a": "abc", "b": "ü"}, "1")


@pytest.mark.parametrize("mode", ["text", "binary"])
async def test_json_in_both_kinds_of_frames(gateway: Busgate, mode: str) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json({"got": await websocket.receive_json(mode=mode)}, mode=mode)
        await websocket.close()

    async with talking(gateway, handler) as client:
        message = json.dumps({"hello": "wörld \U0001f30d"}, ensure_ascii=False)
        await client.send(message if mode == "text" else message.encode())
        answer = await heard(client)
        assert isinstance(answer, str if mode == "text" else bytes)
        assert json.loads(answer) == {"got": {"hello": "wörld \U0001f30d"}}


async def test_text_and_bytes(gateway: Busgate) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("heard: " + await websocket.receive_text())
        await websocket.send_bytes(b"heard: " + await websocket.receive_bytes())
        await websocket.close()

    async with talking(gateway, handler) as client:
        await client.send("good morning")
        assert await heard(client) == "heard: good morning"
        await client.send(b"good morning")
        assert await heard(client) == b"heard: good morning"


@pytest.mark.parametrize("kind", ["text", "bytes", "json"])
async def test_iteration_ends_with_the_client(gateway: Busgate, kind: str) -> None:
    got: asyncio.Future[list[object]] = asyncio.get_running_loop().create_future()

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        got.set_result([item async for item in getattr(websocket, f"iter_{kind}")()])

    async with talking(gateway, handler) as client:
        for item in ("1", "2", "3"):
            await client.send(item.encode() if kind == "bytes" else item)
        await client.close()
        expected = {"text": ["1", "2", "3"], "bytes": [b"1", b"2", b"3"], "json": [1, 2, 3]}
        assert await asyncio.wait_for(got, PATIENCE) == expected[kind]


async def test_one_task_that_reads_and_one_that_writes(gateway: Busgate) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        waiting: asyncio.Queue[object] = asyncio.Queue()

        async def read() -> None:
            async for item in websocket.iter_json():
                await waiting.put(item)

        async def write() -> None:
            while True:
                await websocket.send_json(await waiting.get())

        reading, writing = asyncio.create_task(read()), asyncio.create_task(write())
        await reading
        writing.cancel()

    async with talking(gateway, handler) as client:
        for number in range(50):
            await client.send(json.dumps({"n": number}))
        assert [json.loads(await heard(client)) for _ in range(50)] == [{"n": number} for number in range(50)]


async def test_the_client_closes(gateway: Busgate) -> None:
    end: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            await websocket.receive_text()
        except WebSocketDisconnect as disconnect:
            end.set_result((disconnect.code, disconnect.reason))

    async with talking(gateway, handler) as client:
        await client.close(1001, "until later")
        assert await asyncio.wait_for(end, PATIENCE) == (1001, "until later")


async def test_the_application_closes_with_its_code_and_reason(gateway: Busgate) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close(1001, "until later")

    async with talking(gateway, handler) as client:
        assert await closed(client) == (1001, "until later")


async def test_the_application_refuses(gateway: Busgate) -> None:
    async def handler(websocket: WebSocket) -> None:
        assert await websocket.receive() == {"type": "websocket.connect"}
        if websocket.url.path == "/app/close":
            await websocket.close(1001)
        else:
            await websocket.send_denial_response(Response("none here", 404, {"x-why": "no room"}))

    async with serving(gateway, handler) as site:
        assert (await site.refused("/app/close")).status_code == 403
        denied = await site.refused("/app/deny")
        assert (denied.status_code, denied.body, denied.headers["x-why"]) == (404, b"none here", "no room")


async def test_a_subprotocol_and_headers_of_the_accept(gateway: Busgate) -> None:
    async def handler(websocket: WebSocket) -> None:
        assert websocket["subprotocols"] == ["v1", "v2"]
        await websocket.accept(subprotocol="v2", headers=[(b"x-more", b"header")])
        await websocket.close()

    async with talking(gateway, handler, subprotocols=["v1", "v2"]) as client:
        assert client.response is not None
        assert (client.subprotocol, client.response.headers["x-more"]) == ("v2", "header")


async def fails(websocket: WebSocket) -> None:
    raise AssertionError


async def reads_before_the_accept(websocket: WebSocket) -> None:
    await websocket.receive_text()


async def sends_before_the_accept(websocket: WebSocket) -> None:
    await websocket.send({"type": "websocket.send"})


@pytest.mark.parametrize("handler", [fails, reads_before_the_accept, sends_before_the_accept])
async def test_a_handler_that_fails_before_the_accept(gateway: Busgate, handler: Handler) -> None:
    async with serving(gateway, handler) as site:
        assert (await site.refused()).status_code == 500


async def accepts_twice(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send({"type": "websocket.accept"})


async def sends_in_no_known_mode(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_json({}, mode="other")


@pytest.mark.parametrize("handler", [accepts_twice, sends_in_no_known_mode])
async def test_a_handler_that_fails_after_the_accept(gateway: Busgate, handler: Handler) -> None:
    async with talking(gateway, handler) as client:
        assert (await closed(client))[0] == 1011


async def test_a_second_close_fails_and_the_first_one_counts(gateway: Busgate) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close()
        await websocket.close()

    async with talking(gateway, handler) as client:
        assert (await closed(client))[0] == 1000
