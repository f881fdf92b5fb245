import { join } from 'node:path';
import { PythonEnvironment } from '../../outside/support/python.ts';
import { startRedis } from '../../support/brokers.ts';
import type { Child } from '../../support/child.ts';
import { redisCli } from '../../support/redis-forms.ts';
import type { Choice } from '../choice.ts';
import { chooseCores, type Cores } from '../rig/cores.ts';
import { pin, startPinned } from '../rig/pinned.ts';
import { keep } from '../rig/results.ts';
import type { Sample } from '../rig/table.ts';
import type { Work } from '../rig/work.ts';
import { report } from './report.ts';
import { resubscribe } from './resubscribe.ts';

/** The processes of a measurement: the first one's figures count, and the CPU of all. */
interface Process {
  readonly scenario: string;
  readonly numbers: readonly number[];
}

const QUEUE_MESSAGES = { fast: 8000, slow: 1000 };

function queue(readers: number) {
  return (fast: boolean): Process[] => [{ scenario: 'queue', numbers: [readers, fast ? QUEUE_MESSAGES.fast : QUEUE_MESSAGES.slow] }];
}

/**
 * So many members of one group in so many processes, and one that sends; about 200,000 deliveries and at least 20 messages, of channels_redis about
 * 20,000 and at least 2: the more are on their way to that many members, the longer it takes for each.
 */
function group(members: number, processes: number) {
  return (fast: boolean): Process[] => {
    const [least, most, deliveries] = fast ? [20, 3000, 200_000] : [2, 500, 20_000];
    const messages = Math.max(least, Math.min(most, Math.floor(deliveries / members)));
    const each = Array.from({ length: processes }, () => ({ scenario: 'members', numbers: [Math.ceil(members / processes), messages] }));
    return [...each, { scenario: 'groupSend', numbers: [messages] }];
  };
}

const scenarios: Readonly<Record<string, (fast: boolean) => Process[]>> = {
  'queue-1': queue(1),
  'queue-4': queue(4),
  'queue-16': queue(16),
  'group-1': group(1, 1),
  'group-100': group(100, 1),
  'group-100-in-8': group(100, 8),
  'group-10000': group(10_000, 1),
  'group-10000-in-8': group(10_000, 8),
  'rooms-10000': () => [{ scenario: 'rooms', numbers: [10_000] }],
};

export const layerScenarios: readonly string[] = [...Object.keys(scenarios), 'resubscribe-10000'];
export const layerServers: readonly string[] = ['busgate', 'bare', 'channels_redis'];

/** The layer on Redis beside a bare ioredis loop and Python's channels_redis, each measured process on one core, Redis on the other. */
export async function benchLayer(choice: Choice): Promise<void> {
  const cores = chooseCores();
  await using redis = await startRedis({ args: ['--appendonly', 'no'] });
  await pin(cores.load, redis.pid);
  await using python = choice.servers.includes('channels_redis') ? await PythonEnvironment.with('channels==4.3.2', 'channels_redis==4.3.0') : undefined;
  const samples: Sample[] = [];
  for (const scenario of choice.scenarios.filter((name) => name in scenarios)) {
    for (let run = 0; run < choice.runs; run += 1) {
      for (const server of run % 2 === 0 ? choice.servers : choice.servers.toReversed()) {
        await redisCli(redis.port, 'FLUSHALL');
        const work = await measure(cores, redis.url, server, scenario, python);
        samples.push({ scenario, server, work });
        console.log(`${scenario} ${server} ${run + 1}/${choice.runs} ${JSON.stringify(work)}`);
      }
    }
  }
  const returns: number[] = [];
  if (choice.scenarios.includes('resubscribe-10000')) for (let run = 0; run < choice.runs; run += 1) returns.push(await resubscribe(10_000));
  const text = report(samples, returns, choice.runs);
  console.log(`\n${text}`);
  if (choice.whole) await keep(text, 'RESULTS-layer.md');
}

async function measure(cores: Cores, url: string, server: string, scenario: string, python: PythonEnvironment | undefined): Promise<Work> {
  const processes = scenarios[scenario]?.(server !== 'channels_redis') ?? [];
  const children = processes.map((each) => start(cores.server, url, server, each, python));
  try {
    for (const child of children) await child.output.find((line) => line === 'ready', 'a process that is ready');
    for (const child of children) child.write('\n');
    const works: Work[] = [];
    for (const child of children) {
      // However long it takes: a slow subject is a result.
      await child.exited;
      works.push(JSON.parse(await child.output.find((line) => line.startsWith('{'), 'its figures')) as Work);
    }
    const measured = scenario.startsWith('group') ? works.slice(0, -1) : works;
    return {
      count: measured.reduce((sum, { count }) => sum + count, 0),
      seconds: Math.max(...measured.map(({ seconds }) => seconds)),
      cpuMicros: works.reduce((sum, { cpuMicros }) => sum + cpuMicros, 0),
    };
  } finally {
    for (const child of children) await child[Symbol.asyncDispose]();
  }
}

function start(core: number, url: string, server: string, { scenario, numbers }: Process, python: PythonEnvironment | undefined): Child {
  const worker = join(import.meta.dirname, python !== undefined && server === 'channels_redis' ? 'django_side.py' : 'worker.ts');
  if (worker.endsWith('.py')) return startPinned(core, python?.command('python') ?? '', [worker, url, scenario, ...numbers], 'pipe');
  return startPinned(core, process.execPath, ['--conditions=@busgate/source', worker, server, url, scenario, ...numbers], 'pipe');
}
