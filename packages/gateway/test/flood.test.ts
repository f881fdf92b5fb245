import { once } from 'node:events';
import type { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { TestGateway } from './support/gateway.ts';
import { closeFrame, frame, RawClient } from './support/raw.ts';

/** Milliseconds of the processor that one turn of this process's loop may take; the turn serves clients and gateway. */
const TURN_MS = 50;

/** The longest turn of the loop, in milliseconds of the processor, for as long as `work` takes. */
async function longestTurn(work: () => Promise<void>): Promise<number> {
  let longest = 0;
  let isOver = false;
  let before = process.threadCpuUsage();
  const look = (): void => {
    const { user, system } = process.threadCpuUsage(before);
    longest = Math.max(longest, (user + system) / 1000);
    before = process.threadCpuUsage();
    if (!isOver) setImmediate(look);
  };
  setImmediate(look);
  await work();
  isOver = true;
  return longest;
}

/** Writes as fast as the other side takes it. */
async function write(socket: Socket, bytes: Buffer): Promise<void> {
  if (!socket.write(bytes)) await once(socket, 'drain');
}

test.each([
  ['pings', frame(9), 100_000],
  ['pongs', frame(10), 300_000],
  ['messages of one byte', frame(1, 'x'), 20_000],
  ['messages in fragments of one byte', Buffer.concat([frame(1, 'x', { fin: false }), frame(0, 'y')]), 20_000],
])('%s that come as fast as four peers can send hold the loop no longer than a turn may', async (_, piece, count) => {
  await using gateway = await TestGateway.start(['--limits-outbox', '64MiB', '--rate-control', '1000000/s']);
  const peers = await Promise.all(Array.from({ length: 4 }, (_unused, index) => RawClient.upgraded(gateway.port, `/room/${index}`)));
  const bytes = Buffer.concat(Array.from({ length: 10_000 }, () => piece));
  for (const { socket } of peers) socket.removeAllListeners('data').resume();
  const longest = await longestTurn(async () => {
    const ends = peers.map(async ({ socket }) => {
      const gone = once(socket, 'close');
      for (let sent = 0; sent < count; sent += 10_000) await write(socket, bytes);
      socket.end(closeFrame(1000));
      await gone;
    });
    await Promise.all(ends);
  });
  await using good = await RawClient.upgraded(gateway.port, '/room/good');
  good.write(frame(1, 'still served'));
  await good.until((frames) => frames.length === 1);
  expect(longest).toBeLessThan(TURN_MS);
  expect(gateway.gateway.counters.closes.get('1000')).toBe(4);
});
