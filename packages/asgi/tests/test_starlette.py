"""Starlette and FastAPI: their WebSockets, pages, streams and dependencies, unmodified."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Cookie, Depends, FastAPI, WebSocketException
from starlette.applications import Starlette
from starlette.endpoints import WebSocketEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.support.gateway import Gateway, Session, gateway_at
from tests.support.workers import worker


def at(gateway: Gateway, path: str, **members: object) -> Session:
    """A client of that path."""
    return gateway.session(path=path, raw_path=path, **members)


async def test_an_endpoint_and_a_function_hear_text_bytes_and_the_end(layer: str) -> None:
    ends: asyncio.Queue[int] = asyncio.Queue()

    class Endpoint(WebSocketEndpoint):
        encoding = "json"

        async def on_receive(self, websocket: WebSocket, data: object) -> None:
            await websocket.send_json({"got": data})

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            await ends.put(close_code)

    async def function(websocket: WebSocket) -> None:
        await websocket.accept(subprotocol=websocket.scope["subprotocols"][0])
        try:
            while True:
                await websocket.send_bytes(await websocket.receive_bytes())
        except WebSocketDisconnect as left:
            await ends.put(left.code)

    application = Starlette(routes=[WebSocketRoute("/endpoint", Endpoint), WebSocketRoute("/function", function)])
    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, application):
        endpoint = at(gateway, "/endpoint")
        await endpoint.accepted()
        await endpoint.receive(text='{"a": 1}')
        assert (await endpoint.reply("websocket.send"))["text"] == '{"got":{"a":1}}'
        await endpoint.disconnect(code=1001)
        assert await ends.get() == 1001
        function_session = at(gateway, "/function", subprotocols=["v2", "v1"])
        assert (await function_session.accepted())["subprotocol"] == "v2"
        await function_session.receive(bytes={"$bytes": "AAE="})
        assert (await function_session.reply("websocket.send"))["bytes"] == {"$bytes": "AAE="}
        await function_session.disconnect(code=1006)
        assert await ends.get() == 1006
        # What is no JSON: Starlette closes with 1003, which a gateway may not send.
        broken = at(gateway, "/endpoint")
        await broken.accepted()
        await broken.receive(text="{")
        assert (await broken.reply("websocket.close"))["code"] == 1008
        await broken.disconnect(1008)
        assert await ends.get() == 1011


async def test_pages_refusals_and_server_sent_events(layer: str) -> None:
    ended = asyncio.Event()

    async def page(request: Request) -> JSONResponse:
        return JSONResponse({"body": (await request.body()).decode(), "query": dict(request.query_params)})

    async def events(request: Request) -> StreamingResponse:
        async def ticks() -> AsyncIterator[str]:
            try:
                for number in range(1_000_000):
                    yield f"data: {number}\n\n"
                    await asyncio.sleep(0.01)
            finally:
                ended.set()

        return StreamingResponse(ticks(), media_type="text/event-stream")

    async def denied(websocket: WebSocket) -> None:
        await websocket.send_denial_response(PlainTextResponse("who are you?", status_code=401))

    application = Starlette(routes=[Route("/page", page, methods=["POST"]), Route("/events", events), WebSocketRoute("/denied", denied)])
    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, application):
        session = at(gateway, "/page", query_string="q=%C3%BC")
        await session.request("POST", body="aGVsbG8=")
        answer = await session.reply("http.response")
        assert b64decode(answer["body"]["$bytes"]) == '{"body":"hello","query":{"q":"ü"}}'.encode()
        assert answer["headers"] == [["content-type", "application/json"]]
        stream = at(gateway, "/events")
        await stream.request()
        assert (await stream.reply("http.response.start"))["headers"] == [["content-type", "text/event-stream; charset=utf-8"]]
        assert b64decode((await stream.reply("http.response.body"))["body"]["$bytes"]) == b"data: 0\n\n"
        await gateway.wire.push("app", stream.event("http.disconnect"), 30)
        await ended.wait()
        refused = at(gateway, "/denied")
        await refused.connect()
        assert (await refused.reply("websocket.http.response.start"))["status"] == 401
        nowhere = at(gateway, "/nowhere")
        await nowhere.connect()
        assert (await nowhere.reply())["type"] in ("websocket.close", "websocket.http.response.start")


async def test_dependencies_of_fastapi_refuse_and_let_in(layer: str) -> None:
    application = FastAPI()

    async def user(websocket: WebSocket, session: Annotated[str | None, Cookie()] = None) -> str:
        if session is None:
            raise WebSocketException(code=1008, reason="no cookie")
        return f"user {session}"

    @application.websocket("/items/{item_id}")
    async def items(websocket: WebSocket, item_id: int, who: Annotated[str, Depends(user)]) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(f"{who} {item_id} {text}")

    @application.get("/items/{item_id}")
    async def read(item_id: int) -> dict[str, int]:
        return {"item": item_id}

    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, application):
        session = at(gateway, "/items/7", headers=[["cookie", "session=ada"]])
        await session.accepted()
        await session.receive(text="hello")
        assert (await session.reply("websocket.send"))["text"] == "user ada 7 hello"
        await session.disconnect()
        for path in ("/items/7", "/items/seven"):
            refused = at(gateway, path, headers=[])
            await refused.connect()
            assert (await refused.reply("websocket.close"))["code"] == 1008
        request = at(gateway, "/items/7")
        await request.request()
        assert b64decode((await request.reply("http.response"))["body"]["$bytes"]) == b'{"item":7}'
