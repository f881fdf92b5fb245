"""NATS with TLS, with every kind of credentials, and with a domain of its own."""

import ssl
from pathlib import Path

import nats
import pytest

from tests.support.conversation import all_of_it, refused
from tests.support.gateway import gateway_at
from tests.support.identities import certificate, operator, user_key
from tests.support.servers import start_nats


async def test_a_user_and_a_password_that_a_url_escapes() -> None:
    with start_nats('authorization { user: "u@x", password: "p:/?#" }') as server:
        url = server.url.replace("//", "//u%40x:p%3A%2F%3F%23@")
        async with gateway_at(url, client=await nats.connect(server.url, user="u@x", password="p:/?#")) as (gateway, prefix):
            await all_of_it(gateway, url, prefix)
        await refused(server.url.replace("//", "//u%40x:p@"))


async def test_a_token() -> None:
    with start_nats('authorization { token: "t0ken" }') as server:
        url = server.url.replace("//", "//t0ken@")
        async with gateway_at(url) as (gateway, prefix):
            await all_of_it(gateway, url, prefix)
        await refused(server.url.replace("//", "//token@"))


async def test_an_nkey_seed_in_a_file(tmp_path: Path) -> None:
    known, unknown = user_key(), user_key()
    (tmp_path / "known.nk").write_text(known.seed)
    (tmp_path / "unknown.nk").write_text(unknown.seed)
    with start_nats(f"authorization {{ users: [{{ nkey: {known.public} }}] }}") as server:
        url = f"{server.url}?nkey={tmp_path}/known.nk"
        async with gateway_at(url, client=await nats.connect(server.url, nkeys_seed=f"{tmp_path}/known.nk")) as (gateway, prefix):
            await all_of_it(gateway, url, prefix)
        await refused(f"{server.url}?nkey={tmp_path}/unknown.nk")


async def test_a_credentials_file(tmp_path: Path) -> None:
    (lines, ours), (_, theirs) = operator(), operator()
    (tmp_path / "ours.creds").write_text(ours)
    (tmp_path / "theirs.creds").write_text(theirs)
    with start_nats(*lines) as server:
        url = f"{server.url}?creds={tmp_path}/ours.creds"
        async with gateway_at(url, client=await nats.connect(server.url, user_credentials=f"{tmp_path}/ours.creds")) as (gateway, prefix):
            await all_of_it(gateway, url, prefix)
        await refused(f"{server.url}?creds={tmp_path}/theirs.creds")


@pytest.mark.parametrize("scheme", ["tls", "nats"])
async def test_tls_with_a_certificate_of_the_workers_own(tmp_path: Path, scheme: str) -> None:
    made, key = certificate(tmp_path, "DNS:nats.internal,IP:127.0.0.1")
    with start_nats(f'tls {{ cert_file: "{made}", key_file: "{key}", ca_file: "{made}", verify: true }}') as server:
        context = ssl.create_default_context(cafile=str(made))
        context.load_cert_chain(made, key)
        url = f"{server.url.replace('nats', scheme)}?ca={made}&cert={made}&key={key}&servername=nats.internal"
        async with gateway_at(url, client=await nats.connect(server.url, tls=context)) as (gateway, prefix):
            await all_of_it(gateway, url, prefix)


async def test_a_domain_of_jetstream() -> None:
    with start_nats("jetstream { domain: hub }") as server:
        async with gateway_at(server.url) as (gateway, prefix):
            await all_of_it(gateway, f"{server.url}?domain=hub", prefix)
