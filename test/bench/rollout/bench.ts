import { startRedis } from '../../support/brokers.ts';
import { freePort } from '../../support/ports.ts';
import { type GatewayProcess, startGatewayOn } from '../../support/processes.ts';
import { RunningProxy } from '../../outside/support/proxies.ts';
import { NumberedPublisher } from '../../outside/support/returning.ts';
import { until } from '../../support/until.ts';
import type { Choice } from '../choice.ts';
import { Latencies } from '../events/latencies.ts';
import { chooseCores, type Cores } from '../rig/cores.ts';
import { inTurn } from '../rig/in-turn.ts';
import { median } from '../rig/median.ts';
import { pin } from '../rig/pinned.ts';
import { keep } from '../rig/results.ts';
import { verdict } from '../rig/table.ts';
import { type Guest, kinds, type Timed } from './crowd.ts';

const CLIENTS = 5000;
const GATEWAYS = 3;
/** Connections that are being opened at any time. */
const AT_ONCE = 200;
const ROOMS = Array.from({ length: 50 }, (_, index) => `kept.${index}`);
/** Between two messages of a room. */
const EVERY_MS = 500;
/** Messages of each room before the first gateway ends. */
const BEFORE = 10;
/** Closes a second that the fleet is allowed. */
const RATE = 400;
const SETTINGS = ['--demo', '--history', '[{rooms: "kept.>", size: 1000, age: 10m}]', '--drain-fleet-rate', String(RATE)];
/** Milliseconds from a publish to a client, of 99 in 100 deliveries, while gateways are replaced. */
const GOAL_MS = 500;

export const rolloutScenarios: readonly string[] = ['rollout'];
export const rolloutServers: readonly string[] = Object.keys(kinds);

/** All gateways of a fleet behind HAProxy are replaced under load, one alone and then the others at once: how late messages are meanwhile. A message missed or doubled is an error. */
export async function benchRollout(choice: Choice): Promise<void> {
  const cores = chooseCores();
  await pin(cores.load, process.pid);
  const runs = await inTurn('rollout', choice.servers, choice.runs, (kind) => measure(cores, kind));
  const lines = choice.servers.flatMap((kind) => {
    const of = (figure: keyof Figures): number => median(runs.filter(({ server }) => server === kind).map(({ figures }) => figures[figure]));
    return [
      verdict(`${kind}: milliseconds at the 99th percentile while gateways are replaced`, of('during99'), GOAL_MS, 'at most'),
      `- ${kind}: ${of('before99').toFixed(1)} ms before; ${of('during50').toFixed(1)} ms at the median and ${of('duringMost').toFixed(0)} ms at most meanwhile, which was ${of('seconds').toFixed(0)} s`,
    ];
  });
  const head = `${GATEWAYS} gateways behind HAProxy with ${CLIENTS} clients are replaced, one alone and two at once, at ${RATE} closes a second: medians of ${choice.runs} runs, \`npm run bench -- rollout --runs ${choice.runs}\`. In history nothing was missed or doubled.`;
  const text = [head, '', ...lines].join('\n');
  console.log(`\n${text}`);
  if (choice.whole) await keep(text, 'RESULTS-rollout.md');
}

/** Milliseconds from publish to client, and how long the replacing took. */
interface Figures {
  readonly before99: number;
  readonly during50: number;
  readonly during99: number;
  readonly duringMost: number;
  readonly seconds: number;
}

/** One run. The gateways share a core; clients, publisher, proxy and broker share the other. */
async function measure(cores: Cores, kind: string): Promise<Figures> {
  await using stack = new AsyncDisposableStack();
  const redis = stack.use(await startRedis());
  const options = { args: [...SETTINGS, '--layer', redis.url], within: ['taskset', '-c', String(cores.server)] };
  const gateways: GatewayProcess[] = [];
  for (let n = 0; n < GATEWAYS; n += 1) gateways.push(await startGatewayOn(await freePort(), await freePort(), options));
  stack.defer(async () => void (await Promise.all(gateways.map((gateway) => gateway[Symbol.asyncDispose]()))));
  const proxy = stack.use(await (await RunningProxy.start('haproxy', gateways)).ready());
  const latencies = new Latencies();
  const guests = await crowd(kind, proxy.origin, ({ at }) => latencies.add(performance.now() - at));
  stack.defer(() => guests.forEach((guest) => guest.leave()));

  const publisher = new NumberedPublisher(proxy.origin, ROOMS, EVERY_MS, (n) => JSON.stringify({ n, at: performance.now() } satisfies Timed));
  await until(
    'everybody has some messages',
    () => Math.min(...guests.map(({ last }) => last)),
    (last) => last >= BEFORE,
  );
  const before99 = latencies.at(0.99);
  latencies.clear();
  const since = performance.now();
  for (const leaving of [[0], [1, 2]]) {
    await Promise.all(leaving.map((index) => replace(gateways, index, options)));
    await everybodyIsThere(guests);
  }
  const seconds = (performance.now() - since) / 1000;
  await publisher.stop();
  await until(
    'everybody has the last message of its room',
    () => guests.filter(({ room, last }) => last !== publisher.last.get(room)).length,
    (behind) => behind === 0,
  );
  const faults = guests.flatMap((guest) => guest.faults);
  if (faults.length > 0) throw new Error(`${faults.length} faults, as ${faults.slice(0, 5).join('; ')}`);
  return { before99, during50: latencies.at(0.5), during99: latencies.at(0.99), duringMost: latencies.at(1), seconds };
}

async function crowd(kind: string, origin: string, heard: (message: Timed) => void): Promise<readonly Guest[]> {
  const arrive = kinds[kind];
  if (arrive === undefined) throw new Error(`no clients are called '${kind}'`);
  const guests: Guest[] = [];
  while (guests.length < CLIENTS) {
    const from = guests.length;
    for (let n = from; n < from + AT_ONCE; n += 1) guests.push(arrive(origin, ROOMS[n % ROOMS.length] as string, heard));
    await everybodyIsThere(guests);
  }
  return guests;
}

async function everybodyIsThere(guests: readonly Guest[]): Promise<void> {
  await until(
    'all clients are in their rooms',
    () => guests.filter(({ joined }) => !joined).length,
    (away) => away === 0,
  );
}

/** Ends a gateway as a deploy does, and starts another in its place. */
async function replace(
  gateways: GatewayProcess[],
  index: number,
  options: { readonly args: readonly string[]; readonly within: readonly string[] },
): Promise<void> {
  const leaving = gateways[index] as GatewayProcess;
  leaving.signal('SIGTERM');
  const { code } = await leaving.exited;
  if (code !== 0) throw new Error(`a gateway ended with ${code}`);
  gateways[index] = await startGatewayOn(leaving.port, leaving.opsPort, options);
}
