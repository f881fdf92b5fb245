import { startRedis } from '../../support/brokers.ts';
import type { Choice } from '../choice.ts';
import { chooseCores } from '../rig/cores.ts';
import { inTurn } from '../rig/in-turn.ts';
import { Workshop } from '../rig/native.ts';
import { pin } from '../rig/pinned.ts';
import { keep } from '../rig/results.ts';
import { DISTURBED, disturbance } from './doubts.ts';
import { type Bench, measure, type Result } from './measure.ts';
import { report } from './report.ts';
import { type Scenario, scenarios } from './scenarios.ts';
import { type Server, servers } from './servers.ts';

export const roomScenarios: readonly string[] = Object.keys(scenarios);
export const roomServers: readonly string[] = Object.keys(servers);

/** Rooms from Redis to sockets: Busgate beside a naive server, Socket.IO and the floor. */
export async function benchRooms(choice: Choice): Promise<void> {
  const cores = chooseCores();
  await using workshop = await Workshop.open();
  await using redis = await startRedis({ args: ['--appendonly', 'no'] });
  await pin(cores.load, redis.pid);
  const bench: Bench = { cores, folder: workshop.folder, program: workshop.program, redisPort: redis.port };
  const results: Record<string, Record<string, Result[]>> = {};
  for (const scenario of choice.scenarios) results[scenario] = await compare(bench, scenario, choice);
  const text = report(results, choice.runs);
  console.log(`\n${text}`);
  if (choice.whole) await keep(text);
}

/** A run that something else on the server's core disturbed is made once more, and the less disturbed one counts. */
async function measureQuietly(bench: Bench, scenario: Scenario, server: Server): Promise<Result> {
  const first = await measure(bench, scenario, server);
  if (disturbance(first) <= DISTURBED) return first;
  const second = await measure(bench, scenario, server);
  return disturbance(second) < disturbance(first) ? second : first;
}

async function compare(bench: Bench, name: string, { servers: wanted, runs }: Choice): Promise<Record<string, Result[]>> {
  const scenario = scenarios[name];
  if (!scenario) throw new Error(`no scenario is called '${name}'`);
  const names = wanted.filter((server) => scenario.kind !== 'idle' || servers[server]?.viaRedis);
  const measured = await inTurn(name, names, runs, (server) => {
    const compared = servers[server];
    if (!compared) throw new Error(`no server is called '${server}'`);
    return measureQuietly(bench, scenario, compared);
  });
  return Object.fromEntries(names.map((name) => [name, measured.flatMap(({ server, figures }) => (server === name ? [figures] : []))]));
}
