"""The way out: what all sessions say in one turn of the loop goes to the broker in one write, one publish a session."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterable
from typing import NamedTuple

from busgate_asgi import replies
from busgate_asgi.broker import Broker, BrokerAway, BrokerRefused, OutcomeUnknown

#: While more bytes than that wait for the broker, applications wait in `send`.
HIGH_WATER = 1024 * 1024
#: What a gateway takes in one message (its `limits.layer_message`) is 1 MiB; a longer turn of a session goes in several.
MAX_MESSAGE = 1_000_000
#: `done` waits so long for a reply to travel with, in seconds, where a handler comes to its end a turn after it has answered; and so many of a session
#: wait at most. A quarter of the window: the gateway never waits for them.
_DONE_WITHIN, _MOST_DONE = 0.05, 8
#: While the broker is away it is tried again that often, in seconds.
_AGAIN = 0.25

log = logging.getLogger("busgate_asgi")


class Line:
    """The line to one session: its replies in order, each with the lease under which this worker speaks for it."""

    __slots__ = ("_answered", "_done", "_lease", "_outbox", "_prefix", "_saying", "_waiting", "topic")

    def __init__(self, outbox: "Outbox", topic: str, channel: str, lease: int | None) -> None:
        self.topic = topic
        self._outbox = outbox
        self._prefix = b'{"channel":' + json.dumps(channel).encode() + b","
        self._lease = b"" if lease is None else b',"lease":%d' % lease
        self._waiting: list[bytes] = []
        #: Whether the last of them says `done` of an event, and the events of which none says it yet.
        self._answered = False
        self._done: list[int] = []
        #: Of which events `done` is said by what waits to be published.
        self._saying: list[int] = []

    def send(self, reply: bytes, done: int | None = None) -> None:
        """Puts a reply on its way, and says with it that event `done` was handled. Raises ValueError for one that no gateway takes."""
        if len(reply) > MAX_MESSAGE:
            raise ValueError(f"a message of {len(reply)} bytes is too large: {MAX_MESSAGE} are what fits into one, in base64 where it is binary")
        if done is None and self._done:
            done = self._done.pop(0)
        if not self._waiting:
            self._outbox.due(self)
        reply += self._lease
        self._answered = done is not None
        if done is not None:
            reply += b',"done":%d' % done
            self._saying.append(done)
        self._waiting.append(reply)
        self._outbox.size += len(reply)

    def done(self, order: int) -> None:
        """Says that an event was handled: with the last reply where that has not left yet, else with the next one, or soon."""
        if self._waiting and not self._answered:
            self._waiting[-1] += b',"done":%d' % order
            self._saying.append(order)
            self._answered = True
            return
        self._done.append(order)
        if len(self._done) >= _MOST_DONE:
            self.flush_done()
        else:
            self._outbox.done_soon(self)

    def flush_done(self) -> None:
        """Says `done` of all events that it was not said of yet."""
        orders, self._done = self._done, []
        for order in orders:
            self._saying.append(order)
            self.send(replies.done(order))
            self._answered = True

    def repeat_done(self, orders: Iterable[int]) -> None:
        """Says it once more, where it may have been lost: else the gateway takes those events for unhandled, and another worker would be given them again."""
        self._done[:0] = orders
        self.flush_done()

    def collect(self) -> "list[Said]":
        """What waits, as messages to the topic: one, unless it is very long."""
        waiting, self._waiting = self._waiting, []
        orders, self._saying = self._saying, []
        if len(waiting) == 1:
            payloads = [self._prefix + waiting[0] + b"}"]
        elif sum(map(len, waiting)) <= MAX_MESSAGE:
            payloads = [self._prefix + b'"replies":[{' + b"},{".join(waiting) + b"}]}"]
        else:
            payloads = [self._prefix + reply + b"}" for reply in waiting]
        return [Said(self, payload, orders) for payload in payloads]


class Said(NamedTuple):
    """A message to the topic of a line, and of which events it and those collected with it say `done`."""

    line: Line
    payload: bytes
    orders: list[int]


class Outbox:
    """Publishes what lines have, batch after batch. While the broker is away everything waits, in order."""

    def __init__(self, broker: Broker, uncertain: Callable[[Iterable[Line]], None]) -> None:
        """`uncertain` is told of the lines whose replies may have been lost."""
        self._broker = broker
        self._uncertain = uncertain
        self._due: list[Line] = []
        self._done: set[Line] = set()
        #: What the gateways did not hear, who may not be back at the broker yet, in order.
        self._unheard: list[Said] = []
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._running: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        #: Bytes of replies that have not been published.
        self.size = 0

    def start(self) -> None:
        """Begins to publish."""
        self._running = asyncio.create_task(self._run())

    def due(self, line: Line) -> None:
        """A line has something."""
        self._due.append(line)
        self._idle.clear()
        self._wake.set()

    def done_soon(self, line: Line) -> None:
        """A line has a `done` that need not leave by itself."""
        if not self._done:
            asyncio.get_running_loop().call_later(_DONE_WITHIN, self._flush_done)
        self._done.add(line)

    async def drained(self) -> None:
        """Waits while too much is unpublished: the back-pressure of `send`."""
        if self.size > HIGH_WATER:
            self._room.clear()
            await self._room.wait()

    async def close(self, patience: float) -> None:
        """Publishes what there is, for `patience` seconds at most."""
        self._flush_done()
        try:
            await asyncio.wait_for(self._idle.wait(), patience)
        except asyncio.TimeoutError:
            log.error("Replies could not be published: the broker is away.")
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])

    def _flush_done(self) -> None:
        lines, self._done = self._done, set()
        for line in lines:
            line.flush_done()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            lines, self._due = self._due, []
            self._unheard = await self._publish(self._unheard)
            behind = {one.line.topic for one in self._unheard}
            said = [one for line in lines for one in line.collect()]
            self._unheard += [one for one in said if one.line.topic in behind]
            self.size = sum(len(one.payload) for one in self._unheard)
            self._unheard += await self._publish([one for one in said if one.line.topic not in behind])
            self._room.set()
            if self._unheard:
                asyncio.get_running_loop().call_later(_AGAIN, self._wake.set)
            elif not self._due:
                self._idle.set()

    async def _publish(self, said: list[Said]) -> list[Said]:
        """What was heard by nobody yet."""
        told = False
        while said:
            try:
                unheard = await self._broker.publish([(one.line.topic, one.payload) for one in said])
                return [said[at] for at in unheard]
            except OutcomeUnknown as error:
                log.warning("The broker went away while it was told %d replies (%s).", len(said), error)
                self._uncertain({one.line for one in said})
                for one in said:
                    one.line.repeat_done(one.orders)
                break
            except (BrokerAway, BrokerRefused) as error:
                if not told:
                    log.warning("Replies wait for the broker (%s).", error)
                told = True
                await asyncio.sleep(_AGAIN)
        return []
