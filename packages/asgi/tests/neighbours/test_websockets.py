"""What the suites of Daphne and uvicorn ask of a server's WebSockets, asked of Busgate: see README.md for what it answers otherwise, and why."""

import asyncio
import secrets
import signal
from base64 import b64encode
from typing import Any

import pytest

from busgate_asgi.types import Message, Receive, Scope, Send
from tests.neighbours.served import Recorder, closed, heard, served
from tests.support.busgate import PATIENCE, Busgate, busgate

LONGEST = 64 * 1024
UPGRADE = "GET {path} HTTP/1.1\nupgrade: websocket\nconnection: Upgrade\nsec-websocket-version: 13\nsec-websocket-key: {key}\n"
KEY = b64encode(secrets.token_bytes(16)).decode()


async def test_a_socket_is_accepted_with_a_scope_of_the_specification(gateway: Busgate) -> None:
    application = Recorder()
    async with served(gateway, application, {"pool": 1}) as site:
        async with site.connected("/app/%C3%BC%2Fb?a=1&b=%20", additional_headers={"X-One": " spaced ", "x-ONE": "two"}):
            assert await application.was_given(1) == [{"type": "websocket.connect"}]
        scope = await application.scopes.get()
    assert (scope["type"], scope["asgi"]["version"], scope["scheme"], scope["http_version"]) == ("websocket", "3.0", "ws", "1.1")
    assert (scope["path"], scope["raw_path"], scope["query_string"], scope["root_path"]) == ("/app/ü/b", b"/app/%C3%BC%2Fb", b"a=1&b=%20", "")
    assert [value for name, value in scope["headers"] if name == b"x-one"] == [b"spaced", b"two"]
    assert all(name == name.lower() for name, _ in scope["headers"])
    assert scope["server"] == ("127.0.0.1", gateway.port)
    assert (scope["client"][0], scope["subprotocols"], scope["state"]) == ("127.0.0.1", [], {"pool": 1})


async def test_a_forwarded_address_is_not_believed_unless_it_was_said_whose(gateway: Busgate) -> None:
    application = Recorder()
    async with served(gateway, application) as site, site.connected(additional_headers={"X-Forwarded-For": "10.1.2.3", "X-Forwarded-Port": "80"}):
        assert (await application.scopes.get())["client"][0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("request_lines", "status"),
    [
        (UPGRADE.format(path="/app/", key="no key"), 400),
        (UPGRADE.format(path="/app/", key=KEY).replace("13", "12"), 426),
        (UPGRADE.format(path="/app/", key=KEY).replace("GET", "POST"), 405),
        (UPGRADE.format(path="/app/%zz", key=KEY), 400),
        (UPGRADE.format(path="/app/", key=KEY) + "x-bad\x0b: 1\n", 400),
        (UPGRADE.format(path="/app/", key=KEY) + "x-one: before\x0bX-After: it\n", 400),
        (UPGRADE.format(path="/app/", key=KEY) + "x-one: before\x1cX-After: it\n", 400),
    ],
)
async def test_an_upgrade_that_is_none_reaches_no_application(gateway: Busgate, request_lines: str, status: int) -> None:
    application = Recorder()
    async with served(gateway, application) as site:
        assert (await site.request(request_lines))[0] == status
        async with site.connected():
            await application.was_given(1)
    assert application.scopes.qsize() == 1


async def test_bytes_that_other_parsers_take_for_a_line_end_stay_in_their_header(gateway: Busgate) -> None:
    application = Recorder()
    async with served(gateway, application):
        lines = UPGRADE.format(path="/app/", key=KEY) + "x-one: before\x85X-After: it\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(lines.replace("\n", "\r\n").encode("latin-1") + b"host: 127.0.0.1\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 101")
        headers = (await application.scopes.get())["headers"]
        writer.close()
        await application.was_given(2)
    assert (b"x-one", b"before\x85X-After: it") in headers
    assert b"x-after" not in dict(headers)


async def test_headers_and_a_subprotocol_of_the_application_are_in_the_101(gateway: Busgate) -> None:
    accept: Message = {"type": "websocket.accept", "subprotocol": "v2", "headers": [(b"x-more", b"header"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]}
    async with served(gateway, Recorder(connect=[accept])) as site, site.connected(subprotocols=["v1", "v2"]) as client:
        assert client.subprotocol == "v2"
        assert client.response is not None
        assert client.response.headers["x-more"] == "header"
        assert client.response.headers.get_all("set-cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize("frame", ["a tortoise \U0001f422", b"no text: \xe2", "", b"", "x" * LONGEST, b"\xff" * LONGEST])
async def test_frames_in_both_directions(gateway: Busgate, frame: str | bytes) -> None:
    member = "text" if isinstance(frame, str) else "bytes"
    application = Recorder(receive=[{"type": "websocket.send", member: frame}])
    async with served(gateway, application) as site, site.connected() as client:
        await client.send(frame)
        assert await heard(client) == frame
        assert (await application.was_given(2))[1] == {"type": "websocket.receive", member: frame}


async def test_a_frame_over_the_limit_closes_and_is_not_given(gateway: Busgate) -> None:
    application = Recorder()
    async with served(gateway, application) as site, site.connected() as client:
        await client.send("x" * (LONGEST + 1))
        assert (await closed(client))[0] == 1009
        assert [message["type"] for message in await application.was_given(2)] == ["websocket.connect", "websocket.disconnect"]


async def test_a_frame_before_a_close_arrives_and_nothing_can_be_sent_after_it(gateway: Busgate) -> None:
    refused: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "123"})
        await send({"type": "websocket.close"})
        with pytest.raises(RuntimeError):
            await send({"type": "websocket.send", "text": "123"})
        refused.set_result(True)

    async with served(gateway, application) as site, site.connected() as client:
        assert await heard(client) == "123"
        assert await closed(client) == (1000, "")
        assert await refused


@pytest.mark.parametrize("sent", [[], [{"type": "websocket.send", "text": "123"}]], ids=["nothing", "a frame"])
async def test_an_application_that_does_not_answer_the_handshake_is_an_error(gateway: Busgate, sent: list[Message]) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        for message in sent:
            await send(message)

    async with served(gateway, application) as site:
        assert (await site.refused()).status_code == 500


@pytest.mark.parametrize(("after", "code"), [([{"type": "websocket.accept"}], 1011), ([], 1000)], ids=["accepts again", "returns"])
async def test_an_application_that_ends_closes(gateway: Busgate, after: list[Message], code: int) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> Any:
        for message in [{"type": "websocket.accept"}, *after]:
            await send(message)
        return 123

    async with served(gateway, application) as site, site.connected() as client:
        assert (await closed(client))[0] == code


async def test_an_application_that_cancels_itself_closes(gateway: Busgate) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        raise asyncio.CancelledError

    async with served(gateway, application) as site, site.connected() as client:
        assert (await closed(client))[0] == 1011


@pytest.mark.parametrize("code", [None, 1000, 1001])
@pytest.mark.parametrize("said", [{"reason": None}, {"reason": "enough"}, {}], ids=["none", "some", "absent"])
async def test_the_application_closes(gateway: Busgate, code: int | None, said: Message) -> None:
    close: Message = {"type": "websocket.close", **({} if code is None else {"code": code}), **said}
    reason = said.get("reason") or ""
    application = Recorder(receive=[close])
    async with served(gateway, application) as site, site.connected() as client:
        await client.send("abc")
        assert await closed(client) == (code or 1000, reason)
        assert (await application.was_given(3))[2] == {"type": "websocket.disconnect", "code": code or 1000, "reason": reason}


async def test_the_client_closes(gateway: Busgate) -> None:
    application = Recorder()
    async with served(gateway, application) as site, site.connected() as client:
        await client.ping()
        await client.send("abc")
        await client.close(1001, "until later")
        assert (await application.was_given(3))[2] == {"type": "websocket.disconnect", "code": 1001, "reason": "until later"}


async def test_the_connection_is_lost(gateway: Busgate) -> None:
    application = Recorder()
    async with served(gateway, application) as site, site.connected() as client:
        await application.was_given(1)
        client.transport.abort()
        assert await application.was_given(1) == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]


async def test_the_connection_is_lost_before_the_handshake_was_answered(gateway: Busgate) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    end: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        begun.set()
        await go_on.wait()
        end.set_result(await receive())

    async with served(gateway, application):
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(UPGRADE.format(path="/app/", key=KEY).replace("\n", "\r\n").encode() + b"host: 127.0.0.1\r\n\r\n")
        await begun.wait()
        writer.close()
        go_on.set()
        assert await asyncio.wait_for(end, PATIENCE) == {"type": "websocket.disconnect", "code": 1006, "reason": ""}


async def test_what_came_before_the_clients_close_is_read_after_it(gateway: Busgate) -> None:
    frames: list[bytes] = []
    end: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
    go_on = asyncio.Event()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await go_on.wait()
        while (message := await receive())["type"] == "websocket.receive":
            frames.append(message["bytes"])
        end.set_result(message)

    async with served(gateway, application) as site:
        async with site.connected() as client:
            for _ in range(3):
                await client.send(b"abc")
        go_on.set()
        assert await asyncio.wait_for(end, PATIENCE) == {"type": "websocket.disconnect", "code": 1000, "reason": ""}
    assert frames == [b"abc"] * 3


async def test_a_server_that_stops_closes_with_1012_and_says_so(gateway: Busgate) -> None:
    application = Recorder()
    async with busgate(gateway.layer, f"t{secrets.token_hex(6)}") as stopping, served(stopping, application) as site, site.connected() as client:
        await application.was_given(1)
        stopping.process.send_signal(signal.SIGINT)
        assert (await closed(client))[0] == 1012
        (end,) = await application.was_given(1)
        assert (end["type"], end["code"]) == ("websocket.disconnect", 1012)


async def test_a_refusal_by_close(gateway: Busgate) -> None:
    application = Recorder(connect=[{"type": "websocket.close"}])
    async with served(gateway, application) as site:
        assert (await site.refused()).status_code == 403
        assert (await application.was_given(2))[1] == {"type": "websocket.disconnect", "code": 1006, "reason": ""}


def start(status: int, *headers: tuple[bytes, bytes]) -> Message:
    return {"type": "websocket.http.response.start", "status": status, "headers": list(headers)}


def body(content: bytes, *, more: bool = False) -> Message:
    return {"type": "websocket.http.response.body", "body": content, "more_body": more}


@pytest.mark.parametrize(
    ("answer", "status", "content"),
    [
        ([start(400), body(b"not today")], 400, b"not today"),
        ([start(400, (b"Content-Length", b"20"), (b"Content-Type", b"text/plain")), body(b"x" * 10, more=True), body(b"y" * 10)], 400, b"x" * 10 + b"y" * 10),
        ([start(403), body(b"go away")], 403, b"go away"),
        ([start(700, (b"content-length", b"0"))], 500, b"Internal Server Error"),
        ([start(404, (b"content-length", b"0")), start(404)], 404, b""),
        ([start(404, (b"content-length", b"0"))], 404, b""),
    ],
    ids=["whole", "in parts", "without a length", "no status", "begun twice", "never ended"],
)
async def test_a_refusal_with_an_answer(gateway: Busgate, answer: list[Message], status: int, content: bytes) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        assert "websocket.http.response" in scope["extensions"]
        await receive()
        for message in answer:
            await send(message)

    async with served(gateway, application) as site:
        response = await site.refused()
        assert (response.status_code, response.body) == (status, content)
        assert response.headers["content-length"] == str(len(content))


async def test_a_refusal_that_is_begun_twice_raises(gateway: Busgate) -> None:
    said: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(start(404))
        try:
            await send(start(404))
        except RuntimeError as error:
            said.set_result(str(error))

    async with served(gateway, application) as site:
        assert (await site.refused()).status_code == 404
        assert "websocket.http.response.start" in await said
