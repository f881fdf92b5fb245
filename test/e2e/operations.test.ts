import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { KEY, Operator } from '../../packages/gateway/test/support/operator.ts';
import { StreamClient, dataOf } from '../../packages/gateway/test/support/stream.ts';
import { type Broker, startNats, startRedis } from '../support/brokers.ts';
import type { Child } from '../support/child.ts';
import { redisCli } from '../support/redis-forms.ts';
import { type GatewayProcess, runBusgate, startGateway } from '../support/processes.ts';
import { Client, MultiplexClient } from './clients.ts';

/** A drain that a test can wait for. */
const QUICK = ['--drain-notice', '50ms', '--drain-deadline', '10s'];

let redis: Broker;
let scratch: string;
let keyFile: string;
beforeAll(async () => {
  redis = await startRedis();
  scratch = await mkdtemp(join(tmpdir(), 'busgate-operations-'));
  keyFile = join(scratch, 'ops.key');
  await writeFile(keyFile, `${KEY}\n`);
});
afterAll(async () => {
  await redis?.[Symbol.asyncDispose]();
  await rm(scratch, { recursive: true, force: true });
});

/** Its key comes from a file. */
async function start(layer: string, ...args: readonly string[]): Promise<{ gateway: GatewayProcess; operator: Operator }> {
  const gateway = await startGateway({ args: ['--demo', '--layer', layer, ...QUICK, ...args], env: { BUSGATE_OPS_KEY_FILE: keyFile } });
  return { gateway, operator: new Operator(gateway.ops('')) };
}

/** Resolves with the fleet's answer once it says this. */
async function fleetOf(
  operator: Operator,
  holds: (body: { gateways: readonly { gateway: string }[]; missing: readonly string[] }) => boolean,
): Promise<Awaited<ReturnType<Operator['get']>>['body']> {
  for (;;) {
    const { body } = await operator.get('/api/fleet');
    if (holds(body)) return body;
  }
}

function idOf(client: MultiplexClient): string {
  return String(client.frames.find(({ type }) => type === 'welcome')?.['session']);
}

test('workers of a supervisor and other gateways are one fleet: any port tells and ends sessions of all, taps, publishes, and drains its own process', async () => {
  const several = await start(redis.url, '--workers', '2');
  await using pair = several.gateway;
  const alone = await start(redis.url);
  await using single = alone.gateway;
  await Promise.all([several, alone].map(({ operator }) => fleetOf(operator, ({ gateways, missing }) => gateways.length === 3 && missing.length === 0)));

  const clients = await Promise.all([pair, pair, pair, pair, single].map((gateway) => MultiplexClient.open(gateway.ws('/socket'))));
  await Promise.all(clients.map((client) => client.request({ type: 'join', room: 'all' })));
  const listed = (await alone.operator.get('/api/sessions?room=all')).body.sessions.map(({ id }) => id);
  expect(listed.toSorted()).toEqual(clients.map(idOf).toSorted());
  expect((await several.operator.get('/api/rooms/all')).body).toMatchObject({ members: { fleet: 5 }, missing: [] });

  await using tap = await StreamClient.open(pair.opsPort, '/api/tap/all', [`Authorization: Bearer ${KEY}`]);
  await tap.until(() => tap.blocks.length > 0);
  expect((await several.operator.ask('POST', '/api/publish', { room: 'all', data: { n: 1 } })).body.results).toEqual([{ room: 'all' }]);
  await Promise.all(clients.map((client) => client.until(() => client.messages('all').length === 1)));
  await tap.until(() => tap.events.some((event) => event.startsWith('event: message')));
  expect(tap.events.map(dataOf)).toContain('{"type":"message","room":"all","data":{"n":1}}');

  for (const client of clients.slice(0, 4)) {
    expect((await alone.operator.ask('DELETE', `/api/sessions/${idOf(client)}?code=4001`)).status).toBe(200);
    expect((await client.closed).code).toBe(4001);
  }
  expect((await fetch(pair.ops('/api/fleet'))).status).toBe(401);

  expect((await several.operator.ask('POST', '/api/drain')).status).toBe(202);
  expect((await pair.exited).code).toBe(0);
  await fleetOf(alone.operator, ({ gateways, missing }) => gateways.length === 1 && missing.length === 0);
  await using after = await Client.open(single.ws('/room/after'));
  expect(after.socket.readyState).toBe(after.socket.OPEN);
  await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
});

test('a gateway that stands still is missing, by its name, in every answer, within two seconds; and is there again when it goes on', async () => {
  await using nats = await startNats();
  const a = await start(nats.url);
  await using asked = a.gateway;
  const b = await start(nats.url);
  await using still = b.gateway;
  const { gateways } = await fleetOf(b.operator, ({ gateways: all, missing }) => all.length === 2 && missing.length === 0);
  await fleetOf(a.operator, (body) => body.gateways.length === 2);
  await using client = await MultiplexClient.open(still.ws('/socket'));
  await client.request({ type: 'join', room: 'there' });
  const name = idOf(client).split('-')[0] ?? '';
  expect(gateways.map(({ gateway }) => gateway)).toContain(name);
  still.signal('SIGSTOP');
  const begun = performance.now();
  for (const path of ['/api/fleet', '/api/rooms', '/api/rooms/there', '/api/sessions'])
    expect([path, (await a.operator.get(path)).body.missing]).toEqual([path, [name]]);
  expect((await a.operator.ask('DELETE', `/api/sessions/${idOf(client)}`)).status).toBe(504);
  expect(performance.now() - begun).toBeLessThan(5 * 2000);
  expect((await fetch(asked.ops('/readyz'))).status).toBe(200);
  still.signal('SIGCONT');
  await fleetOf(a.operator, (body) => body.missing.length === 0 && body.gateways.length === 2);
  // What it was asked while it stood still it does when it goes on.
  expect((await client.closed).code).toBe(1012);
});

test('the command asks the ops port: a tap until it is interrupted, a close, a drain; each says how it went by its exit', async () => {
  await using gateway = await startGateway({ args: ['--demo', ...QUICK, '--log-format', 'text'], env: { BUSGATE_OPS_KEY: KEY } });
  expect(gateway.lines.all.some((line) => line.startsWith('{'))).toBe(false);
  const run = (...args: readonly string[]): Child => runBusgate([...args, '--ops-url', gateway.ops('')], { env: { BUSGATE_OPS_KEY: KEY } });
  await using client = await MultiplexClient.open(gateway.ws('/socket'));
  await client.request({ type: 'join', room: 'tapped' });
  await using tap = run('tap', 'tapped', '--json');
  for (let sent = 0; tap.lines.all.length === 0; sent += 1) {
    await client.request({ type: 'publish', room: 'tapped', data: sent });
  }
  expect(JSON.parse(tap.lines.all[0] ?? '')).toMatchObject({ type: 'message', room: 'tapped', data: expect.any(Number) });
  tap.signal('SIGINT');
  expect(await tap.exited).toEqual({ code: 0, signal: null });
  await using closing = run('close', idOf(client));
  expect((await closing.exited).code).toBe(0);
  expect((await client.closed).code).toBe(1012);
  await using again = run('close', idOf(client));
  expect((await again.exited).code).toBe(1);
  await using wrong = run('fleet', 'everything');
  expect((await wrong.exited).code).toBe(2);
  await using draining = run('drain');
  expect((await draining.exited).code).toBe(0);
  expect((await gateway.exited).code).toBe(0);
});

test('doctor says in a line each what is ok, what to fix and what to type; it ends with 0 once nothing is to be fixed', async () => {
  const run = async (...args: readonly string[]): Promise<{ code: number | null; lines: readonly string[] }> => {
    await using child = runBusgate(['doctor', '--demo', '--layer', redis.url, '--port', '0', '--ops-port', '0', ...args]);
    const { code } = await child.exited;
    return { code, lines: child.lines.all };
  };
  const before = await run();
  expect(before.code).toBe(1);
  expect(before.lines.filter((line) => !/^(ok|fix|unknown) /.test(line))).toEqual([]);
  const [fix = ''] = before.lines.filter((line) => line.startsWith('fix'));
  expect(fix).toMatch(/^fix +client-output-buffer-limit pubsub .* -> redis-cli CONFIG SET client-output-buffer-limit 'pubsub 256mb 64mb 60'/);
  await redisCli(redis.port, 'CONFIG', 'SET', 'client-output-buffer-limit', 'pubsub 256mb 64mb 60');
  const after = await run('--grace', '60s');
  expect([after.code, after.lines.filter((line) => !line.startsWith('ok'))]).toEqual([0, []]);
  expect((await run('--grace', '20s')).code).toBe(1);
  expect((await run('--grace', 'long')).code).toBe(2);
  await redisCli(redis.port, 'ACL', 'SETUSER', 'watcher', 'on', '>secret', '~*', '&*', '+@all', '-config');
  const watcher = await run('--grace', '60s', '--layer', redis.url.replace('//', '//watcher:secret@'));
  expect([watcher.code, watcher.lines.filter((line) => /^unknown .*NOPERM/.test(line)).length]).toEqual([0, 3]);
  await redisCli(redis.port, 'ACL', 'SETUSER', 'watcher', '-publish');
  const mute = await run('--grace', '60s', '--layer', redis.url.replace('//', '//watcher:secret@'));
  expect([mute.code, mute.lines.filter((line) => line.startsWith('fix'))]).toEqual([
    1,
    [expect.stringMatching(/'publish' command.*-> give this user the rights/)],
  ]);
  expect([...watcher.lines, ...mute.lines].join('\n')).not.toContain('secret');
});
