import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startRedis } from '../../support/brokers.ts';
import type { Choice } from '../choice.ts';
import { chooseCores, type Cores } from '../rig/cores.ts';
import { cpuMicros } from '../rig/cpu.ts';
import { pin, startPinned } from '../rig/pinned.ts';
import { keep } from '../rig/results.ts';
import type { Heard } from './load.ts';
import { report, type Measured } from './report.ts';
import { start, subjects, type Subject } from './subjects.ts';

const SECONDS = 4;
const LOAD = join(import.meta.dirname, 'load.ts');

/** How many clients. */
const scenarios: Readonly<Record<string, number>> = { idle: 5000, paced: 1000, saturation: 1000 };

export const transportScenarios: readonly string[] = Object.keys(scenarios);
export const transportServers: readonly string[] = Object.keys(subjects);

/** What a client costs on each transport, idle and in a room that speaks, beside Nchan. */
export async function benchTransports(choice: Choice): Promise<void> {
  const cores = chooseCores();
  const measured: Measured[] = [];
  for (const scenario of choice.scenarios) {
    const names = choice.servers.filter((name) => scenario === 'idle' || subjects[name]?.waits !== true);
    for (let run = 0; run < choice.runs; run += 1) {
      for (const name of run % 2 === 0 ? names : names.toReversed()) {
        const figures = await measure(cores, scenario, name, subjects[name] as Subject);
        measured.push({ scenario, subject: name, ...figures });
        console.log(`${scenario} ${name} ${run + 1}/${choice.runs} ${JSON.stringify(figures)}`);
      }
    }
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
  const said = async (begins: string): Promise<string> => {
    const line = await Promise.race([load.output.find((candidate) => candidate.startsWith(begins)), load.exited.then(() => undefined)]);
    if (line === undefined) throw new Error(`the clients ended before '${begins}':\n${load.lines.all.slice(-20).join('\n')}`);
    return line;
  };
  await said('begin');
  const [before, rested] = [cpuMicros(child.pid), residentKiB(child.pid)];
  await said('end');
  const cpu = cpuMicros(child.pid) - before;
  if (scenario === 'idle') await said('settled');
  const grown = residentKiB(child.pid) - rested;
  const { count, seconds } = JSON.parse(await said('{')) as Heard;
  return { rate: count / seconds, cpu: cpu / count, ...(scenario === 'idle' ? { resident: grown / count } : {}) };
}

function residentKiB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}
