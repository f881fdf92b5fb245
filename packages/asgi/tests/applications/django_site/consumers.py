"""Consumers, as Channels' documents have them."""

import json
import threading
from typing import Any

from asgiref.sync import async_to_sync
from channels.consumer import AsyncConsumer, SyncConsumer
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer, WebsocketConsumer


class ChatConsumer(AsyncWebsocketConsumer):
    """The tutorial's chat, rewritten as asynchronous."""

    async def connect(self) -> None:
        self.room_group_name = f"chat_{self.scope['url_route']['kwargs']['room_name']}"
        await self.channel_layer.group_add(self.room_group_name, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.room_group_name, self.channel_name)
        await self.channel_layer.group_send(self.room_group_name, {"type": "chat.message", "message": f"left with {code}"})

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        message = json.loads(text_data or "")["message"]
        await self.channel_layer.group_send(self.room_group_name, {"type": "chat.message", "message": message})

    async def chat_message(self, event: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps({"message": event["message"]}))


class SyncChatConsumer(WebsocketConsumer):
    """The tutorial's chat, as it is before that: in threads."""

    def connect(self) -> None:
        self.room_group_name = f"chat_{self.scope['url_route']['kwargs']['room_name']}"
        async_to_sync(self.channel_layer.group_add)(self.room_group_name, self.channel_name)
        self.accept()

    def disconnect(self, code: int) -> None:
        async_to_sync(self.channel_layer.group_discard)(self.room_group_name, self.channel_name)

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        message = json.loads(text_data or "")["message"]
        async_to_sync(self.channel_layer.group_send)(self.room_group_name, {"type": "chat.message", "message": message})

    def chat_message(self, event: dict[str, Any]) -> None:
        assert threading.current_thread() is not threading.main_thread()
        self.send(text_data=json.dumps({"message": event["message"]}))


class WhoConsumer(AsyncJsonWebsocketConsumer):
    """Says who the cookie says it is, and stops when asked to."""

    async def connect(self) -> None:
        await self.accept("v1" if "v1" in self.scope["subprotocols"] else None)
        await self.send_json({"user": self.scope["user"].username})

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        if content == "stop":
            await self.close(code=4000)
            raise StopConsumer
        await self.send_json({"echo": content})


class AnswerConsumer(AsyncConsumer):
    """The lowest level: messages as they are."""

    async def websocket_connect(self, message: dict[str, Any]) -> None:
        await self.send({"type": "websocket.accept"})
        await self.send({"type": "room.join", "room": "news"})

    async def websocket_receive(self, message: dict[str, Any]) -> None:
        await self.send({"type": "websocket.send", "text": message["text"]})

    async def websocket_disconnect(self, message: dict[str, Any]) -> None:
        raise StopConsumer


class SyncAnswerConsumer(SyncConsumer):
    """The same in a thread."""

    def websocket_connect(self, message: dict[str, Any]) -> None:
        self.send({"type": "websocket.accept"})

    def websocket_receive(self, message: dict[str, Any]) -> None:
        self.send({"type": "websocket.send", "text": message["text"]})

    def websocket_disconnect(self, message: dict[str, Any]) -> None:
        raise StopConsumer
