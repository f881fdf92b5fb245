"""The same application on Django Channels, for Daphne, uvicorn and busgate-asgi; its groups are on the Redis of BENCH_REDIS."""

import os
from typing import Any

from django.conf import settings

settings.configure(CHANNEL_LAYERS={"default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [os.environ["BENCH_REDIS"]], "capacity": 1000}}})

from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.urls import path  # noqa: E402


class Echo(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data=text_data)


class All(AsyncWebsocketConsumer):
    """Everybody there has what anybody says, through a group of the channel layer."""

    async def connect(self) -> None:
        await self.channel_layer.group_add("all", self.channel_name)
        await self.accept()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.channel_layer.group_send("all", {"type": "said", "text": text_data})

    async def said(self, event: dict[str, Any]) -> None:
        await self.send(text_data=event["text"])


class Room(AsyncWebsocketConsumer):
    """The same through a room of the gateways."""

    async def connect(self) -> None:
        await self.accept()
        await self.base_send({"type": "room.join", "room": "all"})

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.base_send({"type": "room.publish", "room": "all", "text": text_data})


everybody = Room if os.environ.get("BENCH_ROOMS") else All
application = ProtocolTypeRouter({"websocket": URLRouter([path("echo", Echo.as_asgi()), path("all", everybody.as_asgi())])})
