"""Starlette: its endpoints and functions, unmodified, by what they say to a gateway."""

import asyncio

from starlette.applications import Starlette
from starlette.endpoints import WebSocketEndpoint
from starlette.responses import PlainTextResponse
from starlette.routing import WebSocketRoute
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


async def test_a_denial_response_and_a_path_that_is_none(layer: str) -> None:
    async def denied(websocket: WebSocket) -> None:
        await websocket.send_denial_response(PlainTextResponse("who are you?", status_code=401))

    application = Starlette(routes=[WebSocketRoute("/denied", denied)])
    async with gateway_at(layer) as (gateway, prefix), worker(layer, prefix, application):
        refused = at(gateway, "/denied")
        await refused.connect()
        assert (await refused.reply("websocket.http.response.start"))["status"] == 401
        nowhere = at(gateway, "/nowhere")
        await nowhere.connect()
        assert (await nowhere.reply())["type"] in ("websocket.close", "websocket.http.response.start")
