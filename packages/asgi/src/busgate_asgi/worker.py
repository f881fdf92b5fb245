"""A worker: reads events, keeps the sessions that it was given, and gives them back when it stops."""

import asyncio
import json
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from busgate_asgi import scopes
from busgate_asgi.broker import Broker, BrokerAway, BrokerRefused, OutcomeUnknown, Queue, Taken
from busgate_asgi.exchange import Exchange
from busgate_asgi.handover import Handover, room_of
from busgate_asgi.logs import Seldom
from busgate_asgi.outbox import Line, Outbox
from busgate_asgi.session import Session, State
from busgate_asgi.types import Application, Json, Scope

#: Gateways hear from us that often, in seconds.
BEAT = 2.0
#: A gateway that has not heard from us for that long has given our sessions to others, in seconds.
SILENCE = 10.0
#: While so many sessions and requests wait for their first answer no more are taken, so that other workers have them.
MOST_UNANSWERED = 256
#: Events that one call takes: few from the queue of all workers, so that all have some.
_FROM_ALL, _FROM_OWN = 16, 256
#: Handlers that take long are looked for that often, in seconds.
_LOOK = 0.5
#: A stop waits so long for handlers in the middle of an event, and so long for applications that only send, in seconds.
STOP_BUSY, STOP_SENDING = 20.0, 2.0
_STOP_LOOK = 0.02

T = TypeVar("T", Session, Exchange)

log = logging.getLogger("busgate_asgi")


class Worker:
    """Runs an application for the events of a queue, until `stop`."""

    def __init__(self, broker: Broker, application: Application, queue: str, state: dict[str, Any]) -> None:
        self.own_queue = _name_of_ours(queue)
        self._broker = broker
        self._application = application
        self._state = state
        self._queue_name = queue
        self._outbox = Outbox(broker, self._uncertain)
        self._handover = Handover(broker, self._end_elsewhere)
        self._sessions: dict[str, Session] = {}
        self._exchanges: dict[str, Exchange] = {}
        self._untold: list[bytes] = []
        #: Sessions that were given back, with the lease under which they were here.
        self._given_back: dict[str, int | None] = {}
        self._malformed = Seldom(log)
        self._stopping = asyncio.Event()
        self._released = asyncio.Event()
        self._heard_at = 0.0

    async def run(self) -> None:
        """Reads and runs until :meth:`stop`, and then until every session was given back. Raises BrokerRefused."""
        await self._broker.open()
        self._heard_at = asyncio.get_running_loop().time()
        self._outbox.start()
        close = await self._listen()
        queue = self._broker.queue(self._queue_name)
        keeping = [asyncio.create_task(step) for step in (self._read_ours(), self._beat(), self._look())]
        log.info("Reading queue %s at %s (Press CTRL+C to quit)", self._queue_name, self._broker.address)
        try:
            await self._read(queue)
            await self._give_back()
        finally:
            self._released.set()
            await asyncio.wait(keeping)
            await close()
            await self._outbox.close(STOP_SENDING)
            await queue.close()
            await self._broker.close()

    def stop(self) -> None:
        """Takes nothing new, and gives the sessions back: what SIGTERM asks for."""
        self._stopping.set()

    async def _listen(self) -> Callable[[], Awaitable[None]]:
        while True:
            try:
                return await self._broker.listen(room_of(self._queue_name), self._hear)
            except BrokerAway:
                await asyncio.sleep(_LOOK)

    async def _read(self, queue: Queue) -> None:
        while not self._stopping.is_set():
            if self._unanswered() >= MOST_UNANSWERED:
                await asyncio.sleep(_STOP_LOOK)
                continue
            events = await queue.take(_FROM_ALL)
            if self._stopping.is_set():
                await queue.give_back(events)
                return
            self._take(events, self._take_new)
            if self._untold:
                untold, self._untold = self._untold, []
                room = self._broker.room(room_of(self._queue_name))
                await self._tell([(room, event) for event in untold])

    async def _read_ours(self) -> None:
        while not self._released.is_set():
            name = self.own_queue
            queue = self._broker.queue(name)
            while not self._released.is_set() and self.own_queue == name:
                events = await queue.take(_FROM_OWN)
                self._mind_silence()
                if self._released.is_set():
                    await self._leave(events, name)
                else:
                    self._take(events, self._take_own)
            await queue.close()

    async def _leave(self, events: Iterable[Taken], own_queue: str) -> None:
        """What came when every session was given back: nobody beats here any more, so another worker takes leave of them."""
        for taken in events:
            if self._was_given_back(taken.event):
                await self._handover.leave(self._queue_name, own_queue, taken)

    def _take(self, events: Iterable[Taken], take: Callable[[Taken, float], None]) -> None:
        now = asyncio.get_running_loop().time()
        for event in events:
            try:
                take(event, now)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                self._malformed.error("An event that cannot be understood was skipped: %r", error)

    def _take_own(self, taken: Taken, now: float) -> None:
        """An event of a session that is here, or was."""
        event = taken.event
        kind = event["type"]
        if kind == "http.disconnect":
            exchange = self._exchanges.get(event["session"])
            if exchange is not None:
                exchange.leave()
            return
        session = self._sessions.get(event["session"])
        if kind not in ("websocket.receive", "websocket.disconnect"):
            return
        if session is None:
            # Its application has come to its end. Where the session was given back, this is stale, and the next worker has the event; but an end that
            # crossed with that is told to nobody else.
            if kind == "websocket.receive":
                self._line(event).done(event["order"])
            elif self._was_given_back(event):
                self._end_elsewhere(taken)
            return
        # What a gateway left behind (order null) was written under whatever lease the session had then.
        if event.get("lease") == session.lease or event.get("order") is None:
            session.deliver(taken, now)

    def _take_new(self, taken: Taken, now: float) -> None:
        """An event of the queue of all workers."""
        event = taken.event
        kind = event["type"]
        if kind == "websocket.connect":
            self._connect(taken, now)
        elif kind == "http.request":
            self._request(taken, now)
        elif kind not in ("websocket.disconnect", "http.disconnect"):
            raise ValueError(f"{kind!r} does not belong in the queue of all workers")
        elif event["session"] in self._sessions or event["session"] in self._exchanges:
            self._take_own(taken, now)
        elif event.get("own_queue") is None:
            self._untold.append(taken.raw)
        elif event["own_queue"] == self.own_queue:
            self._take_own(taken, now)
        else:
            self._handover.take(event["own_queue"], taken)

    def _connect(self, taken: Taken, now: float) -> None:
        event = taken.event
        scope = scopes.websocket_scope(event, self._state)
        before = self._sessions.get(event["session"])
        if before is not None:
            if before.lease is not None and before.lease == event.get("lease"):
                # A broker that died may hand out again what it was told had been taken.
                return
            before.abandon()
        self._given_back.pop(event["session"], None)
        session = Session(event, self._line(event), self._outbox, self.own_queue)
        session.begin(taken, now)
        self._start(session, scope, self._sessions)

    def _request(self, taken: Taken, now: float) -> None:
        event = taken.event
        scope = scopes.http_scope(event, self._state)
        self._start(Exchange(taken, self._line(event), self._outbox, now), scope, self._exchanges)

    def _end_elsewhere(self, taken: Taken) -> None:
        """No application has the session any more, here or elsewhere: one begins it anew, and finds its end."""
        self._given_back.pop(taken.event["session"], None)
        event = {**taken.event, "resumed": True}
        session = Session(event, self._line(event), self._outbox, self.own_queue)
        now = asyncio.get_running_loop().time()
        session.begin(Taken({**event, "type": "websocket.connect"}, b"", None), now)
        session.deliver(taken, now)
        self._start(session, scopes.websocket_scope(event, self._state), self._sessions)

    def _start(self, target: T, scope: Scope, among: dict[str, T]) -> None:
        """Runs the application for a session or a request, which is forgotten at its end."""

        def ended(_: object) -> None:
            if among.get(target.id) is target:
                del among[target.id]

        among[target.id] = target
        target.task = asyncio.create_task(target.run(self._application, scope))
        target.task.add_done_callback(ended)

    def _line(self, event: Json) -> Line:
        return Line(self._outbox, event["reply_topic"], event["reply_channel"], event.get("lease"))

    def _hear(self, payload: bytes) -> None:
        """Another worker took a disconnect of a session that it does not have."""
        try:
            event = json.loads(payload)
            self._take([Taken(event, payload, None)], self._take_own)
        except ValueError:
            self._malformed.error("What is no JSON was skipped in a room of workers.")

    def _unanswered(self) -> int:
        """Sessions and requests that wait for a first answer. Counted only where there may be too many of them."""
        if len(self._sessions) + len(self._exchanges) < MOST_UNANSWERED:
            return 0
        return sum(session.unanswered for session in self._sessions.values()) + sum(not one.begun for one in self._exchanges.values())

    async def _beat(self) -> None:
        """Says that we live."""
        while True:
            if await self._tell_state():
                self._mind_silence()
                self._heard_at = asyncio.get_running_loop().time()
            if await _first(self._released, BEAT):
                return

    async def _look(self) -> None:
        """Says of events that take long that they are still being handled."""
        while not await _first(self._released, _LOOK):
            now = asyncio.get_running_loop().time()
            for target in self._all():
                target.keep_alive(now)

    def _mind_silence(self) -> None:
        """After so long a silence (this process was frozen, or cut off from the broker) others may have our sessions. Whatever is still ours is given
        back, so that no application goes on for a client whom it does not hear; and gateways read what they find in our queue, so we have another one."""
        now = asyncio.get_running_loop().time()
        if now - self._heard_at <= SILENCE:
            return
        self._heard_at = now
        if self._sessions:
            log.warning("Nothing was heard of this worker for %d s: its %d sessions are given back.", SILENCE, len(self._sessions))
        self.own_queue = _name_of_ours(self._queue_name)
        self._given_back.clear()
        for session in list(self._sessions.values()):
            self._release(session)

    async def _tell_state(self) -> bool:
        state = b"stopping" if self._stopping.is_set() else b"working"
        return await self._tell([(self._broker.room(room_of(self.own_queue)), b'{"state":"%b"}' % state)])

    async def _tell(self, messages: list[tuple[str, bytes]]) -> bool:
        try:
            await self._broker.publish(messages)
        except (BrokerAway, BrokerRefused, OutcomeUnknown):
            return False
        return True

    async def _give_back(self) -> None:
        """Gives each session back as soon as its application is between two events."""
        log.info("Shutting down")
        # Before anybody hears that we stop: nothing is begun after that.
        for session in self._sessions.values():
            session.stop()
        await self._tell_state()
        clock = asyncio.get_running_loop().time
        began = clock()
        while (self._sessions or self._exchanges or self._handover.pending) and clock() - began < STOP_BUSY:
            late = clock() - began > STOP_SENDING
            for session in list(self._sessions.values()):
                if session.at_rest or (late and not session.busy):
                    self._release(session)
            await asyncio.sleep(_STOP_LOOK)
        tasks = [target.task for target in self._all() if target.task is not None]
        if tasks:
            log.warning("%d handlers did not end within %d s; they are cancelled.", len(tasks), STOP_BUSY)
            for target in self._all():
                target.release()
            await asyncio.wait(tasks)

    def _release(self, session: Session) -> None:
        if session.state is State.OPEN:
            self._given_back[session.id] = session.lease
        session.release()

    def _was_given_back(self, event: Json) -> bool:
        """Whether an event is the end of a session that was given back, and no worker's since: its gateway says so, or had not heard of that."""
        if event["type"] != "websocket.disconnect" or event["session"] not in self._given_back:
            return False
        return event.get("own_queue") == self.own_queue or self._given_back[event["session"]] == event.get("lease")

    def _all(self) -> list[Session | Exchange]:
        return [*self._sessions.values(), *self._exchanges.values()]

    def _uncertain(self, lines: Iterable[Line]) -> None:
        broken = set(lines)
        for session in self._sessions.values():
            if session.line in broken:
                session.uncertain()


def _name_of_ours(queue: str) -> str:
    return f"{queue}.w.{secrets.token_hex(8)}"


async def _first(event: asyncio.Event, seconds: float) -> bool:
    """Waits for the event; False where the time came first."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except asyncio.TimeoutError:
        return False
    return True
