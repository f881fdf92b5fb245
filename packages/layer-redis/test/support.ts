import { Buffer } from 'node:buffer';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import type { ChannelLayer } from '@busgate/layer';
import { expect } from 'vitest';
import type { Broker } from '../../../test/support/brokers.ts';
import { Collector } from '../../../test/support/events.ts';
import { SCRIPTS } from '../src/scripts.ts';

const run = promisify(execFile);
const DOCUMENT = readFileSync(new URL('../../../docs/layer-redis.md', import.meta.url), 'utf8');

/** What stands in a block of code of docs/layer-redis.md, under a heading. */
export function documented(heading: string, block: number): string {
  const section = DOCUMENT.split('\n## ').find((part) => part.startsWith(heading)) ?? '';
  const code = section.split('```')[block * 2 + 1] ?? '';
  return code.slice(code.indexOf('\n') + 1);
}

/** The rules of a user as a line of a file of users says them, without its name and password. */
export function documentedRules(heading: string, block: number): readonly string[] {
  const [line = '', ...others] = documented(heading, block).trim().split('\n');
  expect([line.split(' ')[0], others]).toEqual(['user', []]);
  return line.split(' ').slice(4);
}

/** What a room's listener gets, as text; `GAP` for a gap. */
export async function listen(layer: ChannelLayer, room: string): Promise<Collector<string>> {
  const events = new Collector<string>();
  await layer.subscribe(room, (event) => events.push(event.gap === true ? 'GAP' : Buffer.from(event.payload).toString()));
  return events;
}

/** Resolves when the layer has that state. */
export async function state(layer: ChannelLayer, wanted: 'connected' | 'away'): Promise<void> {
  await expect.poll(() => layer.status.state, { interval: 2 }).toBe(wanted);
}

/** Resolves when the layer's connection has been lost and made anew that often. */
export async function connects(layer: ChannelLayer, times: number): Promise<void> {
  await expect.poll(() => layer.status.state === 'connected' && layer.stats.connects >= times, { interval: 2 }).toBe(true);
}

export async function cli(redis: Pick<Broker, 'port'>, ...args: string[]): Promise<string> {
  return (await run('redis-cli', ['-p', `${redis.port}`, ...args])).stdout.trim();
}

/** Whether this Redis has functions: 7 and later. */
export async function hasFunctions(redis: Pick<Broker, 'port'>): Promise<boolean> {
  return !(await cli(redis, 'FUNCTION', 'LIST')).includes('unknown command');
}

/** Appends to a history as another program does: with the function, or where Redis has none with the script. */
export async function append(redis: Pick<Broker, 'port'>, key: string, payload: string): Promise<string> {
  return (await hasFunctions(redis)) ? cli(redis, 'FCALL', 'busgate_publish', '1', key, payload) : cli(redis, 'EVAL', SCRIPTS.publish.body, '1', key, payload);
}

/** Makes the user `gateway` with the password `s%cret`, the documented rules, and those given. */
export async function allow(redis: Pick<Broker, 'port'>, ...rules: string[]): Promise<void> {
  const known = documentedRules('ACL', (await hasFunctions(redis)) ? 0 : 1);
  expect(await cli(redis, 'ACL', 'SETUSER', 'gateway', 'on', '>s%cret', ...known, ...rules)).toBe('OK');
}
