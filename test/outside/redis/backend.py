"""A Django backend's side of the tests: calls on a channels_redis layer, one JSON line in and one out for each."""

import asyncio
import base64
import json
import sys

import redis.asyncio as redis
from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer

LAYERS = {"channels-core": RedisChannelLayer, "channels-pubsub": RedisPubSubChannelLayer}


def revive(value):
    if isinstance(value, dict):
        if set(value) == {"$bytes"}:
            return base64.b64decode(value["$bytes"])
        return {key: revive(member) for key, member in value.items()}
    return [revive(item) for item in value] if isinstance(value, list) else value


def portable(value):
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {key: portable(member) for key, member in value.items()}
    return [portable(item) for item in value] if isinstance(value, list) else value


async def burst(layer, group, count):
    await asyncio.gather(*(layer.group_send(group, {"type": "burst", "n": n}) for n in range(count)))


class Subscriptions:
    """The pub/sub layer has only written its SUBSCRIBE when it returns: here it is waited for, so that no PUBLISH of another connection overtakes it."""

    def __init__(self, wire, hosts, prefix="asgi", **_):
        self.prefix = prefix
        self.hosts = [redis.from_url(host) for host in hosts] if wire == "channels-pubsub" else []
        self.groups = set()

    async def count(self, name):
        return sum([(await host.pubsub_numsub(name))[0][1] for host in self.hosts])

    async def more_than(self, count, name):
        while self.hosts and await self.count(name) <= count:
            await asyncio.sleep(0.002)

    async def new_channel(self, layer):
        channel = await layer.new_channel()
        await self.more_than(0, channel)
        return channel

    async def group_add(self, layer, group, channel):
        name = f"{self.prefix}__group__{group}"
        others = await self.count(name)
        await layer.group_add(group, channel)
        if group not in self.groups:
            await self.more_than(others, name)
        self.groups.add(group)


async def main(wire, config):
    layer = LAYERS[wire](**config)
    subscriptions = Subscriptions(wire, **config)
    calls = {
        "new_channel": lambda: subscriptions.new_channel(layer),
        "group_add": lambda group, channel: subscriptions.group_add(layer, group, channel),
        "group_send": lambda group, message: layer.group_send(group, message),
        "send": lambda channel, message: layer.send(channel, message),
        "receive": lambda channel: asyncio.wait_for(layer.receive(channel), 60),
        "burst": lambda group, count: burst(layer, group, count),
    }
    loop = asyncio.get_running_loop()
    print("ready", flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        name, *arguments = revive(json.loads(line))
        try:
            answer = {"value": portable(await calls[name](*arguments))}
        except Exception as error:
            answer = {"error": repr(error)}
        print(json.dumps(answer), flush=True)


asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
