"""The project's ASGI application."""

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.applications.django_site.settings")
django_application = get_asgi_application()

from tests.applications.django_site import consumers  # noqa: E402  (models may be used only after the line above)

application = ProtocolTypeRouter(
    {
        "http": django_application,
        "websocket": AllowedHostsOriginValidator(
            AuthMiddlewareStack(
                URLRouter(
                    [
                        path("app/chat/<room_name>/", consumers.ChatConsumer.as_asgi()),
                        path("app/sync/<room_name>/", consumers.SyncChatConsumer.as_asgi()),
                        path("app/who/", consumers.WhoConsumer.as_asgi()),
                        path("app/answer/", consumers.AnswerConsumer.as_asgi()),
                        path("app/sync-answer/", consumers.SyncAnswerConsumer.as_asgi()),
                    ]
                )
            )
        ),
    }
)
