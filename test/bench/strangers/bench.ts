import { join } from 'node:path';
import { freePort } from '../../support/ports.ts';
import { GatewayProcess } from '../../support/processes.ts';
import type { Choice } from '../choice.ts';
import { chooseCores, type Cores } from '../rig/cores.ts';
import { inTurn } from '../rig/in-turn.ts';
import { median } from '../rig/median.ts';
import { startPinned } from '../rig/pinned.ts';
import { keep } from '../rig/results.ts';
import { verdict } from '../rig/table.ts';
import { together } from '../rig/together.ts';
import { Guests } from './guests.ts';
import { GUEST, JWT } from './tokens.ts';

const GUESTS = 1000;
const PER_SECOND = 2000;
const SECONDS = 5;
/** Milliseconds that one message in a hundred may take longer than. */
const GOAL_MS = 100;
const CPU = 'process_cpu_seconds_total';
const GATEWAY = join(import.meta.dirname, '../../../packages/gateway/src/cli.ts');
const WORKER = join(import.meta.dirname, 'worker.ts');

/** Whether the gateway checks tokens; without, it lets the same strangers in, and they leave. */
const servers: Readonly<Record<string, readonly string[]>> = { jwt: ['--auth-jwt', JWT], none: [] };
/** Strangers of whom each has an address of its own, so that every token is checked; or all have one, which is bounded. */
const scenarios: Readonly<Record<string, readonly string[]>> = { addresses: ['--trusted-proxies', '127.0.0.1'], address: [] };

export const strangerScenarios: readonly string[] = Object.keys(scenarios);
export const strangerServers: readonly string[] = Object.keys(servers);

/** Strangers with bad tokens, while the sessions that are there go on. */
export async function benchStrangers(choice: Choice): Promise<void> {
  const cores = chooseCores();
  const figures: Record<string, Figures[]> = {};
  for (const scenario of choice.scenarios) {
    const args = (server: string): readonly string[] => [...(scenarios[scenario] ?? []), ...(servers[server] ?? [])];
    const runs = await inTurn(scenario, choice.servers, choice.runs, (server) => measure(cores, args(server)));
    for (const { server, figures: took } of runs) (figures[`${scenario} ${server}`] ??= []).push(took);
  }
  const head = `${PER_SECOND} handshakes a second with a bad token for ${SECONDS} s, beside ${GUESTS} sessions: medians of ${choice.runs} runs, \`npm run bench -- strangers --runs ${choice.runs}\`.`;
  const text = [head, '', ...choice.scenarios.flatMap((scenario) => linesOf(scenario, figures))].join('\n');
  console.log(`\n${text}`);
  if (choice.whole) await keep(text, 'RESULTS-strangers.md');
}

interface Figures {
  /** Of a message to one of the sessions, in milliseconds: one in a hundred took longer. */
  readonly p99: number;
  /** Handshakes a second that were answered. */
  readonly rate: number;
  /** Microseconds of the gateway for each handshake, with what the sessions cost meanwhile. */
  readonly cpu: number;
}

/** One run of a fresh gateway, which has a core to itself. */
async function measure(cores: Cores, args: readonly string[]): Promise<Figures> {
  const [port, opsPort] = [await freePort(), await freePort()];
  const serve = ['serve', '--demo', '--log-level', 'error', '--port', port, '--ops-port', opsPort, ...args];
  await using gateway = startPinned(cores.server, process.execPath, ['--conditions=@busgate/source', GATEWAY, ...serve]);
  const subject = new GatewayProcess(gateway, port, opsPort);
  await subject.answers('/readyz');
  await using guests = await Guests.open(GUESTS, subject.ws('/room'), GUEST);
  const strangers = startPinned(cores.load, process.execPath, [WORKER, port, PER_SECOND * SECONDS, PER_SECOND], { stdin: 'pipe' });
  const before = await subject.metric(CPU);
  const work = together([strangers], 0);
  const delays = await guests.delays(work);
  const { count, seconds } = await work;
  const cpu = (((await subject.metric(CPU)) - before) * 1_000_000) / count;
  return { p99: delays.toSorted((a, b) => a - b)[Math.floor(delays.length * 0.99)] ?? Number.NaN, rate: count / seconds, cpu };
}

function linesOf(scenario: string, figures: Readonly<Record<string, readonly Figures[]>>): readonly string[] {
  const of = (server: string, figure: keyof Figures): number => median((figures[`${scenario} ${server}`] ?? []).map((one) => one[figure]));
  return [
    verdict(`${scenario}: p99 of a message, milliseconds`, of('jwt', 'p99'), GOAL_MS, 'at most'),
    `- ${scenario}: ${Math.round(of('jwt', 'rate'))} handshakes a second were answered, ${Math.round(of('none', 'rate'))} without auth`,
    `- ${scenario}: ${(of('jwt', 'p99') / of('none', 'p99')).toFixed(2)} of the p99 without auth, ${(of('jwt', 'cpu') / of('none', 'cpu')).toFixed(2)} of its CPU (${Math.round(of('jwt', 'cpu'))} µs for each handshake)`,
  ];
}
