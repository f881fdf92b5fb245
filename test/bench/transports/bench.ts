import { readFileSync } from 'node:fs';
import { join } from 'node:path';
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
import { report, type Measured } from './report.ts';
import { start, subjects, type Subject } from './subjects.ts';

const SECONDS = 4;
const LOAD = join(import.meta.dirname, 'load.ts');

/** How many clients. */
const scenarios: Readonly<Record<string, number>> = { idle: 10_000, paced: 1000, saturation: 1000, polls: 1000 };

export const transportScenarios: readonly string[] = Object.keys(scenarios);
export const transportServers: readonly string[] = Object.keys(subjects);

/** Whether a transport is measured: polls have a scenario of their own, and have none of streams. */
function isMeasured(scenario: string, { next }: Subject): boolean {
  return scenario === 'idle' || (scenario === 'polls') === (next !== undefined);
}

/** What a client costs on each transport, idle and in a room that speaks, beside Nchan and Centrifugo. */
export async function benchTransports(choice: Choice): Promise<void> {
  const cores = chooseCores();
  const measured: Measured[] = [];
  const known = Object.entries(subjects).filter(([name]) => choice.servers.includes(name));
  const isThere = known.some(([, { server }]) => server === 'centrifugo') && (await hasCentrifugo());
  const there = known.filter(([, { server }]) => server !== 'centrifugo' || isThere);
  for (const scenario of choice.scenarios) {
    const names = there.filter(([, subject]) => isMeasured(scenario, subject)).map(([name]) => name);
    const runs = await inTurn(scenario, names, choice.runs, (name) => measure(cores, scenario, name, subjects[name] as Subject));
    measured.push(...runs.map(({ server, figures }) => ({ scenario, subject: server, ...figures })));
  }
  const text = report(measured, choice.runs);
  console.log(`\n${text}`);
  if (choice.whole) await keep(text, 'RESULTS-transports.md');
}

/** One run on a fresh broker and a fresh server, which has a core to itself. */
async function measure(cores: Cores, scenario: string, name: string, subject: Subject): Promise<Omit<Measured, 'scenario' | 'subject'>> {
  await using redis = await startRedis({ args: ['--appendonly', 'no'] });
  await pin(cores.load, redis.pid);
  const { child, port } = await start(subject, cores.server, redis.url);
  await using _server = child;
  await using load = startPinned(cores.load, process.execPath, [
    '--conditions=@busgate/source',
    LOAD,
    name,
    port,
    redis.url,
    scenario,
    scenarios[scenario] ?? 0,
    SECONDS,
  ]);
  await said(load, 'begin');
  const [before, rested] = [cpuMicros(child.pid), residentKiB(child.pid)];
  await said(load, 'end');
  const cpu = cpuMicros(child.pid) - before;
  if (scenario === 'idle') await said(load, 'settled');
  const grown = residentKiB(child.pid) - rested;
  const { count, seconds } = JSON.parse(await said(load, '{')) as Heard;
  return { rate: count / seconds, cpu: cpu / count, ...(scenario === 'idle' ? { resident: grown / count } : {}) };
}

function residentKiB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}
