import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { KEY } from '../../packages/gateway/test/support/operator.ts';
import { StreamClient } from '../../packages/gateway/test/support/stream.ts';
import { Client, MultiplexClient } from '../e2e/clients.ts';
import { startRedis } from '../support/brokers.ts';
import { type GatewayProcess, runBusgate, startGateway } from '../support/processes.ts';
import { redisCli } from '../support/redis-forms.ts';
import { ROOT } from './support/commands.ts';
import { type Older, olderVersion } from './support/older.ts';
import { until } from '../support/until.ts';

const OPEN = { join: 'anyone', publish: 'anyone' };
const ROUTES = [
  { path: '/room/:room', kind: 'room', ...OPEN },
  { path: '/socket', kind: 'multiplex', ...OPEN },
  { path: '/by-older', kind: 'events', queue: 'older' },
  { path: '/by-newer', kind: 'events', queue: 'newer' },
];

const stack = new AsyncDisposableStack();
/** One broker, with a gateway of each version at it. */
let port: number;
const gateways: Partial<Record<Version, GatewayProcess>> = {};

type Version = 'older' | 'newer';

const DIRECTIONS: readonly { readonly from: Version; readonly to: Version }[] = [
  { from: 'older', to: 'newer' },
  { from: 'newer', to: 'older' },
];

beforeAll(async () => {
  const redis = stack.use(await startRedis());
  ({ port } = redis);
  const older: Older = stack.use(await olderVersion());
  console.info(`beside this version: ${older.name}`);
  const settings = { routes: ROUTES, history: [{ rooms: 'kept.>', size: 100, age: '60s' }] };
  const args = ['--layer', redis.url, ...Object.entries(settings).flatMap(([name, value]) => [`--${name}`, JSON.stringify(value)])];
  for (const [version, root] of [
    ['older', older.root],
    ['newer', ROOT],
  ] as const) {
    gateways[version] = stack.use(await startGateway({ args, env: { BUSGATE_OPS_KEY: KEY }, root }));
    const work = ['work', join(root, 'test/e2e/modules/echo.ts'), '--queue', version, '--layer', redis.url];
    await stack.use(runBusgate(work, { root })).lines.find((line) => line.includes('working'));
  }
  for (const { from } of DIRECTIONS)
    await until(
      `a fleet of two, as the ${from} tells it`,
      () => fleetAt(from),
      ({ length }) => length === 2,
    );
});

afterAll(() => stack.disposeAsync());

function at(version: Version): GatewayProcess {
  return gateways[version] as GatewayProcess;
}

async function asOperator(version: Version, path: string, method = 'GET'): Promise<Response> {
  return await fetch(at(version).ops(path), { method, headers: { Authorization: `Bearer ${KEY}` } });
}

/** The gateways that one of them hears answer. */
async function fleetAt(version: Version): Promise<unknown[]> {
  const { gateways: all, missing } = (await (await asOperator(version, '/api/fleet')).json()) as { gateways: unknown[]; missing: unknown[] };
  return missing.length === 0 ? all : [];
}

async function publish(version: Version, room: string, payload: string): Promise<string | undefined> {
  const answer = await fetch(at(version).http(`/room/${room}`), { method: 'POST', body: payload });
  expect(answer.status).toBe(202);
  return ((await answer.json()) as { position?: string }).position;
}

describe.each(DIRECTIONS)('from a gateway of the $from version to one of the $to', ({ from, to }) => {
  test('messages of a live room arrive in order, those of backends too', async () => {
    const room = `live.${from}`;
    await using client = await MultiplexClient.open(at(to).ws('/socket'));
    await client.request({ type: 'join', room });
    for (const n of ['1', '2', '3']) await publish(from, room, n);
    await redisCli(port, 'PUBLISH', `busgate:room:${room}`, '4');
    await client.until(() => client.messages(room).length === 4);
    expect(client.messages(room)).toEqual([1, 2, 3, 4]);
  });

  test('a client goes on where it stood, by the position and the cursor that the other gave it', async () => {
    const room = `kept.${from}`;
    const position = await publish(from, room, '1');
    const polled = (await (await fetch(at(from).http(`/socket?poll=0&rooms=${room}`))).json()) as { cursor: string };
    await publish(to, room, '2');
    await publish(from, room, '3');
    await using client = await MultiplexClient.open(at(to).ws('/socket'));
    expect(await client.request({ type: 'join', room, since: position })).toMatchObject({ type: 'joined', recovered: true });
    const next = await publish(from, room, '4');
    await client.until(() => client.messages(room).length === 3);
    expect(client.messages(room)).toEqual([2, 3, 4]);
    expect(client.frames.at(-1)).toMatchObject({ position: next });
    expect(client.frames.some(({ type }) => type === 'gap')).toBe(false);
    const poll = await fetch(at(to).http(`/socket?poll=0&rooms=${room}&since=${encodeURIComponent(polled.cursor)}`));
    expect(((await poll.json()) as { messages: { data: number }[] }).messages.map(({ data }) => data)).toEqual([2, 3, 4]);
  });

  test('frames that are posted here reach a stream there', async () => {
    await using stream = await StreamClient.open(at(to).port, '/socket');
    await stream.until(() => stream.frames.length > 0);
    const session = String(stream.frames[0]?.['session']);
    const answer = await fetch(at(from).http(`/socket?session=${session}`), {
      method: 'POST',
      body: JSON.stringify([
        { type: 'join', room: `posted.${from}`, ref: 1 },
        { type: 'publish', room: `posted.${from}`, data: 'up', ref: 2 },
      ]),
    });
    expect(answer.status).toBe(202);
    await stream.until(() => stream.frames.some(({ type }) => type === 'message'));
    expect(stream.frames.find(({ type }) => type === 'message')).toMatchObject({ data: 'up' });
  });

  test('a worker there has the sockets of an event route here', async () => {
    await using client = await Client.open(at(from).ws(`/by-${to}`));
    for (const text of ['a', 'b', 'c']) client.send(text);
    await client.until((received) => received.length === 3);
    expect(client.received.map((text) => String(text).replace(/^\d+ /, ''))).toEqual(['a', 'b', 'c']);
  });

  test('an operator here sees the sessions there, and ends them', async () => {
    const room = `seen.${from}`;
    await using client = await MultiplexClient.open(at(to).ws('/socket'));
    await client.request({ type: 'join', room });
    const session = client.frames.find(({ type }) => type === 'welcome')?.['session'];
    expect(await (await asOperator(from, `/api/sessions?room=${room}`)).json()).toMatchObject({ sessions: [{ id: session }], missing: [] });
    expect(await (await asOperator(from, `/api/rooms/${room}`)).json()).toMatchObject({ members: { fleet: 1 }, missing: [] });
    expect((await asOperator(from, `/api/sessions/${String(session)}?code=4001`, 'DELETE')).status).toBe(200);
    expect((await client.closed).code).toBe(4001);
  });
});

test('UPGRADING.md has a row for every version that was released, or says that there is none yet', async () => {
  const [upgrading, changes] = await Promise.all(['UPGRADING.md', 'CHANGELOG.md'].map((name) => readFile(join(ROOT, name), 'utf8')));
  const released = [...(changes ?? '').matchAll(/^## (\d+\.\d+\.\d+)/gm)].map(([, version = '']) => version);
  const rows = [...(upgrading ?? '').matchAll(/^\| (\d+\.\d+\.\d+) +\|/gm)].map(([, version]) => version);
  expect(rows).toEqual(expect.arrayContaining(released));
  expect(upgrading?.includes('No version has been released yet')).toBe(released.length === 0);
});
