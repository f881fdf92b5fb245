"""Real brokers for the tests, and coroutines as tests."""

import asyncio
import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers import Server, start_nats, start_redis

#: A test that takes longer has failed, in seconds.
LONGEST = 120


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


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, redis_server: Server) -> dict[str, str]:
    """The project's environment, with a database; `SESSION` is the cookie of its user."""
    environment = {"SITE_DATABASE": str(tmp_path_factory.mktemp("site") / "db.sqlite3"), "SITE_REDIS": redis_server.url}
    prepare = [sys.executable, "-m", "tests.applications.django_site.prepare"]
    made = subprocess.run(prepare, check=True, capture_output=True, text=True, cwd=Path(__file__).parent.parent, env={**os.environ, **environment})
    return {**environment, "SESSION": made.stdout.strip()}
