import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Client } from './support/client.ts';
import { TestGateway, until } from './support/gateway.ts';
import { ask } from './support/questions.ts';
import { StreamClient } from './support/stream.ts';
import { TestWorker } from './support/worker.ts';

const MODULE = join(import.meta.dirname, 'modules/consumers.ts');
const ROUTES = `[
  {path: /room/:room, kind: room, join: anyone, publish: anyone},
  {path: /socket, kind: multiplex, join: anyone, publish: anyone},
  {path: /events, kind: events, queue: app},
  {path: '/app/*', kind: consumer, module: '${MODULE}'}]`;
const HISTORY = [{ rooms: 'kept.>', size: 100, ageMs: 60_000 }];

test('sessions, and polls that wait, are counted by the kind of their route', async () => {
  await using gateway = await TestGateway.start(['--layer', 'redis://unused', '--routes', ROUTES], HISTORY);
  await using worker = new TestWorker(gateway.layer, 'app');
  const entering = Client.open(gateway.ws('/events'));
  await worker.accept();
  await using stack = new AsyncDisposableStack();
  stack.use(await entering);
  for (const path of ['/room/1', '/room/2', '/app/echo']) stack.use(await Client.open(gateway.ws(path)));
  stack.use(await Client.multiplex(gateway.ws('/socket')));
  stack.use(await StreamClient.open(gateway.port, '/room/3'));
  stack.use(await StreamClient.open(gateway.port, '/socket?rooms=4'));
  const { cursor } = await ask(gateway, '/socket?poll=0&rooms=kept.1');
  const asked = ask(gateway, `/socket?poll=30&rooms=kept.1&since=${cursor}`);
  await until(() => gateway.gateway.state.sessions.poll === 1, 'the poll waits');

  const page = await gateway.gateway.metrics.scrape();
  const counted = [...page.matchAll(/^busgate_route_connections_total\{kind="(\w+)"\} (\d+)$/gm)].map(([, kind, count]) => [kind, Number(count)]);
  expect(Object.fromEntries(counted)).toEqual({ room: 3, multiplex: 3, events: 1, consumer: 1 });
  await gateway.layer.publish('kept.1', '1');
  await asked;
});
