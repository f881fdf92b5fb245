"""What a worker says to a gateway. Each function returns the members of one reply as JSON, without braces, so that others can be put behind them."""

import json
import re
from binascii import b2a_base64
from collections.abc import Iterable
from json.encoder import encode_basestring as quoted
from typing import Any

from busgate_asgi.types import Message

#: Close codes that a server may send (RFC 6455, section 7.4, without those that are a protocol's own).
_CODES = frozenset({1000, 1001, 1008, 1011, 1012, 1013})
#: RFC 6455, section 5.5: a control frame has 125 bytes, the code takes two.
_MAX_REASON = 123
#: A body travels in parts of that many bytes: in base64 they stay under a gateway's limit of 1 MiB a message.
MAX_PART = 512 * 1024
#: The gateway writes these itself, and refuses a reply that has them.
_GATEWAYS = frozenset({b"connection", b"upgrade", b"content-length", b"transfer-encoding", b"keep-alive", b"proxy-connection"})

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_FIELD_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")

#: Messages that an application may send beside ASGI's own; they go to the gateway as they are.
BUSGATE_TYPES = frozenset({"room.join", "room.leave", "room.publish", "group.add", "group.discard", "group.send", "state"})


def accept(message: Message, queue: str, window: int, *, resumed: bool) -> bytes:
    """`websocket.accept`, with the queue that the session's further events go to. A resumed session had its 101 long ago."""
    members = f'"type":"websocket.accept","queue":{quoted(queue)},"window":{window}'
    if not resumed:
        if message.get("subprotocol") is not None:
            members += f',"subprotocol":{quoted(message["subprotocol"])}'
        members += _headers(message)
    return members.encode()


def frame(message: Message) -> bytes:
    """`websocket.send`. Raises ValueError for what is no frame."""
    text = message.get("text")
    if text is not None:
        return f'"type":"websocket.send","text":{quoted(text)}'.encode()
    data = message.get("bytes")
    if data is None:
        raise ValueError('"websocket.send" needs "text" or "bytes"')
    return b'"type":"websocket.send","bytes":' + _bytes(data)


def close(code: int | None = None, reason: str | None = None) -> bytes:
    """`websocket.close`. A code that may not be sent becomes 1008 where it blames the client, else 1011; a reason is cut to what a frame holds."""
    code = 1000 if code is None else code
    if code not in _CODES and not 3000 <= code <= 4999:
        code = 1008 if code in (1002, 1003, 1007, 1009, 1010) else 1011
    cut = (reason or "").encode()[:_MAX_REASON].decode(errors="ignore")
    return f'"type":"websocket.close","code":{code},"reason":{quoted(cut)}'.encode()


def response(message: Message, body: bytes) -> bytes:
    """`http.response`: a whole answer."""
    return b'"type":"http.response",' + _start(message) + b',"body":' + _bytes(body)


def response_start(message: Message, kind: str = "http.response.start") -> bytes:
    """`http.response.start`, or the start of a denial response."""
    return f'"type":"{kind}",'.encode() + _start(message)


def response_body(body: bytes, *, more: bool, kind: str = "http.response.body") -> bytes:
    """`http.response.body`, or the body of a denial response."""
    return b'"type":"%b","body":%b,"more_body":%b' % (kind.encode(), _bytes(body), b"true" if more else b"false")


def parts(body: bytes) -> Iterable[bytes]:
    """A body in pieces that fit into messages; at least one."""
    for at in range(0, max(len(body), 1), MAX_PART):
        yield body[at : at + MAX_PART]


def other(message: Message) -> bytes:
    """A message of Busgate's own that the application sent. Raises TypeError or ValueError for what is no JSON."""
    return json.dumps(message, default=_encodable, allow_nan=False)[1:-1].encode()


def done(order: int) -> bytes:
    """`done` of an event, as a reply of its own."""
    return b'"type":"done","order":%d' % order


def working(order: int) -> bytes:
    """`working`: this event is still being handled."""
    return b'"type":"working","order":%d' % order


RELEASE = b'"type":"websocket.release"'


def _start(message: Message) -> bytes:
    """Raises KeyError or ValueError for a status that no answer has."""
    status = int(message["status"])
    if not 200 <= status <= 599:
        raise ValueError(f"an answer's status is 200 to 599, not {status}")
    return f'"status":{status}{_headers(message)}'.encode()


def _headers(message: Message) -> str:
    """Raises ValueError for what no header may hold (RFC 9110, section 5): a gateway would drop the whole reply."""
    kept = []
    for given, value in message.get("headers") or ():
        name = bytes(given).lower()
        if _TOKEN.fullmatch(name) is None or _FIELD_VALUE.fullmatch(bytes(value)) is None:
            raise ValueError(f"{given!r}: {value!r} is no header")
        if name not in _GATEWAYS and not name.startswith(b"sec-websocket-"):
            kept.append([name.decode("latin-1"), bytes(value).decode("latin-1")])
    return f',"headers":{json.dumps(kept)}' if kept else ""


def _bytes(data: bytes) -> bytes:
    return b'{"$bytes":"%b"}' % b2a_base64(data, newline=False)


def _encodable(value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return {"$bytes": b2a_base64(value, newline=False).decode()}
    raise TypeError(f"a message for Busgate may hold JSON and bytes, not {type(value).__name__}")
