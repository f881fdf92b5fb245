import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { PythonEnvironment } from '../../outside/support/python.ts';
import { startRedis } from '../../support/brokers.ts';
import type { Cores } from '../rig/cores.ts';
import { pin, startPinned } from '../rig/pinned.ts';
import { residentKiB } from '../rig/resident.ts';
import { said } from '../rig/said.ts';
import type { Running, Server } from './servers.ts';

const SOCKETS = 1000;
/** So many come first and leave: what the first clients of a process cost is not what one more does. */
const REHEARSAL = 100;
const SETTLE_MS = 5000;

/** Those whose sessions live in a process of the application: worker, or server. */
export const holders: readonly string[] = ['worker', 'asgi', 'daphne', 'uvicorn'];

/** KiB of memory that one more socket costs which says nothing. */
export interface Held {
  /** Of what holds the sockets. */
  readonly front: number;
  /** Of the process that has the application, where that is another one; else 0. */
  readonly worker: number;
}

/** One run on a fresh broker and fresh processes: 1,000 sockets that an application has accepted, with a handler each, and that stay. */
export async function measureHeld(cores: Cores, server: Server, python: PythonEnvironment | undefined): Promise<Held> {
  await using redis = await startRedis({ args: ['--appendonly', 'no'] });
  await pin(cores.load, redis.pid);
  const running = await server.start({ core: cores.server, redisUrl: redis.url, python });
  await using _front = running.front;
  await using _worker = running.worker;
  {
    await using _rehearsal = await hold(cores, running, REHEARSAL);
    await delay(SETTLE_MS);
  }
  await delay(SETTLE_MS);
  const before = memory(running);
  await using load = await hold(cores, running, SOCKETS);
  await delay(SETTLE_MS);
  const after = memory(running);
  if (!load.alive) throw new Error(`a socket was closed:\n${load.lines.all.join('\n')}`);
  return { front: (after.front - before.front) / SOCKETS, worker: (after.worker - before.worker) / SOCKETS };
}

/** Clients that have connected, and say nothing. */
async function hold(cores: Cores, { port, front }: Running, sockets: number): Promise<ReturnType<typeof startPinned>> {
  const load = startPinned(cores.load, process.execPath, [join(import.meta.dirname, 'load.ts'), port, 'held', sockets, 0, 'plain']);
  await said(load, 'begin', [front]);
  return load;
}

function memory({ front, worker }: Running): Held {
  return { front: residentKiB(front.pid), worker: worker === undefined ? 0 : residentKiB(worker.pid) };
}
