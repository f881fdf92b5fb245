"""One gateway for all cases; each has a worker of its own."""

import secrets
from collections.abc import Iterator

import pytest

from busgate_asgi.broker import redis as redis_module
from tests.support.busgate import Busgate, gateway_process
from tests.support.servers import Server

#: A worker looks up that often from an empty queue, in seconds: so it ends soon after its case.
LOOKS_UP = 0.05


@pytest.fixture(autouse=True)
def _ends_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_module, "_WAIT", LOOKS_UP)


@pytest.fixture(scope="session")
def gateway(redis_server: Server) -> Iterator[Busgate]:
    """A gateway with `/app/*` for sockets and requests."""
    with gateway_process(redis_server.url, f"t{secrets.token_hex(6)}", http=True) as running:
        yield running
