import { describe, expect, test } from 'vitest';
import { Client } from './support/client.ts';
import { TestGateway } from './support/gateway.ts';
import { RawClient, request } from './support/raw.ts';
import { TestWorker } from './support/worker.ts';

/** A gateway whose path `/page/*` takes sockets and requests, on the queue `app`. */
function start(settings = ''): Promise<TestGateway> {
  return TestGateway.start(['--layer', 'redis://unused', '--routes', `[{path: '/page/*', kind: events, queue: app, http: true${settings}}]`]);
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('a request of an event route', () => {
  test('is an event that says all of it, and the short form is its whole answer', async () => {
    await using gateway = await start();
    await using worker = new TestWorker(gateway.layer, 'app');
    const asking = fetch(gateway.http('/page/a/b?x=1'), { method: 'PUT', body: 'some body', headers: { 'x-a': '1' } });
    const event = await worker.next();
    expect(event).toMatchObject({
      type: 'http.request',
      id: `${event.session}:0`,
      order: 0,
      method: 'PUT',
      path: '/page/a/b',
      params: { rest: 'a/b' },
      query_string: 'x=1',
      scheme: 'http',
      body: { $bytes: Buffer.from('some body').toString('base64') },
    });
    expect(event['headers']).toContainEqual(['x-a', '1']);
    await worker.reply(event, { type: 'http.response', status: 201, headers: [['x-b', '2']], json: { made: true } });
    const answer = await asking;
    expect([answer.status, answer.headers.get('x-b'), answer.headers.get('content-type'), await answer.json()]).toEqual([
      201,
      '2',
      'application/json',
      { made: true },
    ]);
  });

  test('names addresses of IPv4 as such, also where every interface is listened on', async () => {
    const routes = '[{path: /page, kind: events, queue: app, http: true}]';
    await using gateway = await TestGateway.start(['--layer', 'redis://unused', '--host', '*', '--routes', routes]);
    await using worker = new TestWorker(gateway.layer, 'app');
    const asking = fetch(gateway.http('/page'));
    const event = await worker.next();
    expect(event).toMatchObject({ client: ['127.0.0.1', expect.any(Number)], server: ['127.0.0.1', gateway.port] });
    await worker.reply(event, { type: 'http.response' });
    await asking;
  });

  test('is answered piece by piece, each as it comes', async () => {
    await using gateway = await start();
    await using worker = new TestWorker(gateway.layer, 'app');
    const asking = fetch(gateway.http('/page/a'));
    const event = await worker.next();
    await worker.reply(event, { type: 'http.response.start', status: 200, headers: [['content-type', 'text/plain']] });
    await worker.reply(event, { type: 'http.response.body', body: bytes('one '), more_body: true });
    const answer = await asking;
    const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
    expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe('one ');
    await worker.reply(event, { replies: [{ type: 'http.response.body', text: 'two', more_body: true }, { type: 'http.response.body' }] });
    expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe('two');
    expect((await reader.read()).done).toBe(true);
  });

  test('shares its path with sockets', async () => {
    await using gateway = await start();
    await using worker = new TestWorker(gateway.layer, 'app');
    const connecting = Client.open(gateway.ws('/page/a'));
    await worker.accept();
    await using client = await connecting;
    expect(client.closeCode).toBeUndefined();
  });

  test.each([
    ['that nobody answers in time', undefined],
    ['that is done without an answer', { type: 'done', order: 0 }],
  ])('%s is answered with 504', async (_, reply) => {
    await using gateway = await start(', handler_timeout: 100ms');
    await using worker = new TestWorker(gateway.layer, 'app');
    const asking = fetch(gateway.http('/page/a'));
    const event = await worker.next();
    if (reply !== undefined) await worker.reply(event, reply);
    const answer = await asking;
    expect([answer.status, await answer.json()]).toMatchObject([504, { error: 'no_answer' }]);
  });

  test.each([
    ['a piece before the start', { type: 'http.response.body', text: 'x', done: 0 }],
    ['an accept', { accept: true, text: 'x', done: 0 }],
  ])('passes over %s, whole', async (_, reply) => {
    await using gateway = await start();
    await using worker = new TestWorker(gateway.layer, 'app');
    const asking = fetch(gateway.http('/page/a'));
    const event = await worker.next();
    await worker.reply(event, reply);
    await worker.reply(event, { type: 'http.response', text: 'right' });
    expect(await (await asking).text()).toBe('right');
    expect(gateway.gateway.events[0]?.refused.not_allowed).toBe(1);
  });

  test('passes over what is said under another lease', async () => {
    await using gateway = await start();
    await using worker = new TestWorker(gateway.layer, 'app');
    const asking = fetch(gateway.http('/page/a'));
    const event = await worker.next();
    await worker.reply(event, { type: 'http.response', text: 'old', lease: 0 });
    await worker.reply(event, { type: 'http.response', text: 'right', lease: 1 });
    expect([await (await asking).text(), gateway.gateway.events[0]?.stale]).toEqual(['right', 1]);
  });

  test('has its worker speak to rooms and groups, as a socket has', async () => {
    await using gateway = await start();
    await using worker = new TestWorker(gateway.layer, 'app');
    const connecting = Client.open(gateway.ws('/page/a'));
    const connect = await worker.accept();
    await using client = await connecting;
    await worker.reply(connect, {
      replies: [
        { type: 'room.join', room: 'news' },
        { type: 'group.add', group: 'all' },
        { type: 'room.publish', room: 'news', text: 'in' },
        { type: 'group.send', group: 'all', message: { text: 'in' } },
      ],
    });
    await client.until(() => client.received.length === 2);
    const asking = fetch(gateway.http('/page/b'), { method: 'POST' });
    await worker.reply(await worker.next(), {
      replies: [
        { type: 'room.publish', room: 'news', text: 'to the room' },
        { type: 'group.send', group: 'all', message: { text: 'to the group' } },
        { type: 'http.response', status: 202 },
      ],
    });
    expect((await asking).status).toBe(202);
    await client.until(() => client.received.length === 4);
    expect(client.received.slice(2).map(String).toSorted()).toEqual(['to the group', 'to the room']);
  });

  test('may be answered with a header of any name, and is when Node has something of that name', async () => {
    await using gateway = await start();
    await using worker = new TestWorker(gateway.layer, 'app');
    const asking = fetch(gateway.http('/page/a'));
    const headers = ['constructor', '__proto__', 'x-name'].map((name) => [name, 'caf\u00E9']);
    await worker.reply(await worker.next(), { type: 'http.response', headers: [...headers, ['trailer', 'x-later']], text: 'x' });
    const answer = await asking;
    expect([answer.status, answer.headers.has('trailer')]).toEqual([200, false]);
    expect([answer.headers.get('constructor'), answer.headers.get('__proto__'), answer.headers.get('x-name')]).toEqual(Array(3).fill('caf\u00E9'));
  });

  test.each([204, 304])('that is answered %d has no length', async (status) => {
    await using gateway = await start();
    await using worker = new TestWorker(gateway.layer, 'app');
    await using client = await RawClient.connect(gateway.port);
    client.write(request('GET /page/a HTTP/1.1', 'Host: a'));
    await worker.reply(await worker.next(), { type: 'http.response', status });
    const answer = await client.answer();
    expect([answer.status, answer.headers.get('content-length'), answer.headers.get('transfer-encoding')]).toEqual([status, undefined, undefined]);
  });

  test('whose client leaves in the middle of its answer is told to its worker', async () => {
    await using gateway = await start();
    await using worker = new TestWorker(gateway.layer, 'app');
    const leave = new AbortController();
    const asking = fetch(gateway.http('/page/a'), { signal: leave.signal });
    const event = await worker.next();
    await worker.reply(event, {
      replies: [
        { type: 'http.response.start', state: 'begun' },
        { type: 'http.response.body', text: 'x', more_body: true },
      ],
    });
    await asking;
    leave.abort();
    expect(await worker.next()).toMatchObject({ type: 'http.disconnect', session: event.session, state: 'begun' });
  });

  test.each([
    ['an answer in time is passed on', { type: 'http.response', text: 'late' }, 200],
    ['the lack of one is no time-out', undefined, 504],
  ])('whose client ends its side before it is answered is told to its worker, and %s', async (_, reply, status) => {
    await using gateway = await start(reply === undefined ? ', handler_timeout: 300ms' : '');
    await using worker = new TestWorker(gateway.layer, 'app');
    await using client = await RawClient.connect(gateway.port);
    client.socket.end(request('GET /page/a HTTP/1.1', 'Host: a'));
    const event = await worker.next();
    expect(await worker.next()).toMatchObject({ type: 'http.disconnect', session: event.session, order: 1 });
    if (reply !== undefined) await worker.reply(event, reply);
    expect((await client.answer()).status).toBe(status);
    expect(gateway.gateway.events.map(({ timeouts }) => timeouts.handler)).toEqual([0]);
  });

  test('that is HEAD has the headers of its answer, and no body', async () => {
    await using gateway = await start();
    await using worker = new TestWorker(gateway.layer, 'app');
    const asking = fetch(gateway.http('/page/a'), { method: 'HEAD' });
    await worker.reply(await worker.next(), { type: 'http.response', text: 'hello' });
    const answer = await asking;
    expect([answer.status, answer.headers.get('content-length'), await answer.text()]).toEqual([200, '5', '']);
  });

  test('without http: true is told that the path is for sockets', async () => {
    await using gateway = await TestGateway.start(['--layer', 'redis://unused', '--routes', '[{path: /app, kind: events, queue: app}]']);
    const answer = await fetch(gateway.http('/app'));
    expect([answer.status, await answer.json()]).toMatchObject([426, { error: 'no_transport' }]);
  });
});
