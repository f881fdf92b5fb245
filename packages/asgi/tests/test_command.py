"""The command: what it is told, what it says, and how it ends."""

import os
import signal
import subprocess
from base64 import b64decode
from pathlib import Path

import pytest

from busgate_asgi.broker.url import parse_url
from tests.support.gateway import Gateway, Session, gateway_at
from tests.support.servers import Server, free_port, start_redis
from tests.support.workers import command

ECHO = "tests.applications.echo:application"


async def pid_behind(session: Session) -> int:
    """The process that has a session."""
    await session.receive(text="who")
    return int((await session.reply("websocket.send"))["text"].split()[0])


async def answer(gateway: Gateway) -> str:
    """What a request is answered."""
    session = gateway.session()
    await session.request()
    return b64decode((await session.reply("http.response"))["body"]["$bytes"]).decode()


async def test_it_says_what_uvicorn_says_and_ends_with_0(layer: str) -> None:
    async with gateway_at(layer) as (gateway, prefix), command(ECHO, "--layer", layer, "--queue", "app", "--prefix", prefix) as worker:
        await worker.says(f"Reading queue app at {layer} (Press CTRL+C to quit)")
        session = gateway.session()
        await session.accepted()
        assert await pid_behind(session) == worker.pid
        assert await answer(gateway) == "by the lifespan"
        assert await worker.end() == 0
        assert await session.reply() == {"type": "websocket.release", "lease": 1}
        assert worker.lines == [
            f"INFO:     Started worker process [{worker.pid}]",
            "INFO:     Waiting for application startup.",
            "INFO:     Application startup complete.",
            f"INFO:     Reading queue app at {layer} (Press CTRL+C to quit)",
            'INFO:     203.0.113.9:51234 - "WebSocket /app/chat?a=1" [accepted]',
            'INFO:     203.0.113.9:51234 - "GET /app/chat?a=1 HTTP/1.1" 200 OK',
            "INFO:     Shutting down",
            "INFO:     Waiting for application shutdown.",
            "cleaned up",
            "INFO:     Application shutdown complete.",
            f"INFO:     Finished worker process [{worker.pid}]",
        ]


@pytest.mark.parametrize(
    ("application", "said"),
    [
        ("tests.applications.broken:application", 'raise RuntimeError("no settings were found")'),
        ("tests.applications.broken:application", "RuntimeError: no settings were found"),
        ("tests.applications.absent:application", 'Error loading ASGI app. Could not import module "tests.applications.absent".'),
        ("tests.applications.echo:absent", 'Attribute "absent" not found in module "tests.applications.echo".'),
        ("tests.applications.echo", 'Import string "tests.applications.echo" must be in format "<module>:<attribute>".'),
        ("tests.applications.echo:cannot_start", "the pool is empty"),
    ],
)
async def test_an_application_that_cannot_start_is_told_and_ends_with_1(redis_server: Server, application: str, said: str) -> None:
    async with command(application, "--layer", redis_server.url, "--queue", "app") as worker:
        assert await worker.ended() == 1
        assert any(said in line for line in worker.lines), worker.lines
        assert not any("importlib" in line or "busgate_asgi/" in line for line in worker.lines), worker.lines


async def test_an_application_that_cannot_start_ends_all_processes(redis_server: Server) -> None:
    async with command("tests.applications.echo:absent", "--layer", redis_server.url, "--queue", "app", "--processes", "2") as parent:
        assert await parent.ended() == 1


async def test_a_factory_and_a_folder_of_the_application(redis_server: Server) -> None:
    folder = str(Path(__file__).parent / "applications")
    arguments = ("echo:make", "--factory", "--app-dir", folder, "--layer", redis_server.url, "--queue", "app")
    async with gateway_at(redis_server.url) as (gateway, prefix), command(*arguments, "--prefix", prefix):
        assert await answer(gateway) == "by the lifespan"


@pytest.mark.parametrize(
    ("application", "mode", "answered"), [("no_lifespan", "auto", "nothing"), ("application", "off", "nothing"), ("no_lifespan", "on", None)]
)
async def test_a_lifespan_is_there_or_not(redis_server: Server, application: str, mode: str, answered: str | None) -> None:
    arguments = (f"tests.applications.echo:{application}", "--lifespan", mode, "--layer", redis_server.url, "--queue", "app")
    async with gateway_at(redis_server.url) as (gateway, prefix), command(*arguments, "--prefix", prefix) as worker:
        if answered is None:
            assert await worker.ended() == 1
        else:
            assert await answer(gateway) == answered


async def test_a_worker_that_is_killed_is_replaced(redis_server: Server) -> None:
    arguments = (ECHO, "--layer", redis_server.url, "--queue", "app", "--processes", "2")
    async with gateway_at(redis_server.url) as (gateway, prefix), command(*arguments, "--prefix", prefix) as parent:
        await parent.says("Reading queue", times=2)
        session = gateway.session()
        await session.accepted()
        killed = await pid_behind(session)
        assert killed != parent.pid
        os.kill(killed, signal.SIGKILL)
        await parent.says(f"Worker process [{killed}] died (signal SIGKILL); a new one starts.")
        await parent.says("Reading queue", times=3)
        assert await parent.end() == 0
        finished = [line for line in parent.lines if "Finished worker process" in line]
        assert len(finished) == 2


async def test_a_change_of_a_file_makes_a_new_worker(redis_server: Server, tmp_path: Path) -> None:
    module = tmp_path / "site_under_work.py"
    text = (Path(__file__).parent / "applications" / "echo.py").read_text()
    module.write_text(text)
    arguments = ("site_under_work:application", "--reload", "--app-dir", str(tmp_path), "--layer", redis_server.url, "--queue", "app")
    async with gateway_at(redis_server.url) as (gateway, prefix), command(*arguments, "--prefix", prefix) as parent:
        await parent.says("Reading queue")
        assert await answer(gateway) == "by the lifespan"
        module.write_text("half a line (\n")
        await parent.says("SyntaxError")
        module.write_text(text.replace("by the lifespan", "by another one"))
        await parent.says("Reading queue", times=2)
        assert await answer(gateway) == "by another one"
        assert await parent.end() == 0


@pytest.mark.parametrize("scheme", ["redis", "redis-cluster"])
async def test_a_broker_that_is_away_is_waited_for(scheme: str) -> None:
    port = free_port()
    async with command(ECHO, "--layer", f"{scheme}://127.0.0.1:{port}", "--queue", "app") as worker:
        await worker.says(f"The broker at {scheme}://127.0.0.1:{port} is away")
        with start_redis(*(["--cluster-enabled", "yes"] if scheme == "redis-cluster" else []), port=port):
            if scheme == "redis-cluster":
                subprocess.run(["redis-cli", "-p", str(port), "cluster", "addslotsrange", "0", "16383"], check=True, capture_output=True)
            await worker.says("Reading queue app")
            assert await worker.end() == 0


async def test_credentials_that_are_refused_end_it_and_are_not_told() -> None:
    with start_redis("--requirepass", "right") as server:
        url = server.url.replace("//", "//:wrong-secret@")
        async with command(ECHO, "--queue", "app", environment={"BUSGATE_LAYER": url}) as worker:
            assert await worker.ended() == 1
            assert any("The broker refuses us" in line for line in worker.lines)
            assert not any("wrong-secret" in line for line in worker.lines)


@pytest.mark.parametrize("url", ["http://x", "redis://:wrong-secret@a,b", "redis://a?secret=wrong-secret", "redis-sentinel://a", "nats://a@b@c:x"])
async def test_a_url_of_no_broker_ends_it_and_is_not_told(url: str) -> None:
    async with command(ECHO, "--layer", url, "--queue", "app") as worker:
        assert await worker.ended() == 1
        assert not any("wrong-secret" in line for line in worker.lines), worker.lines
        assert any(line.startswith("ERROR: ") for line in worker.lines)


def test_a_url_is_read_as_the_gateways_read_it() -> None:
    assert parse_url("valkeys-sentinel://h1,h2:5/main").tls is not None
    assert parse_url("valkey://h/2") == parse_url("redis://h/2")
    assert parse_url("unix:///run/a%20b.sock?db=1") == parse_url("redis+unix:///run/a%20b.sock?db=1")
    assert (parse_url("redis+unix://u:p@/run/s").path, parse_url("redis://u@h").username, parse_url("redis://u@h").password) == ("/run/s", "u", None)


async def test_the_second_signal_ends_it_at_once(redis_server: Server) -> None:
    arguments = ("tests.applications.stuck:application", "--layer", redis_server.url, "--queue", "app")
    async with gateway_at(redis_server.url) as (gateway, prefix), command(*arguments, "--prefix", prefix) as worker:
        session = gateway.session()
        await session.connect()
        await worker.says("stuck")
        worker.process.send_signal(signal.SIGTERM)
        await worker.says("Shutting down")
        assert await worker.end(signal.SIGINT) == 1


async def test_a_wrong_argument_is_refused() -> None:
    for arguments in (("--queue", "a..b"), ("--queue", "app", "--processes", "0"), ("--queue", "app", "--prefix", "a.b"), ()):
        async with command(ECHO, "--layer", "redis://127.0.0.1", *arguments) as worker:
            assert await worker.ended() == 2
