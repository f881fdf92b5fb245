import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Client } from './support/client.ts';
import { TestGateway } from './support/gateway.ts';
import { RawClient, upgrade } from './support/raw.ts';
import { StreamClient } from './support/stream.ts';
import { JWT, seconds, signed, tokenFor } from './support/tokens.ts';

const ROUTES = JSON.stringify([
  { path: '/room/:room', kind: 'room', join: 'user', publish: 'token' },
  { path: '/open/:room', kind: 'room', join: 'anyone', publish: 'anyone' },
  { path: '/socket', kind: 'multiplex', join: 'user', publish: 'token' },
]);
const KEPT = [{ rooms: '>', size: 10, ageMs: 60_000 }];
const RIGHTS = { busgate: { publish: ['chat.>'] } };

type Headers = Readonly<Record<string, string>>;

function bearer(token: string): { Authorization: string } {
  return { Authorization: `Bearer ${token}` };
}

/** One way to ask for something: it answers the status and the error's key. */
type Way = (gateway: TestGateway, path: string, headers: Headers) => Promise<readonly [number, unknown]>;

async function told(answer: Promise<Response>): Promise<readonly [number, unknown]> {
  const { status, body, headers } = await answer;
  if (headers.get('content-type') !== 'application/json') {
    await body?.cancel();
    return [status, undefined];
  }
  return [status, ((await new Response(body).json()) as { error?: unknown }).error];
}

/** Where JSON is what was asked for, too. */
async function answered(answer: Promise<Response>): Promise<readonly [number, unknown]> {
  const { status, body } = await answer;
  return [status, ((await new Response(body).json()) as { error?: unknown }).error];
}

const WAYS: Readonly<Record<string, Way>> = {
  websocket: async (gateway, path, headers) => {
    try {
      await using client = await Client.open(gateway.ws(path), [], { ...headers });
      return [101, client.closeCode];
    } catch (error) {
      return [Number(/\d{3}/.exec(String(error))?.[0]), undefined];
    }
  },
  sse: (gateway, path, headers) => told(fetch(gateway.http(path), { headers: { Accept: 'text/event-stream', ...headers } })),
  stream: (gateway, path, headers) => told(fetch(gateway.http(path), { headers: { Accept: 'application/x-ndjson', ...headers } })),
  poll: (gateway, path, headers) => answered(fetch(gateway.http(`${path}?poll=0`), { headers })),
  history: (gateway, path, headers) => answered(fetch(gateway.http(`${path}?last=1`), { headers })),
  post: (gateway, path, headers) => told(fetch(gateway.http(path), { method: 'POST', body: 'x', headers })),
};

describe.each(Object.entries(WAYS))('tokens, by %s', (wire, ask) => {
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await TestGateway.start(['--routes', ROUTES, '--auth-jwt', JWT], KEPT);
  });
  afterAll(() => gateway[Symbol.asyncDispose]());
  const done = { websocket: 101, post: 202 }[wire] ?? 200;

  test('a good one is let in where it may; without one a route for those who are known is 401, and an open one is not', async () => {
    expect((await ask(gateway, '/room/chat.a', bearer(tokenFor(RIGHTS))))[0]).toBe(done);
    expect((await ask(gateway, '/room/chat.a', {}))[0]).toBe(401);
    expect((await ask(gateway, '/open/a', {}))[0]).toBe(done);
  });

  test.each([
    ['expired by a second', tokenFor({ exp: seconds() - 1 })],
    ['of another secret', signed({ alg: 'HS256' }, JSON.stringify({ sub: 'bob', exp: seconds() + 60 }), 'not the one')],
    ['unsigned', `${signed({ alg: 'none' }, '{"sub":"bob"}').split('.').slice(0, 2).join('.')}.`],
    ['none at all', 'x'],
  ])('one that is %s is 401 on every route', async (_what, token) => {
    for (const path of ['/room/chat.a', '/open/a']) expect((await ask(gateway, path, bearer(token)))[0]).toBe(401);
  });

  test('two are 401, however good', async () => {
    const token = tokenFor();
    const headers = { ...bearer(token), 'Sec-WebSocket-Protocol': `busgate.v1, busgate.token.${token}` };
    expect((await ask(gateway, '/open/a', headers))[0]).toBe(401);
  });
});

test('one token that is offered twice as the same subprotocol is more than one: 401, with the reason; where nobody is known it is malformed', async () => {
  await using gateway = await TestGateway.start(['--routes', ROUTES, '--auth-jwt', JWT]);
  await using open = await TestGateway.start();
  const offer = `busgate.token.${tokenFor()}`;
  const answerOf = async ({ port }: TestGateway): Promise<{ status: number; body: string }> => {
    await using client = await RawClient.connect(port);
    client.write(upgrade('/room/chat.a', { 'Sec-WebSocket-Protocol': `busgate.v1, ${offer}, ${offer}` }));
    return await client.answer();
  };
  const [twice, malformed] = [await answerOf(gateway), await answerOf(open)];
  expect([twice.status, JSON.parse(twice.body)]).toEqual([401, { error: 'bad_token', message: 'there is more than one token: send one' }]);
  expect([malformed.status, JSON.parse(malformed.body)]).toMatchObject([400, { error: 'bad_request' }]);
});

describe('a token', () => {
  const start = (...flags: string[]): Promise<TestGateway> => TestGateway.start(['--routes', ROUTES, '--auth-jwt', JWT, ...flags]);

  test('is refused with what would be asked for, and with what is not allowed', async () => {
    await using gateway = await start();
    const refused = await fetch(gateway.http('/room/a'), { headers: { Accept: 'text/event-stream' } });
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="busgate"']);
    const bad = await fetch(gateway.http('/room/a'), { headers: { Accept: 'text/event-stream', ...bearer('x') } });
    expect([bad.status, bad.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="busgate", error="invalid_token"']);
    const posted = await fetch(gateway.http('/room/a'), { method: 'POST', body: 'x', headers: bearer(tokenFor()) });
    expect([posted.status, await posted.json()]).toEqual([403, { error: 'not_allowed', message: 'publishing to a is not allowed' }]);
  });

  test('may be a subprotocol, which is never echoed (attack 79), and the query or a cookie only where that is said', async () => {
    await using gateway = await start();
    await using said = await start('--auth-query', '--auth-cookie', 'live');
    const token = tokenFor();
    await using client = await Client.open(gateway.ws('/room/a'), ['busgate.v1', `busgate.token.${token}`]);
    expect(client.socket.protocol).toBe('busgate.v1');
    const cookie = { Cookie: `a=b; live=${token}`, 'Sec-Fetch-Site': 'same-origin', Accept: 'text/event-stream' };
    const status = async (where: TestGateway, path: string, headers: Headers): Promise<number> => {
      const answer = await fetch(where.http(path), { headers: { Accept: 'text/event-stream', ...headers } });
      await answer.body?.cancel();
      return answer.status;
    };
    expect([await status(gateway, `/room/a?token=${token}`, {}), await status(said, `/room/a?token=${token}`, {})]).toEqual([401, 200]);
    expect([await status(gateway, '/room/a', cookie), await status(said, '/room/a', cookie)]).toEqual([401, 200]);
    // A page of anywhere has it sent, and need not say where it is from.
    const { 'Sec-Fetch-Site': _site, ...bare } = cookie;
    expect([await status(said, '/room/a', bare), await status(said, '/room/a', { ...cookie, Origin: 'https://evil.test' })]).toEqual([403, 403]);
  });

  test('names the rooms to publish to, by frame and by POST of a frame; others are not_allowed alone', async () => {
    await using gateway = await start();
    const headers = bearer(tokenFor(RIGHTS));
    await using client = await Client.multiplex(gateway.ws('/socket'), headers);
    expect(await client.ask({ type: 'publish', room: 'chat.a', data: 1, ref: 1 })).toMatchObject({ type: 'published' });
    expect(await client.ask({ type: 'publish', room: 'other', data: 1, ref: 2 })).toMatchObject({ type: 'error', code: 'not_allowed' });
    const post = (room: string, by: Headers): Promise<readonly [number, unknown]> =>
      told(fetch(gateway.http('/socket'), { method: 'POST', body: JSON.stringify({ type: 'publish', room, data: 1 }), headers: by }));
    expect([(await post('chat.a', headers))[0], (await post('other', headers))[0], (await post('chat.a', {}))[0]]).toEqual([202, 403, 401]);
  });

  test('says in the welcome how long it holds, and is renewed without a break', async () => {
    await using gateway = await start('--auth-grace', '0s');
    await using client = await Client.multiplex(gateway.ws('/socket'), bearer(tokenFor({ exp: seconds() + 100 })));
    const left = Number(client.frames[0]?.['expires']);
    expect(left).toBeGreaterThan(90);
    expect(left).toBeLessThanOrEqual(100);
    await client.ask({ type: 'join', room: 'a', ref: 'join' });
    expect(await client.ask({ type: 'token', token: 'x', ref: 1 })).toMatchObject({ type: 'error', code: 'bad_token' });
    const renewed = await client.ask({ type: 'token', token: tokenFor({ exp: seconds() + 1000 }), ref: 2 });
    expect(renewed).toMatchObject({ type: 'token', ref: 2 });
    expect(Number(renewed['expires'])).toBeGreaterThan(900);
    client.send({ type: 'token', token: tokenFor({ sub: 'alice' }) });
    expect(await client.closed()).toBe(4403);
  });

  test('is looked at no more often where a frame brings it: rate past a hundred bad ones of an address in a second, whatever sessions they come from', async () => {
    await using gateway = await start('--limits-errors', '100000');
    const headers = bearer(tokenFor());
    await using one = await Client.multiplex(gateway.ws('/socket'), headers);
    await using other = await Client.multiplex(gateway.ws('/socket'), headers);
    const show = async (client: Client, token: string, count: number): Promise<readonly unknown[]> => {
      const from = client.frames.length;
      for (let shown = 0; shown < count; shown += 1) client.send({ type: 'token', token });
      await client.until(() => client.frames.length === from + count);
      return client.frames.slice(from).map(({ type, code }) => code ?? type);
    };
    const codes: unknown[] = [];
    const began = performance.now();
    while (!codes.includes('rate')) codes.push(...(await show(one, `${tokenFor()}x`, 60)), ...(await show(other, `${tokenFor()}x`, 60)));
    // The bound is a second's, on a slow machine too.
    const windows = Math.ceil((performance.now() - began) / 1000) + 1;
    expect(codes.filter((code) => code === 'bad_token').length).toBeLessThanOrEqual(100 * windows);
    await expect.poll(() => show(one, tokenFor(), 1)).toEqual(['token']);
  });

  test('that ends ends its session with 4401 after the grace, a stream likewise', async () => {
    await using gateway = await start('--auth-grace', '0s');
    const headers = bearer(tokenFor({ exp: seconds() + 2 }));
    await using client = await Client.multiplex(gateway.ws('/socket'), headers);
    await using stream = await StreamClient.open(gateway.port, '/room/a', [`Authorization: ${headers.Authorization}`]);
    expect(await client.closed()).toBe(4401);
    await stream.until(() => stream.isWhole);
    expect((await WAYS['sse']?.(gateway, '/room/a', headers))?.[0]).toBe(401);
  });

  test('that names less than the one before ends the rooms that are missing', async () => {
    const routes = JSON.stringify([{ path: '/socket', kind: 'multiplex', join: 'token', publish: 'nobody' }]);
    await using gateway = await TestGateway.start(['--routes', routes, '--auth-jwt', JWT]);
    await using client = await Client.multiplex(gateway.ws('/socket'), bearer(tokenFor({ busgate: { join: ['a', 'b'] } })));
    for (const room of ['a', 'b']) await client.ask({ type: 'join', room, ref: room });
    await client.ask({ type: 'token', token: tokenFor({ busgate: { join: ['b'] } }), ref: 1 });
    await client.until(() => client.frames.some(({ type }) => type === 'left'));
    expect(client.frames.filter(({ type }) => type === 'left')).toEqual([{ type: 'left', room: 'a', reason: 'not_allowed' }]);
    expect(await client.ask({ type: 'join', room: 'a', ref: 2 })).toMatchObject({ code: 'not_allowed' });
  });

  test('is nobody’s own room but that of its user', async () => {
    await using gateway = await start('--rooms', '[{rooms: "user.{sub}.>", join: user}]');
    await using client = await Client.multiplex(gateway.ws('/socket'), bearer(tokenFor()));
    expect(await client.ask({ type: 'join', room: 'user.bob.in', ref: 1 })).toMatchObject({ type: 'joined' });
    expect(await client.ask({ type: 'join', room: 'user.alice.in', ref: 2 })).toMatchObject({ code: 'not_allowed' });
  });

  test('frames of a stream are taken from its own user alone', async () => {
    await using gateway = await start();
    const own = bearer(tokenFor());
    await using stream = await StreamClient.open(gateway.port, '/socket', [`Authorization: ${own.Authorization}`]);
    await stream.until(() => stream.frames.length > 0);
    const up = async (headers: Headers): Promise<number> => {
      const path = `/socket?session=${String(stream.frames[0]?.['session'])}`;
      return (await fetch(gateway.http(path), { method: 'POST', body: '{"type":"ping"}', headers })).status;
    };
    expect([await up(own), await up({}), await up(bearer(tokenFor({ sub: 'alice' }))), await up(bearer('x'))]).toEqual([202, 404, 404, 401]);
  });
});

describe('an application that is asked', () => {
  const asked: IncomingMessage[] = [];
  let answer: readonly [status: number, body: unknown] = [200, {}];
  let application: Server;
  let settings: string;
  beforeAll(async () => {
    application = createServer((request, response) => {
      asked.push(request);
      response.writeHead(answer[0]).end(JSON.stringify(answer[1]));
    }).listen(0, '127.0.0.1');
    await once(application, 'listening');
    settings = `{url: "http://127.0.0.1:${(application.address() as AddressInfo).port}/live/auth"}`;
  });
  afterAll(async () => {
    application.closeAllConnections();
    application.close();
    await once(application, 'close');
  });
  const start = (...flags: string[]): Promise<TestGateway> => TestGateway.start(['--routes', ROUTES, '--auth-http', settings, ...flags]);
  const by = (session: string): Record<string, string> => ({ Cookie: `session=${session}`, Origin: 'https://app.example' });

  test('is given the named headers, what was asked for and by whom, and no other', async () => {
    await using gateway = await start('--origins', 'https://app.example');
    asked.length = 0;
    answer = [200, { user: 7, publish: ['chat.>'] }];
    await using client = await Client.multiplex(gateway.ws('/socket?a=%20b'), { ...by('1'), 'X-Secret': 'x' });
    expect(asked).toHaveLength(1);
    const [question] = asked;
    expect([question?.method, question?.url]).toEqual(['GET', '/live/auth']);
    expect(question?.headers).toMatchObject({ cookie: 'session=1', 'x-original-uri': '/socket?a=%20b', 'x-forwarded-for': '127.0.0.1' });
    expect(question?.headers).not.toHaveProperty('x-secret');
    expect(await client.ask({ type: 'publish', room: 'chat.a', data: 1, ref: 1 })).toMatchObject({ type: 'published' });
  });

  test.each([
    [401, 401, 401],
    [403, 403, 403],
    [500, 503, 503],
    [302, 503, 503],
  ])('its %i is %i, on an open route %i', async (status, known, open) => {
    await using gateway = await start('--origins', 'https://app.example');
    answer = [status, {}];
    for (const [path, expected] of [
      ['/room/chat.a', known],
      ['/open/a', open],
    ] as const)
      for (const ask of Object.values(WAYS)) expect((await ask(gateway, path, by('2')))[0]).toBe(expected);
  });

  test('is asked again when what it said ends, and ends the session where it says so', async () => {
    await using gateway = await start('--origins', 'https://app.example');
    answer = [200, { user: 'bob', expires: 1 }];
    await using client = await Client.multiplex(gateway.ws('/socket'), by('3'));
    expect(Number(client.frames[0]?.['expires'])).toBeLessThanOrEqual(1);
    answer = [403, {}];
    expect(await client.closed()).toBe(4403);
  });

  test('is asked once a request, also of one whose body says what it asks for', async () => {
    await using gateway = await start('--origins', 'https://app.example');
    answer = [200, { user: 'bob' }];
    const body = '{"rooms":["chat.a"]}';
    for (const accept of ['*/*', 'application/x-ndjson']) {
      asked.length = 0;
      const headers = { ...by('5'), 'Content-Type': 'application/json', Accept: accept };
      await (await fetch(gateway.http('/socket'), { method: 'POST', body, headers })).body?.cancel();
      expect(asked).toHaveLength(1);
    }
  });

  test('is not asked about a token where auth.jwt is said too', async () => {
    await using gateway = await start('--auth-jwt', JWT);
    asked.length = 0;
    answer = [401, {}];
    expect((await WAYS['sse']?.(gateway, '/room/a', bearer(tokenFor())))?.[0]).toBe(200);
    expect(asked).toHaveLength(0);
    expect((await WAYS['sse']?.(gateway, '/room/a', {}))?.[0]).toBe(401);
    expect(asked).toHaveLength(1);
  });

  test('an answer holds for the same question alone', async () => {
    await using gateway = await TestGateway.start([
      '--routes',
      ROUTES,
      '--auth-http',
      settings.replace('}', ', cache: 10s}'),
      '--origins',
      'https://app.example',
    ]);
    asked.length = 0;
    answer = [200, { user: 'bob' }];
    for (const session of ['4', '4', '5']) expect((await WAYS['sse']?.(gateway, '/room/a', by(session)))?.[0]).toBe(200);
    expect(asked.map(({ headers }) => headers.cookie)).toEqual(['session=4', 'session=5']);
  });
});

test('an application is asked 64 questions at a time, and the others as these are answered', async () => {
  const [clients, most] = [70, 64];
  const held: ServerResponse[] = [];
  const application = createServer((_request, response) => void held.push(response)).listen(0, '127.0.0.1');
  await once(application, 'listening');
  await using _ended = {
    [Symbol.asyncDispose]: async () => {
      application.closeAllConnections();
      application.close();
    },
  };
  const url = `http://127.0.0.1:${(application.address() as AddressInfo).port}/`;
  await using gateway = await TestGateway.start(['--routes', ROUTES, '--auth-http', JSON.stringify({ url, timeout: '1m' })]);
  const statuses = Promise.all(
    Array.from({ length: clients }, (_, n) =>
      fetch(gateway.http('/open/a'), { method: 'POST', body: 'x', headers: { Authorization: `Basic ${n}` } }).then(({ status }) => status),
    ),
  );
  for (let answered = 0; answered < clients; answered += 1) {
    await expect.poll(() => held.length, { interval: 1 }).toBe(Math.min(most, clients - answered));
    held.shift()?.end('{"user":"ann"}');
  }
  expect(await statuses).toEqual(Array(clients).fill(202));
});
