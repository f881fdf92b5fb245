"""The scripted application for any ASGI server: does what the client says, and prints what it is given."""

import asyncio
import json
import os


def say(saw, scope, **what):
    print(json.dumps({"saw": saw, "session": scope["extensions"]["busgate"]["session"], **what}, separators=(",", ":")), flush=True)


async def application(scope, receive, send):
    if scope["type"] == "http":
        await page(scope, receive, send)
    elif scope["type"] == "websocket":
        await converse(scope, receive, send)
    else:
        raise RuntimeError("no lifespan")


async def page(scope, receive, send):
    body = (await receive())["body"]
    await send({"type": "http.response.start", "status": 201, "headers": [(b"x-one", b"1")]})
    await send({"type": "http.response.body", "body": f"{scope['method']} {body.decode()}".encode()})


async def converse(scope, receive, send):
    busgate = scope["extensions"]["busgate"]
    await receive()
    say("connect", scope, resumed=busgate["resumed"], undone=busgate.get("undone", 0), state=busgate["state"])
    await answer(scope, send)
    while (message := await receive())["type"] == "websocket.receive":
        text = message.get("text")
        say("receive", scope, text=text)
        if text is None:
            await send({"type": "websocket.send", "bytes": message["bytes"]})
        elif not await obey(text, send):
            return
    say("disconnect", scope, code=message["code"], reason=message.get("reason", ""))


async def answer(scope, send):
    match scope["path"]:
        case "/app/refuse":
            await send({"type": "websocket.close"})
        case "/app/deny":
            await send({"type": "websocket.http.response.start", "status": 401, "headers": [(b"content-type", b"text/plain; charset=utf-8")]})
            await send({"type": "websocket.http.response.body", "body": b"who?"})
        case "/app/throw":
            raise LookupError("of the application")
        case "/app/protocol":
            await send({"type": "websocket.accept", "subprotocol": scope["subprotocols"][1], "headers": [(b"x-one", b"1")]})
        case _:
            await send({"type": "websocket.accept"})


async def obey(text, send):
    word, _, argument = text.partition(" ")
    match word:
        case "hold":
            await send({"type": "websocket.send", "text": "holding"})
            while not os.path.exists(argument):
                await asyncio.sleep(0.005)
            await send({"type": "websocket.send", "text": "held"})
        case "burst":
            for number in range(int(argument)):
                await send({"type": "websocket.send", "text": str(number)})
        case "close":
            code, _, reason = argument.partition(" ")
            await send({"type": "websocket.close", "code": int(code), "reason": reason})
        case "state":
            await send({"type": "state", "state": argument})
        case "join":
            await send({"type": "room.join", "room": argument})
        case "throw":
            raise LookupError("of the application")
        case "return":
            return False
        case _:
            await send({"type": "websocket.send", "text": text})
    return True
