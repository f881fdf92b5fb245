"""The names that one prefix has on a NATS server."""

import hashlib
from base64 import urlsafe_b64encode

#: NATS allows 255 characters in the name of a consumer; a longer one is a hash of it.
_MAX_CONSUMER = 253


class Names:
    """Subjects, the stream of the queues, its consumers, and JetStream's calls, in a domain where there is one."""

    def __init__(self, prefix: str, domain: str | None) -> None:
        self._prefix = prefix
        self._calls = "$JS.API" if domain is None else f"$JS.{domain}.API"
        capitals = prefix.upper()
        # A prefix with capitals of its own is another one than that without.
        own = "" if prefix == prefix.lower() else f"-{hashlib.sha256(prefix.encode()).hexdigest()[:12]}"
        self.stream = f"{capitals}{own}_QUEUE"

    def queue(self, name: str) -> str:
        """The subject of a queue."""
        return f"{self._prefix}.queue.{name}"

    def room(self, name: str) -> str:
        """The subject of a room."""
        return f"{self._prefix}.room.{name}"

    def consumer(self, queue: str) -> str:
        """The durable consumer of a queue."""
        encoded = urlsafe_b64encode(queue.encode()).rstrip(b"=").decode()
        return f"q_{encoded if len(encoded) <= _MAX_CONSUMER else hashlib.sha256(queue.encode()).hexdigest()}"

    def call(self, name: str) -> str:
        """The subject of a call of JetStream's."""
        return f"{self._calls}.{name}"
