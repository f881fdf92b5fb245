"""The process above workers: keeps some of them running, or makes a new one whenever a file changes."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from types import FrameType

from busgate_asgi.process import CANNOT_START
from busgate_asgi.settings import Settings

#: One that dies again is replaced later and later, up to that many seconds.
_LONGEST_PAUSE = 10.0
#: One that ran that long, in seconds, is replaced at once.
_STEADY = 30.0
#: Children and files are looked at that often, in seconds.
_LOOK = 0.25

log = logging.getLogger("busgate_asgi")


class _Signals:
    """SIGTERM and SIGINT: the first asks for an end, the second for it at once."""

    def __init__(self) -> None:
        self.count = 0
        self.heard = threading.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._hear)

    def _hear(self, _: int, __: FrameType | None) -> None:
        self.count += 1
        self.heard.set()


def supervise(settings: Settings, processes: int) -> int:
    """Keeps so many workers running until a signal; the exit code."""
    signals = _Signals()
    log.info("Started parent process [%d]", os.getpid())
    slots = [_Slot(settings) for _ in range(processes)]
    while not signals.heard.wait(_LOOK):
        if not all(slot.keep() for slot in slots):
            _end([slot.child for slot in slots], signals)
            return CANNOT_START
    _end([slot.child for slot in slots], signals)
    log.info("Stopping parent process [%d]", os.getpid())
    return 0


def reload(settings: Settings) -> int:
    """Runs one worker, and a new one after each change of a Python file; the exit code."""
    signals = _Signals()
    log.info("Will watch for changes in these directories: ['%s']", Path(settings.app_dir).resolve())
    child, seen = _start(settings), _files(settings.app_dir)
    while not signals.heard.wait(_LOOK):
        now = _files(settings.app_dir)
        if now == seen:
            continue
        changed = sorted(name for name, _ in set(now.items()) ^ set(seen.items()))
        log.warning("Detected changes in '%s'. Reloading...", changed[0])
        _end([child], signals)
        child, seen = _start(settings), now
    _end([child], signals)
    return 0


class _Slot:
    """The place of one worker."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pause = 0.0
        self._again_at: float | None = None
        self._began = time.monotonic()
        self.child = _start(settings)

    def keep(self) -> bool:
        """Replaces a worker that has died. False where it says that no other could start either."""
        code = self.child.poll()
        now = time.monotonic()
        if code is None:
            return True
        if code == CANNOT_START:
            return False
        if self._again_at is None:
            self._pause = 0.0 if now - self._began > _STEADY else min(_LONGEST_PAUSE, max(_LOOK, 2 * self._pause))
            self._again_at = now + self._pause
            log.error("Worker process [%d] died (%s); a new one starts.", self.child.pid, _why(code))
        if now >= self._again_at:
            self.child, self._began, self._again_at = _start(self._settings), now, None
        return True


def _start(settings: Settings) -> "subprocess.Popen[bytes]":
    options = ["--queue", settings.queue, "--prefix", settings.prefix, "--app-dir", settings.app_dir]
    options += ["--lifespan", settings.lifespan, "--log-level", settings.log_level, *(["--factory"] if settings.factory else [])]
    # The URL may hold a password, and everybody may read arguments.
    environment = {**os.environ, "BUSGATE_LAYER": settings.layer}
    # A group of its own: what a terminal sends to all of us the parent passes on, so that each hears it once.
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "busgate_asgi", settings.application, *options], env=environment, start_new_session=True
    )


def _end(children: Iterable["subprocess.Popen[bytes]"], signals: _Signals) -> None:
    """Ends workers in order, or at once where a second signal comes."""
    children = list(children)
    for child in children:
        child.terminate()
    told = signals.count
    while any(child.poll() is None for child in children):
        if signals.count > told:
            for child in children:
                child.kill()
        time.sleep(_LOOK / 5)


def _files(folder: str) -> dict[Path, float]:
    """Every Python file below, with the time of its last change."""
    found = {}
    for path in Path(folder).resolve().rglob("*.py"):
        try:
            found[path] = path.stat().st_mtime
        except OSError:
            continue
    return found


def _why(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
