"""Brokers: what a worker needs of one, and which there are.

Only the module of a broker knows its commands; a worker is given a :class:`Broker`.
"""

from busgate_asgi.broker.contract import Broker, BrokerAway, BrokerRefused, OutcomeUnknown, Queue, Taken
from busgate_asgi.broker.url import InvalidUrl, parse_url

__all__ = ["Broker", "BrokerAway", "BrokerRefused", "InvalidUrl", "OutcomeUnknown", "Queue", "Taken", "open_broker"]


def open_broker(url: str, prefix: str) -> Broker:
    """The broker that a URL names; nothing is connected yet.

    Raises InvalidUrl, which never repeats the URL, since that may hold a password.
    """
    target = parse_url(url)
    if target.kind == "nats":
        try:
            from busgate_asgi.broker.nats import NatsBroker  # noqa: PLC0415
        except ImportError as error:
            raise InvalidUrl("NATS needs the package nats-py: pip install 'busgate-asgi[nats]'") from error
        return NatsBroker(target, prefix)
    from busgate_asgi.broker.redis import RedisBroker  # noqa: PLC0415

    return RedisBroker(target, prefix)
