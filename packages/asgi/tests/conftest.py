"""Real brokers for the tests, and coroutines as tests."""

import asyncio
import inspect
from collections.abc import Iterator

import pytest

from tests.support.servers import Server, start_nats, start_redis

#: A test that takes longer has failed, in seconds.
LONGEST = 60


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs a test that is a coroutine function, in a loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    asyncio.run(asyncio.wait_for(pyfuncitem.obj(**arguments), LONGEST))
    return True


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Server]:
    """A Redis that tests share; each has a prefix of its own."""
    with start_redis() as server:
        yield server


@pytest.fixture(scope="session")
def nats_server() -> Iterator[Server]:
    """A NATS with JetStream that tests share; each has a prefix of its own."""
    with start_nats() as server:
        yield server


@pytest.fixture(params=["redis", "nats"])
def layer(request: pytest.FixtureRequest) -> str:
    """The URL of each broker in turn."""
    server: Server = request.getfixturevalue(f"{request.param}_server")
    return server.url
