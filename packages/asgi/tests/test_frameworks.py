"""Starlette, FastAPI and Channels behind real gateways, unmodified: their sockets, pages, streams and dependencies as clients see them."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import Cookie, Depends, FastAPI, WebSocketException
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.busgate import PATIENCE, Busgate, busgate
from tests.support.servers import Server
from tests.support.workers import command, worker


async def heard(client: ClientConnection) -> str:
    """The next frame."""
    return str(await asyncio.wait_for(client.recv(), PATIENCE))


async def closed(client: ClientConnection) -> int | None:
    """The code of the close that comes next."""
    with pytest.raises(ConnectionClosed):
        await heard(client)
    return client.close_code


async def answer(gateway: Busgate, *lines: str, body: str = "") -> tuple[str, str]:
    """The first line of an answer, and its body."""
    request = "\r\n".join([*lines, "Host: example.org", f"Content-Length: {len(body)}", "Connection: close", "", body])
    head, _, content = (await gateway.exchange(request.encode())).decode().partition("\r\n\r\n")
    return head.split("\r\n")[0], content


async def test_starlette_with_sockets_pages_and_server_sent_events(layer: str) -> None:
    left = asyncio.Event()

    async def echo(websocket: WebSocket) -> None:
        await websocket.accept(subprotocol=websocket.scope["subprotocols"][0])
        async for data in websocket.iter_json():
            await websocket.send_json({"got": data})

    async def page(request: Request) -> JSONResponse:
        return JSONResponse({"body": (await request.body()).decode(), "query": dict(request.query_params)})

    async def events(request: Request) -> StreamingResponse:
        async def ticks() -> AsyncIterator[str]:
            try:
                for number in range(1_000_000):
                    yield f"data: {number}\n\n"
                    await asyncio.sleep(0.01)
            finally:
                left.set()

        return StreamingResponse(ticks(), media_type="text/event-stream")

    application = Starlette(routes=[WebSocketRoute("/app/echo", echo), Route("/app/page", page, methods=["POST"]), Route("/app/events", events)])
    prefix = f"t{secrets.token_hex(6)}"
    async with busgate(layer, prefix, http=True) as gateway, worker(layer, prefix, application):
        client = await gateway.connect("/app/echo", subprotocols=["v2", "v1"])
        assert client.subprotocol == "v2"
        for text in ("a", "ü"):
            await client.send(json.dumps(text))
            assert json.loads(await heard(client)) == {"got": text}
        await client.close()
        assert await answer(gateway, "POST /app/page?q=%C3%BC HTTP/1.1", body="hello") == ("HTTP/1.1 200 OK", '{"body":"hello","query":{"q":"ü"}}')
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"GET /app/events HTTP/1.1\r\nHost: example.org\r\n\r\n")
        for line in (b"content-type: text/event-stream; charset=utf-8\r\n", b"data: 0\n", b"data: 3\n"):
            while (await asyncio.wait_for(reader.readline(), PATIENCE)).lower() != line:
                pass
        assert not left.is_set()
        writer.close()
        await asyncio.wait_for(left.wait(), PATIENCE)


async def test_fastapi_with_dependencies(layer: str) -> None:
    application = FastAPI()

    async def user(websocket: WebSocket, session: Annotated[str | None, Cookie()] = None) -> str:
        if session is None:
            raise WebSocketException(code=1008, reason="no cookie")
        return f"user {session}"

    @application.websocket("/app/items/{item_id}")
    async def items(websocket: WebSocket, item_id: int, who: Annotated[str, Depends(user)]) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(f"{who} {item_id} {text}")

    @application.get("/app/items/{item_id}")
    async def read(item_id: int) -> dict[str, int]:
        return {"item": item_id}

    prefix = f"t{secrets.token_hex(6)}"
    async with busgate(layer, prefix, http=True) as gateway, worker(layer, prefix, application):
        client = await gateway.connect("/app/items/7", additional_headers={"Cookie": "session=ada"})
        await client.send("hello")
        assert await heard(client) == "user ada 7 hello"
        await client.close()
        for path in ("/app/items/7", "/app/items/seven"):
            with pytest.raises(InvalidStatus) as refused:
                await gateway.connect(path)
            assert refused.value.response.status_code == 403
        assert await answer(gateway, "GET /app/items/7 HTTP/1.1") == ("HTTP/1.1 200 OK", '{"item":7}')
        assert (await answer(gateway, "GET /app/items/seven HTTP/1.1"))[0] == "HTTP/1.1 422 Unprocessable Entity"


async def test_what_the_readme_says_of_busgates_own_messages_in_fastapi(layer: str) -> None:
    application = FastAPI()
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    exec(readme.split("refuses types that are not ASGI's")[1].split("```python\n")[1].split("```")[0], {"application": application})
    assert 'websocket.scope["busgate.send"]({"type": "room.join", "room": "news"})' in readme

    @application.websocket("/app/news")
    async def news(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.scope["busgate.send"]({"type": "room.join", "room": "news"})
        await websocket.scope["busgate.send"]({"type": "room.publish", "room": "news", "text": "to all"})
        await websocket.receive()

    prefix = f"t{secrets.token_hex(6)}"
    async with busgate(layer, prefix) as gateway, worker(layer, prefix, application):
        client = await gateway.connect("/app/news")
        assert await heard(client) == "to all"
        await client.close()


async def test_consumers_of_channels_in_a_thread_and_that_stop(redis_server: Server, site: dict[str, str]) -> None:
    prefix = f"t{secrets.token_hex(6)}"
    arguments = ["tests.applications.django_site.asgi:application", "--layer", redis_server.url, "--queue", "app", "--prefix", prefix]
    page: dict[str, Any] = {"site": "example.org", "origin": "http://example.org"}
    async with busgate(redis_server.url, prefix, http=True) as gateway, command(*arguments, environment=site) as running:
        await running.says("Reading queue")
        for kind in ("answer", "sync-answer"):
            client = await gateway.connect(f"/app/{kind}/", **page)
            for number in range(20):
                await client.send(str(number))
            assert [await heard(client) for _ in range(20)] == [str(number) for number in range(20)]
            await client.close()
        ada = await gateway.connect("/app/who/", **page, additional_headers={"Cookie": f"sessionid={site['SESSION']}"})
        assert json.loads(await heard(ada)) == {"user": "ada"}
        await ada.send('"stop"')
        assert await closed(ada) == 4000
        with pytest.raises(InvalidStatus) as refused:
            # A client that says no origin is no page, and the gateway's business is pages; the application's validator is stricter.
            await gateway.connect("/app/who/", site="example.org")
        assert refused.value.response.status_code == 403
        assert await answer(gateway, "POST /app/page/ HTTP/1.1", body="body") == ("HTTP/1.1 200 OK", "POST example.org body")
