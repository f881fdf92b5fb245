import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TestGateway, until } from './support/gateway.ts';
import { StreamClient } from './support/stream.ts';
import { TestWorker } from './support/worker.ts';

const HISTORY = [{ rooms: 'kept.>', size: 100, ageMs: 60_000 }];
const ROUTES = '[{path: "/app/*", kind: events, queue: app, handler_timeout: 20s}, {path: "/page/*", kind: events, queue: app, http: true}]';
let gateway: TestGateway;
let worker: TestWorker;

beforeEach(async () => {
  gateway = await start();
  worker = new TestWorker(gateway.layer, 'app');
});

afterEach(async () => {
  await worker[Symbol.asyncDispose]();
  await gateway[Symbol.asyncDispose]();
});

/** The layer of a test has worker queues, though that of a setting `memory:` is one process. */
function start(bus?: string): Promise<TestGateway> {
  return TestGateway.start(['--layer', 'redis://localhost', '--routes', ROUTES], HISTORY, bus);
}

async function accepted(lines = false): Promise<{ stream: StreamClient; session: string }> {
  const opening = lines ? StreamClient.openLines(gateway.port, '/app/a') : StreamClient.open(gateway.port, '/app/a');
  const { session } = await worker.accept();
  return { stream: await opening, session };
}

function post(session: string, body: string | Uint8Array<ArrayBuffer>, at = gateway): Promise<Response> {
  return fetch(at.http(`/app/a?session=${session}`), { method: 'POST', body });
}

describe('a stream of an event route', () => {
  test('is a socket to its worker: it is told its session, what the worker sends comes down, and its end is told', async () => {
    const opening = StreamClient.open(gateway.port, '/app/a?x=1', ['Last-Event-ID: 7']);
    const connect = await worker.accept({ headers: [['X-Kind', 'a']] });
    expect(connect).toMatchObject({ type: 'websocket.connect', query_string: 'x=1', headers: expect.arrayContaining([['last-event-id', '7']]) });
    const stream = await opening;
    await worker.reply(connect, {
      replies: [
        { type: 'websocket.send', text: 'two\nlines' },
        { type: 'websocket.send', bytes: new Uint8Array([255, 0]) },
      ],
    });
    await stream.until(() => stream.events.length === 3);
    expect(stream.head).toMatch(/^X-Kind: a$/im);
    expect(stream.events).toEqual([`event: welcome\ndata: {"session":"${connect.session}"}`, 'data: two\ndata: lines', 'event: base64\ndata: /wA=']);
    await stream[Symbol.asyncDispose]();
    expect(await worker.next()).toMatchObject({ type: 'websocket.disconnect', code: 1005 });
  });

  test('of lines says the same as frames', async () => {
    const { stream, session } = await accepted(true);
    await worker.reply({ ...worker.events[0], reply_channel: String(worker.events[0]?.reply_channel) } as never, { type: 'websocket.send', text: '{"n": 1}' });
    await stream.until(() => stream.lines.length === 2);
    expect(stream.lines).toEqual([
      { type: 'welcome', session },
      { type: 'message', data: { n: 1 } },
    ]);
    await stream[Symbol.asyncDispose]();
  });

  test('is refused as a socket is', async () => {
    const asked = fetch(gateway.http('/app/a'), { headers: { Accept: 'text/event-stream' } });
    const refused = await worker.next();
    await worker.reply(refused, { type: 'websocket.close', done: refused.order });
    expect((await asked).status).toBe(403);
    const left = new AbortController();
    const gone = fetch(gateway.http('/app/a'), { headers: { Accept: 'text/event-stream' }, signal: left.signal }).catch(() => undefined);
    const events = [await worker.next(), await worker.next()];
    left.abort();
    await gone;
    events.push(await worker.next());
    expect(events).toMatchObject([
      { type: 'websocket.disconnect', session: refused.session },
      { type: 'websocket.connect' },
      { type: 'websocket.disconnect', session: events[1]?.session, code: 1006 },
    ]);
  });

  test('takes what is posted to it, at any gateway: text where it is UTF-8, else bytes', async () => {
    await using other = await start(gateway.bus);
    const { stream, session } = await accepted();
    expect((await post(session, 'text')).status).toBe(202);
    const first = await worker.next();
    expect((await post(session, new Uint8Array([255]), other)).status).toBe(202);
    await worker.reply(first, { type: 'done', order: first.order });
    expect([first, await worker.next()]).toMatchObject([
      { type: 'websocket.receive', text: 'text' },
      { type: 'websocket.receive', bytes: { $bytes: '/w==' } },
    ]);
    expect((await post('nobody', 'x')).status).toBe(404);
    expect((await post(session, 'x'.repeat(70_000))).status).toBe(413);
    expect((await fetch(gateway.http('/app/a'), { method: 'POST', body: 'x' })).status).toBe(426);
    await stream[Symbol.asyncDispose]();
    await until(() => gateway.gateway.sessions === 0, 'it has ended');
    expect((await post(session, 'x')).status).toBe(404);
  });

  test('that its worker has enough of waits with the answer, in order, and says when it has waited too long', async () => {
    const { stream, session } = await accepted();
    const posts: Promise<number>[] = [];
    for (let n = 0; n < 5; n += 1) {
      posts.push(post(session, String(n)).then(({ status }) => status));
      await until(() => gateway.gateway.state.inboundBytes > 0 || n < 2, 'it waits');
    }
    // One is with the worker, one waits with its session, and the others with their requests.
    expect(await Promise.all(posts.slice(0, 2))).toEqual([202, 202]);
    for (let n = 0; n < 4; n += 1) {
      const event = await worker.next();
      expect(event['text']).toBe(String(n));
      if (n < 3) await worker.reply(event, { type: 'done', order: event.order });
    }
    expect(await Promise.all(posts)).toEqual([202, 202, 202, 202, 202]);
    const late = await post(session, '5');
    expect([late.status, late.headers.has('retry-after')]).toEqual([503, true]);
    await stream[Symbol.asyncDispose]();
    await until(() => gateway.gateway.state.inboundBytes === 0, 'nothing is held');
  });

  test("carries a room's messages as a socket does, tells their gaps, and is told to come back", async () => {
    const { stream } = await accepted();
    const connect = worker.events[0];
    if (connect === undefined) throw new Error('nobody connected');
    await worker.reply(connect, { type: 'room.join', room: 'kept.1', since: 'another:1' });
    await stream.until(() => stream.events.length === 2);
    expect(stream.events[1]).toMatch(/^event: gap\ndata: \{"room":"kept\.1","after":\d+\}$/);
    const { position } = await gateway.layer.publish('kept.1', 'hello');
    await stream.until(() => stream.events.length === 3);
    expect(stream.events[2]).toBe(`id: ${position}\ndata: hello`);
    void gateway.gateway.drain({ notice: false, deadline: 2000 });
    await stream.closed();
    expect([stream.events.at(-1), stream.isWhole]).toEqual([expect.stringMatching(/^event: reconnect\ndata: \{"after":\d+\}$/), true]);
  });

  test('is not given where plain requests are events: there the worker may stream by itself', async () => {
    const asked = fetch(gateway.http('/page/a'), { headers: { Accept: 'text/event-stream' } });
    const event = await worker.next();
    await worker.reply(event, { type: 'http.response', status: 200, text: 'data: mine\n\n' });
    expect([event.type, await (await asked).text()]).toEqual(['http.request', 'data: mine\n\n']);
  });
});
