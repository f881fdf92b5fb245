"""The command `busgate-asgi`."""

import argparse
import os
import re
import sys
from collections.abc import Sequence

from busgate_asgi import __version__, logs, process, supervisor
from busgate_asgi.settings import Settings

#: The names of queues, as all of Busgate has them; ours has `.w.` and 16 digits behind it, and no name may pass 200 characters.
_NAME = re.compile(r"[A-Za-z0-9_:@-]+(\.[A-Za-z0-9_:@-]+)*")
_MAX_QUEUE = 200 - len(".w.") - 16


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command, and exits."""
    said = _parser().parse_args(arguments)
    logs.configure(said.log_level)
    settings = Settings(
        application=said.application,
        layer=said.layer,
        queue=said.queue,
        prefix=said.prefix,
        app_dir=said.app_dir,
        factory=said.factory,
        lifespan=said.lifespan,
        log_level=said.log_level,
    )
    if said.reload:
        sys.exit(supervisor.reload(settings))
    if said.processes > 1:
        sys.exit(supervisor.supervise(settings, said.processes))
    sys.exit(process.run(settings))


def _parser() -> argparse.ArgumentParser:
    layer = os.environ.get("BUSGATE_LAYER")
    parser = argparse.ArgumentParser(
        prog="busgate-asgi",
        description="Runs an ASGI application as a worker of Busgate: the gateways hold the sockets, the application keeps the logic.",
    )
    parser.add_argument("application", metavar="MODULE:ATTRIBUTE", help="the ASGI application, as in project.asgi:application")
    parser.add_argument(
        "--layer",
        metavar="URL",
        default=layer,
        required=layer is None,
        help="the broker, as the gateways are told: redis://, rediss://, redis-sentinel://, redis-cluster://, nats:// or tls://; BUSGATE_LAYER",
    )
    parser.add_argument("--queue", metavar="NAME", type=_queue, required=True, help="the queue of the gateways' event routes")
    parser.add_argument("--prefix", metavar="NAME", type=_prefix, default="busgate", help="the gateways' prefix (default: busgate)")
    parser.add_argument("--processes", metavar="N", type=_processes, default=1, help="workers to run; one that dies is replaced (default: 1)")
    parser.add_argument("--app-dir", metavar="DIR", default=".", help="where the module is looked for first (default: the current directory)")
    parser.add_argument("--factory", action="store_true", help="the attribute is a function that returns the application")
    parser.add_argument("--reload", action="store_true", help="for development: a new worker whenever a Python file under --app-dir changes")
    parser.add_argument("--lifespan", choices=("auto", "on", "off"), default="auto", help="whether the application has a lifespan (default: auto)")
    parser.add_argument("--log-level", choices=tuple(logs.LEVELS), default="info", help="what is logged (default: info)")
    parser.add_argument("--version", action="version", version=f"busgate-asgi {__version__}")
    return parser


def _queue(text: str) -> str:
    if not _NAME.fullmatch(text) or len(text) > _MAX_QUEUE:
        raise argparse.ArgumentTypeError(f"letters, digits and _ : @ -, with single dots between, at most {_MAX_QUEUE} of them")
    return text


def _prefix(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        raise argparse.ArgumentTypeError("letters, digits, _ and -")
    return text


def _processes(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,2}", text):
        raise argparse.ArgumentTypeError("a whole number from 1 to 999")
    return int(text)
