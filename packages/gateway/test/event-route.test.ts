import { openLayer } from '@busgate/layer';
import { describe, expect, test } from 'vitest';
import { Client } from './support/client.ts';
import { TestGateway, until } from './support/gateway.ts';
import { frame, RawClient, upgrade } from './support/raw.ts';
import { TestWorker } from './support/worker.ts';

/** A gateway with one event route, on the queue `app`; workers reach it by the layer that the test shares with it. */
function start(settings = '', history: { rooms: string; size: number; ageMs: number }[] = []): Promise<TestGateway> {
  const route = `{path: '/app/:name', kind: events, queue: app${settings}}`;
  return TestGateway.start(['--layer', 'redis://unused', '--routes', `[${route}, {path: '/room/:room', kind: room, join: anyone, publish: anyone}]`], history);
}

describe('a connect', () => {
  test('is an event that says all of the request, in the words of ASGI', async () => {
    await using gateway = await start();
    await using worker = new TestWorker(gateway.layer, 'app');
    await using client = await RawClient.connect(gateway.port);
    client.write(
      upgrade('/app/caf%C3%A9?a=1&b=%20', {
        'X-Twice': 'one',
        'x-twice': 'two',
        Cookie: 's=1',
        'Sec-WebSocket-Protocol': 'v1, v2',
        'Keep-Alive': 'x',
        Connection: 'Upgrade, X-Hop',
        'X-Hop': 'gone',
      }),
    );
    const event = await worker.next();
    expect(event).toMatchObject({
      type: 'websocket.connect',
      id: `${event.session}:0`,
      order: 0,
      lease: 1,
      route: '/app/:name',
      path: '/app/café',
      params: { name: 'café' },
      state: null,
      query_string: 'a=1&b=%20',
      raw_path: '/app/caf%C3%A9',
      scheme: 'ws',
      http_version: '1.1',
      subprotocols: ['v1', 'v2'],
      user: null,
      resumed: false,
      client: ['127.0.0.1', expect.any(Number)],
      server: ['127.0.0.1', gateway.port],
      headers: [
        ['host', 'busgate.test'],
        ['sec-websocket-version', '13'],
        ['x-twice', 'one'],
        ['x-twice', 'two'],
        ['cookie', 's=1'],
        ['sec-websocket-protocol', 'v1, v2'],
      ],
    });
    expect(event.session).toMatch(/^[\w-]+$/);
    await worker.reply(event, {
      type: 'websocket.accept',
      subprotocol: 'v2',
      headers: [
        ['Set-Cookie', 'a=1'],
        ['Set-Cookie', 'b=2'],
        ['X-Name', 'caf\u00E9'],
      ],
    });
    const answer = await client.answer();
    expect([answer.status, answer.headers.get('sec-websocket-protocol'), answer.headers.get('x-name')]).toEqual([101, 'v2', 'caf\u00E9']);
  });

  test.each([
    ['with 403 where it closes', { type: 'websocket.close', code: 4001 }, 403, 4001],
    ['with 403 where it is done without an accept', { type: 'done', order: 0 }, 403, 1006],
    ['with 403 by the short form', { accept: false }, 403, 1000],
  ])('is refused %s, and its end is told', async (_, reply, status, code) => {
    await using gateway = await start();
    await using worker = new TestWorker(gateway.layer, 'app');
    await using client = await RawClient.connect(gateway.port);
    client.write(upgrade('/app/a'));
    await worker.reply(await worker.next(), reply);
    expect((await client.answer()).status).toBe(status);
    expect(await worker.next()).toMatchObject({ type: 'websocket.disconnect', order: 1, code });
  });

  test("is refused with a worker's own answer, whole and with its headers", async () => {
    await using gateway = await start();
    await using worker = new TestWorker(gateway.layer, 'app');
    await using client = await RawClient.connect(gateway.port);
    client.write(upgrade('/app/a'));
    const event = await worker.next();
    await worker.reply(event, {
      replies: [
        { type: 'websocket.http.response.start', status: 418, headers: [['X-Kind', 'teapot']] },
        { type: 'websocket.http.response.body', body: new TextEncoder().encode('short '), more_body: true },
        { type: 'websocket.http.response.body', body: new TextEncoder().encode('and stout') },
      ],
    });
    const answer = await client.answer();
    expect([answer.status, answer.headers.get('x-kind'), answer.headers.get('content-length'), answer.body]).toEqual([418, 'teapot', '15', 'short and stout']);
  });

  test('that nobody answers is refused with 503 and when to come again, and its end is told', async () => {
    await using gateway = await start(', accept_timeout: 100ms');
    await using client = await RawClient.connect(gateway.port);
    client.write(upgrade('/app/a'));
    const answer = await client.answer();
    expect([answer.status, JSON.parse(answer.body)]).toMatchObject([503, { error: 'no_worker' }]);
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    await using worker = new TestWorker(gateway.layer, 'app');
    expect(await worker.next()).toMatchObject({ type: 'websocket.disconnect', code: 1006 });
  });

  test('is refused with 503 at once where as many wait in the queue as the capacity of its route says, whatever the layer and other routes say', async () => {
    const route = (path: string, capacity: number): string => `{path: '/${path}', kind: events, queue: ${path}, capacity: ${capacity}}`;
    await using gateway = await TestGateway.start(['--layer', 'redis://unused', '--routes', `[${route('small', 2)}, ${route('large', 10_000)}]`]);
    await using waiting = await RawClient.connect(gateway.port);
    await using other = await RawClient.connect(gateway.port);
    for (const client of [waiting, other]) client.write(upgrade('/small'));
    await until(() => gateway.gateway.events[0]?.queued === 2, 'two wait');
    await using refused = await RawClient.connect(gateway.port);
    refused.write(upgrade('/small'));
    const answer = await refused.answer();
    expect([answer.status, JSON.parse(answer.body), gateway.gateway.events[0]?.failed]).toMatchObject([503, { error: 'no_worker' }, 1]);
  });
});

describe('messages', () => {
  test('reach the worker in order, each after the one before was done, and its answers leave at once', async () => {
    await using gateway = await start();
    await using worker = new TestWorker(gateway.layer, 'app');
    const connecting = Client.open(gateway.ws('/app/a'));
    const connect = await worker.accept();
    await using client = await connecting;
    for (const message of ['one', Buffer.from([0xff]), 'three']) client.send(message);
    const first = await worker.next();
    expect(first).toMatchObject({ type: 'websocket.receive', order: 1, text: 'one', session: connect.session });
    await worker.reply(first, { type: 'websocket.send', text: 'still at it' });
    await client.until(() => client.received.length === 1);
    expect(worker.events.length).toBe(2);
    await worker.reply(first, { type: 'websocket.send', bytes: new Uint8Array([1, 2]), done: 1, state: { seen: 1 } });
    expect(await worker.next()).toMatchObject({ order: 2, bytes: { $bytes: '/w==' }, state: { seen: 1 } });
    await worker.reply(first, { type: 'done', order: 2 });
    expect(await worker.next()).toMatchObject({ order: 3, text: 'three' });
    await client.until(() => client.received.length === 2);
    expect(client.received).toEqual(['still at it', Buffer.from([1, 2])]);
  });

  test('before the accept wait, a thousand of them, and none is lost', async () => {
    await using gateway = await start();
    await using worker = new TestWorker(gateway.layer, 'app');
    await using client = await RawClient.connect(gateway.port);
    client.write(Buffer.concat([Buffer.from(upgrade('/app/a')), ...Array.from({ length: 1000 }, (_, index) => frame(1, String(index)))]));
    const connect = await worker.accept();
    for (let index = 0; index < 1000; index += 1) {
      const event = await worker.next();
      expect(event).toMatchObject({ order: index + 1, text: String(index) });
      await worker.reply(connect, { type: 'done', order: event.order });
    }
  });

  test('as many as the window says are in flight; without acks each is done when it is queued', async () => {
    await using gateway = await start(', acks: false');
    await using worker = new TestWorker(gateway.layer, 'app');
    const connecting = Client.open(gateway.ws('/app/a'));
    await worker.reply(await worker.next(), { type: 'websocket.accept' });
    await using client = await connecting;
    for (let index = 0; index < 50; index += 1) client.send(String(index));
    for (let index = 0; index < 50; index += 1) expect(await worker.next()).toMatchObject({ order: index + 1, text: String(index) });
  });

  test('that nobody handles in time end the socket with 1011, and it is told', async () => {
    await using gateway = await start(', handler_timeout: 100ms');
    await using worker = new TestWorker(gateway.layer, 'app');
    const connecting = Client.open(gateway.ws('/app/a'));
    await worker.accept();
    await using client = await connecting;
    client.send('x');
    const event = await worker.next();
    for (let times = 0; times < 5; times += 1) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      await worker.reply(event, { type: 'working', order: event.order });
    }
    expect(client.closeCode).toBeUndefined();
    expect(await client.closed()).toBe(1011);
    expect(await worker.next()).toMatchObject({ type: 'websocket.disconnect', code: 1011 });
  });
});

describe('the end', () => {
  test('is told once, last, with the code and the reason of whoever ended it', async () => {
    await using gateway = await start();
    await using worker = new TestWorker(gateway.layer, 'app');
    const connecting = Client.open(gateway.ws('/app/a'));
    await worker.accept();
    await using client = await connecting;
    client.send('last');
    client.socket.close(4007, 'bye');
    const last = await worker.next();
    expect(last).toMatchObject({ order: 1, text: 'last' });
    expect(worker.events.length).toBe(2);
    await worker.reply(last, { type: 'done', order: 1 });
    expect(await worker.next()).toMatchObject({ type: 'websocket.disconnect', order: 2, code: 4007, reason: 'bye' });
  });

  test('may be the worker’s, with a code of its own behind what it sent', async () => {
    await using gateway = await start();
    await using worker = new TestWorker(gateway.layer, 'app');
    const connecting = Client.open(gateway.ws('/app/a'));
    const connect = await worker.accept();
    await using client = await connecting;
    await worker.reply(connect, { text: 'so long', close: 4100 });
    expect(await client.closed()).toBe(4100);
    expect(client.received).toEqual(['so long']);
    expect(await worker.next()).toMatchObject({ type: 'websocket.disconnect', code: 4100 });
  });

  test('is told also where the client left before it was answered', async () => {
    await using gateway = await start();
    await using worker = new TestWorker(gateway.layer, 'app');
    await using client = await RawClient.connect(gateway.port);
    client.write(upgrade('/app/a'));
    const connect = await worker.next();
    client.socket.destroy();
    await until(() => gateway.gateway.sessions === 0, 'no session');
    await worker.reply(connect, { type: 'websocket.accept', done: 0 });
    expect(await worker.next()).toMatchObject({ type: 'websocket.disconnect', code: 1006 });
  });

  test('a worker that accepts and closes in one moment is obeyed in that order', async () => {
    await using gateway = await start();
    await using worker = new TestWorker(gateway.layer, 'app');
    const connecting = Client.open(gateway.ws('/app/a'));
    await worker.reply(await worker.next(), { accept: true, text: 'hi', close: true });
    await using client = await connecting;
    expect(await client.closed()).toBe(1000);
    expect(client.received).toEqual(['hi']);
  });
});

describe('what a worker replies', () => {
  test.each([
    ['two accepts', { type: 'websocket.accept' }, 'accepted_twice'],
    ['a second accept, and what stands beside it', { accept: true, text: 'x', close: 4000 }, 'accepted_twice'],
    ['a denial after the accept', { type: 'websocket.http.response.start', status: 403 }, 'not_allowed'],
    ['an answer to a request that is none', { type: 'http.response', text: 'x' }, 'not_allowed'],
    ['a release by a worker that has no queue of its own', { type: 'websocket.release' }, 'not_allowed'],
    ['what is no reply', { type: 'nonsense' }, 'unknown_type'],
  ])('is dropped and counted, and stops nothing: %s', async (_, reply, refusal) => {
    await using gateway = await start();
    await using worker = new TestWorker(gateway.layer, 'app');
    const connecting = Client.open(gateway.ws('/app/a'));
    const connect = await worker.accept();
    await using client = await connecting;
    await worker.reply(connect, reply);
    await worker.reply(connect, { type: 'websocket.send', text: 'marker' });
    await client.until(() => client.received.length === 1);
    expect(client.received).toEqual(['marker']);
    expect(gateway.gateway.events[0]?.refused).toMatchObject({ [refusal]: expect.any(Number) });
    expect(Object.values(gateway.gateway.events[0]?.refused ?? {}).reduce((sum, count) => sum + count, 0)).toBe(1);
  });

  test.each([
    ['a send', { type: 'websocket.send', text: 'x', done: 0 }, 'not_accepted'],
    ['a short form that does not begin with its accept', { text: 'x', close: true }, 'not_accepted'],
    ['a subprotocol that was not offered', { type: 'websocket.accept', subprotocol: 'v9', done: 0, state: 1 }, 'not_offered'],
    ['a body of a denial that has not begun', { type: 'websocket.http.response.body', text: 'no' }, 'not_allowed'],
    ['an accept with a header in a header', { type: 'websocket.accept', headers: [['x', 'a\r\nSet-Cookie: b=c']] }, 'bad_header'],
    ['an accept with a queue that has no name', { type: 'websocket.accept', queue: 'app >' }, 'bad_name'],
    ['a close with a code that no frame may have', { type: 'websocket.close', code: 1006 }, 'bad_code'],
  ])('before the accept: %s is dropped whole, and the connect goes on', async (_, reply, refusal) => {
    await using gateway = await start();
    await using worker = new TestWorker(gateway.layer, 'app');
    const connecting = Client.open(gateway.ws('/app/a'));
    const connect = await worker.next();
    await worker.reply(connect, reply);
    await worker.reply(connect, { type: 'websocket.accept' });
    await using client = await connecting;
    expect(gateway.gateway.events[0]?.refused[refusal as 'not_offered']).toBe(1);
    expect(client.socket.protocol).toBe('');
    await worker.reply(connect, { done: 0 });
    client.send('x');
    expect(await worker.next()).toMatchObject({ type: 'websocket.receive', text: 'x', state: null });
    expect(client.received).toEqual([]);
  });

  test('for a session that is gone reaches nobody, and stops nothing', async () => {
    await using gateway = await start();
    await using worker = new TestWorker(gateway.layer, 'app');
    const leaving = Client.open(gateway.ws('/app/a'));
    const gone = await worker.accept();
    await (await leaving)[Symbol.asyncDispose]();
    expect(await worker.next()).toMatchObject({ type: 'websocket.disconnect', session: gone.session });
    const connecting = Client.open(gateway.ws('/app/b'));
    const connect = await worker.accept();
    await using client = await connecting;
    for (const reply of [{ type: 'websocket.send', text: 'late' }, { type: 'websocket.close' }, { type: 'room.join', room: 'news' }, { done: 0 }]) {
      await worker.reply(gone, reply).catch((error: unknown) => expect(error).toMatchObject({ code: 'CHANNEL_GONE' }));
    }
    await worker.reply(connect, { type: 'websocket.send', text: 'marker' });
    await client.until(() => client.received.length === 1);
    expect([client.received, gateway.gateway.state.rooms]).toEqual([['marker'], 0]);
  });

  test('is dropped where it is larger than any message may be, and stops nothing', async () => {
    await using gateway = await start();
    await using worker = new TestWorker(gateway.layer, 'app');
    const connecting = Client.open(gateway.ws('/app/a'));
    const connect = await worker.accept();
    await using client = await connecting;
    // By its topic, as a program that knows no bound would.
    await using careless = await openLayer(`memory:${gateway.bus}`, { maxMessageBytes: 20 * 1_048_576 });
    await careless.send(connect.reply_channel, { type: 'websocket.send', text: 'x'.repeat(10 * 1_048_576) });
    await careless.send(connect.reply_channel, { type: 'websocket.send', text: 'marker' });
    await client.until(() => client.received.length === 1);
    expect(client.received).toEqual(['marker']);
    expect(gateway.gateway.events[0]?.refused.too_large).toBe(1);
  });

  test('may be its last: who accepts and dies in the same moment leaves a socket that is closed, and whose end another worker is told', async () => {
    await using gateway = await start(', handler_timeout: 200ms');
    const dying = new TestWorker(gateway.layer, 'app');
    const connecting = Client.open(gateway.ws('/app/a'));
    await dying.accept({ done: null });
    await dying[Symbol.asyncDispose]();
    await using client = await connecting;
    client.send('unanswered');
    expect(await client.closed()).toBe(1011);
    await using worker = new TestWorker(gateway.layer, 'app');
    expect(await worker.next()).toMatchObject({ type: 'websocket.disconnect', code: 1011 });
    expect(worker.events).toHaveLength(1);
  });

  test('joins a room with its newest messages, or with what followed a position, however much that is, and then with what comes', async () => {
    await using gateway = await start('', [{ rooms: 'kept', size: 1000, ageMs: 60_000 }]);
    await using worker = new TestWorker(gateway.layer, 'app');
    const texts = Array.from({ length: 100 }, (_, index) => `${index} ${'x'.repeat(40_000)}`);
    const { position } = await gateway.layer.publish('kept', 'first');
    for (const text of texts) await gateway.layer.publish('kept', text);
    const connecting = Client.open(gateway.ws('/app/a'));
    const connect = await worker.accept();
    await using client = await connecting;
    await worker.reply(connect, { type: 'room.join', room: 'kept', last: 2 });
    await client.until(() => client.received.length === 2);
    await gateway.layer.publish('kept', 'then');
    await client.until(() => client.received.length === 3);
    expect(client.received).toEqual([...texts.slice(-2), 'then']);
    // More than waits for one client: a piece at a time.
    await worker.reply(connect, { type: 'room.join', room: 'kept', since: position ?? '' });
    await client.until(() => client.received.length === 104);
    await gateway.layer.publish('kept', 'live');
    await client.until(() => client.received.length === 105);
    expect(client.received.slice(3)).toEqual([...texts, 'then', 'live']);
  });

  test('obeys a list in its order: what is said to a room or a group that the session enters reaches it', async () => {
    await using gateway = await start();
    await using worker = new TestWorker(gateway.layer, 'app');
    const connecting = Client.open(gateway.ws('/app/a'));
    const connect = await worker.accept();
    await using client = await connecting;
    const toGroup = { type: 'group.send', group: 'g', message: { type: 'websocket.send', text: 'to the group' } };
    await worker.reply(connect, {
      replies: [{ type: 'group.add', group: 'g' }, toGroup, { type: 'room.join', room: 'news' }, { type: 'room.publish', room: 'news', text: 'to the room' }],
    });
    await client.until(() => client.received.length === 2);
    expect(new Set(client.received)).toEqual(new Set(['to the group', 'to the room']));
  });

  test('joins rooms and leaves them, publishes, and is in groups', async () => {
    await using gateway = await start();
    await using worker = new TestWorker(gateway.layer, 'app');
    const connecting = Client.open(gateway.ws('/app/a'));
    const connect = await worker.accept();
    await using client = await connecting;
    await worker.reply(connect, {
      replies: [
        { type: 'room.join', room: 'news' },
        { type: 'group.add', group: 'all' },
      ],
    });
    await until(() => gateway.gateway.state.rooms === 1, 'joined');
    await worker.reply(connect, { type: 'room.publish', room: 'news', text: 'published' });
    await client.until(() => client.received.length === 1);
    await gateway.layer.groupSend('all', { type: 'websocket.send', text: 'to the group' });
    await client.until(() => client.received.length === 2);
    await worker.reply(connect, { type: 'room.leave', room: 'news' });
    await until(() => gateway.gateway.state.rooms === 0, 'left');
    await gateway.layer.publish('news', 'unheard');
    await worker.reply(connect, { type: 'group.send', group: 'all', message: { text: 'marker' } });
    await client.until(() => client.received.length === 3);
    expect(client.received).toEqual(['published', 'to the group', 'marker']);
  });
});
