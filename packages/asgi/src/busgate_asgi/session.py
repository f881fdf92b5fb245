"""A WebSocket session in this worker: the application's coroutine, and what goes in and out of it."""

import asyncio
import logging
from collections import deque
from enum import Enum

from busgate_asgi import replies, scopes
from busgate_asgi.broker import Taken
from busgate_asgi.outbox import Line, Outbox
from busgate_asgi.types import Application, Json, Message, Scope

#: Events of one session that may be on their way to this worker, or wait here for its application.
WINDOW = 32
#: An application that goes on sending to a client who has left is told by an exception after that many seconds: so long a handler may take to come to
#: its end and find the disconnect.
LEFT_GRACE = 5.0
#: An accept that comes later than that before the gateway gives up, in seconds, would cross with its refusal: the client has gone for us.
_MARGIN = 0.25

#: What is handled is told to be under way three times before its time is over, and that often where nothing says how long it may take, in seconds.
_THIRDS, _PATIENCE, _LEAST_PATIENCE = 3, 10.0, 0.3
_GONE = Taken({"type": "websocket.disconnect", "code": 1006}, b"", None)

log = logging.getLogger("busgate_asgi")
access = logging.getLogger("busgate_asgi.access")


def patience_of(taken: Taken) -> float:
    """How long an event may be in hand, in seconds, before its gateway is told that it still is."""
    return _PATIENCE if taken.expires_in is None else min(_PATIENCE, max(_LEAST_PATIENCE, taken.expires_in / _THIRDS))


class ClientDisconnected(OSError):
    """The client has left, and the application still sends."""


class State(Enum):
    """Where the conversation stands, as this worker sees it."""

    CONNECTING = 1
    REFUSING = 2
    OPEN = 3
    #: We have said the last word, or the client has left: replies go nowhere.
    CLOSED = 4


class Session:
    """One session. `deliver` puts events in; the application takes them out with `receive`, and its next `receive` says that the event was handled."""

    def __init__(self, event: Json, line: Line, outbox: Outbox, own_queue: str) -> None:
        self.id: str = event["session"]
        self.lease: int | None = event.get("lease")
        self.state = State.CONNECTING
        self.task: asyncio.Task[None] | None = None
        self.line = line
        self._outbox = outbox
        self._own_queue = own_queue
        self._resumed = bool(event.get("resumed"))
        self._events: deque[tuple[Taken, float]] = deque()
        self._waiters: list[asyncio.Future[None]] = []
        self._in_hand: tuple[Taken, float] | None = None
        self._connect_order: int = event.get("order") or 0
        self._last_order = self._connect_order
        self._told_at = 0.0
        self._left_at: float | None = None
        self._disconnect: Message | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._stopping = False
        self._releasing = False
        #: We have closed it, and its application has not heard of its end yet.
        self._is_cut = False
        self._who = ""

    @property
    def at_rest(self) -> bool:
        """Whether the application waits for the next event, and there is none, or none for it."""
        return bool(self._waiters)

    @property
    def busy(self) -> bool:
        """Whether an event is in its hands, the connect included, or waits for it."""
        return self.unanswered or self._in_hand is not None or bool(self._events)

    @property
    def unanswered(self) -> bool:
        """Whether the client still waits for its 101, or for its refusal."""
        return self.state in (State.CONNECTING, State.REFUSING)

    async def run(self, application: Application, scope: Scope) -> None:
        """Runs the application from connect to its end, and says what its end means."""
        self._who = f'{scopes.client_of(scope)} - "WebSocket {scopes.target_of(scope)}"'
        try:
            await application(scope, self.receive, self.send)
        except ClientDisconnected:
            pass
        except asyncio.CancelledError:
            if not self._releasing:
                log.error("ASGI callable was cancelled, by itself.")
                self._fail(1011)
        except Exception:
            log.exception("Exception in ASGI application\n")
            self._fail(1011)
        else:
            if self.state is State.CONNECTING:
                log.error("ASGI callable returned without sending handshake.")
            self._fail(1000)
        finally:
            self._settle_deadline()
            self._done_with_all()

    def begin(self, connect: Taken, now: float) -> None:
        """Puts the connect in. Who has no answer when it expires was refused by the gateway."""
        self._events.append((connect, now))
        if connect.expires_in is not None:
            self._deadline = asyncio.get_running_loop().call_later(max(connect.expires_in - _MARGIN, 0), self._too_late)

    def deliver(self, taken: Taken, now: float) -> None:
        """Puts a receive or a disconnect in."""
        if taken.event["type"] == "websocket.disconnect":
            if self._left_at is not None:
                return
            self._left_at = now
            self.state = State.CLOSED
            self._settle_deadline()
        elif taken.event["order"] <= self._last_order:
            # A broker that died may hand out again what it was told had been taken.
            return
        elif self.state is State.CLOSED:
            self._done(taken)
            return
        else:
            self._last_order = taken.event["order"]
        self._events.append((taken, now))
        self._wake()

    def keep_alive(self, now: float) -> None:
        """Says of the events that are not done that they are still being handled, before their time is over; where the application has one in hand."""
        if self._in_hand is None or self._is_silent:
            return
        events = (self._in_hand, *self._events)
        if any(now - max(arrived, self._told_at) > patience_of(taken) for taken, arrived in events):
            self._told_at = now
            for taken, _ in events:
                self.line.send(replies.working(taken.event["order"]))

    def stop(self) -> None:
        """This worker stops: what the application has in hand it finishes, and what waits for it is another worker's."""
        self._stopping = True

    def release(self) -> None:
        """Gives the session back: its connect goes to another worker, and the client notices nothing."""
        if self.state is State.OPEN:
            if self._in_hand is not None:
                # Begun, and not finished in time: nobody begins it again.
                self._done(self._in_hand[0])
                self._in_hand = None
            self.line.flush_done()
            self.line.send(replies.RELEASE)
            self.state = State.CLOSED
        self.abandon()

    def abandon(self) -> None:
        """Ends the application's coroutine; it is somebody else's session."""
        self._releasing = True
        self.state = State.CLOSED
        self._settle_deadline()
        if self.task is not None:
            self.task.cancel()

    def uncertain(self) -> None:
        """A reply may have been lost: the client is to come back rather than miss it. No other worker gets the session: it would know of no loss."""
        if self.state is State.OPEN:
            self.line.send(replies.close(1011, "a message may have been lost"))
            self.state = State.CLOSED
            self._is_cut = True
            self._forget_unread()

    async def receive(self) -> Message:
        """ASGI's receive."""
        if self._in_hand is not None:
            self._done(self._in_hand[0])
            self._in_hand = None
        while not self._events or self._holds_back:
            if self._disconnect is not None:
                return self._disconnect
            await self._next()
        return self._message(*self._events.popleft())

    async def send(self, message: Message) -> None:
        """ASGI's send. Raises ClientDisconnected where the client left some time ago, RuntimeError for what may not be sent now."""
        kind = message["type"]
        if self._left_at is not None:
            if asyncio.get_running_loop().time() - self._left_at > LEFT_GRACE:
                raise ClientDisconnected("the client has left")
            return
        if kind == "websocket.send" and self.state is State.OPEN:
            self.line.send(replies.frame(message))
            if self._outbox.size > 0:
                await self._outbox.drained()
        elif kind == "websocket.accept" and self.state is State.CONNECTING:
            self._accept(message)
        elif kind == "websocket.close" and self.state in (State.CONNECTING, State.OPEN):
            self._close(message)
        elif kind.startswith("websocket.http.response.") and self.state in (State.CONNECTING, State.REFUSING):
            self._refuse(message)
        elif kind in replies.BUSGATE_TYPES and self.state is State.OPEN:
            self.line.send(replies.other(message))
        elif self.state is not State.CLOSED or not (self._releasing or self._is_cut):
            raise RuntimeError(f"Unexpected ASGI message '{kind}', in the state {self.state.name.lower()}.")

    @property
    def _is_silent(self) -> bool:
        """Whether nobody listens to us: the client has left, or another worker has the session."""
        return self._left_at is not None or self._releasing

    @property
    def _holds_back(self) -> bool:
        """Whether the next event is for another worker. When the client has left there will be none."""
        return self._stopping and self._left_at is None and self._events[0][0].event["type"] == "websocket.receive"

    def _done(self, taken: Taken) -> None:
        """An event is handled, or nobody wants it any more: the gateway tells the end only after it has heard so of every one."""
        if not self._is_silent:
            self.line.done(taken.event["order"])

    def _done_with_all(self) -> None:
        if self._in_hand is not None:
            self._done(self._in_hand[0])
        self._in_hand = None
        self._forget_unread()

    async def _next(self) -> None:
        """Waits for an event. Several may wait: all look, and who comes first has it."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _message(self, taken: Taken, arrived: float) -> Message:
        event = taken.event
        kind = event["type"]
        if kind == "websocket.receive":
            self._in_hand = (taken, arrived)
            return scopes.receive_message(event)
        if kind == "websocket.connect":
            return {"type": "websocket.connect"}
        self._disconnect = scopes.disconnect_message(event)
        return self._disconnect

    def _accept(self, message: Message) -> None:
        self._settle_deadline()
        self.state = State.OPEN
        self.line.send(replies.accept(message, self._own_queue, WINDOW, resumed=self._resumed), done=self._connect_order)
        access.info("%s [%s]", self._who, "resumed" if self._resumed else "accepted")

    def _close(self, message: Message) -> None:
        before = self.state is State.CONNECTING
        reply = replies.close(message.get("code"), message.get("reason"))
        self.state = State.CLOSED
        self._forget_unread()
        if before:
            access.info("%s 403", self._who)
            self._refused(reply)
        else:
            self.line.send(reply)

    def _refuse(self, message: Message) -> None:
        """ASGI's denial response."""
        starts = message["type"] == "websocket.http.response.start"
        if starts != (self.state is State.CONNECTING):
            raise RuntimeError(f"Unexpected ASGI message '{message['type']}', in the state {self.state.name.lower()}.")
        if starts:
            if self._resumed:
                self.state = State.CLOSED
                self._refused(replies.close(1008))
                return
            self.line.send(replies.response_start(message, "websocket.http.response.start"))
            self.state = State.REFUSING
            access.info("%s %d", self._who, message["status"])
            return
        pieces = list(replies.parts(message.get("body") or b""))
        more = bool(message.get("more_body"))
        for piece in pieces[:-1]:
            self.line.send(replies.response_body(piece, more=True, kind="websocket.http.response.body"))
        reply = replies.response_body(pieces[-1], more=more, kind="websocket.http.response.body")
        if more:
            self.line.send(reply)
        else:
            self.state = State.CLOSED
            self._refused(reply)

    def _refused(self, reply: bytes) -> None:
        """The gateway's disconnect goes to whatever worker reads the route's queue, so the application has its own from here."""
        self._settle_deadline()
        self.line.send(reply, done=self._connect_order)
        self._events.append((_GONE, 0.0))
        self._wake()

    def _fail(self, code: int) -> None:
        """The application came to its end, in order (1000) or not."""
        if self.state is State.OPEN:
            self.line.send(replies.close(code))
        elif self.state is State.CONNECTING and self._resumed:
            self.line.send(replies.close(1011), done=self._connect_order)
        elif self.state is State.REFUSING:
            # The status is all that the client gets.
            self.line.send(replies.response_body(b"", more=False, kind="websocket.http.response.body"), self._connect_order)
        elif self.state is State.CONNECTING:
            start = {"status": 500, "headers": [(b"content-type", b"text/plain; charset=utf-8")]}
            access.info("%s 500", self._who)
            self.line.send(replies.response_start(start, "websocket.http.response.start"))
            self.line.send(replies.response_body(b"Internal Server Error", more=False, kind="websocket.http.response.body"), self._connect_order)
        self.state = State.CLOSED

    def _too_late(self) -> None:
        """The gateway has answered for the application."""
        self._deadline = None
        log.warning("%s was not answered in time; the gateway has refused it.", self._who)
        self.deliver(_GONE, asyncio.get_running_loop().time())

    def _settle_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _forget_unread(self) -> None:
        """After our close nobody wants what the client had said before it heard of it."""
        events, self._events = self._events, deque()
        for taken, arrived in events:
            if taken.event["type"] == "websocket.receive":
                self._done(taken)
            else:
                self._events.append((taken, arrived))
