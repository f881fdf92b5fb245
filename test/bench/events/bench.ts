import { join } from 'node:path';
import { PythonEnvironment } from '../../outside/support/python.ts';
import { startRedis } from '../../support/brokers.ts';
import type { Choice } from '../choice.ts';
import { hasCentrifugo } from '../rig/centrifugo.ts';
import { chooseCores, type Cores } from '../rig/cores.ts';
import { cpuMicros } from '../rig/cpu.ts';
import { inTurn } from '../rig/in-turn.ts';
import { pin, startPinned } from '../rig/pinned.ts';
import { keep } from '../rig/results.ts';
import { said } from '../rig/said.ts';
import type { Heard } from './load.ts';
import { type Held, holders, measureHeld } from './held.ts';
import { measureIdle, type Idle } from './idle.ts';
import { report, type Measured } from './report.ts';
import { servers, type Running, type Server } from './servers.ts';

const SECONDS = 4;
const PACKAGES = [
  'channels==4.3.2',
  'channels_redis==4.3.0',
  'redis==5.2.1',
  'daphne==4.2.3',
  'uvicorn[standard]==0.54.0',
  join(import.meta.dirname, '../../../packages/asgi'),
];

interface Scenario {
  readonly path: 'echo' | 'all';
  readonly sockets: number;
}

const scenarios: Readonly<Record<string, Scenario>> = {
  'echo-1': { path: 'echo', sockets: 1 },
  'echo-100': { path: 'echo', sockets: 100 },
  'echo-1000': { path: 'echo', sockets: 1000 },
  'all-1000': { path: 'all', sockets: 1000 },
};

/** 10,000 sockets that do nothing, of a gateway whose worker has gone. */
const IDLE = 'idle-10000';

/** 1,000 sockets that do nothing: what a session costs the process that has the application. */
const HELD = 'held-1000';

export const eventScenarios: readonly string[] = [...Object.keys(scenarios), HELD, IDLE];
export const eventServers: readonly string[] = Object.keys(servers);

/** Sockets whose logic is in a worker, in the gateway, or in a server of its own that has no bus behind it. */
export async function benchEvents(choice: Choice): Promise<void> {
  const cores = chooseCores();
  await using python = choice.servers.some((name) => servers[name]?.isPython) ? await PythonEnvironment.with(...PACKAGES) : undefined;
  const measured: Measured[] = [];
  const idle: Idle[] = [];
  const held: (Held & { readonly server: string })[] = [];
  const isThere = choice.servers.includes('centrifugo') && (await hasCentrifugo());
  const there = choice.servers.filter((name) => name !== 'centrifugo' || isThere);
  for (const scenario of choice.scenarios) {
    if (scenario === IDLE) {
      const names = choice.servers.filter((name) => name === 'worker');
      idle.push(...(await inTurn(scenario, names, choice.runs, () => measureIdle(cores))).map(({ figures }) => figures));
      continue;
    }
    if (scenario === HELD) {
      const names = choice.servers.filter((name) => holders.includes(name));
      const runs = await inTurn(scenario, names, choice.runs, (server) => measureHeld(cores, servers[server] as Server, python));
      held.push(...runs.map(({ server, figures }) => ({ server, ...figures })));
      continue;
    }
    const names = there.filter((name) => scenarios[scenario]?.path === 'echo' || servers[name]?.echoes !== true);
    const runs = await inTurn(scenario, names, choice.runs, (server) => measure(cores, scenarios[scenario] as Scenario, servers[server] as Server, python));
    measured.push(...runs.map(({ server, figures }) => ({ scenario, server, ...figures })));
  }
  const text = report(measured, held, idle, choice.runs);
  console.log(`\n${text}`);
  if (choice.whole) await keep(text, 'RESULTS-events.md');
}

/** One run on a fresh broker and fresh processes: gateway and worker share a core, the clients and Redis the other. */
async function measure(
  cores: Cores,
  { path, sockets }: Scenario,
  server: Server,
  python: PythonEnvironment | undefined,
): Promise<Omit<Measured, 'scenario' | 'server'>> {
  await using redis = await startRedis({ args: ['--appendonly', 'no'] });
  await pin(cores.load, redis.pid);
  const running = await server.start({ core: cores.server, redisUrl: redis.url, python });
  await using _front = running.front;
  await using _worker = running.worker;
  await using load = startPinned(cores.load, process.execPath, [
    join(import.meta.dirname, 'load.ts'),
    running.port,
    path,
    sockets,
    SECONDS,
    server.wire ?? 'plain',
  ]);
  await said(load, 'begin', [running.front]);
  const before = usage(running);
  await said(load, 'end', [running.front]);
  const after = usage(running);
  const heard = JSON.parse(await said(load, '{')) as Heard;
  return {
    rate: heard.count / heard.seconds,
    p50: heard.p50,
    p99: heard.p99,
    frontCpu: (after.front - before.front) / heard.count,
    workerCpu: (after.worker - before.worker) / heard.count,
  };
}

function usage({ front, worker }: Running): { front: number; worker: number } {
  return { front: cpuMicros(front.pid), worker: worker === undefined ? 0 : cpuMicros(worker.pid) };
}
