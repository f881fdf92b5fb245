"""Events of the queue as ASGI scopes and messages."""

from binascii import a2b_base64
from typing import Any
from urllib.parse import quote

from busgate_asgi.types import Json, Message, Scope

_ASGI_WEBSOCKET = {"version": "3.0", "spec_version": "2.4"}
#: A `send` after the client has left does nothing at first, as it was up to this version of the specification.
_ASGI_HTTP = {"version": "3.0", "spec_version": "2.3"}


def websocket_scope(event: Json, state: dict[str, Any]) -> Scope:
    """The scope of a session's connect."""
    return {
        "type": "websocket",
        "asgi": _ASGI_WEBSOCKET,
        **_common(event, state, "ws"),
        "subprotocols": list(event.get("subprotocols") or ()),
        "extensions": {"websocket.http.response": {}, "busgate": _busgate(event)},
    }


def http_scope(event: Json, state: dict[str, Any]) -> Scope:
    """The scope of a request."""
    return {
        "type": "http",
        "asgi": _ASGI_HTTP,
        **_common(event, state, "http"),
        "method": event["method"],
        "extensions": {"busgate": _busgate(event)},
    }


def receive_message(event: Json) -> Message:
    """`websocket.receive`."""
    text = event.get("text")
    if text is not None:
        return {"type": "websocket.receive", "text": text}
    return {"type": "websocket.receive", "bytes": data_of(event.get("bytes"))}


def disconnect_message(event: Json) -> Message:
    """`websocket.disconnect`."""
    return {"type": "websocket.disconnect", "code": event.get("code", 1006), "reason": event.get("reason") or ""}


def data_of(value: Any) -> bytes:
    """Bytes as they travel in JSON; none where there is nothing. Raises ValueError."""
    if isinstance(value, dict):
        return a2b_base64(value["$bytes"])
    return value.encode() if isinstance(value, str) else b""


def client_of(scope: Scope) -> str:
    """Who it is, for the log."""
    client = scope.get("client")
    return f"{client[0]}:{client[1]}" if client else "-"


def target_of(scope: Scope) -> str:
    """What was asked for, for the log."""
    query = scope["query_string"].decode("latin-1")
    return quote(scope["path"]) + (f"?{query}" if query else "")


def _common(event: Json, state: dict[str, Any], scheme: str) -> Json:
    path = event.get("path") or "/"
    raw_path = event.get("raw_path")
    return {
        "http_version": event.get("http_version") or "1.1",
        "scheme": event.get("scheme") or scheme,
        "path": path,
        "raw_path": quote(path).encode() if raw_path is None else raw_path.encode("latin-1"),
        "query_string": (event.get("query_string") or "").encode("latin-1"),
        "root_path": "",
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in event.get("headers") or ()],
        "client": _address(event.get("client")),
        "server": _address(event.get("server")),
        "state": state.copy(),
    }


def _address(value: Any) -> tuple[str, int] | None:
    return (value[0], value[1]) if value else None


def _busgate(event: Json) -> Json:
    named: Json = {name: event[name] for name in ("undone", "info", "traceparent") if name in event}
    return {
        "session": event["session"],
        "state": event.get("state"),
        "resumed": bool(event.get("resumed")),
        "user": event.get("user"),
        "params": event.get("params") or {},
        **named,
    }
