"""The log: lines as uvicorn writes them, so that who knows one reads the other."""

import logging
import sys
import time
from typing import Any

LEVELS = {"critical": 50, "error": 40, "warning": 30, "info": 20, "debug": 10}

_COLOURS = {logging.DEBUG: 36, logging.INFO: 32, logging.WARNING: 33, logging.ERROR: 31, logging.CRITICAL: 91}
#: Something that may go wrong with every message is logged once in that many seconds.
_SELDOM = 60.0


class _Formatter(logging.Formatter):
    """``INFO:     message``, the level in colour on a terminal."""

    def __init__(self, *, colours: bool) -> None:
        super().__init__("%(levelprefix)s %(message)s")
        self._colours = colours

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        name = f"\x1b[{_COLOURS.get(record.levelno, 0)}m{record.levelname}\x1b[0m" if self._colours else record.levelname
        record.levelprefix = f"{name}:{' ' * (8 - len(record.levelname))}"
        return super().formatMessage(record)


def configure(level: str) -> None:
    """Writes what is logged from `level` on to stderr, and who came to stdout, as uvicorn does."""
    for name, stream in (("busgate_asgi", sys.stderr), ("busgate_asgi.access", sys.stdout)):
        handler = logging.StreamHandler(stream)
        handler.setFormatter(_Formatter(colours=stream.isatty()))
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(LEVELS[level])
        logger.propagate = False


class Seldom:
    """Logs the first of many like errors, and then one a minute with the number of those between."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._next = 0.0
        self._silent = 0

    def error(self, message: str, *arguments: Any) -> None:
        """As Logger.error; `message` should be the same each time."""
        if time.monotonic() < self._next:
            self._silent += 1
            return
        if self._silent:
            message, arguments = message + " (and %d more in the last minute)", (*arguments, self._silent)
        self._log.error(message, *arguments)
        self._next, self._silent = time.monotonic() + _SELDOM, 0
