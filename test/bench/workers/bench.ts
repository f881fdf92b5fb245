import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { type Broker, startRedis } from '../../support/brokers.ts';
import type { Choice } from '../choice.ts';
import { chooseCores, type Cores } from '../rig/cores.ts';
import { inTurn } from '../rig/in-turn.ts';
import { median } from '../rig/median.ts';
import { Workshop } from '../rig/native.ts';
import { pin, startPinned } from '../rig/pinned.ts';
import { keep } from '../rig/results.ts';
import { verdict } from '../rig/table.ts';
import { planOf } from '../rooms/plan.ts';
import { Workers } from './fleet.ts';
import { Quota, requireQuotas } from './quota.ts';

/** Of a core, that each worker has: what two can do, load and broker on the other core are to take. */
const SHARE = 0.25;
/** What two workers are to do, of what one does. */
const GOAL = 1.8;

interface Scenario {
  readonly title: string;
  readonly rooms: number;
  readonly options: Readonly<Record<string, number>>;
  /** Of the generator's figures. */
  readonly figure: 'deliveriesPerSecond' | 'connectsPerSecond';
  readonly isGoal: boolean;
}

/** Messages of a room outstanding are as many for two workers as for one: with more of them each write is longer, and a delivery cheaper. */
const TRAFFIC = { sockets: 1000, 'warm-ms': 5000, 'for-ms': 6000, 'backlog-ms': 60_000 };

const scenarios: Readonly<Record<string, Scenario>> = {
  room: {
    title: 'deliveries a second at saturation, one room of 1,000',
    rooms: 1,
    options: { ...TRAFFIC, deepest: 1000 },
    figure: 'deliveriesPerSecond',
    isGoal: true,
  },
  pairs: {
    title: 'deliveries a second at saturation, 500 rooms of two',
    rooms: 500,
    options: { ...TRAFFIC, deepest: 8 },
    figure: 'deliveriesPerSecond',
    isGoal: false,
  },
  // As many were opened and closed before: what is compiled first is no longer part of it.
  connects: {
    title: 'connects a second',
    rooms: 1000,
    options: { sockets: 8000, idle: 1, rehearse: 8000, 'settle-ms': 2000, 'in-flight': 256 },
    figure: 'connectsPerSecond',
    isGoal: true,
  },
};

const counts: Readonly<Record<string, number>> = { one: 1, two: 2 };

export const workerScenarios: readonly string[] = Object.keys(scenarios);
export const workerServers: readonly string[] = Object.keys(counts);

interface Figures {
  readonly rate: number;
  /** Of the load's core, by the load. */
  readonly loadShare: number;
  /** The most that the broker had at any time. */
  readonly subscriptions: number;
}

/** One worker beside two, each with the same share of a core. */
export async function benchWorkers(choice: Choice): Promise<void> {
  await requireQuotas();
  const cores = chooseCores();
  await using workshop = await Workshop.open();
  await using others = await Quota.open('load');
  await using redis = await startRedis({ args: ['--appendonly', 'no'] });
  await pin(cores.load, redis.pid);
  await others.hold(redis.pid);
  const lines: string[] = [];
  for (const name of choice.scenarios) {
    const scenario = scenarios[name];
    if (scenario === undefined) throw new Error(`no scenario is called '${name}'`);
    const runs = await inTurn(name, choice.servers, choice.runs, (server) => measure({ cores, workshop, redis, others }, scenario, counts[server] ?? 1));
    const of = (server: string, figure: keyof Figures): number =>
      median(runs.flatMap(({ server: measured, figures }) => (measured === server ? [figures[figure]] : [])));
    lines.push(...told(scenario, of));
  }
  const head = `One worker and two, each with ${SHARE * 100} % of a core: medians of ${choice.runs} runs, \`npm run bench -- workers --runs ${choice.runs}\`.`;
  const text = [head, '', ...lines].join('\n');
  console.log(`\n${text}`);
  if (choice.whole) await keep(text, 'RESULTS-workers.md');
}

function told({ title, isGoal }: Scenario, of: (server: string, figure: keyof Figures) => number): string[] {
  const [one, two] = [of('one', 'rate'), of('two', 'rate')];
  const ratio = `${title}: two workers', of one's`;
  const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
  return [
    isGoal ? verdict(ratio, two / one, GOAL, 'at least') : `- ${ratio}: **${(two / one).toFixed(2)}**`,
    `- ${title}: ${whole.format(one)} and ${whole.format(two)}; the load took ${percent(of('one', 'loadShare'))} and ${percent(of('two', 'loadShare'))} of its core; the broker had ${of('one', 'subscriptions')} and ${of('two', 'subscriptions')} subscriptions`,
  ];
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}

interface Bench {
  readonly cores: Cores;
  readonly workshop: Workshop;
  readonly redis: Broker;
  /** Of the broker and the load. */
  readonly others: Quota;
}

async function measure({ cores, workshop, redis, others }: Bench, { rooms, options, figure }: Scenario, count: number): Promise<Figures> {
  await using workers = await Workers.start(cores.server, redis.url, count, SHARE);
  const plan = join(workshop.folder, 'plan');
  await writeFile(plan, planOf('frames', 'live', rooms).text);
  const all = {
    plan,
    port: workers.port,
    'redis-port': redis.port,
    'server-pid': workers.supervisor.pid,
    'server-core': cores.server,
    'load-core': cores.load,
    ...options,
  };
  await using load = startPinned(cores.load, workshop.program, ['load', ...Object.entries(all).flatMap(([name, value]) => [`--${name}`, value])]);
  await others.hold(load.pid);
  const subscriptions = mostSubscriptions(redis.url, load.exited);
  const { code } = await load.exited;
  if (code !== 0) throw new Error(`the load failed:\n${[...load.lines.all, ...workers.supervisor.lines.all].slice(-20).join('\n')}`);
  const said = JSON.parse(load.output.all.join('')) as Record<string, number>;
  for (const fault of ['lost', 'duplicates', 'late', 'closed']) if ((said[fault] ?? 0) !== 0) throw new Error(`${fault}: ${said[fault]}`);
  return { rate: said[figure] ?? Number.NaN, loadShare: said['loadShare'] ?? Number.NaN, subscriptions: await subscriptions };
}

/** The most channels that processes were subscribed to at any time until then. */
async function mostSubscriptions(url: string, end: Promise<unknown>): Promise<number> {
  const redis = new Redis(url);
  let [most, isOver] = [0, false];
  const over = end.then(() => (isOver = true));
  while (!isOver) {
    const channels = (await redis.call('PUBSUB', 'CHANNELS', 'busgate:room:*')) as string[];
    const numbers = channels.length === 0 ? [] : ((await redis.call('PUBSUB', 'NUMSUB', ...channels)) as (string | number)[]);
    most = Math.max(
      most,
      numbers.filter((each) => typeof each === 'number').reduce((sum, each) => sum + each, 0),
    );
    await Promise.race([over, delay(1000)]);
  }
  redis.disconnect();
  return most;
}
