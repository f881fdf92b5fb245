import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestBackend } from '../../packages/gateway/test/support/backend.ts';
import { until } from '../../packages/gateway/test/support/gateway.ts';
import { type Broker, startRedis } from '../support/brokers.ts';
import { runBusgate, startGateway } from '../support/processes.ts';
import { Client } from './clients.ts';

const SECRET = `whsec_${Buffer.from('k'.repeat(32)).toString('base64')}`;

let redis: Broker;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis[Symbol.asyncDispose]());

/** A backend that sends back what it is sent. */
function echoing(): Promise<TestBackend> {
  return TestBackend.start(({ event, answer }) => {
    if (event.type !== 'websocket.receive') return undefined;
    answer(200, { replies: [{ type: 'websocket.send', text: event['text'] as string }] });
    return true;
  });
}

async function expectEchoes(backend: TestBackend, urls: readonly string[]): Promise<void> {
  const clients = await Promise.all(urls.flatMap((url) => Array.from({ length: 5 }, () => Client.open(url))));
  const texts = Array.from({ length: 5 }, (_, index) => `message ${index}`);
  for (const client of clients) for (const text of texts) client.send(text);
  await Promise.all(clients.map((client) => client.until((received) => received.length === texts.length)));
  for (const client of clients) expect(client.received).toEqual(texts);
  await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
  await until(() => backend.of('websocket.disconnect').length === clients.length, 'every end was told');
  const ids = backend.posts.map(({ event }) => event['id']);
  expect([ids.length, new Set(ids).size]).toEqual([clients.length * (texts.length + 2), ids.length]);
  for (const { body, headers } of backend.posts) new Webhook(SECRET).verify(body, headers as Record<string, string>);
}

test('the gateways of a fleet post each event of a route with url once, whoever has the socket', async () => {
  await using backend = await echoing();
  const args = ['--layer', redis.url, '--routes', `[{path: /app, kind: events, url: '${backend.url}', secret: ${SECRET}}]`];
  await using one = await startGateway({ args });
  await using other = await startGateway({ args });
  await expectEchoes(
    backend,
    [one, other].map(({ port }) => `ws://127.0.0.1:${port}/app`),
  );
});

test('busgate forward posts the events of a queue, signed with the secret of a file, and ends with 0', async () => {
  await using backend = await echoing();
  const folder = await mkdtemp(join(tmpdir(), 'busgate-'));
  try {
    const secret = join(folder, 'secret');
    await writeFile(secret, `${SECRET}\n`);
    await using gateway = await startGateway({ args: ['--layer', redis.url, '--routes', '[{path: /app, kind: events, queue: forwarded}]'] });
    await using forwarder = runBusgate(['forward', 'forwarded', backend.url, '--layer', redis.url, '--secret-file', secret, '--concurrency', '8']);
    await expectEchoes(backend, [`ws://127.0.0.1:${gateway.port}/app`]);
    forwarder.signal('SIGTERM');
    expect(await forwarder.exited).toEqual({ code: 0, signal: null });
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('what busgate forward cannot do as it was written is told, all of it, and nothing is started', async () => {
  await using child = runBusgate(['forward', 'bad..queue', 'ftp://app/x', '--concurrency', '0', '--secret-file', '/nowhere']);
  expect((await child.exited).code).toBe(2);
  for (const fault of ['QUEUE is', 'URL is', '--concurrency is', '--secret-file is', '--layer must be said']) {
    expect(child.lines.all.join('\n')).toContain(fault);
  }
});
