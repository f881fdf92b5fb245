import { join } from 'node:path';
import { type Broker, startNats, startRedis } from '../../support/brokers.ts';
import type { Choice } from '../choice.ts';
import { scenarios, type Process } from '../layer/plan.ts';
import { resubscribe } from '../layer/resubscribe.ts';
import { chooseCores, type Cores } from '../rig/cores.ts';
import { inTurn } from '../rig/in-turn.ts';
import { median } from '../rig/median.ts';
import { pin, startPinned } from '../rig/pinned.ts';
import { keep } from '../rig/results.ts';
import { find, summarise, table, verdict, type Row, type Sample } from '../rig/table.ts';
import { together } from '../rig/together.ts';
import type { Work } from '../rig/work.ts';

/** Live messages of 128 bytes that the publishing process hears itself, 64 on their way; and what is measured of the layer on Redis, with fewer messages through a queue. */
const LIVE: readonly Process[] = [{ scenario: 'live', numbers: [200_000] }];
const QUEUE_MESSAGES = 4000;
const RESUBSCRIBE = 'resubscribe-10000';

export const natsScenarios: readonly string[] = ['live', ...Object.keys(scenarios), RESUBSCRIBE];
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
  for (const scenario of choice.scenarios.filter((name) => name !== RESUBSCRIBE)) {
    const runs = await inTurn(scenario, choice.servers, choice.runs, (server) =>
      measure(cores, server === 'redis' ? redis : nats, server === 'bare' ? 'bare' : 'busgate', scenario),
    );
    samples.push(...runs.map(({ server, figures }) => ({ scenario, server, work: figures })));
  }
  const returns = choice.scenarios.includes(RESUBSCRIBE) ? await measureReturns(choice) : [];
  const rows = summarise(samples);
  const text = table('Layer on NATS', 'nats', choice.runs, rows, [...goals(rows), ...returns]);
  console.log(`\n${text}`);
  if (choice.whole) await keep(text, 'RESULTS-nats.md');
}

function processesOf(scenario: string): readonly Process[] {
  if (scenario === 'live') return LIVE;
  const processes = scenarios[scenario]?.(true) ?? [];
  return processes.map((each) => (each.scenario === 'queue' ? { ...each, numbers: [each.numbers[0] ?? 1, QUEUE_MESSAGES] } : each));
}

/** How long rooms take to return, on both layers in turns. */
async function measureReturns(choice: Choice): Promise<string[]> {
  const seconds: Record<string, number[]> = {};
  for (let run = 0; run < choice.runs; run += 1) {
    for (const [server, start] of [
      ['nats', startNats],
      ['redis', startRedis],
    ] as const) {
      if (choice.servers.includes(server)) (seconds[server] ??= []).push(await resubscribe(10_000, () => start()));
    }
  }
  return Object.entries(seconds).map(([server, each]) => `- 10,000 rooms subscribed again after a restart, on ${server}: **${median(each).toFixed(2)}** s`);
}

async function measure(cores: Cores, { url, pid }: Broker, subject: string, scenario: string): Promise<Work> {
  const worker = join(import.meta.dirname, 'worker.ts');
  const children = processesOf(scenario).map((each) =>
    startPinned(cores.server, process.execPath, ['--conditions=@busgate/source', worker, subject, url, each.scenario, ...each.numbers], { stdin: 'pipe' }),
  );
  return together(children, scenario.startsWith('group') ? 1 : 0, pid);
}

function goals(rows: readonly Row[]): string[] {
  const [ours, bare] = ['nats', 'bare'].map((server) => find(rows, 'live', server));
  if (ours === undefined || bare === undefined) return [];
  return [verdict("live: CPU per message, of the bare loop's", ours.cpu / bare.cpu, LIVE_GOAL, 'at most')];
}
