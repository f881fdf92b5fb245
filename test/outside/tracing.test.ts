import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { Client } from '../e2e/clients.ts';
import { type Broker, startNats, startRedis } from '../support/brokers.ts';
import { runBusgate, startGateway } from '../support/processes.ts';
import { ROOT } from './support/commands.ts';
import { type CollectedSpan, OtlpReceiver } from './support/otlp.ts';

const OTEL = pathToFileURL(join(ROOT, 'examples/tracing/otel.js')).href;
const WORKER = join(import.meta.dirname, 'modules/traced-worker.ts');
const ROUTES = `[{path: /page, kind: events, queue: app, http: true}, {path: '/room/:room', kind: room, join: anyone, publish: anyone}]`;
const TRACE = 'a'.repeat(32);
const ASKER = 'b'.repeat(16);
const SECRET = 'nobody-is-to-see-this';

/** The environment of a process that is traced with the SDK of the example. */
function traced(service: string, { endpoint }: OtlpReceiver): Record<string, string> {
  return { NODE_OPTIONS: `--import ${OTEL}`, OTEL_SERVICE_NAME: service, OTEL_EXPORTER_OTLP_ENDPOINT: endpoint };
}

/** One trace: a POST to the first gateway, its worker, which publishes at the second one, and a member of the room at each. Every process ends in order. */
async function follow(broker: Broker): Promise<readonly CollectedSpan[]> {
  await using receiver = await OtlpReceiver.start();
  const args = ['--tracing', '--layer', broker.url, '--routes', ROUTES, '--drain-notice', '0s'];
  await using one = await startGateway({ args, env: traced('one', receiver) });
  await using two = await startGateway({ args, env: traced('two', receiver) });
  const env = { ...traced('worker', receiver), GATEWAY: two.http('') };
  await using worker = runBusgate(['work', WORKER, '--layer', broker.url, '--queue', 'app'], { env });
  const clients = await Promise.all([one, two].map((gateway) => Client.open(gateway.ws('/room/news'))));
  const headers = { traceparent: `00-${TRACE}-${ASKER}-01`, cookie: `c=${SECRET}` };
  const answer = await fetch(`${one.http('/page')}?q=${SECRET}`, { method: 'POST', body: SECRET, headers });
  expect(answer.status).toBe(202);
  for (const client of clients) await client.until((received) => received.length === 1);
  expect(clients.map(({ received }) => received)).toEqual([[SECRET], [SECRET]]);
  for (const process of [worker, one, two]) {
    process.signal('SIGTERM');
    expect(await process.exited).toMatchObject({ code: 0 });
  }
  for (const client of clients) await client[Symbol.asyncDispose]();
  return receiver.spans.all;
}

/** Each span of the trace, the service that it is of, and its parent. */
function treeOf(spans: readonly CollectedSpan[]): string[] {
  const named = new Map(spans.map((span) => [span.spanId, `${span.service} ${span.name}`]));
  return spans.map((span) => `${named.get(span.spanId)} < ${named.get(span.parent ?? '') ?? span.parent}`).toSorted();
}

const TO_THE_PUBLISH = [`one busgate.event < ${ASKER}`, 'two busgate.publish < worker work', 'worker work < one busgate.event'];

test.concurrent('on NATS one trace goes from a POST to its worker, to what that publishes, and to the flush at each gateway', async () => {
  await using broker = await startNats();
  const spans = await follow(broker);
  expect(treeOf(spans)).toEqual(['one busgate.deliver < two busgate.publish', ...TO_THE_PUBLISH, 'two busgate.deliver < two busgate.publish'].toSorted());
  expect(new Set(spans.map(({ traceId }) => traceId))).toEqual(new Set([TRACE]));
  for (const { startedAt, endedAt } of spans) expect(endedAt).toBeGreaterThanOrEqual(startedAt);
  expect(JSON.stringify(spans.map(({ name, attributes }) => [name, attributes]))).not.toContain(SECRET);
  expect(spans.filter(({ name }) => name === 'busgate.deliver').map(({ attributes }) => attributes['busgate.members'])).toEqual([1, 1]);
});

test.concurrent('on Redis it ends at the publish: what travels there is the payload alone', async () => {
  await using broker = await startRedis();
  expect(treeOf(await follow(broker))).toEqual(TO_THE_PUBLISH);
});
