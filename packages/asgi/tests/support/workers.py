"""Workers in the test's own loop, and as processes."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from busgate_asgi.broker import open_broker
from busgate_asgi.types import Application
from busgate_asgi.worker import Worker

PATIENCE = 30.0
_ROOT = Path(__file__).parent.parent.parent


@contextlib.asynccontextmanager
async def worker(layer: str, prefix: str, application: Application, queue: str = "app", state: dict[str, Any] | None = None) -> AsyncIterator[Worker]:
    """A worker that runs beside the test, and is stopped in order."""
    running = Worker(open_broker(layer, prefix), application, queue, state or {})
    task = asyncio.create_task(running.run())
    try:
        yield running
    finally:
        running.stop()
        await task


async def has_spoken(running: Worker) -> None:
    """Waits until the worker knows that the broker has all that sessions said. Where a broker dies sooner the outcome is unknown, which closes them."""
    outbox = running._outbox
    while outbox._done or not outbox._idle.is_set():
        await asyncio.sleep(0.01)


class Command:
    """The command as a process; what it logs can be waited for."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._changed = asyncio.Condition()
        assert process.stdout is not None
        self._reading = asyncio.create_task(self._read(process.stdout))

    @property
    def pid(self) -> int:
        return self.process.pid

    async def says(self, text: str, times: int = 1) -> str:
        """Waits for so many lines that contain the text; the last of them."""

        def found() -> str | None:
            lines = [line for line in self.lines if text in line]
            return lines[times - 1] if len(lines) >= times else None

        async with self._changed:
            while (line := found()) is None:
                assert not self._reading.done(), f"it ended without {text!r}:\n" + "\n".join(self.lines)
                try:
                    await asyncio.wait_for(self._changed.wait(), PATIENCE)
                except asyncio.TimeoutError:
                    raise AssertionError(f"it did not say {text!r}:\n" + "\n".join(self.lines)) from None
            return line

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal, and waits for the exit code."""
        self.process.send_signal(number)
        return await self.ended()

    async def ended(self) -> int:
        """Waits for the exit code."""
        code = await asyncio.wait_for(self.process.wait(), PATIENCE)
        await self._reading
        return code

    async def _read(self, stream: asyncio.StreamReader) -> None:
        async for line in stream:
            async with self._changed:
                self.lines.append(line.decode().rstrip("\n"))
                self._changed.notify_all()
        async with self._changed:
            self._changed.notify_all()


@contextlib.asynccontextmanager
async def command(*arguments: str, environment: dict[str, str] | None = None) -> AsyncIterator[Command]:
    """`busgate-asgi` with these arguments, its applications looked for in the folder of the tests."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "busgate_asgi",
        *arguments,
        cwd=_ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    running = Command(process)
    try:
        yield running
    finally:
        # In order, so that a parent ends its workers.
        if process.returncode is None:
            process.terminate()
        await running.ended()
