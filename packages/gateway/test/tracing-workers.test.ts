import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { readEvent } from '../src/forward/event.ts';
import { TestBackend } from './support/backend.ts';
import { Client } from './support/client.ts';
import { TestGateway } from './support/gateway.ts';
import { OutsideTrace, registerSdk } from './support/traces.ts';

const MODULE = join(import.meta.dirname, 'modules/traced.ts');

beforeAll(registerSdk);

describe('handlers in the process of the gateway', () => {
  const start = (): Promise<TestGateway> => TestGateway.start(['--tracing', '--routes', `[{path: '/app/*', kind: consumer, module: '${MODULE}', http: true}]`]);

  test('run within the span of their event, and what they publish is under the span in which they do', async () => {
    await using gateway = await start();
    const outside = new OutsideTrace();
    await using client = await Client.open(gateway.ws('/app/socket'), [], { traceparent: outside.traceparent() });
    await client.until(() => client.received.length === 1);
    const event = await outside.span('busgate.event');
    const { spanId } = event.spanContext();
    expect(event.attributes['messaging.destination.name']).toBe('/app/*');
    expect(JSON.parse(String(client.received[0]))).toEqual([spanId, `00-${outside.traceId}-${spanId}-01`]);
    client.send('go on');
    const handled = await outside.span('handled');
    expect(handled.parentSpanContext?.spanId).toBe(spanId);
    await client.closed();
    const published = outside.spans.filter(({ name }) => name === 'busgate.publish');
    expect(published.map((span) => [span.attributes['messaging.destination.name'], span.parentSpanContext?.spanId])).toEqual([
      ['1', handled.spanContext().spanId],
      ['some', handled.spanContext().spanId],
    ]);
  });

  test('of plain requests do so too, and have the span in the header of the request', async () => {
    await using gateway = await start();
    const outside = new OutsideTrace();
    const answer = await fetch(gateway.http('/app/page'), { headers: { traceparent: outside.traceparent() } });
    const { spanId } = (await outside.span('busgate.event')).spanContext();
    expect(await answer.json()).toEqual([spanId, `00-${outside.traceId}-${spanId}-01`]);
  });

  test('run in no trace where the request was in none', async () => {
    await using gateway = await start();
    expect(await (await fetch(gateway.http('/app/page'))).json()).toEqual(['none', null]);
  });
});

describe('a backend that is posted events', () => {
  test('has the span of the event in the header, and nothing where there is none', async () => {
    await using backend = await TestBackend.start();
    await using gateway = await TestGateway.start(['--tracing', '--routes', `[{path: /app, kind: events, url: '${backend.url}'}]`]);
    const outside = new OutsideTrace();
    await using client = await Client.open(gateway.ws('/app'), [], { traceparent: outside.traceparent() });
    const { spanId } = (await outside.span('busgate.event')).spanContext();
    client.send('one');
    client.socket.close();
    await client.closed();
    const [connect] = backend.of('websocket.connect');
    expect([connect?.headers['traceparent'], connect?.event['traceparent']]).toEqual(Array.from({ length: 2 }, () => `00-${outside.traceId}-${spanId}-01`));
    expect(backend.of('websocket.receive').map(({ headers }) => headers['traceparent'])).toEqual([undefined]);
  });

  test('is posted none that no header can carry', () => {
    const event = (traceparent: unknown): Uint8Array =>
      Buffer.from(JSON.stringify({ type: 'websocket.connect', id: 's:0', order: 0, reply_channel: 'c', traceparent }));
    const whole = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
    expect([whole, `${whole}\r\nx-a: 1`, 'é', 1, null].map((traceparent) => readEvent(event(traceparent))?.traceparent)).toEqual([
      whole,
      ...Array.from({ length: 4 }, () => undefined),
    ]);
  });
});
