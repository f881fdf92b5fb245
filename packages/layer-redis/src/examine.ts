import type { Buffer } from 'node:buffer';
import { clockFinding, findingOf, type Finding } from '@busgate/layer/driver';
import type { Runner } from './scripts.ts';

const MIB = 1_048_576;
/** Redis's own defaults for subscribers: a gateway that stands still for a moment in a busy fleet is cut off, with a gap in each of its rooms. */
const DEFAULT_HARD = 32 * MIB;
const DEFAULT_SOFT = 8 * MIB;

/** Looks at every server that takes writes. `keepsHistories`: whether messages are to outlive a restart. */
export async function examine(servers: readonly Runner[], keepsHistories: boolean): Promise<readonly Finding[]> {
  const found = await Promise.all(servers.map((server) => examineOne(server, keepsHistories)));
  if (found.length === 1) return found[0] ?? [];
  return found.flatMap((findings, index) => findings.map((finding) => ({ ...finding, what: `server ${index + 1}: ${finding.what}` })));
}

async function examineOne(server: Runner, keepsHistories: boolean): Promise<Finding[]> {
  return [
    await findingOf('client-output-buffer-limit pubsub', async () => buffers(await setting(server, 'client-output-buffer-limit'))),
    await findingOf('maxmemory-policy', async () => eviction(await setting(server, 'maxmemory-policy'))),
    await findingOf('persistence', async () => persistence(await setting(server, 'appendonly'), await setting(server, 'save'), keepsHistories)),
    await findingOf("the clock against Redis's", () => clock(server)),
  ];
}

function buffers(limits: string): Finding {
  const [, hard = '0', soft = '0', seconds = '0'] = /pubsub (\d+) (\d+) (\d+)/.exec(limits) ?? [];
  const what = `client-output-buffer-limit pubsub is ${megabytes(hard)} ${megabytes(soft)} ${seconds}`;
  if (isAbove(Number(hard), DEFAULT_HARD) && isAbove(Number(soft), DEFAULT_SOFT)) return { state: 'ok', what };
  return {
    state: 'fix',
    what: `${what}: a gateway that stands still for a moment is cut off`,
    advice: "redis-cli CONFIG SET client-output-buffer-limit 'pubsub 256mb 64mb 60', and the same in redis.conf",
  };
}

/** 0 is no limit. */
function isAbove(limit: number, preset: number): boolean {
  return limit === 0 || limit > preset;
}

function megabytes(bytes: string): string {
  return `${Math.round((Number(bytes) / MIB) * 10) / 10}mb`;
}

function eviction(policy: string): Finding {
  const what = `maxmemory-policy is ${policy}`;
  if (policy === 'noeviction') return { state: 'ok', what };
  return {
    state: 'fix',
    what: `${what}: queues and histories may be evicted`,
    advice: 'redis-cli CONFIG SET maxmemory-policy noeviction, and the same in redis.conf',
  };
}

function persistence(appendOnly: string, save: string, keepsHistories: boolean): Finding {
  if (appendOnly === 'yes') return { state: 'ok', what: 'persistence: appendonly' };
  if (save !== '') return { state: 'ok', what: `persistence: snapshots (save ${save})` };
  if (!keepsHistories) return { state: 'ok', what: 'persistence: none, and no history is configured that a restart would lose' };
  return {
    state: 'fix',
    what: 'persistence: none, so a restart loses every history',
    advice: 'redis-cli CONFIG SET appendonly yes, and the same in redis.conf',
  };
}

async function clock(server: Runner): Promise<Finding> {
  const before = Date.now();
  const [seconds, micros] = ((await server.run('time')) as Buffer[]).map(Number);
  const ours = (before + Date.now()) / 2;
  return clockFinding('Redis', (seconds ?? 0) * 1000 + (micros ?? 0) / 1000 - ours);
}

/** Rejects where these credentials may not ask. */
async function setting(server: Runner, name: string): Promise<string> {
  const [, value] = ((await server.run('config', 'GET', name)) as Buffer[]).map(String);
  if (value === undefined) throw new Error(`Redis has no setting ${name}`);
  return value;
}
