"""Django Channels: a project of the tutorial's kind, unmodified, in two workers."""

import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support.gateway import Gateway, Session, gateway_at
from tests.support.servers import Server
from tests.support.workers import command

HOST = ["host", "example.org"]
ORIGIN = ["origin", "http://example.org"]


@asynccontextmanager
async def serving(server: Server, site: dict[str, str], processes: int = 1) -> AsyncIterator[Gateway]:
    """The project behind a gateway."""
    async with gateway_at(server.url) as (gateway, prefix):
        arguments = ["tests.applications.django_site.asgi:application", "--layer", server.url, "--queue", "app", "--prefix", prefix]
        async with command(*arguments, "--processes", str(processes), environment=site) as worker:
            await worker.says("Reading queue", times=processes)
            yield gateway
            assert await worker.end() == 0
            assert not any("Traceback" in line or "ERROR" in line for line in worker.lines), worker.lines


async def connected(gateway: Gateway, path: str, *headers: list[str], **members: Any) -> Session:
    """A client of that path."""
    session = gateway.session(path=path, raw_path=path, headers=[HOST, ORIGIN, *headers], **members)
    await session.accepted()
    return session


async def said(session: Session) -> Any:
    """The next frame, read as JSON."""
    return json.loads((await session.reply("websocket.send"))["text"])


@pytest.mark.parametrize("kind", ["chat", "sync"])
async def test_the_chat_of_the_tutorial_reaches_everybody_in_the_room(redis_server: Server, site: dict[str, str], kind: str) -> None:
    async with serving(redis_server, site, processes=2) as gateway:
        sessions = [await connected(gateway, f"/app/{kind}/lobby/") for _ in range(10)]
        elsewhere = await connected(gateway, f"/app/{kind}/attic/")
        await sessions[0].receive(text='{"message": "hello"}')
        for session in sessions:
            assert await said(session) == {"message": "hello"}
        # They are spread over workers, and the group is told when one leaves.
        assert len({session.own_queue for session in sessions}) == 2
        if kind == "chat":
            await sessions[0].disconnect(code=1001)
            for session in sessions[1:]:
                assert await said(session) == {"message": "left with 1001"}
        await elsewhere.receive(text='{"message": "alone"}')
        assert await said(elsewhere) == {"message": "alone"}


async def test_a_session_cookie_says_who_it_is_and_a_foreign_origin_is_refused(redis_server: Server, site: dict[str, str]) -> None:
    async with serving(redis_server, site) as gateway:
        ada = await connected(gateway, "/app/who/", ["cookie", f"sessionid={site['SESSION']}"], subprotocols=["v1"])
        assert await said(ada) == {"user": "ada"}
        nobody = await connected(gateway, "/app/who/")
        assert await said(nobody) == {"user": ""}
        foreign = gateway.session(path="/app/who/", headers=[HOST, ["origin", "http://evil.example"]])
        await foreign.connect()
        assert (await foreign.reply("websocket.close"))["done"] == 0
        unknown = gateway.session(path="/app/nowhere/", headers=[HOST, ORIGIN])
        await ada.receive(text='{"n": [1, "ü"]}')
        assert await said(ada) == {"echo": {"n": [1, "ü"]}}
        await ada.receive(text='"stop"')
        assert (await ada.reply("websocket.close"))["code"] == 4000
        assert unknown.replies.empty()


async def test_messages_at_the_lowest_level_and_in_a_thread(redis_server: Server, site: dict[str, str]) -> None:
    async with serving(redis_server, site) as gateway:
        answer = await connected(gateway, "/app/answer/")
        assert await answer.reply() == {"type": "room.join", "room": "news", "lease": 1}
        for session in (answer, await connected(gateway, "/app/sync-answer/")):
            for number in range(20):
                await session.receive(text=str(number))
            assert [(await session.reply("websocket.send"))["text"] for _ in range(20)] == [str(number) for number in range(20)]
            await session.disconnect()


async def test_a_page_of_the_site(redis_server: Server, site: dict[str, str]) -> None:
    async with serving(redis_server, site) as gateway:
        session = gateway.session(path="/app/page/", headers=[HOST, ["content-length", "4"]])
        await session.request("POST", body=b64encode(b"body").decode())
        answer = await session.reply("http.response")
        assert (answer["status"], b64decode(answer["body"]["$bytes"])) == (200, b"POST example.org body")
