"""Real gateways, from the sources of this checkout, and clients of them."""

import asyncio
import contextlib
import json
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.support.servers import free_port

_CHECKOUT = Path(__file__).parent.parent.parent.parent.parent
_COMMAND = [str(_CHECKOUT / "node_modules/.bin/node"), "--conditions=@busgate/source", str(_CHECKOUT / "packages/gateway/src/cli.ts")]
#: How long a gateway may take to be ready on a busy machine, in seconds.
PATIENCE = 30.0


class Busgate:
    """A gateway process."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, ops_port: int, layer: str, prefix: str) -> None:
        self.process = process
        self.port = port
        #: The broker that it shares with workers, and the prefix there.
        self.layer, self.prefix = layer, prefix
        self._ops = f"http://127.0.0.1:{ops_port}"

    async def connect(self, path: str, site: str = "127.0.0.1", **options: Any) -> ClientConnection:
        """A client that is let in, and asks for the site of that name."""
        return await connect(f"ws://{site}{path}", host="127.0.0.1", port=self.port, compression=None, open_timeout=PATIENCE, ping_interval=None, **options)

    async def metric(self, name: str, *labels: str) -> float:
        """The sum of a metric, of the series that have these labels."""
        text = (await asyncio.to_thread(urllib.request.urlopen, f"{self._ops}/metrics")).read().decode()
        series = [line for line in text.splitlines() if line.startswith((f"{name}{{", f"{name} ")) and all(label in line for label in labels)]
        assert series, f"there is no {name}"
        return sum(float(line.rsplit(" ", 1)[1]) for line in series)

    async def exchange(self, request: bytes) -> bytes:
        """Writes bytes to a connection; all that comes back until the other side ends it, or is silent after a whole answer that was asked to be the last."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        try:
            return await asyncio.wait_for(reader.read(), PATIENCE)
        finally:
            writer.close()

    def ready(self) -> None:
        """Waits until it serves."""
        for _ in range(int(PATIENCE / 0.1)):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self._ops}/readyz")
                return
            time.sleep(0.1)
        raise AssertionError("the gateway is not ready")


@contextlib.contextmanager
def gateway_process(
    layer: str, prefix: str, routes: list[dict[str, Any]] | None = None, history: list[dict[str, Any]] | None = None, **route: Any
) -> Iterator[Busgate]:
    """A gateway with an event route `/app/*` onto the queue `app`, and further members of that route; or with other routes."""
    configuration = {
        "layer": layer,
        "prefix": prefix,
        "origins": ["http://example.org"],
        "history": history or [],
        "routes": routes or [{"path": "/app/*", "kind": "events", "queue": "app", **route}],
    }
    port, ops_port = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="busgate-") as folder:
        file = f"{folder}/busgate.yaml"
        with open(file, "w") as written:
            json.dump(configuration, written)
        ports = ["--port", str(port), "--ops-port", str(ops_port), "--host", "127.0.0.1"]
        process = subprocess.Popen([*_COMMAND, "--config", file, *ports], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            gateway = Busgate(process, port, ops_port, layer, prefix)
            gateway.ready()
            yield gateway
        finally:
            process.kill()
            process.wait()


@contextlib.asynccontextmanager
async def busgate(layer: str, prefix: str, **further: Any) -> AsyncIterator[Busgate]:
    """The same for one test, whose loop goes on meanwhile."""
    made = gateway_process(layer, prefix, **further)
    gateway = await asyncio.to_thread(made.__enter__)
    try:
        yield gateway
    finally:
        await asyncio.to_thread(made.__exit__, None, None, None)
