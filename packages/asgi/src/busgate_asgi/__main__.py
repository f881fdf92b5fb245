"""``python -m busgate_asgi`` is the command ``busgate-asgi``."""

from busgate_asgi.cli import main

main()
