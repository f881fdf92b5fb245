# pip install flask standardwebhooks; WEBHOOK_SECRET=whsec_… flask --app flask_app run --port 3000
import os

from flask import Flask, request
from standardwebhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["WEBHOOK_SECRET"])
app = Flask(__name__)


@app.post("/busgate")
def busgate():
    try:
        # The signature is over the bytes as they came.
        event = webhook.verify(request.get_data(), dict(request.headers))
    except WebhookVerificationError:
        return "", 401
    replies = handle(event)
    return {"replies": replies} if replies else ("", 204)


def handle(event):
    """Everybody on a path is in one room; what one says, all hear."""
    room = event["params"].get("rest") or "lobby"
    if event["type"] == "websocket.connect":
        return [{"type": "websocket.accept"}, {"type": "room.join", "room": room}]
    if event["type"] == "websocket.receive" and "text" in event:
        return [{"type": "room.publish", "room": room, "text": event["text"]}]
    return []
