"""What Daphne's suite asks of a server's HTTP, asked of Busgate: see README.md for what it answers otherwise, and why."""

import pytest

from busgate_asgi.types import Message, Receive, Scope, Send
from tests.neighbours.served import Recorder, served
from tests.support.busgate import Busgate

OK: list[Message] = [{"type": "http.response.start", "status": 200}, {"type": "http.response.body", "body": b"an answer"}]


def start(status: int = 200, *headers: tuple[object, object]) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(content: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": content, "more_body": more}


async def test_a_request_has_a_scope_of_the_specification(gateway: Busgate) -> None:
    application = Recorder(request=OK)
    async with served(gateway, application) as site:
        status, _, content = await site.request("GET /app/ HTTP/1.1\n")
        scope = await application.scopes.get()
        assert (status, content) == (200, b"an answer")
        assert await application.was_given(1) == [{"type": "http.request", "body": b"", "more_body": False}]
    assert (scope["type"], scope["asgi"]["version"], scope["method"], scope["scheme"], scope["http_version"]) == ("http", "3.0", "GET", "http", "1.1")
    assert (scope["path"], scope["raw_path"], scope["query_string"], scope["root_path"]) == ("/app/", b"/app/", b"", "")
    assert (scope["client"][0], scope["server"]) == ("127.0.0.1", ("127.0.0.1", gateway.port))


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/app/te%20st-%C3%A0/?a=1&a=2", "/app/te st-à/", b"a=1&a=2"),
        ("/app/foo%2Fbar", "/app/foo/bar", b""),
        ("/app/?%C3%A4=%F0%9F%8C%8D", "/app/", b"%C3%A4=%F0%9F%8C%8D"),
        ("/app/a;b=c,d", "/app/a;b=c,d", b""),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_methods_paths_and_queries(gateway: Busgate, method: str, target: str, path: str, query: bytes) -> None:
    application = Recorder(request=OK)
    async with served(gateway, application) as site:
        status, _, content = await site.request(f"{method} {target} HTTP/1.1\ncontent-length: 4\n", b"body")
        scope = await application.scopes.get()
        assert (status, content) == (200, b"an answer")
        assert (await application.was_given(1))[0]["body"] == b"body"
    assert (scope["method"], scope["path"], scope["raw_path"], scope["query_string"]) == (method, path, target.partition("?")[0].encode(), query)


async def test_a_body_in_chunks_is_put_together(gateway: Busgate) -> None:
    application = Recorder(request=OK)
    async with served(gateway, application) as site:
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (b"one piece, ", b"another, ", b"the last", b""))
        assert (await site.request("POST /app/ HTTP/1.1\ntransfer-encoding: chunked\n", chunks))[0] == 200
        assert await application.was_given(1) == [{"type": "http.request", "body": b"one piece, another, the last", "more_body": False}]


async def test_header_names_are_in_lower_case_values_stripped_and_repeated_ones_kept(gateway: Busgate) -> None:
    application = Recorder(request=OK)
    async with served(gateway, application) as site:
        lines = "GET /app/ HTTP/1.1\nX-Upper:   its value    \nx-Again: 1\nX-again: 2, 3\nx-latin: \xe4\ncookie: a=1\ncookie: b=2\n"
        assert (await site.request(lines))[0] == 200
        headers = (await application.scopes.get())["headers"]
    expected = [(b"x-upper", b"its value"), (b"x-again", b"1"), (b"x-again", b"2, 3"), (b"x-latin", b"\xe4"), (b"cookie", b"a=1"), (b"cookie", b"b=2")]
    assert [header for header in headers if header[0] not in (b"host", b"content-length")] == expected


async def test_a_forwarded_address_is_not_believed_unless_it_was_said_whose(gateway: Busgate) -> None:
    application = Recorder(request=OK)
    async with served(gateway, application) as site:
        await site.request("GET /app/ HTTP/1.1\nX-Forwarded-For: 10.1.2.3\nX-Forwarded-Port: 80\n")
        assert (await application.scopes.get())["client"][0] == "127.0.0.1"


@pytest.mark.parametrize(
    "lines",
    [
        "GET /app/ HTTP/1.1\na name: value\n",
        "GET /app/ HTTP/1.1\na\x00name: value\n",
        "GET /app/ HTTP/1.1\na\xffname: value\n",
        "GET /app/ HTTP/1.1\na\x01name: value\n",
        "GET /app/ HTTP/1.1\nx-one: before\x0bX-After: it\n",
        "GET /app/ HTTP/1.1\nx-one: before\x1eX-After: it\n",
        "GET /app/\xc3\xa4 HTTP/1.1\n",
        "GET /app/?\xc3\xa4 HTTP/1.1\n",
        "GET /app/%zz HTTP/1.1\n",
    ],
)
async def test_a_request_that_is_none_reaches_no_application(gateway: Busgate, lines: str) -> None:
    application = Recorder(request=OK)
    async with served(gateway, application) as site:
        assert (await site.request(lines))[0] == 400
        assert (await site.request("GET /app/ HTTP/1.1\n"))[0] == 200
    assert application.scopes.qsize() == 1


@pytest.mark.parametrize(
    ("answer", "status", "content"),
    [
        (OK, 200, b"an answer"),
        ([start(201), body(b"created")], 201, b"created"),
        ([start(201), body(b"chunk 1 ", more=True), body(b"chunk 2")], 201, b"chunk 1 chunk 2"),
        ([start(201), body(b"chunk 1 ", more=True), body(b"chunk 2", more=True), body(b"")], 201, b"chunk 1 chunk 2"),
        ([start(), {"type": "http.response.body"}], 200, b""),
        ([start(204), body(b"")], 204, b""),
        ([start(), body(bytes(range(256)) * 1024)], 200, bytes(range(256)) * 1024),
        ([start(), body(b"x" * 700_000, more=True), body(b"y" * 700_000)], 200, b"x" * 700_000 + b"y" * 700_000),
    ],
    ids=["whole", "another status", "in parts", "with an empty end", "no body", "no content", "any bytes", "long"],
)
async def test_an_answer_arrives_as_it_was_given(gateway: Busgate, answer: list[Message], status: int, content: bytes) -> None:
    async with served(gateway, Recorder(request=answer)) as site:
        assert (await site.request("GET /app/ HTTP/1.1\n"))[::2] == (status, content)


async def test_headers_of_an_answer(gateway: Busgate) -> None:
    headers = [(b"x-one", b"1"), (b"x-one", b"2"), (b"x-latin", b"\xe4"), (b"content-type", b"text/plain")]
    async with served(gateway, Recorder(request=[start(200, *headers), body(b"")])) as site:
        answered = (await site.request("GET /app/ HTTP/1.1\n"))[1]
    for name, value in headers:
        assert (name.decode(), value.decode("latin-1")) in answered


@pytest.mark.parametrize(
    "bad",
    [
        {"type": "http.response.start"},
        {"type": "http.response.start", "status": 700},
        start(200, ("name", "value")),
        start(200, ("name", b"value")),
        start(200, (b"name", "value")),
        start(200, (b"name", b"line\r\nbreak")),
        start(200, (b"na me", b"value")),
    ],
    ids=["no status", "no such status", "text", "a text as name", "a text as value", "a line break", "no name"],
)
async def test_an_answer_that_is_none_is_an_error_of_the_application(gateway: Busgate, bad: Message) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(bad)
        await send(body(b"never"))

    async with served(gateway, application) as site:
        assert (await site.request("GET /app/ HTTP/1.1\n"))[::2] == (500, b"Internal Server Error")
