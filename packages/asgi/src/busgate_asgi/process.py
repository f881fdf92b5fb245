"""One worker process, from the import of the application to its end."""

import asyncio
import logging
import os
import signal

from busgate_asgi import application, logs
from busgate_asgi.broker import BrokerRefused, InvalidUrl, open_broker
from busgate_asgi.lifespan import Lifespan, LifespanFailed
from busgate_asgi.settings import Settings
from busgate_asgi.types import Application
from busgate_asgi.worker import Worker

#: Exit code of a worker that cannot start, however often it is tried. A worker that runs never ends with it.
CANNOT_START = 1

log = logging.getLogger("busgate_asgi")


def run(settings: Settings) -> int:
    """Runs a worker until SIGTERM or SIGINT; its exit code."""
    logs.configure(settings.log_level)
    log.info("Started worker process [%d]", os.getpid())
    try:
        loaded = application.load(settings.application, settings.app_dir, factory=settings.factory)
        return asyncio.run(_serve(settings, loaded))
    except (application.ApplicationError, InvalidUrl, LifespanFailed) as error:
        log.error("%s", error)
    except BrokerRefused as error:
        log.error("The broker refuses us: %s", error)
    return CANNOT_START


async def _serve(settings: Settings, loaded: Application) -> int:
    broker = open_broker(settings.layer, settings.prefix)
    lifespan = Lifespan(loaded, settings.lifespan)
    worker = Worker(broker, loaded, settings.queue, lifespan.state)
    _obey_signals(worker)
    await lifespan.startup()
    await worker.run()
    await lifespan.shutdown()
    log.info("Finished worker process [%d]", os.getpid())
    return 0


def _obey_signals(worker: Worker) -> None:
    """The first signal stops in order, the second at once."""
    loop = asyncio.get_running_loop()
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if stopping:
            os._exit(CANNOT_START)
        stopping = True
        worker.stop()

    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop)
