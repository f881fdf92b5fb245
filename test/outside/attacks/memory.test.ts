import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from 'vitest';
import { frame, upgrade } from '../../../packages/gateway/test/support/raw.ts';
import { metricsOf, sumOf } from '../../support/metrics.ts';
import { type GatewayProcess, startGateway } from '../../support/processes.ts';
import { MemoryGroup } from '../support/memory-group.ts';

const run = promisify(execFile);
const MIB = 1024 * 1024;
/** What the container has, in MiB, and what the gateway is told of it: small ones, with a limit and with what it takes of them by itself, and one that leaves much. */
const SIZES: readonly (readonly [whole: number, flags: readonly string[]])[] = [
  [96, ['--limits-memory', '64MiB']],
  [128, []],
  [256, ['--limits-memory', '96MiB']],
];
const MESSAGE = frame(2, Buffer.alloc(60_000));

/** So many of these wait in the gateway and its kernel, or on their way, for each client that sends and does not read. */
const MESSAGES = 70;

/** A connection, and what its upgrade was answered; 0 where that was nothing. */
interface Asked {
  readonly socket: Socket;
  readonly status: number;
}

interface Attack {
  readonly name: string;
  /** A metric that is not 0 from then on. */
  readonly shows?: string;
  /** What it asks for, until the gateway is at its limit or has had enough of it. The connections stay. */
  readonly attack: (port: number) => Promise<readonly Socket[]>;
}

const ATTACKS: readonly Attack[] = [
  { name: 'connections that ask for nothing', attack: (port) => many(20, 100, () => connected(port)) },
  { name: 'sessions without end', attack: (port) => opened(20, 100, port, '/room/r') },
  {
    name: 'messages that never end',
    // Within limits.inbound_total: it is memory that is short.
    shows: 'busgate_closes_total{code="1013"}',
    attack: async (port) => (await opened(10, 100, port, '/room/half')).map((socket) => begin(socket)),
  },
  {
    name: 'clients that send and do not read',
    attack: async (port) => {
      const sockets = await opened(150, 1, port, '/room/deaf.');
      for (const socket of sockets) flood(socket.pause());
      return sockets;
    },
  },
  {
    name: 'one room that is full of both',
    attack: async (port) => {
      const sockets = await opened(150, 1, port, '/room/all');
      for (const socket of sockets) flood(socket.pause());
      return sockets;
    },
  },
];

beforeAll(async () => {
  // As the image has it: what compiles the sources as they run has more memory than all else.
  await run('npm', ['run', 'build'], { cwd: join(import.meta.dirname, '../../..') });
});

test.each(SIZES)(
  'attack 113: a gateway in a container of %i MiB %j lets go of what is past its limit, is not killed, and serves others afterwards',
  async (size, flags) => {
    const whole = size * MIB;
    using group = new MemoryGroup(whole);
    await using gateway = await startGateway({ args: ['--demo', ...flags], within: group.within, isBuilt: true });
    for (const { name, attack, shows } of ATTACKS) {
      const sockets = await attack(gateway.port);
      // It has looked at what was sent, and answers operators.
      expect(sumOf(await metricsOf(gateway), 'busgate_memory_used_bytes'), name).toBeLessThan(whole);
      if (shows !== undefined) await expect.poll(async () => sumOf(await metricsOf(gateway), shows), { message: name }).toBeGreaterThan(0);
      for (const socket of sockets) socket.destroy();
      await served(gateway);
    }
    const page = await metricsOf(gateway);
    const [due, sent, dropped, queued] = ['due_total', 'sent_total', 'dropped_total', 'queued'].map((part) => sumOf(page, `busgate_deliveries_${part}`));
    expect(due).toBe(Number(sent) + Number(dropped) + Number(queued));
    expect(sumOf(page, 'busgate_memory_limit_bytes')).toBe(whole);
    await gateway.kill();
    await expect.poll(() => group.isEmpty).toBe(true);
  },
);

/** Resolves once somebody new is let in, and is heard. */
async function served(gateway: GatewayProcess): Promise<void> {
  await expect
    .poll(async () => {
      const { socket, status } = await ask(gateway.port, '/room/new');
      if (status === 101) {
        socket.write(frame(1, 'hello'));
        const [data] = (await once(socket, 'data')) as [Buffer];
        expect(data.toString()).toContain('hello');
      }
      socket.destroy();
      return status;
    })
    .toBe(101);
}

/** `rounds` times so many at once, as long as all of them are there. */
async function many(rounds: number, atOnce: number, make: (index: number) => Promise<Socket | undefined>): Promise<Socket[]> {
  const all: Socket[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const made = await Promise.all(Array.from({ length: atOnce }, (_, index) => make(round * atOnce + index)));
    all.push(...made.filter((socket) => socket !== undefined));
    if (made.includes(undefined)) break;
  }
  return all;
}

/** Sessions, until one is refused. */
function opened(rounds: number, atOnce: number, port: number, path: string): Promise<Socket[]> {
  return many(rounds, atOnce, async (index) => {
    const { socket, status } = await ask(port, path.endsWith('.') ? `${path}${index}` : path);
    if (status === 101) return socket;
    socket.destroy();
    return undefined;
  });
}

async function connected(port: number): Promise<Socket | undefined> {
  const socket = connect({ port, host: '127.0.0.1' }).on('error', () => undefined);
  await over(socket, 'connect');
  return socket.destroyed ? undefined : socket.resume();
}

async function ask(port: number, path: string): Promise<Asked> {
  const socket = connect({ port, host: '127.0.0.1' }).on('error', () => undefined);
  let answer = '';
  socket.once('data', (data: Buffer) => (answer = data.toString('latin1')));
  socket.write(upgrade(path, { Host: 'localhost' }));
  await over(socket, 'data');
  return { socket: socket.resume(), status: Number(answer.slice(9, 12)) };
}

/** Resolves with the event, or with the connection's end. */
async function over(socket: Socket, event: string): Promise<void> {
  const end = new AbortController();
  await Promise.race([event, 'close'].map((name) => once(socket, name, end))).catch(() => undefined);
  end.abort();
}

function flood(socket: Socket): void {
  for (let sent = 0; sent < MESSAGES; sent += 1) socket.write(MESSAGE);
}

function begin(socket: Socket): Socket {
  socket.write(MESSAGE.subarray(0, -1));
  return socket;
}
