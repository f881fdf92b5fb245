"""What README.md says of publishing, run as it stands there."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from tests.support.gateway import PATIENCE, gateway_at
from tests.support.servers import Server

README = (Path(__file__).parent.parent / "README.md").read_text()
RECIPES = re.findall(r"```python\n(.*?)```", README.split("## Publishing without a worker")[1], re.DOTALL)


def test_there_is_a_recipe_for_each_client() -> None:
    assert [re.findall(r"redis\.asyncio|nats|redis", recipe)[0] for recipe in RECIPES] == ["redis", "redis.asyncio", "nats"]


@pytest.mark.parametrize("recipe", RECIPES, ids=["redis", "asyncio", "nats"])
async def test_a_recipe_reaches_the_room(redis_server: Server, nats_server: Server, recipe: str) -> None:
    url = nats_server.url if "nats" in recipe else redis_server.url
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    async with gateway_at(url) as (gateway, prefix):
        await gateway.wire.subscribe(gateway.wire.topic("room", "news"), heard.put_nowait)
        script = re.sub(r"(redis|nats)://localhost:\d+", url, recipe).replace("busgate", prefix)
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", script)
        assert await process.wait() == 0
        assert await asyncio.wait_for(heard.get(), PATIENCE) == b"hello"
