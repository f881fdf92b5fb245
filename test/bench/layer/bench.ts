import { join } from 'node:path';
import { PythonEnvironment } from '../../outside/support/python.ts';
import { type Broker, startRedis } from '../../support/brokers.ts';
import type { Child } from '../../support/child.ts';
import { redisCli } from '../../support/redis-forms.ts';
import type { Choice } from '../choice.ts';
import { chooseCores, type Cores } from '../rig/cores.ts';
import { inTurn } from '../rig/in-turn.ts';
import { pin, startPinned } from '../rig/pinned.ts';
import { keep } from '../rig/results.ts';
import type { Sample } from '../rig/table.ts';
import { together } from '../rig/together.ts';
import type { Work } from '../rig/work.ts';
import { scenarios, type Process } from './plan.ts';
import { report } from './report.ts';
import { resubscribe } from './resubscribe.ts';

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
    const runs = await inTurn(scenario, choice.servers, choice.runs, async (server) => {
      await redisCli(redis.port, 'FLUSHALL');
      return measure(cores, redis, server, scenario, python);
    });
    samples.push(...runs.map(({ server, figures }) => ({ scenario, server, work: figures })));
  }
  const returns: number[] = [];
  if (choice.scenarios.includes('resubscribe-10000'))
    for (let run = 0; run < choice.runs; run += 1) returns.push(await resubscribe(10_000, () => startRedis()));
  const text = report(samples, returns, choice.runs);
  console.log(`\n${text}`);
  if (choice.whole) await keep(text, 'RESULTS-layer.md');
}

async function measure(cores: Cores, { url, pid }: Broker, server: string, scenario: string, python: PythonEnvironment | undefined): Promise<Work> {
  const processes = scenarios[scenario]?.(server !== 'channels_redis') ?? [];
  return together(
    processes.map((each) => start(cores.server, url, server, each, python)),
    scenario.startsWith('group') ? 1 : 0,
    pid,
  );
}

function start(core: number, url: string, server: string, { scenario, numbers }: Process, python: PythonEnvironment | undefined): Child {
  const worker = join(import.meta.dirname, python !== undefined && server === 'channels_redis' ? 'django_side.py' : 'worker.ts');
  if (worker.endsWith('.py')) return startPinned(core, python?.command('python') ?? '', [worker, url, scenario, ...numbers], { stdin: 'pipe' });
  return startPinned(core, process.execPath, ['--conditions=@busgate/source', worker, server, url, scenario, ...numbers], { stdin: 'pipe' });
}
