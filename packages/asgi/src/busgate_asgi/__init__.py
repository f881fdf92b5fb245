"""Runs any ASGI 3 application as a worker of Busgate.

The gateways hold the clients' sockets and put what happens to them on a queue of the broker. A worker reads that queue, runs the application for
each session, and sends back what the application says. See the command ``busgate-asgi --help``.
"""

__version__ = "0.1.0"
