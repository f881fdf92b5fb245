import { http, router } from '@busgate/consumer';
import { asRouter, type Router, Worker } from '@busgate/consumer/run';
import { expect, test } from 'vitest';
import { TestGateway } from './support/gateway.ts';
import { frame, RawClient, request, upgrade } from './support/raw.ts';
import { JWT, tokenFor } from './support/tokens.ts';
import { TestWorker } from './support/worker.ts';

const ROUTES = '[{path: /app, kind: events, queue: app, http: true}]';
const KNOWN = { user: 'bob', info: { name: 'Bob', level: 3 } };

function start(): Promise<TestGateway> {
  return TestGateway.start(['--layer', 'redis://unused', '--routes', ROUTES, '--auth-jwt', JWT]);
}

test('who a socket is, and what is known of him besides, is in every event of it, and his token in none; what is spoken is busgate.v1', async () => {
  await using gateway = await start();
  await using worker = new TestWorker(gateway.layer, 'app');
  await using client = await RawClient.connect(gateway.port);
  const token = tokenFor({ busgate: { info: KNOWN.info } });
  client.write(upgrade('/app', { Host: 'localhost', 'Sec-WebSocket-Protocol': `busgate.v1, busgate.token.${token}` }));
  const connect = await worker.accept();
  expect(connect).toMatchObject({ type: 'websocket.connect', ...KNOWN, subprotocols: ['busgate.v1'] });
  expect((await client.answer()).headers.get('sec-websocket-protocol')).toBe('busgate.v1');
  client.write(frame(1, 'hello'));
  const receive = await worker.next();
  expect(receive).toMatchObject({ type: 'websocket.receive', ...KNOWN });
  await worker.reply(receive, { type: 'done', order: receive.order });
  client.socket.destroy();
  expect(await worker.next()).toMatchObject({ type: 'websocket.disconnect', ...KNOWN });
  expect(JSON.stringify(worker.events)).not.toContain(token);
});

test('who makes a request is in its event, without info where there is none; of nobody only that nobody is known', async () => {
  await using gateway = await start();
  await using worker = new TestWorker(gateway.layer, 'app');
  await using client = await RawClient.connect(gateway.port);
  const ask = async (...headers: readonly string[]): Promise<object> => {
    client.write(request('GET /app HTTP/1.1', 'Host: localhost', ...headers));
    const event = await worker.next();
    await worker.reply(event, { type: 'http.response', status: 200, text: '', done: event.order });
    expect((await client.answer()).status).toBe(200);
    const { user, info } = event;
    return { type: event.type, user, info };
  };
  expect(await ask(`Authorization: Bearer ${tokenFor()}`)).toEqual({ type: 'http.request', user: 'bob', info: undefined });
  expect(await ask(`Authorization: Bearer ${tokenFor({ busgate: { info: 'x' } })}`)).toEqual({ type: 'http.request', user: 'bob', info: 'x' });
  expect(await ask()).toEqual({ type: 'http.request', user: null, info: undefined });
});

test('a handler of requests in TypeScript is given who asks beside the request, whose headers have no token', async () => {
  await using gateway = await start();
  const page = http((request, _, asker) => Response.json([asker, request.headers.get('authorization')]));
  const log = { warn: () => undefined, error: () => undefined };
  const worker = new Worker({ layer: gateway.layer, router: asRouter(router({ '/app': page })) as Router, queue: 'app', log });
  worker.start();
  await using _stopped = { [Symbol.asyncDispose]: () => worker.stop() };
  const ask = async (headers: Readonly<Record<string, string>>): Promise<unknown> => (await fetch(gateway.http('/app'), { headers })).json();
  expect(await ask({ Authorization: `Bearer ${tokenFor({ busgate: { info: KNOWN.info } })}` })).toEqual([KNOWN, null]);
  expect(await ask({})).toEqual([{ user: null }, null]);
});
