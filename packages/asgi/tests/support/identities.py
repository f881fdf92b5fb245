"""Who servers and workers are: certificates, and NATS's keys and credentials."""

import base64
import hashlib
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import nkeys


def certificate(folder: Path, name: str = "IP:127.0.0.1") -> tuple[Path, Path]:
    """A certificate of that name that vouches for itself, and its key, as PEM files."""
    made, key = folder / "cert.pem", folder / "key.pem"
    subject = ["-subj", "/CN=busgate test", "-addext", f"subjectAltName={name}"]
    making = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", str(key), "-out", str(made), *subject]
    subprocess.run(making, check=True, capture_output=True)
    return made, key


class Key:
    """A key pair of NATS's."""

    def __init__(self, prefix: int) -> None:
        self.seed = nkeys.encode_seed(os.urandom(32), prefix).decode()
        self._pair = nkeys.from_seed(bytearray(self.seed.encode()))

    @property
    def public(self) -> str:
        """The half that others know."""
        return str(self._pair.public_key.decode())

    def vouches(self, subject: "Key", name: str, **claims: Any) -> str:
        """A token that says what another key may do."""
        body = {"iat": int(time.time()), "iss": self.public, "name": name, "sub": subject.public, "nats": {"version": 2, **claims}}
        body["jti"] = hashlib.sha256(json.dumps(body).encode()).hexdigest()
        text = ".".join(_encoded(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "ed25519-nkey"}, body))
        return f"{text}.{_encoded(self._pair.sign(text.encode()))}"


def user_key() -> Key:
    """A user's."""
    return Key(nkeys.PREFIX_BYTE_USER)


def operator() -> tuple[list[str], str]:
    """What a server of an operator with one account is configured with, and the credentials file of a user of it, as `nsc` writes it."""
    owner, system, account, user = (
        Key(prefix) for prefix in (nkeys.PREFIX_BYTE_OPERATOR, nkeys.PREFIX_BYTE_ACCOUNT, nkeys.PREFIX_BYTE_ACCOUNT, nkeys.PREFIX_BYTE_USER)
    )
    limits = {"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": True, "conn": -1, "leaf": -1}
    store = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}
    tokens = {
        system.public: owner.vouches(system, "SYS", type="account", limits=limits),
        account.public: owner.vouches(account, "A", type="account", limits={**limits, **store}),
    }
    preload = ", ".join(f'{public}: "{token}"' for public, token in tokens.items())
    lines = [
        f"operator: {owner.vouches(owner, 'O', type='operator')}",
        f"system_account: {system.public}",
        "resolver: MEMORY",
        f"resolver_preload: {{ {preload} }}",
    ]
    allowed = account.vouches(user, "U", type="user", subs=-1, data=-1, payload=-1)
    token = f"-----BEGIN NATS USER JWT-----\n{allowed}\n------END NATS USER JWT------\n"
    return lines, f"{token}\n-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
