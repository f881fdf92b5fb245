"""A Django site whose `group_send` the gateways have as a room: one publish, however many clients there are."""

import asyncio
import json
import secrets
from typing import Any

import redis.asyncio
from websockets.asyncio.client import ClientConnection

from tests.support.busgate import PATIENCE, busgate
from tests.support.servers import Server
from tests.support.workers import command

CLIENTS, AT_ONCE = 1000, 50
PAGE: dict[str, Any] = {"site": "example.org", "origin": "http://example.org"}
LISTENING = {"path": "/room/:room", "kind": "room", "join": "anyone", "publish": "nobody"}


async def heard(client: ClientConnection) -> object:
    """The next frame, read as JSON."""
    return json.loads(await asyncio.wait_for(client.recv(), PATIENCE))


async def test_a_group_send_of_the_tutorials_chat_reaches_a_thousand_clients_as_one_publish(redis_server: Server, site: dict[str, str]) -> None:
    prefix, groups = f"t{secrets.token_hex(6)}", f"g{secrets.token_hex(6)}"
    settings = {**site, "SITE_LAYER": "channels_redis.pubsub.RedisPubSubChannelLayer", "SITE_PREFIX": groups}
    arguments = ["tests.applications.django_site.asgi:application", "--layer", redis_server.url, "--queue", "app", "--prefix", prefix]
    async with (
        busgate(redis_server.url, prefix) as talking,
        busgate(f"{redis_server.url}?wire=channels-pubsub", groups, routes=[LISTENING]) as listening,
        command(*arguments, environment=settings) as worker,
        redis.asyncio.Redis.from_url(redis_server.url, decode_responses=True) as client,
        client.monitor() as monitor,
    ):
        await worker.says("Reading queue")
        clients: list[ClientConnection] = []
        for _ in range(CLIENTS // AT_ONCE):
            clients += await asyncio.gather(*(listening.connect("/room/chat_lobby", **PAGE) for _ in range(AT_ONCE)))
        ada = await talking.connect("/app/chat/lobby/", **PAGE)
        await ada.send('{"message": "hello"}')
        for one in clients:
            assert await heard(one) == {"type": "chat.message", "message": "hello"}
        assert await heard(ada) == {"message": "hello"}
        await client.publish("marker", "")
        sent: list[str] = []
        async for entry in monitor.listen():
            words = str(entry["command"]).split(" ")
            if words[:2] == ["PUBLISH", "marker"]:
                break
            # What begins with the gateways' own name is their signs of life.
            if words[0].upper() == "PUBLISH" and words[1].startswith(groups) and not words[1].startswith(f"{groups}:busgate:"):
                sent.append(words[1])
        assert sent == [f"{groups}__group__chat_lobby"]
        await asyncio.gather(*(one.close() for one in (*clients, ada)))
