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

  test('whose client leaves in the middle of its answer is told to its worker', async () => {
    await using gateway = await start();
    await using worker = new TestWorker(gateway.layer, 'app');
    const leave = new AbortController();
    const asking = fetch(gateway.http('/page/a'), { signal: leave.signal });
    const event = await worker.next();
    await worker.reply(event, { replies: [{ type: 'http.response.start' }, { type: 'http.response.body', text: 'x', more_body: true }] });
    await asking;
    leave.abort();
    expect(await worker.next()).toMatchObject({ type: 'http.disconnect', session: event.session });
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
