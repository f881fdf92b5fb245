"""Redis in its forms: TLS, a user with few rights, Sentinel and Cluster."""

import asyncio
import re
import ssl
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis
import redis.asyncio

from busgate_asgi.types import Receive, Scope, Send
from tests.support.gateway import Gateway, gateway_at
from tests.support.servers import Server, start_redis, start_sentinel
from tests.support.workers import worker

README = Path(__file__).parent.parent / "README.md"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers frames with the same."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


async def all_of_it(gateway: Gateway, url: str, prefix: str) -> None:
    """A conversation, and a disconnect that goes from one worker to another."""
    async with worker(url, prefix, echo) as has, worker(url, prefix, echo, queue="other"):
        session = gateway.session()
        await session.accepted()
        await session.receive(text="hello")
        assert (await session.reply("websocket.send"))["text"] == "hello"
        left = {**session.event("websocket.disconnect", code=1006, reason=""), "order": None, "own_queue": has.own_queue}
        await gateway.wire.push("other", left, 86_400)
        while session.id in has._sessions:
            await asyncio.sleep(0.01)


async def test_tls_with_files_and_a_name(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subject = ["-subj", "/CN=redis.internal", "-addext", "subjectAltName=DNS:redis.internal"]
    making = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", str(key), "-out", str(certificate), *subject]
    subprocess.run(making, check=True, capture_output=True)
    files = ["--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-ca-cert-file", str(certificate)]
    with start_redis(*files, scheme="rediss") as server:
        direct = redis.asyncio.Redis(port=server.port, ssl=True, ssl_certfile=str(certificate), ssl_keyfile=str(key), ssl_cert_reqs=ssl.CERT_NONE)
        async with gateway_at(server.url, client=direct) as (gateway, prefix):
            url = f"{server.url}?ca={certificate}&cert={certificate}&key={key}&servername=redis.internal"
            await all_of_it(gateway, url, prefix)


async def test_a_user_needs_the_rights_that_the_documents_say() -> None:
    rights = re.search(r"`(\+blpop .*)`", README.read_text())
    assert rights is not None
    with start_redis() as server:
        async with gateway_at(server.url) as (gateway, prefix):
            with redis.Redis(port=server.port) as admin:
                admin.execute_command("ACL", "SETUSER", "worker", "on", ">secret", f"~{prefix}:queue:*", f"&{prefix}:*", *rights[1].split())
            await all_of_it(gateway, server.url.replace("//", "//worker:secret@"), prefix)
            with redis.Redis(port=server.port) as admin:
                assert admin.acl_log() == []


async def test_a_new_primary_is_found_through_the_sentinels() -> None:
    with start_redis() as primary, start_redis("--replicaof", "127.0.0.1", str(primary.port)) as replica, start_sentinel(primary) as sentinel:
        url = f"{sentinel.url}/main"
        async with gateway_at(primary.url) as (gateway, prefix), worker(url, prefix, echo):
            session = gateway.session()
            await session.accepted()
            await session.disconnect()
            await failed_over(sentinel, primary, replica)
            async with gateway_at(replica.url, prefix=prefix) as (after, _):
                session = after.session()
                await session.accepted()
                await session.receive(text="on the new primary")
                assert (await session.reply("websocket.send"))["text"] == "on the new primary"
                await session.disconnect()


async def test_a_primary_that_has_become_a_replica_is_told_nothing(caplog: pytest.LogCaptureFixture) -> None:
    say = asyncio.Event()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await say.wait()
        await send({"type": "websocket.send", "text": "said"})
        await receive()

    with start_redis() as server, start_sentinel(server) as sentinel, redis.Redis(port=server.port) as admin:
        async with gateway_at(server.url) as (gateway, prefix), worker(f"{sentinel.url}/main", prefix, application):
            session = gateway.session()
            await session.accepted()
            admin.execute_command("REPLICAOF", "127.0.0.1", "1")
            say.set()
            while "Replies wait for the broker" not in caplog.text:
                await asyncio.sleep(0.01)
            assert session.replies.empty()
            admin.execute_command("REPLICAOF", "NO", "ONE")
            assert (await session.reply("websocket.send"))["text"] == "said"
            await session.disconnect()


async def test_the_nodes_of_a_cluster() -> None:
    with ExitStack() as stack:
        nodes = [stack.enter_context(start_redis("--cluster-enabled", "yes", "--cluster-node-timeout", "15000")) for _ in range(3)]
        addresses = [f"127.0.0.1:{node.port}" for node in nodes]
        making = ["redis-cli", "--cluster", "create", *addresses, "--cluster-yes"]
        subprocess.run(making, check=True, capture_output=True)
        for node in nodes:
            with redis.Redis(port=node.port) as client:
                # A node passes a publish on to those alone with which it has a link.
                while client.cluster("info")["cluster_state"] != "ok" or not all(peer["connected"] for peer in client.cluster("nodes").values()):
                    await asyncio.sleep(0.05)
        async with gateway_at(f"redis-cluster://{addresses[0]}") as (gateway, prefix):
            await all_of_it(gateway, f"redis-cluster://{','.join(addresses)}", prefix)


async def failed_over(sentinel: Server, primary: Server, replica: Server) -> None:
    """Makes the replica the primary, and waits until both know."""
    with redis.Redis(port=sentinel.port) as asked, redis.Redis(port=replica.port) as new, redis.Redis(port=primary.port) as old:
        while asked.execute_command("SENTINEL", "CKQUORUM", "main") is None or not asked.execute_command("SENTINEL", "REPLICAS", "main"):
            await asyncio.sleep(0.05)
        while new.info("replication")["master_link_status"] != "up":
            await asyncio.sleep(0.05)
        while True:
            try:
                asked.execute_command("SENTINEL", "FAILOVER", "main")
                break
            except redis.ResponseError:
                await asyncio.sleep(0.1)
        while new.info("replication")["role"] != "master" or role_of(old) != "slave":
            await asyncio.sleep(0.05)


def role_of(server: redis.Redis) -> str:
    """What a server is; it cuts its clients off while that changes."""
    try:
        return str(server.info("replication")["role"])
    except redis.ConnectionError:
        return "changing"
