import { setTimeout as delay } from 'node:timers/promises';
import { connect } from 'nats';
import { expect, test } from 'vitest';
import { formatCursor } from '../../packages/gateway/src/hub/cursor.ts';
import { Client } from '../../packages/gateway/test/support/client.ts';
import { TestGateway, until } from '../../packages/gateway/test/support/gateway.ts';
import { ask } from '../../packages/gateway/test/support/questions.ts';
import { RawClient, request } from '../../packages/gateway/test/support/raw.ts';
import { StreamClient } from '../../packages/gateway/test/support/stream.ts';
import { startNats, startRedis } from '../support/brokers.ts';
import { startGateway } from '../support/processes.ts';
import { soak } from '../support/soak.ts';

/** Three heartbeats of 5 s must be missed, and a loaded machine is late with all of them. */
const DEATH_MS = 60_000;

const OPEN = '[{path: /socket, kind: multiplex, join: anyone, publish: nobody}]';

/** What is answered until a gateway is known to be dead: that nothing was looked at, since nobody listens there; or, where its broker has not noticed yet, that nobody knows. */
const UNSURE = new Set(['503 away', '504 unknown']);

test.concurrent.each([
  ['redis', startRedis],
  ['nats', startNats],
] as const)(
  'frames for a session whose gateway was killed are refused, and once it is known to be dead there is no such session: %s',
  async (_, startBroker) => {
    await using broker = await startBroker();
    const args = ['--layer', broker.url, '--host', '127.0.0.1', '--routes', OPEN];
    await using doomed = await startGateway({ args });
    await using other = await startGateway({ args });
    await using stream = await StreamClient.open(doomed.port, '/socket');
    await stream.until(() => stream.frames.length > 0);
    const path = `/socket?session=${String(stream.frames[0]?.['session'])}`;
    const ping = async (): Promise<string> => {
      const answer = await fetch(other.http(path), { method: 'POST', body: '{"type":"ping"}' });
      const { error } = (await answer.json()) as { error?: string };
      expect(answer.headers.has('retry-after')).toBe(answer.status === 503);
      return `${answer.status} ${error}`;
    };
    expect(await ping()).toBe('202 undefined');
    await stream.until(() => stream.frames.length === 2);
    doomed.signal('SIGKILL');
    await stream.closed();
    const end = performance.now() + DEATH_MS;
    const before = new Set<string>();
    let last = await ping();
    for (; UNSURE.has(last) && performance.now() < end; last = await ping()) {
      before.add(last);
      await delay(100);
    }
    expect([before.has('503 away'), last]).toEqual([true, '404 no_session']);
  },
);

/** Names that rooms of theirs have, and how many rooms may be held: any that were held for ever would soon leave no place for others. */
const ROOMS = 301;
const HELD = 150;
/** Requests that begin a session, or wait: `*` stands for a room's name. */
const BEGINNINGS: readonly (readonly [target: string, accept: string])[] = [
  ['/room/*', 'text/event-stream'],
  ['/room/kept', 'application/x-ndjson'],
  ['/socket?rooms=*&rooms=kept&last=1', 'text/event-stream'],
  ['/socket?rooms=*&rooms=kept', 'application/x-ndjson'],
  ['/room/kept?poll=60', 'application/json'],
  ['/socket?poll=60&rooms=kept', '*/*'],
];
const AT_ONCE = 50;

test('ten thousand clients that ask for streams and polls, and leave at once or when they have begun, leave nothing behind', async () => {
  await using gateway = await TestGateway.start(
    ['--heartbeat-interval', '1h', '--heartbeat-timeout', '1h', '--limits-rooms-total', `${HELD}`],
    [{ rooms: 'kept', size: 20, ageMs: 3_600_000 }],
  );
  const [position = ''] = await gateway.publish('kept', '1');
  const cursor = formatCursor(new Map([['kept', position]]));
  const { state, counters } = gateway.gateway;
  const leaves = async (index: number): Promise<void> => {
    await using client = await RawClient.connect(gateway.port);
    const [target, accept] = BEGINNINGS[index % BEGINNINGS.length] ?? ['', ''];
    const isPoll = target.includes('poll=');
    const since = target.startsWith('/socket') ? cursor : position;
    const path = `${target.replace('*', `r.${index % ROOMS}`)}${isPoll ? `&since=${since}` : ''}`;
    client.write(request(`GET ${path} HTTP/1.1`, 'Host: a', `Accept: ${accept}`));
    // One of two is gone before it is answered, the other when its head has come; a poll has none before it is over.
    if (!isPoll && Math.floor(index / BEGINNINGS.length) % 2 === 1) await client.head();
    client.socket.resetAndDestroy();
  };
  const sockets = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length;
  const before = sockets();
  const crowd = async (time: number): Promise<void> => {
    await Promise.all(Array.from({ length: AT_ONCE }, (_, index) => leaves(time * AT_ONCE + index)));
    await until(() => gateway.gateway.sessions === 0 && state.rooms === 0 && sockets() <= before, 'all have gone');
  };
  const counts = (): Record<string, number> => ({ inbound: state.inboundBytes, outbox: state.outboxBytes, queued: state.queued, rooms: state.rooms });
  const growth = await soak(crowd, { warmUp: 20, times: 36, counts });
  expect(growth.counts).toEqual({});
  expect(growth.bytesEach).toBeLessThan(AT_ONCE * 200);
  const opened = Object.values(counters.opened).reduce((sum, count) => sum + count, 0);
  const closed = [...counters.closes.values()].reduce((sum, count) => sum + count, 0);
  expect([opened > 3000, closed, counters.refused.full]).toEqual([true, opened, 0]);
  expect(gateway.balance()).toMatchObject({ queued: 0 });
});

test.concurrent('a history whose turn does not come is refused with 429 and a time to come back, and asking where a room stands has no turn', async () => {
  await using gateway = await TestGateway.start(['--limits-replay-total', '1KiB/s'], [{ rooms: 'kept', size: 10, ageMs: 600_000 }]);
  const [first] = await gateway.publish('kept', 'first', 'x'.repeat(100_000));
  expect((await ask(gateway, `/room/kept?since=${first}`)).status).toBe(200);
  const refused = await ask(gateway, `/room/kept?poll=30&since=${first}`);
  expect([refused.status, refused.error, Number(refused.headers['retry-after']) > 0]).toEqual([429, 'rate', true]);
  expect((await ask(gateway, '/room/kept?last=0')).status).toBe(200);
  expect(gateway.gateway.state.replays.waiting).toBe(0);
});

const KEPT_ROUTES = '[{path: "/room/:room", kind: room, join: anyone, publish: anyone}, {path: /socket, kind: multiplex, join: anyone, publish: anyone}]';
const KEPT = ['--host', '127.0.0.1', '--routes', KEPT_ROUTES, '--history', '[{rooms: "kept.>", size: 100, age: 10m}]'];

const PATHS = ['/room/kept.a', '/socket?rooms=kept.a'];
const OPENINGS = [
  async (port: number, path: string) => {
    const stream = await StreamClient.open(port, path);
    return { path, stream, place: () => stream.lastId };
  },
  async (port: number, path: string) => {
    const stream = await StreamClient.openLines(port, path);
    return { path, stream, place: () => stream.lines.findLast(({ type }) => type === 'cursor')?.['cursor'] as string | undefined };
  },
];

// On NATS a loss is noticed without a message that would say where the room goes on.
test.concurrent('after a loss that nothing follows yet streams and joins say where the room goes on, so that whoever comes back is told no other gap', async () => {
  await using stack = new AsyncDisposableStack();
  const broker = stack.use(await startNats());
  const gateways = await Promise.all([1, 2].map(() => startGateway({ args: ['--layer', broker.url, ...KEPT] })));
  for (const gateway of gateways) stack.use(gateway);
  const [here = 0, there = 0] = gateways.map(({ port }) => port);
  const publish = async (body: string): Promise<string> => {
    const answer = await fetch(`http://127.0.0.1:${here}/room/kept.a`, { method: 'POST', body });
    return ((await answer.json()) as { position: string }).position;
  };
  await publish('1');
  const opened = await Promise.all(PATHS.flatMap((path) => OPENINGS.map((open) => open(here, path))));
  for (const { stream } of opened) stack.use(stream);
  for (const { stream, place } of opened) await stream.until(() => place() !== undefined);
  const before = opened.map(({ place }) => place());

  const nats = stack.adopt(await connect({ servers: broker.url }), (connection) => connection.close());
  const { streams } = await nats.jetstreamManager();
  await streams.delete(await streams.find('busgate.room.kept.a'));
  for (const [index, { stream, place }] of opened.entries()) await stream.until(() => place() !== before[index]);
  for (const { stream } of opened) expect(stream.blocks.filter((block) => block.includes('gap'))).toHaveLength(1);
  const late = stack.use(await Client.multiplex(`ws://127.0.0.1:${here}/socket`));
  const { position } = await late.ask({ type: 'join', room: 'kept.a', ref: 1 });

  const next = await publish('2');
  const places = [...opened.map(({ path, place }) => [path, place() ?? '']), ['/room/kept.a', String(position)]];
  for (const [path = '', since = ''] of places) {
    const answer = await fetch(`http://127.0.0.1:${there}${path}${path.includes('?') ? '&' : '?'}poll=20&since=${encodeURIComponent(since)}`);
    expect(await answer.json()).toMatchObject({ messages: [{ position: next }], recovered: true });
  }
});
