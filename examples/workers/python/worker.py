"""A worker with nothing but a Redis client: answers each frame with the same.

pip install redis; python worker.py [redis://localhost:6379] [app]
"""

import json
import sys
import time

import redis

URL = sys.argv[1] if len(sys.argv) > 1 else "redis://localhost:6379"
QUEUE = sys.argv[2] if len(sys.argv) > 2 else "app"
broker = redis.Redis.from_url(URL, socket_timeout=None)


def reply(event, **message):
    """Says something to the client's session, and that the event was handled."""
    message.update(channel=event["reply_channel"], lease=event["lease"], done=event["order"])
    broker.publish(event["reply_topic"], json.dumps(message))


def handle(event):
    """What happens to a client is an event: its connect, each frame, its end."""
    if event["type"] == "websocket.connect":
        reply(event, type="websocket.accept")
    elif event["type"] == "websocket.receive":
        content = {"text": event["text"]} if "text" in event else {"bytes": event["bytes"]}
        reply(event, type="websocket.send", **content)
    elif event["type"] == "websocket.disconnect":
        print("left", event["session"], event["code"], flush=True)


print("reading", QUEUE, flush=True)
while True:
    _, element = broker.blpop(f"busgate:queue:{QUEUE}")
    event = json.loads(element)
    if event.get("__expires", float("inf")) > time.time() * 1000:
        handle(event)
