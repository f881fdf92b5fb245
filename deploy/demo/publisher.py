"""Publishes a line a second to the room "demo", with nothing but a Redis client.

Watch it: npx wscat -c ws://localhost:8080/room/demo
"""

import os
import signal
import threading
import time
from pathlib import Path

import redis


def main() -> None:
    stopped = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stopped.set())

    url = Path(os.environ["REDIS_URL_FILE"]).read_text(encoding="utf-8").strip()
    # A publish is never sent twice: what fails is told and given up.
    client = redis.Redis.from_url(url, retry=None, socket_timeout=5)
    number = 0
    while not stopped.wait(1):
        number += 1
        try:
            client.publish("busgate:room:demo", f"message {number} at {time.strftime('%H:%M:%S')}")
            print(f"published {number}")
        except redis.RedisError as error:
            print(f"not published {number}: {error}")


main()
