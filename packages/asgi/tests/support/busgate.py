"""Real gateways, from the sources of this checkout, and clients of them."""

import asyncio
import contextlib
import json
import signal
import tempfile
import urllib.request
from collections.abc import AsyncIterator
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

    def __init__(self, process: asyncio.subprocess.Process, port: int, ops_port: int) -> None:
        self.process = process
        self._port = port
        self._ops = f"http://127.0.0.1:{ops_port}"

    async def connect(self, path: str, site: str = "127.0.0.1", **options: Any) -> ClientConnection:
        """A client that is let in, and asks for the site of that name."""
        return await connect(f"ws://{site}{path}", host="127.0.0.1", port=self._port, compression=None, open_timeout=PATIENCE, ping_interval=None, **options)

    async def metric(self, name: str, *labels: str) -> float:
        """The sum of a metric, of the series that have these labels."""
        text = (await asyncio.to_thread(urllib.request.urlopen, f"{self._ops}/metrics")).read().decode()
        series = [line for line in text.splitlines() if line.startswith((f"{name}{{", f"{name} ")) and all(label in line for label in labels)]
        assert series, f"there is no {name}"
        return sum(float(line.rsplit(" ", 1)[1]) for line in series)

    async def kill(self) -> None:
        """Ends it at once."""
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def ready(self) -> None:
        """Waits until it serves."""
        for _ in range(int(PATIENCE / 0.1)):
            with contextlib.suppress(OSError):
                await asyncio.to_thread(urllib.request.urlopen, f"{self._ops}/readyz")
                return
            await asyncio.sleep(0.1)
        raise AssertionError("the gateway is not ready")


@contextlib.asynccontextmanager
async def busgate(layer: str, prefix: str, **route: Any) -> AsyncIterator[Busgate]:
    """A gateway with an event route `/app/*` onto the queue `app`, and further members of that route."""
    configuration = {
        "layer": layer,
        "prefix": prefix,
        "origins": ["http://example.org"],
        "routes": [{"path": "/app/*", "kind": "events", "queue": "app", **route}],
    }
    port, ops_port = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="busgate-") as folder:
        file = f"{folder}/busgate.yaml"
        with open(file, "w") as written:
            json.dump(configuration, written)
        ports = ["--port", str(port), "--ops-port", str(ops_port), "--host", "127.0.0.1"]
        process = await asyncio.create_subprocess_exec(
            *_COMMAND, "--config", file, *ports, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        gateway = Busgate(process, port, ops_port)
        try:
            await gateway.ready()
            yield gateway
        finally:
            if process.returncode is None:
                await gateway.kill()
