"""One process of a measurement with Python's channels_redis: the same as worker.ts, on its core layer, and on its pub/sub layer for rooms."""

import asyncio
import json
import resource
import sys
import time

from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer

MESSAGE = {"type": "bench.message", "text": "x" * 100}
ON_THEIR_WAY = 64


def hosts(url):
    """Without a time limit of the client's own, which is as long as channels_redis waits for a message: whichever is reached first, the wait fails."""
    return [{"address": url, "socket_timeout": None}]


def used():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Clock:
    async def begin(self):
        print("ready", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        self.since, self.cpu = time.perf_counter(), used()

    def done(self, count):
        figures = {"count": count, "seconds": time.perf_counter() - self.since, "cpuMicros": (used() - self.cpu) * 1e6}
        print(json.dumps(figures), flush=True)


async def queue(url, clock, readers, total):
    """Its readers lose and repeat messages: it ends when nothing has come for a second, and what came is counted."""
    layer = RedisChannelLayer(hosts=hosts(url), capacity=10_000)
    received = sent = 0

    async def send():
        nonlocal sent
        if sent < total:
            sent += 1
            await layer.send("bench", MESSAGE)

    async def read():
        nonlocal received
        while True:
            await layer.receive("bench")
            received += 1
            await send()

    await clock.begin()
    tasks = [asyncio.create_task(read()) for _ in range(readers)]
    await asyncio.gather(*(send() for _ in range(ON_THEIR_WAY)))
    seen, at, cpu = -1, 0.0, 0.0
    while received < total and received != seen:
        seen, at, cpu = received, time.perf_counter(), used()
        await asyncio.sleep(1)
    if received < total:
        clock.since += time.perf_counter() - at
        clock.cpu += used() - cpu
    clock.done(min(received, total))
    for task in tasks:
        task.cancel()


async def members(url, clock, count, messages):
    layer = RedisChannelLayer(hosts=hosts(url), capacity=10_000)
    channels = [await layer.new_channel() for _ in range(count)]
    for channel in channels:
        await layer.group_add("bench", channel)

    async def read(channel):
        for _ in range(messages):
            await layer.receive(channel)

    tasks = [asyncio.create_task(read(channel)) for channel in channels]
    await clock.begin()
    await asyncio.gather(*tasks)
    clock.done(count * messages)


async def group_send(url, clock, messages, _):
    layer = RedisChannelLayer(hosts=hosts(url), capacity=10_000)
    await clock.begin()
    for _ in range(messages):
        await layer.group_send("bench", MESSAGE)
    clock.done(messages)


async def rooms(url, clock, count, _):
    layer = RedisPubSubChannelLayer(hosts=hosts(url))
    channel = await layer.new_channel()
    await clock.begin()
    for index in range(count):
        await layer.group_add(f"bench.{index}", channel)
    for index in range(count):
        await layer.group_discard(f"bench.{index}", channel)
    clock.done(count)


SCENARIOS = {"queue": queue, "members": members, "groupSend": group_send, "rooms": rooms}
_, url, scenario, *numbers = sys.argv
first, second = (*map(int, numbers), 0)[:2]
asyncio.run(SCENARIOS[scenario](url, Clock(), first, second))
