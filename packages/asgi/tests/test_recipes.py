"""What README.md says of publishing, run as it stands there, with a gateway and a client."""

import asyncio
import json
import re
import secrets
import sys
from pathlib import Path

import pytest

from tests.support.busgate import PATIENCE, busgate
from tests.support.servers import Server

PACKAGE = Path(__file__).parent.parent
CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)
LIVE, WITH_HISTORY = (CODE.findall(part) for part in (PACKAGE / "README.md").read_text().split("## Publishing without a worker")[1].split("### With a history"))
CLIENTS = ["redis", "redis.asyncio", "nats"]
ROUTES = [{"path": "/socket", "kind": "multiplex", "join": "anyone", "publish": "nobody"}]
HISTORY = [{"rooms": "news", "size": 100, "age": "5m"}]


def test_there_is_a_recipe_for_each_client() -> None:
    for recipes in (LIVE, WITH_HISTORY):
        assert [re.findall(r"redis\.asyncio|nats|redis", recipe)[0] for recipe in recipes] == CLIENTS


def test_a_recipe_has_five_lines() -> None:
    for recipe in (*LIVE, *WITH_HISTORY):
        lines = [line for line in recipe.splitlines() if line.strip() and line not in ("async def main():", "asyncio.run(main())")]
        assert len(lines) <= 5


@pytest.mark.parametrize("kept", [False, True], ids=["live", "with a history"])
@pytest.mark.parametrize("client", range(3), ids=CLIENTS)
async def test_a_recipe_reaches_the_clients(redis_server: Server, nats_server: Server, tmp_path: Path, client: int, kept: bool) -> None:
    recipe = (WITH_HISTORY if kept else LIVE)[client]
    url = nats_server.url if "nats" in recipe else redis_server.url
    prefix = f"t{secrets.token_hex(6)}"
    documents = (PACKAGE / "../../docs/layer-redis.md").read_text()
    (tmp_path / "publish.lua").write_text(documents.split("This is `publish.lua`")[1].split("```lua\n")[1].split("```")[0])
    async with busgate(url, prefix, routes=ROUTES, history=HISTORY if kept else None) as gateway:
        page = await gateway.connect("/socket")
        await page.send(json.dumps({"type": "join", "room": "news"}))
        while json.loads(await asyncio.wait_for(page.recv(), PATIENCE))["type"] != "joined":
            pass
        script = re.sub(r"(redis|nats)://localhost:\d+", url, recipe).replace("busgate:room", f"{prefix}:room").replace("busgate.room", f"{prefix}.room")
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, cwd=tmp_path, stdout=asyncio.subprocess.PIPE)
        printed, _ = await process.communicate()
        assert process.returncode == 0
        message = json.loads(await asyncio.wait_for(page.recv(), PATIENCE))
        assert (message["type"], message["room"], message["text"]) == ("message", "news", "hello")
        if kept:
            said = printed.decode().strip()
            assert said in (message["position"], message["position"].rpartition(":")[2])
        await page.close()
