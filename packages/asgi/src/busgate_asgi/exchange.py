"""An HTTP request in this worker: one event in, an answer out, whole or as a stream."""

import asyncio
import logging
from http import HTTPStatus

from busgate_asgi import replies, scopes
from busgate_asgi.broker import Taken
from busgate_asgi.outbox import Line, Outbox
from busgate_asgi.session import LEFT_GRACE, ClientDisconnected, patience_of
from busgate_asgi.types import Application, Message, Scope

log = logging.getLogger("busgate_asgi")
access = logging.getLogger("busgate_asgi.access")


class Exchange:
    """One request and its answer. `http.response.start` waits for the first part of the body, so that a whole answer is one message."""

    def __init__(self, taken: Taken, line: Line, outbox: Outbox, now: float) -> None:
        event = taken.event
        self.id: str = event["session"]
        self.task: asyncio.Task[None] | None = None
        self._line = line
        self._outbox = outbox
        self._order: int = event.get("order") or 0
        self._body: bytes | None = scopes.data_of(event.get("body"))
        self._head = event["method"] == "HEAD"
        self._patience = patience_of(taken)
        self._told_at = now
        self._start: Message | None = None
        self._streams = False
        self._answered = False
        self._gone = asyncio.Event()
        self._left_at: float | None = None
        self._who = ""

    @property
    def begun(self) -> bool:
        """Whether an answer is on its way."""
        return self._streams or self._answered

    async def run(self, application: Application, scope: Scope) -> None:
        """Runs the application, and answers where it does not."""
        self._who = f'{scopes.client_of(scope)} - "{scope["method"]} {scopes.target_of(scope)} HTTP/{scope["http_version"]}"'
        try:
            await application(scope, self.receive, self.send)
        except ClientDisconnected:
            pass
        except Exception:
            log.exception("Exception in ASGI application\n")
            self._fail()
        else:
            if not self._answered and self._left_at is None:
                log.error("ASGI callable returned without %s response.", "completing" if self._streams else "starting")
                self._fail()

    def leave(self) -> None:
        """The client has gone."""
        self._left_at = asyncio.get_running_loop().time()
        self._gone.set()

    def release(self) -> None:
        """Ends the application's coroutine without an answer."""
        self.leave()
        if self.task is not None:
            self.task.cancel()

    def keep_alive(self, now: float) -> None:
        """Says that the request is still being handled before its time is over."""
        if not self._answered and self._left_at is None and now - self._told_at > self._patience:
            self._told_at = now
            self._line.send(replies.working(self._order))

    async def receive(self) -> Message:
        """ASGI's receive: the body, then, when there is one, the end."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """ASGI's send. Raises ClientDisconnected where the client left some time ago, RuntimeError for what may not be sent now."""
        kind = message["type"]
        if self._left_at is not None:
            if asyncio.get_running_loop().time() - self._left_at > LEFT_GRACE:
                raise ClientDisconnected("the client has left")
            return
        if kind == "http.response.start" and self._start is None:
            self._start = message
        elif kind == "http.response.body" and self._start is not None and not self._answered:
            self._send_body(self._start, bytes(message.get("body") or b""), more=bool(message.get("more_body")))
            await self._outbox.drained()
        elif kind in replies.BUSGATE_TYPES:
            self._line.send(replies.other(message))
        else:
            raise RuntimeError(f"Unexpected ASGI message '{kind}'.")

    def _send_body(self, start: Message, body: bytes, *, more: bool) -> None:
        if self._head:
            body = b""
        if not self.begun:
            status = int(start["status"])
            phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
            access.info("%s %d %s", self._who, status, phrase)
        if not self._streams and not more and len(body) <= replies.MAX_PART:
            self._line.send(replies.response(start, body))
        else:
            if not self._streams:
                self._streams = True
                self._line.send(replies.response_start(start))
            pieces = list(replies.parts(body))
            for piece in pieces[:-1]:
                self._line.send(replies.response_body(piece, more=True))
            self._line.send(replies.response_body(pieces[-1], more=more))
        if not more:
            self._answered = True
            self._gone.set()

    def _fail(self) -> None:
        """Nothing that was begun can be taken back: the gateway ends such an answer when its time is over."""
        if self.begun or self._left_at is not None:
            return
        self._start = {"status": 500, "headers": [(b"content-type", b"text/plain; charset=utf-8")]}
        self._send_body(self._start, b"Internal Server Error", more=False)
