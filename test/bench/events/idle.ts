import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startRedis } from '../../support/brokers.ts';
import type { Cores } from '../rig/cores.ts';
import { pin, startPinned } from '../rig/pinned.ts';
import { residentKiB } from '../rig/resident.ts';
import { said } from '../rig/said.ts';
import { startWork } from './servers.ts';

const SOCKETS = 10_000;
/** Once nothing happens any more, and for how long it is watched: three times as long as the lease of a gateway. */
const SETTLE_MS = 5000;
const WATCHED_MS = 30_000;

/** What sockets cost the gateway whose handlers are stateless, once their worker has gone. */
export interface Idle {
  /** KiB of the gateway a socket, when all had been accepted. */
  readonly perSocket: number;
  /** The gateway's memory at the end, of that. */
  readonly growth: number;
}

/** One run on a fresh broker: 10,000 sockets are accepted by a worker, which then ends. */
export async function measureIdle(cores: Cores): Promise<Idle> {
  await using redis = await startRedis({ args: ['--appendonly', 'no'] });
  await pin(cores.load, redis.pid);
  const { port, front, worker } = await startWork({ core: cores.server, redisUrl: redis.url, python: undefined });
  await using _front = front;
  await using _worker = worker;
  const before = residentKiB(front.pid);
  await using load = startPinned(cores.load, process.execPath, [join(import.meta.dirname, 'load.ts'), port, 'idle', SOCKETS, 0, 'plain']);
  await said(load, 'begin', [front]);
  worker?.signal('SIGTERM');
  await worker?.exited;
  await delay(SETTLE_MS);
  const settled = residentKiB(front.pid);
  await delay(WATCHED_MS);
  if (!load.alive) throw new Error(`a socket was closed:\n${load.lines.all.join('\n')}`);
  return { perSocket: (settled - before) / SOCKETS, growth: residentKiB(front.pid) / settled };
}
