import { createServer } from 'node:net';
import { describe, expect, test } from 'vitest';
import { drainFinding } from '../src/doctor/drain.ts';
import { lineOf } from '../src/doctor/finding.ts';
import { portFindings } from '../src/doctor/ports.ts';
import { type Machine, systemFindings } from '../src/doctor/system.ts';
import { listen } from '../src/listen.ts';
import { TestGateway } from './support/gateway.ts';

const LIMITS = { limits: { sessions: 9000, outboxTotal: 1 } } as Parameters<typeof systemFindings>[0];

function statesOn(machine: Partial<Machine>): string[] {
  const files: Readonly<Record<string, string>> = { '/proc/sys/net/core/somaxconn': '4096\n', '/proc/sys/net/ipv4/tcp_wmem': '4096\t16384\t4194304\n' };
  return systemFindings(LIMITS, { descriptors: 20_000, read: (path) => files[path] ?? '', ...machine }).map(({ state }) => state);
}

describe('what is looked at of this machine', () => {
  test('is well on an ordinary one', () => {
    expect(statesOn({})).toEqual(['ok', 'ok', 'ok']);
  });

  test('few descriptors, a short queue of connections, and large buffers of the kernel are to be changed', () => {
    expect(statesOn({ descriptors: 1024 })[0]).toBe('fix');
    expect(statesOn({ descriptors: 9000 })[0]).toBe('fix');
    expect(statesOn({ read: (path) => (path.includes('somaxconn') ? '128' : '4096 16384 67108864') })).toEqual(['ok', 'fix', 'fix']);
  });

  test('is unknown where it cannot be read', () => {
    const read = (): never => {
      throw new Error('EACCES');
    };
    expect(statesOn({ read })).toEqual(['ok', 'unknown', 'unknown']);
    expect(statesOn({ read: () => 'three numbers' })).toEqual(['ok', 'fix', 'unknown']);
  });
});

test('a drain ends before the orchestrator kills: with time to spare, else what to write is said', () => {
  const drain = { drain: { notice: 0, deadline: 30_000 } } as Parameters<typeof drainFinding>[0];
  expect(drainFinding(drain, 60_000).state).toBe('ok');
  expect(drainFinding(drain, 32_000).state).toBe('ok');
  expect(drainFinding(drain, 30_000)).toMatchObject({
    state: 'fix',
    advice: 'terminationGracePeriodSeconds: 32 (stop_grace_period: 32s), or --drain-deadline 28s',
  });
  expect(drainFinding(drain, undefined)).toMatchObject({ state: 'unknown', advice: expect.stringContaining('--grace 60s') as string });
});

test('ports are free, a gateway’s own, or somebody else’s', async () => {
  const statesOf = async (port: number, opsPort: number): Promise<string[]> =>
    (await portFindings({ host: '127.0.0.1', port, ops: { host: '127.0.0.1', port: opsPort, key: undefined } })).map(
      ({ state, what }) => `${state} ${what.split(': ')[1]}`,
    );
  expect(await statesOf(0, 0)).toEqual(['ok free', 'ok free']);
  await using gateway = await TestGateway.start();
  expect(await statesOf(gateway.port, gateway.gateway.ops.port)).toEqual(['ok a gateway serves there', 'ok a gateway serves there']);
  const listening = await listen(createServer(), '127.0.0.1', 0);
  expect(await statesOf(listening.port, 0)).toEqual(['fix somebody else has it', 'ok free']);
  listening.close();
});

test('a line begins with its state, holds what to type, and nothing of it can move the cursor', () => {
  expect(lineOf({ state: 'ok', what: 'a' })).toBe('ok      a\n');
  expect(lineOf({ state: 'fix', what: 'a\u001B[2J', advice: 'b' })).toBe('fix     a\\u001b[2J -> b\n');
  expect(lineOf({ state: 'unknown', what: 'a', advice: 'b' })).toBe('unknown a -> b\n');
});
