"""URLs of brokers, in the form that all of Busgate takes. No error repeats a URL, which may hold a password."""

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote

Kind = Literal["standalone", "sentinel", "cluster", "nats"]

_REDIS = re.compile(r"^(?:redis|valkey)(s?)(-sentinel|-cluster)?://(?:([^@/?#]*)@)?([^@/?#]+)(?:/([^@/?#]*))?(?:\?([^@#]*))?$")
_SOCKET = re.compile(r"^(?:redis\+unix|unix)://(?:([^@/?#]*)@)?(/[^?#]+)(?:\?([^@#]*))?$")
_NATS = re.compile(r"^(nats|tls)://(?:([^@/?#]*)@)?([^/?#]+)/?(?:\?([^#]*))?$")
_TLS = ("ca", "cert", "key", "servername")
_REDIS_PARAMETERS = frozenset({"db", "sentinelUsername", "sentinelPassword", *_TLS})
_NATS_PARAMETERS = frozenset({"nkey", "creds", "replicas", "domain", *_TLS})
_EXPECTED = (
    "expected redis://[user:password@]host[:port][/db], redis-sentinel://h1[:port],h2/<primary>, redis-cluster://h1[:port],h2 "
    "(rediss… for TLS, or valkey…), redis+unix:///path, or nats://h1[:port],h2 (tls:// for TLS); percent-encode special characters"
)


class InvalidUrl(ValueError):
    """A URL that names no broker."""


@dataclass(frozen=True)
class Tls:
    """Paths of PEM files; what is absent is the system's."""

    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    #: The name that the server's certificate must have, where that is not the host's.
    servername: str | None = None


@dataclass(frozen=True)
class Target:
    """What a URL says."""

    kind: Kind
    hosts: tuple[tuple[str, int], ...]
    #: The path of a socket, which stands for a host.
    path: str | None = None
    username: str | None = None
    password: str | None = None
    tls: Tls | None = None
    db: int = 0
    #: Sentinel's name of the primary, and who we are to the sentinels.
    primary: str = ""
    sentinel_username: str | None = None
    sentinel_password: str | None = None
    #: NATS: a token, the paths of an NKey seed or of a credentials file, and the JetStream domain.
    token: str | None = None
    nkey: str | None = None
    creds: str | None = None
    domain: str | None = None
    address: str = field(default="", compare=False)


def parse_url(url: str) -> Target:
    """Reads a URL. Raises InvalidUrl."""
    if match := _REDIS.match(url):
        return _redis(url.partition("://")[0], *match.groups())
    if match := _SOCKET.match(url):
        return _socket(url.partition("://")[0], *match.groups())
    if match := _NATS.match(re.sub(r",\s*(nats|tls)://", ",", url)):
        return _nats(*match.groups())
    raise InvalidUrl(_EXPECTED)


def _redis(scheme: str, tls: str, form: str | None, userinfo: str | None, hosts: str, path: str | None, query: str | None) -> Target:
    parameters = _parameters(query, _REDIS_PARAMETERS)
    kind: Kind = "sentinel" if form == "-sentinel" else "cluster" if form == "-cluster" else "standalone"
    path = unquote(path or "")
    if kind == "standalone" and "," in hosts:
        raise InvalidUrl("redis:// names one host; several need redis-sentinel:// or redis-cluster://")
    if kind == "sentinel" and path == "":
        raise InvalidUrl("redis-sentinel:// needs the name of the primary after the hosts, as in redis-sentinel://h1,h2/mymaster")
    db = _database(path if kind == "standalone" and path else parameters.get("db", "0"))
    if kind == "cluster" and (path or db != 0):
        raise InvalidUrl("Redis Cluster has one database, 0, and nothing follows the hosts")
    username, password = _credentials(userinfo)
    return Target(
        kind=kind,
        hosts=_hosts(hosts, 26379 if kind == "sentinel" else 6379),
        username=username,
        password=password,
        tls=_tls(tls == "s", parameters),
        db=db,
        primary=path if kind == "sentinel" else "",
        sentinel_username=parameters.get("sentinelUsername"),
        sentinel_password=parameters.get("sentinelPassword"),
        address=f"{scheme}://{hosts}" + (f"/{path}" if path else ""),
    )


def _socket(scheme: str, userinfo: str | None, path: str, query: str | None) -> Target:
    parameters = _parameters(query, _REDIS_PARAMETERS)
    username, password = _credentials(userinfo)
    return Target(
        kind="standalone",
        hosts=(),
        path=unquote(path),
        username=username,
        password=password,
        tls=_tls(wanted=False, parameters=parameters),
        db=_database(parameters.get("db", "0")),
        address=f"{scheme}://{path}",
    )


def _nats(scheme: str, userinfo: str | None, hosts: str, query: str | None) -> Target:
    parameters = _parameters(query, _NATS_PARAMETERS)
    given = [value for value in (userinfo or None, parameters.get("nkey"), parameters.get("creds")) if value is not None]
    if len(given) > 1:
        raise InvalidUrl("one of user:password@, token@, nkey= and creds= says who this is, not several")
    token = unquote(userinfo) if userinfo and ":" not in userinfo else None
    username, password = (None, None) if token is not None else _credentials(userinfo)
    return Target(
        kind="nats",
        hosts=_hosts(hosts, 4222),
        username=username,
        password=password,
        tls=_tls(scheme == "tls" or any(name in parameters for name in _TLS), parameters),
        token=token,
        nkey=parameters.get("nkey"),
        creds=parameters.get("creds"),
        domain=parameters.get("domain"),
        address=f"{scheme}://{hosts}",
    )


def _hosts(text: str, port: int) -> tuple[tuple[str, int], ...]:
    return tuple(_host(part.strip(), port) for part in text.split(","))


def _host(text: str, port: int) -> tuple[str, int]:
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::(\d{1,5}))?", text)
    if match is None or int(match[2] or port) > 65535:
        raise InvalidUrl("a host is not host or host:port; an IPv6 address stands in brackets")
    return match[1].strip("[]"), int(match[2] or port)


def _database(text: str) -> int:
    if not re.fullmatch(r"\d{1,5}", text):
        raise InvalidUrl("the database is not a whole number")
    return int(text)


def _credentials(userinfo: str | None) -> tuple[str | None, str | None]:
    name, _, password = (userinfo or "").partition(":")
    return unquote(name) or None, unquote(password) or None


def _parameters(query: str | None, known: frozenset[str]) -> dict[str, str]:
    parameters = {}
    for part in (query or "").split("&"):
        if part == "":
            continue
        name, _, value = part.partition("=")
        if name not in known:
            raise InvalidUrl(f"a parameter of the URL is unknown; there are {', '.join(sorted(known))}")
        parameters[name] = unquote(value)
    return parameters


def _tls(wanted: bool, parameters: dict[str, str]) -> Tls | None:
    files = {name: parameters[name] for name in _TLS if name in parameters}
    if files and not wanted:
        raise InvalidUrl("files for TLS need a URL that begins with rediss")
    return Tls(**files) if wanted else None
