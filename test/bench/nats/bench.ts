import { join } from 'node:path';
import { type Broker, startNats, startRedis } from '../../support/brokers.ts';
import type { Choice } from '../choice.ts';
import { chooseCores, type Cores } from '../rig/cores.ts';
import { pin, startPinned } from '../rig/pinned.ts';
import { keep } from '../rig/results.ts';
import { find, summarise, table, verdict, type Row, type Sample } from '../rig/table.ts';
import type { Work } from '../rig/work.ts';

/** Live messages of 128 bytes that the publishing process hears itself, 64 on their way; messages through one worker queue, with so many readers. */
const scenarios: Readonly<Record<string, readonly [string, ...number[]]>> = {
  live: ['live', 200_000],
  'queue-1': ['queue', 1, 3000],
  'queue-4': ['queue', 4, 6000],
  'queue-16': ['queue', 16, 6000],
};

export const natsScenarios: readonly string[] = Object.keys(scenarios);
/** The layer on NATS, a loop on the library `nats` alone, the layer on Redis. */
export const natsServers: readonly string[] = ['nats', 'bare', 'redis'];

/** CPU of a live message from publish to delivery, of the bare loop's. */
const LIVE_GOAL = 1.3;

/** The layer on NATS beside a bare loop on the library and beside the layer on Redis, in one run: each measured process on one core, the broker on the other. */
export async function benchNats(choice: Choice): Promise<void> {
  const cores = chooseCores();
  await using nats = await startNats();
  await using redis = await startRedis({ args: ['--appendonly', 'no'] });
  for (const broker of [nats, redis]) await pin(cores.load, broker.pid);
  const samples: Sample[] = [];
  for (const scenario of choice.scenarios) {
    for (let run = 0; run < choice.runs; run += 1) {
      for (const server of run % 2 === 0 ? choice.servers : choice.servers.toReversed()) {
        if (server === 'bare' && scenario !== 'live') continue;
        const work = await measure(cores, server === 'redis' ? redis : nats, server === 'bare' ? 'bare' : 'busgate', scenario);
        samples.push({ scenario, server, work });
        console.log(`${scenario} ${server} ${run + 1}/${choice.runs} ${JSON.stringify(work)}`);
      }
    }
  }
  const rows = summarise(samples);
  const text = table('Layer on NATS', 'nats', choice.runs, rows, goals(rows));
  console.log(`\n${text}`);
  if (choice.whole) await keep(text, 'RESULTS-nats.md');
}

async function measure(cores: Cores, { url }: Broker, subject: string, scenario: string): Promise<Work> {
  const worker = join(import.meta.dirname, 'worker.ts');
  await using child = startPinned(
    cores.server,
    process.execPath,
    ['--conditions=@busgate/source', worker, subject, url, ...(scenarios[scenario] ?? [])],
    'pipe',
  );
  await child.output.find((line) => line === 'ready', 'a process that is ready');
  child.write('\n');

  return JSON.parse(await child.output.find((line) => line.startsWith('{'), 'its figures')) as Work;
}

function goals(rows: readonly Row[]): string[] {
  const [ours, bare] = ['nats', 'bare'].map((server) => find(rows, 'live', server));
  if (ours === undefined || bare === undefined) return [];
  return [verdict("live: CPU per message, of the bare loop's", ours.cpu / bare.cpu, LIVE_GOAL, 'at most')];
}
