"""Never answers."""

import asyncio
from typing import Any


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Waits for what does not come."""
    if scope["type"] == "websocket":
        print("stuck")
        await asyncio.Event().wait()
