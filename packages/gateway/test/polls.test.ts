import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Client } from './support/client.ts';
import { TestGateway, until } from './support/gateway.ts';
import { ask, type HistoryAnswer, KeptConnection } from './support/questions.ts';
import { RawClient, request } from './support/raw.ts';

const HISTORY = [{ rooms: 'kept.>', size: 100, ageMs: 60_000 }];
let gateway: TestGateway;

beforeEach(async () => {
  gateway = await TestGateway.start([], HISTORY);
});

afterEach(async () => {
  await gateway[Symbol.asyncDispose]();
});

async function publish(room: string, payload: string, at = gateway): Promise<string> {
  return (await at.layer.publish(room, payload)).position ?? '';
}

/** Resolves once so many polls wait. */
async function waiting(polls: number, at = gateway): Promise<void> {
  await until(() => at.gateway.state.sessions.poll === polls, `${polls} polls wait`);
}

const poll = (path: string): string => request(`GET ${path} HTTP/1.1`, 'Host: a');

describe('a long poll', () => {
  test('without a place is told one at once, and with one waits for the first message, whichever gateway it is published at', async () => {
    await using other = await TestGateway.start([], HISTORY, gateway.bus);
    const { cursor, messages } = await ask(gateway, '/room/kept.1?poll=30');
    expect(messages).toEqual([]);
    const asked = ask(gateway, `/room/kept.1?poll=30&since=${cursor}`);
    await waiting(1);
    const position = await publish('kept.1', '{"n":1}', other);
    expect(await asked).toMatchObject({ status: 200, messages: [{ data: { n: 1 }, position }], cursor: position, recovered: true });
    await waiting(0);
    // What is there already is answered at once, by any gateway.
    expect(await ask(other, `/room/kept.1?poll=30&since=${cursor}`)).toMatchObject({ messages: [{ data: { n: 1 } }] });
    expect(gateway.gateway.counters.opened.poll).toBe(1);
  });

  test('is answered an empty list when its time is up, and goes on from there', async () => {
    const first = await publish('kept.1', '1');
    const began = performance.now();
    const empty = await ask(gateway, `/room/kept.1?poll=1&since=${first}`);
    expect(empty).toMatchObject({ status: 200, messages: [], cursor: first, recovered: true });
    expect(performance.now() - began).toBeGreaterThan(900);
    const second = await publish('kept.1', '2');
    expect((await ask(gateway, `/room/kept.1?poll=1&since=${empty.cursor}`)).cursor).toBe(second);
  });

  test('of many rooms is answered by the first message of any, and stands where it stood in the others', async () => {
    await publish('kept.a', '1');
    await publish('kept.b', '1');
    const rooms = 'rooms=kept.a&rooms=kept.b';
    let { cursor } = await ask(gateway, `/socket?poll=0&${rooms}`);
    for (const [room, data] of [
      ['kept.b', 2],
      ['kept.a', 3],
      ['kept.b', 4],
    ] as const) {
      const asked = ask(gateway, `/socket?poll=30&${rooms}&since=${cursor}`);
      await waiting(1);
      const position = await publish(room, String(data));
      const answer = await asked;
      expect(answer.messages).toEqual([{ room, data, position }]);
      cursor = answer.cursor;
    }
    const posted = ask(gateway, '/socket', { body: { rooms: ['kept.a', 'kept.b'], since: cursor, poll: 30 } });
    await waiting(1);
    await publish('kept.a', '5');
    expect((await posted).messages).toMatchObject([{ room: 'kept.a', data: 5 }]);
  });

  test('is not woken for good by what has no position, and not missed by what comes while it looks', async () => {
    const { cursor } = await ask(gateway, '/room/kept.1?poll=0');
    const asked = Promise.all(Array.from({ length: 20 }, () => ask(gateway, `/room/kept.1?poll=30&since=${cursor}`)));
    await waiting(20);
    // All of one turn: the polls look while the rest comes.
    const positions = await Promise.all(Array.from({ length: 10 }, (_, n) => publish('kept.1', String(n))));
    for (const { messages, cursor: last } of await asked) {
      expect(messages.map(({ data }) => data)).toEqual(Array.from({ length: messages.length }, (_, n) => n));
      expect(last).toBe(positions[messages.length - 1]);
    }
  });

  test.each([
    ['poll=-1', 0],
    ['poll=0', 0],
    ['poll=1e9', 1],
    ['poll=1e300', 1],
    ['poll=60.5', 1],
    ['poll=0.1', 1],
  ])('cuts what it may wait to its bounds: %s', async (query, waits) => {
    const { cursor } = await ask(gateway, '/room/kept.1?poll=0');
    const asked = ask(gateway, `/room/kept.1?${query}&since=${cursor}`);
    if (waits > 0) await waiting(1);
    if (waits > 0) await publish('kept.1', '1');
    expect((await asked).messages).toHaveLength(waits);
    expect(gateway.gateway.counters.opened.poll).toBe(waits);
  });

  test.each([
    ['/room/kept.1?poll=abc', 400, 'bad_request'],
    ['/room/kept.1?poll=', 400, 'bad_request'],
    ['/room/kept.1?poll=NaN', 400, 'bad_request'],
    ['/room/live?poll=5', 400, 'no_history'],
    ['/room/live?poll=5&since=e:1', 400, 'no_history'],
    ['/socket?rooms=live&poll=5', 400, 'no_history'],
  ])('is refused where it cannot be: %s', async (path, status, error) => {
    expect(await ask(gateway, path)).toMatchObject({ status, error });
  });

  test.each([
    ['*/*', 'application/json'],
    ['application/json', 'application/json'],
    ['text/html, */*;q=0.1', 'application/json'],
    ['text/event-stream;q=0, application/x-ndjson;q=0.0', 'application/json'],
    ['text/event-stream', 'text/event-stream'],
    ['application/x-ndjson;q=0.2, */*', 'application/x-ndjson'],
    ['text/event-stream;q=0.1, application/x-ndjson;q=0.2', 'application/x-ndjson'],
    ['application/x-ndjson, text/event-stream', 'text/event-stream'],
  ])('is asked for by what names no stream: %s', async (accept, type) => {
    for (const path of ['/room/kept.1?poll=0', '/socket?poll=0&rooms=kept.1']) {
      const left = new AbortController();
      const answer = await fetch(gateway.http(path), { headers: { Accept: accept }, signal: left.signal });
      expect([answer.status, answer.headers.get('content-type')]).toEqual([200, type]);
      left.abort();
    }
  });

  test('by HEAD does not wait', async () => {
    const { cursor } = await ask(gateway, '/room/kept.1?poll=0');
    const answer = await ask(gateway, `/room/kept.1?poll=60&since=${cursor}`, { method: 'HEAD' });
    expect([answer.status, gateway.gateway.counters.opened.poll]).toEqual([200, 0]);
  });

  test('is a place of a session while it waits, and no other one gets in where all are taken', async () => {
    await using small = await TestGateway.start(['--limits-sessions', '1', '--origins', 'https://app.example'], HISTORY);
    const { cursor } = await ask(small, '/room/kept.1?poll=0');
    const asked = ask(small, `/room/kept.1?poll=30&since=${cursor}`);
    await waiting(1, small);
    const full = await ask(small, `/room/kept.1?poll=30&since=${cursor}`, { headers: { Origin: 'https://app.example' } });
    expect([full.status, full.error, full.headers['access-control-allow-origin'], 'retry-after' in full.headers]).toEqual([
      503,
      'full',
      'https://app.example',
      true,
    ]);
    await expect(Client.open(small.ws('/room/r'))).rejects.toThrow('503');
    await publish('kept.1', '1', small);
    expect((await asked).messages).toHaveLength(1);
    await using socket = await Client.open(small.ws('/room/r'));
    // What need not wait needs no place.
    expect((await ask(small, `/room/kept.1?poll=30&since=${cursor}`)).messages).toHaveLength(1);
    expect(socket.closeCode).toBeUndefined();
  });

  test.each([
    ['--limits-sessions', 503, 'full'],
    ['--limits-address-sessions', 429, 'rate'],
  ])('of no rooms is told what would refuse a session: %s', async (limit, status, error) => {
    await using small = await TestGateway.start([limit, '1']);
    expect(await ask(small, '/socket?poll=0')).toMatchObject({ status: 400, error: 'bad_room' });
    await using socket = await Client.open(small.ws('/room/r'));
    const refused = await ask(small, '/socket?poll=0');
    expect(refused).toMatchObject({ status, error, headers: { 'retry-after': expect.any(String) } });
    expect(socket.closeCode).toBeUndefined();
  });

  test('is one of the sessions of its address while it waits', async () => {
    await using small = await TestGateway.start(['--limits-address-sessions', '1'], HISTORY);
    let { cursor } = await ask(small, '/room/kept.1?poll=0');
    for (let round = 0; round < 3; round += 1) {
      const asked = ask(small, `/room/kept.1?poll=30&since=${cursor}`);
      await waiting(1, small);
      expect((await ask(small, `/room/kept.1?poll=30&since=${cursor}`)).status).toBe(429);
      await expect(Client.open(small.ws('/room/r'))).rejects.toThrow('429');
      cursor = await publish('kept.1', String(round), small);
      expect((await asked).messages).toHaveLength(1);
    }
    expect((await Client.open(small.ws('/room/r'))).closeCode).toBeUndefined();
  });

  test('is answered while its gateway is being stopped, which then ends its connection', async () => {
    const { cursor } = await ask(gateway, '/room/kept.1?poll=0');
    await using client = await RawClient.connect(gateway.port);
    client.write(poll(`/room/kept.1?poll=60&since=${cursor}`));
    await waiting(1);
    const drained = gateway.gateway.drain({ notice: false, deadline: 5000 });
    const { status, headers, body } = await client.answer();
    expect([status, headers.get('connection'), JSON.parse(body)]).toEqual([200, 'close', { messages: [], cursor, recovered: true }]);
    await client.closed();
    await drained;
    expect(gateway.gateway.counters.closes.get('1012')).toBe(1);
  });

  test('whose client goes leaves nothing behind, and one that only ends its side is answered', async () => {
    const { cursor } = await ask(gateway, '/room/kept.1?poll=0');
    for (let round = 0; round < 50; round += 1) {
      await using client = await RawClient.connect(gateway.port);
      client.write(poll(`/room/kept.1?poll=60&since=${cursor}`));
      if (round % 2 === 0) await waiting(1);
      client.socket.resetAndDestroy();
    }
    await waiting(0);
    await using client = await RawClient.connect(gateway.port);
    client.write(poll(`/room/kept.1?poll=60&since=${cursor}`));
    await waiting(1);
    client.socket.end();
    expect(JSON.parse((await client.answer()).body)).toEqual({ messages: [], cursor, recovered: true });
    const { counters, state } = gateway.gateway;
    const closes = [...counters.closes.values()].reduce((sum, count) => sum + count, 0);
    expect([counters.opened.poll - closes, state.sessions.poll, gateway.balance()]).toEqual([0, 0, { due: 0, sent: 0, dropped: 0, queued: 0 }]);
  });
});

test('a long poll whose client ends its side while the history is read is answered, too, and not held for its time', async () => {
  const { cursor } = await ask(gateway, '/room/kept.1?poll=0');
  const read = gateway.layer.history.bind(gateway.layer);
  const { promise: ended, resolve: go } = Promise.withResolvers<void>();
  const reading = vi.spyOn(gateway.layer, 'history').mockImplementationOnce((...asked) => ended.then(() => read(...asked)));
  await using client = await RawClient.connect(gateway.port);
  client.write(poll(`/room/kept.1?poll=60&since=${cursor}`));
  await until(() => reading.mock.calls.length === 1, 'its history is read');
  client.socket.end();
  // What comes after the end has come.
  await ask(gateway, '/room/kept.2?poll=0');
  go();
  expect(JSON.parse((await client.answer()).body)).toEqual({ messages: [], cursor, recovered: true });
  await waiting(0);
});

describe('the connection of a poll', () => {
  test('goes on with the next request, however often, and of whatever kind', async () => {
    await using connection = new KeptConnection(gateway.port);
    let { cursor } = await connection.ask('/room/kept.1?poll=0');
    for (let round = 0; round < 100; round += 1) {
      const asked = connection.ask(`/room/kept.1?poll=30&since=${cursor}`);
      await waiting(1);
      await publish('kept.1', String(round));
      const answer: HistoryAnswer = await asked;
      expect([answer.messages.map(({ data }) => data), answer.headers['connection'], answer.headers['date']]).toEqual([
        [round],
        'keep-alive',
        expect.any(String),
      ]);
      ({ cursor } = answer);
      if (round % 3 === 0) expect((await connection.ask(`/room/kept.1?last=1`)).messages).toHaveLength(1);
    }
    expect([connection.opened, gateway.gateway.counters.opened.poll]).toEqual([1, 100]);
    await until(() => gateway.balance().sent === 134, 'all are sent');
    expect(gateway.balance()).toEqual({ due: 134, sent: 134, dropped: 0, queued: 0 });
  });

  test('may bring the next request early, whole or in parts: then it is answered at once, and the next one behind it', async () => {
    const { cursor } = await ask(gateway, '/room/kept.1?poll=0');
    const later = `${request('POST /room/r HTTP/1.1', 'Host: a', 'Content-Length: 5')}hello`;
    for (const cut of [1, 10, later.length - 2, later.length]) {
      await using client = await RawClient.connect(gateway.port);
      client.write(poll(`/room/kept.1?poll=60&since=${cursor}`));
      await waiting(1);
      client.socket.setNoDelay();
      client.write(later.slice(0, cut));
      expect(JSON.parse((await client.answer()).body)).toEqual({ messages: [], cursor, recovered: true });
      client.write(later.slice(cut));
      expect(JSON.parse((await client.answer()).body)).toEqual({ room: 'r' });
    }
  });

  test('brings more than one request at a time: then nothing waits, and all are answered in their order', async () => {
    const { cursor } = await ask(gateway, '/room/kept.1?poll=0');
    const path = `/room/kept.1?poll=60&since=${cursor}`;
    const half = 'GET /room/kept.1?last=0 HTTP/1.1\r\nHo';
    for (const more of [poll('/room/kept.1?last=0'), half]) {
      await using client = await RawClient.connect(gateway.port);
      client.write(poll(path) + more);
      expect(JSON.parse((await client.answer()).body)).toMatchObject({ messages: [], cursor });
      if (more === half) client.write('st: a\r\n\r\n');
      expect((await client.answer()).status).toBe(200);
    }
    await using client = await RawClient.connect(gateway.port);
    client.write(request('POST /room/kept.1 HTTP/1.1', 'Host: a', 'Content-Length: 1') + 'x' + poll(path));
    expect((await client.answer()).status).toBe(202);
    expect((await client.answer()).status).toBe(200);
    await waiting(0);
  });

  test('ends with the answer where its client wants that', async () => {
    const { cursor } = await ask(gateway, '/room/kept.1?poll=0');
    await using client = await RawClient.connect(gateway.port);
    client.write(request(`GET /room/kept.1?poll=60&since=${cursor} HTTP/1.1`, 'Host: a', 'Connection: close'));
    await waiting(1);
    await publish('kept.1', '1');
    const { headers, body } = await client.answer();
    expect([headers.get('connection'), JSON.parse(body).messages.length]).toEqual(['close', 1]);
    await client.closed();
  });

  test('that nothing follows is let go as any other', async () => {
    await using short = await TestGateway.start(['--http-keep-alive', '1s'], HISTORY);
    const { cursor } = await ask(short, '/room/kept.1?poll=0');
    await using client = await RawClient.connect(short.port);
    client.write(poll(`/room/kept.1?poll=60&since=${cursor}`));
    await waiting(1, short);
    await publish('kept.1', '1', short);
    await client.answer();
    await client.closed();
    await using other = await RawClient.connect(short.port);
    other.write(poll(`/room/kept.1?poll=60&since=${cursor}`));
    await other.answer();
    await short.gateway.close();
    await other.closed();
    expect(short.gateway.state.sessions.poll).toBe(0);
  });

  test('whose client does not read is sent one answer, and cut off', async () => {
    await using small = await TestGateway.start(['--limits-outbox', '64KiB'], HISTORY);
    for (let n = 0; n < 100; n += 1) await small.layer.publish('kept.1', 'x'.repeat(60_000));
    const client = await RawClient.connect(small.port);
    client.socket.pause();
    for (let n = 0; n < 40; n += 1) client.write(poll('/room/kept.1?last=100'));
    // Of the others not one is read before the first has left.
    await until(() => small.gateway.state.outboxBytes > 0, 'an answer waits');
    expect(small.gateway.state.outboxBytes).toBeLessThanOrEqual(2 * 1024 * 1024);
    client.socket.destroy();
    await once(client.socket, 'close');
    await until(() => small.balance().queued === 0, 'nothing waits');
    const { due, sent, dropped } = small.balance();
    expect([due, dropped > 0]).toEqual([sent + dropped, true]);
  });
});
