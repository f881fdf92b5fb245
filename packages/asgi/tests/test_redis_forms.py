"""Redis in its forms: TLS, a user with few rights, a socket, Sentinel and Cluster."""

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
from tests.support.conversation import all_of_it, echo, refused
from tests.support.gateway import gateway_at
from tests.support.identities import certificate
from tests.support.servers import Server, free_port, start_redis, start_sentinel
from tests.support.workers import worker

README = Path(__file__).parent.parent / "README.md"


async def test_tls_with_files_and_a_name(tmp_path: Path) -> None:
    made, key = certificate(tmp_path, "DNS:redis.internal")
    with start_redis(*tls_files(made, key), scheme="rediss") as server:
        direct = redis.asyncio.Redis(port=server.port, ssl=True, ssl_certfile=str(made), ssl_keyfile=str(key), ssl_cert_reqs=ssl.CERT_NONE)
        async with gateway_at(server.url, client=direct) as (gateway, prefix):
            url = f"{server.url}?ca={made}&cert={made}&key={key}&servername=redis.internal"
            await all_of_it(gateway, url, prefix)


async def test_a_primary_over_tls_with_credentials_for_it_and_for_the_sentinel(tmp_path: Path) -> None:
    made, key = certificate(tmp_path)
    primary_port, sentinel_port = free_port(), free_port()
    files = [*tls_files(made, key), "--tls-auth-clients", "no", "--tls-replication", "yes"]
    lines = [f"{files[at][2:]} {files[at + 1]}" for at in range(0, len(files), 2)]
    users = ["user default off", "user watcher on >watched +@all allchannels allkeys"]
    with (
        start_redis(*files, "--tls-port", str(primary_port)) as primary,
        start_sentinel(primary_port, *lines, *users, f"tls-port {sentinel_port}"),
        redis.Redis(port=primary.port) as admin,
    ):
        admin.execute_command("ACL", "SETUSER", "worker", "on", ">secret", "~*", "&*", "+@all")
        who = f"ca={made}&sentinelUsername=watcher&sentinelPassword=watched"
        async with gateway_at(primary.url) as (gateway, prefix):
            await all_of_it(gateway, f"rediss-sentinel://worker:secret@127.0.0.1:{sentinel_port}/main?{who}", prefix)
        for unknown in (who.replace("watched", "wrong"), f"ca={made}"):
            await refused(f"rediss-sentinel://worker:secret@127.0.0.1:{sentinel_port}/main?{unknown}", "sentinelUsername, sentinelPassword")
        await refused(f"rediss-sentinel://worker:wrong@127.0.0.1:{sentinel_port}/main?{who}")


async def test_a_sentinel_that_refuses_is_passed_over_where_another_one_answers() -> None:
    locked = ["user default off", "user watcher on >watched +@all allchannels allkeys"]
    with start_redis() as primary, start_sentinel(primary.port, *locked) as strict, start_sentinel(primary.port) as open_one:
        absent = f"127.0.0.1:{free_port()}"
        async with gateway_at(primary.url) as (gateway, prefix):
            await all_of_it(gateway, f"redis-sentinel://{absent},127.0.0.1:{strict.port},127.0.0.1:{open_one.port}/main", prefix)
        # Whoever is away says nothing of them.
        await refused(f"redis-sentinel://{absent},127.0.0.1:{strict.port}/main")


async def test_credentials_of_a_cluster_and_of_a_server_that_asks_for_some(tmp_path: Path) -> None:
    with start_redis("--requirepass", "secret") as server:
        await refused(server.url)
    with start_redis("--requirepass", "secret", "--cluster-enabled", "yes") as node, redis.Redis(port=node.port, password="secret") as admin:
        admin.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        while admin.cluster("info")["cluster_state"] != "ok":
            await asyncio.sleep(0.05)
        await refused(f"redis-cluster://:wrong@127.0.0.1:{node.port}")
        await refused(f"redis-cluster://127.0.0.1:{node.port}")


async def test_a_socket_in_the_file_system_a_user_without_a_password_and_another_database(tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    with start_redis("--unixsocket", str(path)) as server, redis.Redis(port=server.port) as admin:
        admin.execute_command("ACL", "SETUSER", "worker", "on", "nopass", "~*", "&*", "+@all")
        async with gateway_at(f"{server.url}/3") as (gateway, prefix):
            for scheme in ("redis+unix", "unix"):
                await all_of_it(gateway, f"{scheme}://worker@{path}?db=3", prefix)


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
    with start_redis() as primary, start_redis("--replicaof", "127.0.0.1", str(primary.port)) as replica, start_sentinel(primary.port) as sentinel:
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

    with start_redis() as server, start_sentinel(server.port) as sentinel, redis.Redis(port=server.port) as admin:
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


@pytest.mark.parametrize("scheme", ["redis-cluster", "rediss-cluster"])
async def test_the_nodes_of_a_cluster(tmp_path: Path, scheme: str) -> None:
    made, key = certificate(tmp_path)
    over_tls = [*tls_files(made, key), "--tls-auth-clients", "no", "--tls-cluster", "yes"] if scheme == "rediss-cluster" else []
    with ExitStack() as stack:
        nodes, addresses = [], []
        for _ in range(3):
            port = free_port()
            options = [*over_tls, "--tls-port", str(port)] if over_tls else []
            nodes.append(stack.enter_context(start_redis("--cluster-enabled", "yes", "--cluster-node-timeout", "15000", *options)))
            addresses.append(f"127.0.0.1:{port if over_tls else nodes[-1].port}")
        making = ["redis-cli", *(["--tls", "--cacert", str(made)] if over_tls else []), "--cluster", "create", *addresses, "--cluster-yes"]
        subprocess.run(making, check=True, capture_output=True)
        for node in nodes:
            with redis.Redis(port=node.port) as client:
                # A node passes a publish on to those alone with which it has a link.
                while client.cluster("info")["cluster_state"] != "ok" or not all(peer["connected"] for peer in client.cluster("nodes").values()):
                    await asyncio.sleep(0.05)
        async with gateway_at(f"redis-cluster://127.0.0.1:{nodes[0].port}") as (gateway, prefix):
            await all_of_it(gateway, f"{scheme}://{','.join(addresses)}" + (f"?ca={made}" if over_tls else ""), prefix)


def tls_files(made: Path, key: Path) -> list[str]:
    """Options of a server that has this certificate, and asks clients for it."""
    return ["--tls-cert-file", str(made), "--tls-key-file", str(key), "--tls-ca-cert-file", str(made)]


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
