"""Brokers as processes of our own, on free ports."""

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

#: How long a server may take to listen, in seconds.
_PATIENCE = 30.0


class Server:
    """A server process. What it has written survives `restart`."""

    def __init__(self, scheme: str, command: Sequence[str], port: int, folder: str) -> None:
        self.port = port
        self.url = f"{scheme}://127.0.0.1:{port}"
        self._command = command
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Starts it, and waits until it listens."""
        with Path(self._folder, "log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError(f"{self._command[0]} does not listen:\n{Path(self._folder, 'log').read_text()}")

    def kill(self) -> None:
        """Ends it at once."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def forget(self) -> None:
        """Once it has ended: all that it was given is lost."""
        shutil.rmtree(Path(self._folder, "store"), ignore_errors=True)

    def pause(self) -> None:
        """Freezes it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it run again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


def free_port() -> int:
    """A port that nobody has at the moment, nor the one that a node of a cluster takes beside it."""
    while True:
        with socket.socket() as probe, socket.socket() as beside:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            if port + 10_000 < 65_536 and beside.connect_ex(("127.0.0.1", port + 10_000)) != 0:
                return port


def start_redis(*options: str, scheme: str = "redis", port: int | None = None) -> Server:
    """A Redis, to be entered."""
    port, folder = port or free_port(), tempfile.mkdtemp(prefix="busgate-redis-")
    where = ["--port", "0", "--tls-port", str(port)] if scheme == "rediss" else ["--port", str(port)]
    return Server(scheme, [_found("redis-server"), *where, "--bind", "127.0.0.1", "--dir", folder, "--save", "", *options], port, folder)


def start_sentinel(primary: int, *lines: str, port: int | None = None) -> Server:
    """A sentinel that watches the primary at that port by the name `main`, to be entered; with further lines of configuration."""
    port, folder = port or free_port(), tempfile.mkdtemp(prefix="busgate-sentinel-")
    configuration = Path(folder, "sentinel.conf")
    ours = [f"port {port}", "bind 127.0.0.1", f"dir {folder}", f"sentinel monitor main 127.0.0.1 {primary} 1"]
    configuration.write_text("\n".join([*ours, *lines, ""]))
    return Server("redis-sentinel", [_found("redis-server"), str(configuration), "--sentinel"], port, folder)


def start_nats(*lines: str) -> Server:
    """A NATS with JetStream, to be entered; with lines of configuration."""
    port, folder = free_port(), tempfile.mkdtemp(prefix="busgate-nats-")
    store, configuration = Path(folder, "store"), Path(folder, "nats.conf")
    configuration.write_text("\n".join([*lines, ""]))
    command = [_found("nats-server"), "-c", str(configuration), "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(store)]
    return Server("nats", command, port, folder)


def _found(binary: str) -> str:
    path = shutil.which(binary)
    assert path is not None, f"{binary} is not installed"
    return path
