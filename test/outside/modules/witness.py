"""The same as witness.ts, for any ASGI server."""

import asyncio
import json
import os
import random
import time

# What is written here is there whatever becomes of this process.
_file = os.open(os.environ["WITNESS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
#: The longest that a message is handled, in seconds: so stops and kills find handlers at work.
_LONGEST = 0.02


async def application(scope, receive, send):
    if scope["type"] != "websocket":
        raise RuntimeError("no lifespan")
    busgate = scope["extensions"]["busgate"]

    def write(event, edge, **what):
        line = {"at": time.monotonic_ns() // 1000, "client": busgate["params"]["rest"], "event": event, "edge": edge, **what}
        os.write(_file, json.dumps(line).encode() + b"\n")

    await receive()
    connect = {"resumed": busgate["resumed"], "undone": busgate.get("undone", 0)}
    write("connect", "begin", **connect)
    await send({"type": "websocket.accept"})
    write("connect", "end", **connect)
    while (message := await receive())["type"] == "websocket.receive":
        number = int(message["text"])
        write("receive", "begin", text=number)
        try:
            await asyncio.sleep(random.random() * _LONGEST)
            await send({"type": "websocket.send", "text": message["text"]})
        finally:
            write("receive", "end", text=number)
    write("disconnect", "begin", code=message["code"])
    write("disconnect", "end", code=message["code"])
