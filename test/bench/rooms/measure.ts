import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Child } from '../../support/child.ts';
import type { Cores } from '../rig/cores.ts';
import { startPinned } from '../rig/pinned.ts';
import { planOf, type Wire } from './plan.ts';
import type { Scenario } from './scenarios.ts';
import type { Server } from './servers.ts';

/** What the load saw of one server while messages flowed. Times in microseconds; shares of one core, from 0 to 1. */
export interface Traffic {
  readonly kind: 'paced' | 'saturation';
  readonly deliveriesPerSecond: number;
  /** Of the server's process, all its threads. */
  readonly cpuPerDelivery: number;
  readonly p50: number;
  readonly p99: number;
  readonly lost: number;
  readonly duplicates: number;
  /** Arrived after a later message of the same room. */
  readonly late: number;
  /** Clients that the server closed. */
  readonly closed: number;
  readonly serverShare: number;
  readonly serverCoreShare: number;
  readonly loadShare: number;
  readonly loadCoreShare: number;
}

/** What sockets cost that do nothing. */
export interface Idle {
  readonly kind: 'idle';
  /** KiB. */
  readonly residentPerSocket: number;
  /** Microseconds of the server's CPU. */
  readonly cpuPerConnect: number;
  readonly connectsPerSecond: number;
  readonly loadShare: number;
  /** Clients that the server closed. */
  readonly closed: number;
}

export type Result = Traffic | Idle;

/** What all measurements of a bench share. */
export interface Bench {
  readonly cores: Cores;
  readonly folder: string;
  readonly program: string;
  readonly redisPort: number;
}

const WARM_MS = 3000;
const MEASURED_MS = 4000;
/** As `native/peer.h` numbers them. */
const PROTOCOLS: Readonly<Record<Wire, number>> = { frames: 0, multiplex: 1, socketio: 2 };
/** An idle process gives garbage back after some seconds without work. */
const SETTLE_MS = 8000;

/** One run of one scenario on a fresh process of one server. */
export async function measure(bench: Bench, scenario: Scenario, server: Server): Promise<Result> {
  const { cores, redisPort, program } = bench;
  const running = await server.start({ core: cores.server, redisPort, program, load: scenario });
  await using child = running.child;
  const plan = join(bench.folder, 'plan');
  const { text, before, after } = planOf(server.wire, server.publishing ?? 'live', scenario.rooms);
  await writeFile(plan, text);
  const options: Record<string, number | string> = {
    plan,
    port: running.port,
    sockets: scenario.sockets,
    protocol: PROTOCOLS[server.wire],
    skip: before,
    after,
    'server-pid': child.pid,
    'server-core': cores.server,
    'load-core': cores.load,
    ...behaviour(scenario, server, redisPort),
  };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
  await using load = startPinned(cores.load, program, ['load', ...args]);
  const { code } = await load.exited;
  if (code !== 0) throw new Error(`${server.title}, ${scenario.title}: the load failed.\n${tail(load)}\nThe server's last lines:\n${tail(child)}`);
  return { kind: scenario.kind, ...JSON.parse(load.output.all.join('')) } as Result;
}

function behaviour(scenario: Scenario, server: Server, redisPort: number): Record<string, number> {
  if (scenario.kind === 'idle') return { idle: 1, 'settle-ms': SETTLE_MS };
  const interval = scenario.messagesPerSecond === undefined ? 0 : Math.round(1e9 / scenario.messagesPerSecond);
  return { 'warm-ms': WARM_MS, 'for-ms': MEASURED_MS, 'interval-ns': interval, 'redis-port': server.viaRedis ? redisPort : 0 };
}

function tail(child: Child): string {
  return child.lines.all.slice(-10).join('\n');
}
