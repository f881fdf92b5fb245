"""The application's own start and end (ASGI's lifespan)."""

import asyncio
import logging
from typing import Any, Literal

from busgate_asgi.types import Application, Message

Mode = Literal["auto", "on", "off"]

log = logging.getLogger("busgate_asgi")


class LifespanFailed(Exception):
    """The application says that it cannot start."""


class Lifespan:
    """Runs the lifespan scope beside the sessions. `state` is what the application put there, for every later scope."""

    def __init__(self, application: Application, mode: Mode) -> None:
        self.state: dict[str, Any] = {}
        self._application = application
        self._mode = mode
        self._to_application: asyncio.Queue[Message] = asyncio.Queue()
        self._answer: asyncio.Future[Message | None] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Raises LifespanFailed."""
        if self._mode == "off":
            return
        log.info("Waiting for application startup.")
        self._task = asyncio.create_task(self._run())
        answer = await self._ask("lifespan.startup")
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            if answer.get("message"):
                log.error(answer["message"])
            raise LifespanFailed("Application startup failed. Exiting.")
        if answer is None and self._mode == "on":
            raise LifespanFailed("Application startup failed. Exiting.")
        log.info("Application startup complete.")

    async def shutdown(self) -> None:
        """Waits for the application's end."""
        if self._task is None or self._task.done():
            return
        log.info("Waiting for application shutdown.")
        answer = await self._ask("lifespan.shutdown")
        if answer is not None and answer["type"] == "lifespan.shutdown.failed":
            log.error("Application shutdown failed. %s", answer.get("message", ""))
            return
        log.info("Application shutdown complete.")

    async def _ask(self, kind: str) -> Message | None:
        """The application's answer; None where its coroutine has ended."""
        self._answer = asyncio.get_running_loop().create_future()
        self._to_application.put_nowait({"type": kind})
        return await self._answer

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._application(scope, self._to_application.get, self._send)
        except Exception:
            if self._mode == "on":
                log.exception("Exception in 'lifespan' protocol\n")
            else:
                log.debug("ASGI 'lifespan' protocol appears unsupported.")
        finally:
            if not self._answer.done():
                self._answer.set_result(None)

    async def _send(self, message: Message) -> None:
        if not self._answer.done():
            self._answer.set_result(message)
