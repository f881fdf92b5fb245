import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { frame, upgrade } from '../../packages/gateway/test/support/raw.ts';
import { type GatewayProcess, startGateway } from '../support/processes.ts';
import { Client } from './clients.ts';

const KIB = 1024;
const MIB = KIB * KIB;
/** What the container has in which a gateway is shipped. */
const LIMIT = 512 * MIB;
const GOOD_CLIENTS = 100;
const ROOMS = 10;
/** Messages to each room of the good clients, a few of which are under way at any moment. */
const MESSAGES = 50;

interface Attack {
  readonly name: string;
  /** Resolves once all was sent, with the connections that it holds. */
  readonly begin: (gateway: GatewayProcess) => Promise<readonly Socket[]>;
}

const ATTACKS: readonly Attack[] = [
  {
    name: 'a session that joins and leaves tens of thousands of rooms',
    begin: async (gateway) => {
      const socket = await open(gateway, '/socket');
      let answers = 0;
      socket.on('data', (chunk: Buffer) => (answers += chunk.toString('latin1').split('"left"').length - 1));
      const total = 30_000;
      for (let room = 0; room < total; room += 100) {
        const frames = Array.from({ length: 100 }, (_, index) =>
          ['join', 'leave'].map((type) => frame(1, JSON.stringify({ type, room: `r.${room + index}` }))),
        );
        await send(socket, Buffer.concat(frames.flat()));
      }
      while (answers < total && !socket.destroyed) await either(socket, 'data', 'close');
      return [socket];
    },
  },
  {
    name: 'joins that ask for a whole history and do not read it',
    begin: async (gateway) => {
      const payload = Buffer.alloc(60 * KIB, 'x');
      let first = '';
      for (let count = 0; count < 1000; count += 1) {
        const answer = await fetch(gateway.http('/room/kept.1'), { method: 'POST', body: payload });
        if (count === 0) first = ((await answer.json()) as { position: string }).position;
        else await answer.body?.cancel();
      }
      const sockets = await Promise.all(Array.from({ length: 60 }, () => open(gateway, '/socket')));
      const joins = sockets.map(async (socket) => {
        await send(socket, frame(1, JSON.stringify({ type: 'join', room: 'kept.1', since: first })));
        await once(socket, 'data');
        socket.pause();
      });
      await Promise.all(joins);
      return sockets;
    },
  },
  {
    name: 'messages in fragments of one byte, with 64 KiB of pongs after each',
    begin: async (gateway) => {
      const sockets = await Promise.all(Array.from({ length: 30 }, (_, index) => open(gateway, `/room/bad.${index}`)));
      const pongs = Buffer.concat(Array.from({ length: 500 }, () => frame(10, 'x'.repeat(124))));
      const piece = (index: number): Buffer => Buffer.concat([frame(index === 0 ? 1 : 0, 'x', { fin: false }), pongs]);
      await Promise.all(
        sockets.map(async (socket) => {
          for (let index = 0; index < 300; index += 1) await send(socket, piece(index));
        }),
      );
      return sockets;
    },
  },
  {
    name: 'thousands of messages that are short of their last byte',
    begin: async (gateway) => {
      const sockets: Socket[] = [];
      const message = frame(2, Buffer.alloc(64 * KIB)).subarray(0, -1);
      for (let count = 0; count < 6000; count += 100) {
        const opened = await Promise.all(Array.from({ length: 100 }, () => open(gateway, '/room/bad')));
        await Promise.all(opened.map((socket) => send(socket, message)));
        sockets.push(...opened);
      }
      return sockets;
    },
  },
  {
    name: 'sockets that send what they do not read',
    begin: async (gateway) => {
      const sockets = await Promise.all(Array.from({ length: 100 }, () => open(gateway, '/room/echo')));
      for (const socket of sockets) socket.pause();
      const message = frame(2, Buffer.alloc(60 * KIB));
      await Promise.all(
        sockets.map(async (socket) => {
          for (let count = 0; count < 5 && !socket.destroyed; count += 1) await send(socket, message);
        }),
      );
      return sockets;
    },
  },
];

test.each(ATTACKS)('a gateway in 512 MiB lives through $name, and good clients notice nothing', async ({ begin }) => {
  const history = JSON.stringify([{ rooms: 'kept.>', size: 1000, age: '10m' }]);
  await using gateway = await startGateway({
    args: ['--demo', '--history', history, '--rate-control', '1000000/s'],
    env: { NODE_OPTIONS: '--max-old-space-size=384' },
  });
  await using stack = new AsyncDisposableStack();
  const good = await Promise.all(Array.from({ length: GOOD_CLIENTS }, (_, index) => Client.open(gateway.ws(`/room/good.${index % ROOMS}`))));
  for (const client of good) stack.use(client);
  let isOver = false;
  const attack = begin(gateway).finally(() => (isOver = true));
  let sent = 0;
  // The good ones go on for as long as the attack does, and some more.
  for (; !isOver || sent < MESSAGES; sent += 1) {
    for (const speaker of good.slice(0, ROOMS)) speaker.send(String(sent));
    await Promise.all(good.map((client) => client.until((received) => received.length > sent)));
  }
  for (const socket of await attack) stack.defer(() => void socket.destroy());
  const expected = Array.from({ length: sent }, (_, index) => String(index));
  for (const client of good) expect(client.received).toEqual(expected);
  expect(peakOf(gateway.pid)).toBeLessThan(LIMIT);
});

/** The most memory that the process ever had resident, in bytes. */
function peakOf(pid: number): number {
  const [, kib] = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib) * KIB;
}

/** A WebSocket of bytes, whose answers nobody looks at. */
async function open(gateway: GatewayProcess, path: string): Promise<Socket> {
  const socket = connect({ port: gateway.port, host: '127.0.0.1' });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.write(upgrade(path, { Host: 'localhost' }));
  const [answer] = (await once(socket, 'data')) as [Buffer];
  expect(answer.toString('latin1')).toMatch(/^HTTP\/1\.1 101 /);
  return socket.resume();
}

/** Resolves once the kernel has it, or the gateway has ended the connection. */
async function send(socket: Socket, bytes: Buffer): Promise<void> {
  if (!socket.writable || socket.write(bytes)) return;
  await either(socket, 'drain', 'close').catch(() => undefined);
}

/** Resolves with the first of these events, and listens for none of them any more. */
async function either(socket: Socket, ...events: string[]): Promise<void> {
  const over = new AbortController();
  await Promise.race(events.map((event) => once(socket, event, over))).finally(() => over.abort());
}
