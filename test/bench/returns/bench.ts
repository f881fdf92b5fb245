import { join } from 'node:path';
import { type Broker, startNats, startRedis } from '../../support/brokers.ts';
import { freePort } from '../../support/ports.ts';
import { GatewayProcess } from '../../support/processes.ts';
import type { Choice } from '../choice.ts';
import { chooseCores, type Cores } from '../rig/cores.ts';
import { inTurn } from '../rig/in-turn.ts';
import { median } from '../rig/median.ts';
import { pin, startPinned } from '../rig/pinned.ts';
import { keep } from '../rig/results.ts';
import { verdict } from '../rig/table.ts';
import { together } from '../rig/together.ts';
import { HISTORY, publishMissed } from './rooms.ts';

const CLIENTS = 10_000;
/** Messages that each of them missed. */
const MISSED = 20;
/** Seconds from the first connect until the last client has everything. */
const GOAL_S = 5;
const CPU = 'process_cpu_seconds_total';
const GATEWAY = join(import.meta.dirname, '../../../packages/gateway/src/cli.ts');

/** Rooms that the clients are spread over. */
const rooms: Readonly<Record<string, number>> = { 'one-room': 1, 'rooms-1000': 1000 };
const brokers: Readonly<Record<string, () => Promise<Broker>>> = { redis: () => startRedis({ args: ['--appendonly', 'no'] }), nats: () => startNats() };

export const returnScenarios: readonly string[] = Object.keys(rooms);
export const returnServers: readonly string[] = Object.keys(brokers);

/** Thousands of clients that come back at once with a position to a gateway that has just started, as after a deploy. */
export async function benchReturns(choice: Choice): Promise<void> {
  const cores = chooseCores();
  const figures: Record<string, Figures[]> = {};
  for (const scenario of choice.scenarios) {
    const runs = await inTurn(scenario, choice.servers, choice.runs, (server) => measure(cores, server, rooms[scenario] ?? 1));
    for (const { server, figures: took } of runs) (figures[`${scenario}, ${server}`] ??= []).push(took);
  }
  const lines = Object.entries(figures).flatMap(([title, each]) => [
    verdict(`${title}: seconds`, median(each.map(({ seconds }) => seconds)), GOAL_S, 'at most'),
    `- ${title}: ${Math.round(median(each.map(({ cpu }) => cpu)))} µs of the gateway's CPU for each client`,
  ]);
  const head = `${CLIENTS} clients come back at once, each missed ${MISSED} messages: medians of ${choice.runs} runs, \`npm run bench -- returns --runs ${choice.runs}\`.`;
  const text = [head, '', ...lines].join('\n');
  console.log(`\n${text}`);
  if (choice.whole) await keep(text, 'RESULTS-returns.md');
}

/** Seconds from the first connect to the last client's last message, and microseconds of the gateway's CPU for each client. */
interface Figures {
  readonly seconds: number;
  readonly cpu: number;
}

/** One run on a fresh broker and a fresh gateway, which has a core to itself. */
async function measure(cores: Cores, server: string, count: number): Promise<Figures> {
  const start = brokers[server];
  if (start === undefined) throw new Error(`no broker is called '${server}'`);
  await using broker = await start();
  await pin(cores.load, broker.pid);
  const positions = await publishMissed(broker.url, count, MISSED);
  const [port, opsPort] = [await freePort(), await freePort()];
  const serve = ['serve', '--demo', '--layer', broker.url, '--history', JSON.stringify(HISTORY), '--port', port, '--ops-port', opsPort];
  await using gateway = startPinned(cores.server, process.execPath, ['--conditions=@busgate/source', GATEWAY, ...serve]);
  const subject = new GatewayProcess(gateway, port, opsPort);
  await subject.answers('/readyz');
  const before = await subject.metric(CPU);
  const clients = ['--conditions=@busgate/source', join(import.meta.dirname, 'worker.ts'), port, CLIENTS, MISSED, JSON.stringify(positions)];
  const done = await together([startPinned(cores.load, process.execPath, clients, { stdin: 'pipe' })], 0);
  return { seconds: done.seconds, cpu: ((await subject.metric(CPU)) - before) * (1e6 / CLIENTS) };
}
