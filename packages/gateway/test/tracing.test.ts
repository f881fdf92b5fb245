import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import { beforeAll, describe, expect, test } from 'vitest';
import { Client } from './support/client.ts';
import { SILENT, TestGateway, until } from './support/gateway.ts';
import { KEY } from './support/operator.ts';
import { allSpans, OutsideTrace, registerSdk } from './support/traces.ts';
import { TestWorker } from './support/worker.ts';

const EVENTS = `[{path: '/page/*', kind: events, queue: app, http: true}, {path: '/room/:room', kind: room, join: anyone, publish: anyone}]`;
const SECRET = 'nobody-is-to-see-this';

function start(flags: readonly string[] = []): Promise<TestGateway> {
  return TestGateway.start(['--tracing', ...flags]);
}

function post(gateway: TestGateway, path: string, headers: Record<string, string>, body = 'hello'): Promise<Response> {
  return fetch(gateway.http(path), { method: 'POST', body, headers });
}

describe('without an SDK', () => {
  test('a gateway that is to trace says that nobody does, and serves all the same', async () => {
    const warnings: string[] = [];
    const log = { ...SILENT, warn: (message: string) => void warnings.push(message) };
    await using gateway = await TestGateway.start(['--tracing'], [], undefined, log);
    expect(warnings).toEqual([expect.stringContaining('--import ./otel.js') as string]);
    expect((await post(gateway, '/room/1', { traceparent: new OutsideTrace().traceparent() })).status).toBe(202);
  });
});

describe('with an SDK', () => {
  beforeAll(registerSdk);

  test('a POST has a span of its own, under that of who asked', async () => {
    await using gateway = await start();
    const outside = new OutsideTrace();
    expect((await post(gateway, '/room/1', { traceparent: outside.traceparent() })).status).toBe(202);
    const span = await outside.span('busgate.publish');
    expect(span.kind).toBe(SpanKind.PRODUCER);
    expect(span.parentSpanContext).toMatchObject({ spanId: outside.spanId, isRemote: true });
    expect(span.status.code).toBe(SpanStatusCode.UNSET);
    expect(span.attributes).toEqual({
      'messaging.system': 'busgate',
      'messaging.operation.name': 'publish',
      'messaging.operation.type': 'send',
      'messaging.destination.name': '1',
    });
  });

  test('a frame has one by its member, and a POST of a frame by its member or else its header', async () => {
    await using gateway = await start();
    await using client = await Client.multiplex(gateway.ws('/socket'));
    const [framed, posted, headed] = [new OutsideTrace(), new OutsideTrace(), new OutsideTrace()];
    await client.ask({ type: 'publish', room: 'a', data: 1, ref: 1, traceparent: framed.traceparent() });
    await post(
      gateway,
      '/socket',
      { traceparent: headed.traceparent() },
      JSON.stringify({ type: 'publish', room: 'b', data: 1, traceparent: posted.traceparent() }),
    );
    await post(gateway, '/socket', { traceparent: headed.traceparent() }, JSON.stringify({ type: 'publish', room: 'c', data: 1 }));
    const rooms = await Promise.all([framed, posted, headed].map(async (one) => (await one.span('busgate.publish')).attributes['messaging.destination.name']));
    expect(rooms).toEqual(['a', 'b', 'c']);
  });

  test('an operator has one for each room of a call, by the header, and the trace goes on to the flush', async () => {
    await using gateway = await start(['--ops-key', KEY]);
    await using client = await Client.open(gateway.ws('/room/o.2'));
    const [outside, unheard] = [new OutsideTrace(), new OutsideTrace()];
    const publish = (traceparent: string, key = KEY) =>
      fetch(`http://127.0.0.1:${gateway.gateway.ops.port}/api/publish`, {
        method: 'POST',
        headers: { Authorization: `Bearer ${key}`, traceparent },
        body: '{"rooms":["o.1","o.2"],"text":"x"}',
      });
    expect((await publish(unheard.traceparent(), 'no key')).status).toBe(401);
    expect(await (await publish('no traceparent')).json()).toEqual({ results: [{ room: 'o.1' }, { room: 'o.2' }] });
    expect((await publish(outside.traceparent())).status).toBe(200);
    await client.until(() => client.received.length === 2);
    const delivered = await outside.span('busgate.deliver');
    const published = outside.spans.filter(({ name }) => name === 'busgate.publish');
    expect(published.map(({ attributes }) => attributes['messaging.destination.name'])).toEqual(['o.1', 'o.2']);
    expect(published.map(({ parentSpanContext }) => parentSpanContext?.spanId)).toEqual([outside.spanId, outside.spanId]);
    expect(delivered.parentSpanContext?.spanId).toBe(published[1]?.spanContext().spanId);
    expect(unheard.spans).toEqual([]);
  });

  test('a worker has one for what it publishes and sends to a group', async () => {
    await using gateway = await start(['--layer', 'redis://unused', '--routes', EVENTS]);
    await using worker = new TestWorker(gateway.layer, 'app');
    const connecting = Client.open(gateway.ws('/page/a'));
    const event = await worker.accept();
    await using _ = await connecting;
    const [published, sent] = [new OutsideTrace(), new OutsideTrace()];
    await worker.reply(event, { type: 'room.publish', room: 'r', text: 'x', traceparent: published.traceparent() });
    await worker.reply(event, { type: 'group.send', group: 'g', message: { type: 'websocket.send', text: 'x' }, traceparent: sent.traceparent() });
    const names = await Promise.all([published, sent].map(async (one) => (await one.span('busgate.publish')).attributes['messaging.destination.name']));
    expect(names).toEqual(['r', 'g']);
  });

  test('an event that a request becomes goes on with its trace, and so does the connect of a socket', async () => {
    await using gateway = await start(['--layer', 'redis://unused', '--routes', EVENTS]);
    await using worker = new TestWorker(gateway.layer, 'app');
    const [asked, connected] = [new OutsideTrace(), new OutsideTrace()];
    const asking = post(gateway, '/page/a', { traceparent: asked.traceparent() });
    const request = await worker.next();
    await worker.reply(request, { type: 'http.response', text: 'hi' });
    await asking;
    const connecting = Client.open(gateway.ws('/page/a'), [], { traceparent: connected.traceparent() });
    const connect = await worker.accept();
    await using client = await connecting;
    client.send('a message says nothing of a trace');
    const message = await worker.next();
    for (const [outside, event] of [
      [asked, request],
      [connected, connect],
    ] as const) {
      const span = await outside.span('busgate.event');
      expect(event['traceparent']).toBe(`00-${outside.traceId}-${span.spanContext().spanId}-01`);
      expect(span.attributes).toMatchObject({ 'messaging.destination.name': 'app', 'busgate.event.type': event.type });
    }
    expect(message).not.toHaveProperty('traceparent');
  });

  test('what is published goes on to the flush at every gateway that has members, whatever their wires', async () => {
    await using here = await start();
    await using there = await TestGateway.start(['--tracing'], [], here.bus);
    await using raw = await Client.open(here.ws('/room/1'));
    await using framed = await Client.multiplex(here.ws('/socket'));
    await framed.ask({ type: 'join', room: '1', ref: 1 });
    await using far = await Client.open(there.ws('/room/1'));
    const outside = new OutsideTrace();
    await post(here, '/room/1', { traceparent: outside.traceparent() });
    await Promise.all([raw, far].map((client) => client.until(() => client.received.length === 1)));
    await framed.until(() => framed.frames.some(({ type }) => type === 'message'));
    const publish = await outside.span('busgate.publish');
    const delivered = () => outside.spans.filter(({ name }) => name === 'busgate.deliver');
    await until(() => delivered().length === 2, 'both gateways have delivered');
    expect(new Set(delivered().map(({ attributes }) => attributes['busgate.members']))).toEqual(new Set([1, 2]));
    for (const { kind, parentSpanContext, attributes } of delivered()) {
      expect([kind, parentSpanContext?.spanId, attributes['messaging.destination.name'], attributes['messaging.operation.type']]).toEqual([
        SpanKind.CONSUMER,
        publish.spanContext().spanId,
        '1',
        'process',
      ]);
    }
  });

  test('a flush that takes several turns ends when the last member was written to', async () => {
    await using gateway = await start(['--limits-message', '512KiB']);
    const clients = await Promise.all(Array.from({ length: 20 }, () => Client.open(gateway.ws('/room/1'))));
    const outside = new OutsideTrace();
    await Promise.all(
      Array.from({ length: 8 }, (_, n) => post(gateway, '/room/1', n === 3 ? { traceparent: outside.traceparent() } : {}, 'x'.repeat(200_000))),
    );
    await outside.span('busgate.deliver');
    await Promise.all(clients.map((client) => client.until(() => client.received.length === 8)));
    expect(outside.spans.map(({ name }) => name).toSorted()).toEqual(['busgate.deliver', 'busgate.publish']);
    for (const client of clients) await client[Symbol.asyncDispose]();
  });

  test('where nobody is in the room there is no flush', async () => {
    await using gateway = await start();
    {
      await using _ = await Client.open(gateway.ws('/room/1'));
    }
    await until(() => gateway.gateway.sessions === 0, 'the only member has left');
    const outside = new OutsideTrace();
    await post(gateway, '/room/1', { traceparent: outside.traceparent() });
    await using next = await Client.open(gateway.ws('/room/1'));
    await post(gateway, '/room/1', {});
    await next.until(() => next.received.length === 1);
    expect(outside.spans.map(({ name }) => name)).toEqual(['busgate.publish']);
  });

  test('says of what fails why', async () => {
    await using gateway = await start();
    const outside = new OutsideTrace();
    expect((await post(gateway, '/room/1', { traceparent: outside.traceparent(), 'idempotency-key': 'x' })).status).not.toBe(202);
    const span = await outside.span('busgate.publish');
    expect([span.status.code, span.attributes['error.type']]).toEqual([SpanStatusCode.ERROR, 'refused']);
  });

  test.each([
    ['is no traceparent', 'something'],
    ['is of a version that is none', `ff-${'a'.repeat(32)}-${'b'.repeat(16)}-01`],
    ['says more than its version has', `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01-more`],
    ['names no trace', `00-${'0'.repeat(32)}-${'b'.repeat(16)}-01`],
    ['names no span', `00-${'a'.repeat(32)}-${'0'.repeat(16)}-01`],
    ['is two', `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01, 00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`],
    ['was not sampled', `00-${'a'.repeat(32)}-${'b'.repeat(16)}-00`],
  ])('a header that %s stops nothing, and nothing is recorded', async (_, traceparent) => {
    await using gateway = await start();
    const before = allSpans().length;
    expect((await post(gateway, '/room/1', { traceparent })).status).toBe(202);
    expect(allSpans()).toHaveLength(before);
  });

  test('a version that is not known yet is followed', async () => {
    await using gateway = await start();
    const outside = new OutsideTrace();
    await post(gateway, '/room/1', { traceparent: `01-${outside.traceId}-${outside.spanId}-01-more` });
    expect((await outside.span('busgate.publish')).parentSpanContext?.spanId).toBe(outside.spanId);
  });

  test('no payload, token, cookie or query value is in a span', async () => {
    await using gateway = await start(['--layer', 'redis://unused', '--routes', EVENTS]);
    await using worker = new TestWorker(gateway.layer, 'app');
    const outside = new OutsideTrace();
    const headers = { traceparent: outside.traceparent(), cookie: `c=${SECRET}`, authorization: `Bearer ${SECRET}` };
    await post(gateway, `/room/1?q=${SECRET}`, headers, SECRET);
    const asking = post(gateway, `/page/${SECRET}?q=${SECRET}`, headers, SECRET);
    await worker.reply(await worker.next(), { type: 'http.response', text: SECRET });
    await asking;
    const spans = [await outside.span('busgate.publish'), await outside.span('busgate.event')];
    for (const { name, attributes, events, status } of spans) expect(JSON.stringify([name, attributes, events, status])).not.toContain(SECRET);
  });

  test('off, nothing is traced and nothing told to workers', async () => {
    await using gateway = await TestGateway.start(['--layer', 'redis://unused', '--routes', EVENTS]);
    await using worker = new TestWorker(gateway.layer, 'app');
    const outside = new OutsideTrace();
    await post(gateway, '/room/1', { traceparent: outside.traceparent() });
    const asking = post(gateway, '/page/a', { traceparent: outside.traceparent() });
    const event = await worker.next();
    await worker.reply(event, { type: 'http.response', text: 'hi' });
    await asking;
    expect(event).not.toHaveProperty('traceparent');
    expect(outside.spans).toEqual([]);
  });
});
