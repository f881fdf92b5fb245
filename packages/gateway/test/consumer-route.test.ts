import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ConfigError } from '../src/config/faults.ts';
import { loadConfig } from '../src/config.ts';
import { LoopWatch, type LoopShare } from '../src/routes/consumer/loop-watch.ts';
import { told } from './modules/consumers.ts';
import { Client } from './support/client.ts';
import { TestGateway, until } from './support/gateway.ts';
import { frame, RawClient, upgrade } from './support/raw.ts';

const MODULE = join(import.meta.dirname, 'modules/consumers.ts');
const ROUTES = `[{path: '/app/*', kind: consumer, module: '${MODULE}', http: true}, {path: '/room/:room', kind: room, join: anyone, publish: anyone}]`;

interface Line {
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A gateway whose handlers are in its own process, and what it logged. */
async function start(flags: readonly string[] = [], bus?: string): Promise<TestGateway & { lines: Line[] }> {
  const lines: Line[] = [];
  const put = (message: string, fields: Record<string, unknown> = {}): void => void lines.push({ message, fields });
  const log = { dropped: 0, debug() {}, info() {}, warn: put, error: put };
  return Object.assign(await TestGateway.start(['--routes', ROUTES, ...flags], [], bus, log), { lines });
}

/** Once nothing is in flight: every event was handled. */
async function expectBalance({ gateway }: TestGateway): Promise<void> {
  const [counters] = gateway.events;
  await until(() => counters?.queued === counters?.handled, 'every event is handled');
  expect(counters).toMatchObject({ due: counters?.queued, failed: 0, undone: { timeout: 0, lost: 0, returned: 0 }, timeouts: { accept: 0, handler: 0 } });
}

describe('a consumer route', () => {
  test('runs a function for as long as its socket: every message in order, text and bytes apart', async () => {
    await using gateway = await start();
    {
      await using client = await Client.open(gateway.ws('/app/echo'));
      for (let n = 0; n < 200; n += 1) client.send(n % 2 === 0 ? String(n) : Buffer.from([n]));
      await client.until(() => client.received.length === 200);
      expect(client.received).toEqual(Array.from({ length: 200 }, (_, n) => (n % 2 === 0 ? String(n) : Buffer.from([n]))));
    }
    await until(() => gateway.gateway.events[0]?.disconnects === 1, 'the end was told');
    await expectBalance(gateway);
  });

  test('has classes hear each other by their groups, on every gateway of the bus, and tells each its end once', async () => {
    await using one = await start();
    await using two = await start([], one.bus);
    told.length = 0;
    await using here = await Client.open(one.ws('/app/chat/1'));
    await using there = await Client.open(two.ws('/app/chat/1'));
    await using other = await Client.open(two.ws('/app/chat/2'));
    here.send('hello');
    await Promise.all([here, there].map((client) => client.until(() => client.received.length === 1)));
    other.send('marker');
    await other.until(() => other.received.length === 1);
    expect([here.received, there.received, other.received]).toEqual([['hello'], ['hello'], ['marker']]);
    there.socket.close(4007, 'bye');
    await until(() => told.length === 1, 'one left');
    here.socket.terminate();
    await until(() => told.length === 2, 'the other is gone');
    expect(told).toEqual(['1 left with 4007 bye', '1 left with 1006 ']);
  });

  test('ends handlers when it is drained: each is told 1012, before the gateway is closed', async () => {
    told.length = 0;
    {
      await using gateway = await start();
      await using chat = await Client.open(gateway.ws('/app/chat/1'));
      await using counting = await Client.open(gateway.ws('/app/counting'));
      counting.send('x');
      await counting.until(() => counting.received.length === 1);
      await gateway.gateway.drain({ notice: false });
      expect(told.toSorted()).toEqual([expect.stringMatching(/^1 left with 1012/) as string, 'counted 1, 1012']);
      expect(await Promise.all([chat.closed(), counting.closed()])).toEqual([1012, 1012]);
    }
  });

  test('keeps what a stateless handler put on the session', async () => {
    await using gateway = await start();
    await using client = await Client.open(gateway.ws('/app/counting'));
    for (let n = 0; n < 20; n += 1) client.send('x');
    await client.until(() => client.received.length === 20);
    expect(client.received).toEqual(Array.from({ length: 20 }, (_, n) => String(n + 1)));
  });

  test('keeps nothing that was not put there: as with workers, each event has what is on the session anew', async () => {
    await using gateway = await start();
    await using client = await Client.open(gateway.ws('/app/forgetful'));
    client.send('a');
    client.send('b');
    await client.until(() => client.received.length === 2);
    expect(client.received).toEqual(['a', 'b']);
  });

  test('gives handlers the request, and takes their subprotocol, headers and close', async () => {
    await using gateway = await start();
    await using client = await RawClient.connect(gateway.port);
    client.write(upgrade('/app/greeted/a/b?x=1', { 'X-A': '2', 'Sec-WebSocket-Protocol': 'v1, v2' }));
    const answer = await client.answer();
    expect([answer.status, answer.headers.get('sec-websocket-protocol'), answer.headers.get('set-cookie')]).toEqual([101, 'v2', 'a=b']);
    await client.until((frames) => frames.length === 1);
    expect(client.frames[0]?.payload.toString()).toBe('/app/greeted/a/b 1 2 a/b');
    client.write(frame(1, 'go'));
    expect(await client.closeCode()).toBe(4100);
  });

  test.each([
    ['/app/refusing', 402, 'pay first\n'],
    ['/app/nowhere', 404, 'nothing is at this path\n'],
  ])('refuses %s with %i', async (path, status, body) => {
    await using gateway = await start();
    await using client = await RawClient.connect(gateway.port);
    client.write(upgrade(path));
    expect(await client.answer()).toMatchObject({ status, body });
  });

  test('closes the socket of a handler that fails with 1011, logs it with its route, and nobody else notices', async () => {
    await using gateway = await start();
    await using other = await Client.open(gateway.ws('/app/echo'));
    await using client = await Client.open(gateway.ws('/app/failing'));
    client.send('x');
    client.send('never read');
    expect(await client.closed()).toBe(1011);
    // A busy machine may hold up whatever runs.
    const failures = gateway.lines.filter(({ message }) => !message.includes('held up everybody'));
    expect(failures).toEqual([{ message: 'a consumer failed', fields: { route: '/app/*', error: expect.stringContaining('cannot take x') as string } }]);
    other.send('still here');
    await other.until(() => other.received.length === 1);
    await until(() => gateway.gateway.events[0]?.disconnects === 1, 'the end was told');
    await expectBalance(gateway);
    expect(await gateway.gateway.metrics.scrape()).toContain('busgate_consumer_failures_total{route="/app/*"} 1\n');
  });

  test('reads no further than a handler goes, and loses nothing', async () => {
    await using gateway = await start();
    await using client = await Client.open(gateway.ws('/app/slow'));
    client.send('go');
    await client.until(() => client.received.length === 1);
    for (let n = 0; n < 1000; n += 1) client.send(String(n));
    client.send('last');
    await client.until(() => client.received.length === 2);
    expect(Number(/\d+/.exec(String(client.received[1]))?.[0])).toBeLessThanOrEqual(32);
    expect(await client.closed()).toBe(1000);
  });

  test('lets a handler send no faster than its client reads, so that none is cut off, and others have their turn', async () => {
    await using gateway = await start(['--limits-outbox', '256KiB']);
    await using other = await Client.open(gateway.ws('/app/echo'));
    await using client = await Client.open(gateway.ws('/app/flood'));
    told.length = 0;
    client.socket.pause();
    // More than the kernel holds on both sides.
    client.send('800');
    other.send('in between');
    await other.until(() => other.received.length === 1);
    expect(told).toEqual([]);
    client.socket.resume();
    await client.until(() => client.received.length === 800);
    expect(client.received.map((bytes) => (bytes as Buffer).readUInt8(65_535))).toEqual(Array.from({ length: 800 }, (_, index) => index % 256));
    expect(await client.closed()).toBe(1000);
  });

  test('has clients join rooms, and publish to them', async () => {
    await using gateway = await start();
    await using listener = await Client.open(gateway.ws('/room/news'));
    await using client = await Client.open(gateway.ws('/app/room'));
    client.send('to all');
    await Promise.all([client, listener].map((each) => each.until(() => each.received.length === 1)));
    await gateway.layer.publish('news', 'from elsewhere');
    await client.until(() => client.received.length === 2);
    expect(client.received).toEqual(['to all', 'from elsewhere']);
  });

  test('answers plain requests on the same path, and tells the others what they are for', async () => {
    await using gateway = await start();
    const answer = await fetch(gateway.http('/app/echo?message=hi'), { method: 'POST', body: 'there' });
    expect([answer.status, answer.headers.get('x-b'), await answer.text()]).toEqual([201, '1', 'POST hi there']);
    expect((await fetch(gateway.http('/app/echo?fail=1'))).status).toBe(500);
    expect((await fetch(gateway.http('/app/chat/1'))).status).toBe(426);
    expect((await fetch(gateway.http('/app/none'))).status).toBe(404);
    await expectBalance(gateway);
  });

  test('streams an answer no faster than it is read, and stops when its reader leaves', async () => {
    await using gateway = await start(['--limits-outbox', '256KiB']);
    told.length = 0;
    const leave = new AbortController();
    const answer = await fetch(gateway.http('/app/stream'), { signal: leave.signal });
    const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
    for (let bytes = 0; bytes < 32 * 1_048_576;) bytes += (await reader.read()).value?.length ?? 0;
    leave.abort();
    await until(() => told.length === 2, 'the handler was told');
    expect(told).toEqual(['the reader left', expect.stringContaining('stopped after') as string]);
  });

  test('answers at once for a handler whose answer is none, or not of bytes', async () => {
    await using gateway = await start();
    expect((await fetch(gateway.http('/app/odd?error'))).status).toBe(500);
    expect((await fetch(gateway.http('/app/odd'))).status).toBe(504);
    expect(gateway.lines.map(({ fields }) => fields['type'])).toEqual(['http.request', 'http.request']);
  });

  test('leaves an answer unfinished whose handler fails in the middle, so that nobody takes it for whole', async () => {
    await using gateway = await start();
    const answer = await fetch(gateway.http('/app/stream?fail=1'));
    await expect(answer.arrayBuffer()).rejects.toThrow();
    expect(gateway.lines[0]?.fields).toMatchObject({ route: '/app/*', type: 'http.request' });
  });

  test('counts by route what handlers keep the event loop for, and tells who held up everybody', async () => {
    await using gateway = await start();
    await using client = await Client.open(gateway.ws('/app/busy'));
    client.send('1');
    client.send('150');
    await client.until(() => client.received.length === 2);
    const metrics = await gateway.gateway.metrics.scrape();
    expect(Number(/busgate_consumer_loop_seconds_total\{route="\/app\/\*"\} (\S+)/.exec(metrics)?.[1])).toBeGreaterThanOrEqual(0.15);
    // On a busy machine the short one may be held up, too.
    const holdups = Number(/busgate_consumer_holdups_total\{route="\/app\/\*"\} (\d+)/.exec(metrics)?.[1]);
    expect([1, 2]).toContain(holdups);
    const told = { message: expect.stringContaining('held up everybody') as string, fields: { route: '/app/*', ms: expect.any(Number) as number } };
    expect(gateway.lines).toEqual(Array.from({ length: holdups }, () => told));
    expect(Math.max(...gateway.lines.map(({ fields }) => Number(fields?.['ms'])))).toBeGreaterThanOrEqual(150);
  });
});

describe('a look at the loop', () => {
  class Share implements LoopShare {
    loopMs = 0;
    holdups = 0;
    readonly held: number[] = [];

    onHoldup(ms: number): void {
      this.held.push(ms);
    }
  }

  test('finds the route that kept it, among others in the same turn', async () => {
    let time = 0;
    const watch = new LoopWatch(() => time);
    const [quick, busy] = [new Share(), new Share()];
    watch.begins(busy);
    watch.begins(quick);
    time += 2;
    watch.speaks(quick);
    time += 300;
    watch.speaks(busy);
    watch.speaks(quick);
    time += 3;
    await new Promise((resolve) => setImmediate(resolve));
    time += 1000;
    watch.begins(quick);
    await new Promise((resolve) => setImmediate(resolve));
    expect([quick.loopMs, quick.held, busy.loopMs, busy.holdups, busy.held]).toEqual([5, [], 300, 1, [300]]);
  });

  test('counts many short pieces without a break as one, and once', async () => {
    let time = 0;
    const watch = new LoopWatch(() => time);
    const busy = new Share();
    watch.begins(busy);
    for (let piece = 0; piece < 50; piece += 1) {
      time += 10;
      watch.speaks(busy);
    }
    await new Promise((resolve) => setImmediate(resolve));
    expect([busy.loopMs, busy.holdups]).toEqual([500, 1]);
  });
});

describe('its settings', () => {
  const load = (route: string): ReturnType<typeof loadConfig> =>
    loadConfig({ argv: ['--config', '/etc/busgate/b.yaml'], env: {}, descriptors: 1000, readFile: () => `routes: [${route}]` });
  const faultOf = (route: string): string => {
    try {
      load(route);
    } catch (error) {
      if (error instanceof ConfigError) return error.faults.join('\n');
    }
    return '';
  };

  test('name a module that is relative to their file', () => {
    expect(load('{path: /a, kind: consumer, module: ../chat.ts, http: true, handler_timeout: 5s}').routes).toMatchObject([
      { kind: 'consumer', module: '/etc/chat.ts', http: true, acceptTimeout: 10_000, handlerTimeout: 5000, frames: 'auto' },
    ]);
  });

  test.each([
    ['{path: /a, kind: consumer}', 'routes[0].module must be said'],
    ['{path: /a, kind: consumer, module: 5}', 'routes[0].module is 5'],
    ['{path: /a, kind: consumer, module: ./a.ts, queue: app}', 'routes[0].queue must be left out: a consumer route has path, kind, module'],
  ])('are refused: %s', (route, words) => {
    expect(faultOf(route)).toContain(words);
  });
});
