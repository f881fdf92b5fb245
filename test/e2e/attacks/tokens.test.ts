import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { frame, RawClient, request, upgrade } from '../../../packages/gateway/test/support/raw.ts';
import { claimsOf, encoded, JWT, seconds, tokenFor } from '../../../packages/gateway/test/support/tokens.ts';
import { type GatewayProcess, startGateway } from '../../support/processes.ts';
import { Client, MultiplexClient } from '../clients.ts';

const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 });
const PEM = RSA.publicKey.export({ format: 'pem', type: 'spki' }).toString();
const OWN = generateKeyPairSync('rsa', { modulusLength: 2048 });
const PLACE = { iss: 'https://id.example/', aud: 'live' };

function rs256(claims: object, head: object = {}, key = RSA.privateKey): string {
  const text = `${encoded(JSON.stringify({ alg: 'RS256', ...head }))}.${encoded(JSON.stringify(claims))}`;
  return `${text}.${sign('sha256', Buffer.from(text), key).toString('base64url')}`;
}

function of(changes: object = {}): Record<string, unknown> {
  return claimsOf({ ...PLACE, ...changes });
}

function unsigned(alg: string): string {
  return `${encoded(JSON.stringify({ alg }))}.${encoded(JSON.stringify(of()))}.`;
}

function keyedByPem(alg: string): string {
  const text = `${encoded(JSON.stringify({ alg }))}.${encoded(JSON.stringify(of()))}`;
  return `${text}.${createHmac('sha256', PEM).update(text).digest('base64url')}`;
}

const FORGED: readonly (readonly [number, string, string])[] = [
  [80, 'alg none', unsigned('none')],
  [80, 'alg None', unsigned('None')],
  [80, 'HS256 with the public key', keyedByPem('HS256')],
  [80, 'a MAC called RS256', keyedByPem('RS256')],
  [80, 'a key of its own', rs256(of(), { jwk: OWN.publicKey.export({ format: 'jwk' }) }, OWN.privateKey)],
  [80, 'jku', rs256(of(), { jku: 'http://127.0.0.1:1/jwks.json' }, OWN.privateKey)],
  [80, 'a kid that is a path', rs256(of(), { kid: '../../../../dev/null' }, OWN.privateKey)],
  [80, 'iterations', [encoded('{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":1000000000,"p2s":"AAAA","zip":"DEF"}'), 'a', 'a', 'a', 'a'].join('.')],
  [80, 'more than 4 KB', rs256(of({ busgate: { info: 'x'.repeat(4096) } }))],
  [81, 'expired', rs256(of({ exp: seconds() - 1 }))],
  [81, 'not yet valid', rs256(of({ nbf: seconds() + 600 }))],
  [81, 'of another issuer', rs256(of({ iss: 'https://other.example/' }))],
  [81, 'for another audience', rs256(of({ aud: 'other' }))],
  [81, 'an end that is a text', rs256(of({ exp: `${seconds() + 600}` }))],
  [81, 'an end past all time', rs256(of({ exp: 1e15 }))],
];

describe('a gateway that asks for tokens', () => {
  let gateway: GatewayProcess;
  beforeAll(async () => {
    const jwt = JSON.stringify({ key: PEM, algorithms: ['RS256'], issuer: PLACE.iss, audience: PLACE.aud });
    gateway = await startGateway({ args: ['--demo', '--auth-jwt', jwt, '--auth-query', '--limits-user-sessions', '5', '--log-level', 'debug'] });
  });
  afterAll(() => gateway?.[Symbol.asyncDispose]());

  /** However it is shown. */
  const shown = async (token: string): Promise<readonly number[]> => {
    const stream = { Accept: 'text/event-stream' };
    const answers = await Promise.all([
      fetch(gateway.http('/room/a'), { headers: { ...stream, Authorization: `Bearer ${token}` } }),
      fetch(gateway.http(`/room/a?token=${token}`), { headers: stream }),
    ]);
    for (const { body } of answers) await body?.cancel();
    await using client = await RawClient.connect(gateway.port);
    client.write(upgrade('/socket', { Host: 'localhost', 'Sec-WebSocket-Protocol': `busgate.v1, busgate.token.${token}` }));
    const { status, headers } = await client.answer();
    if (status === 101) expect(headers.get('sec-websocket-protocol')).toBe('busgate.v1');
    return [...answers.map((answer) => answer.status), status];
  };

  test.each(FORGED)('attack %i: %s is 401 wherever it stands', async (_attack, _what, token) => {
    expect(await shown(token)).toEqual([401, token.length > 2048 ? 414 : 401, 401]);
  });

  test('attacks 78, 79: one in the query or among the subprotocols is taken, and neither it nor a forged one is in the log, the metrics or an answer', async () => {
    const good = rs256(of());
    expect(await shown(good)).toEqual([200, 200, 101]);
    const told = [...gateway.lines.all, await (await fetch(gateway.ops('/metrics'))).text()].join('\n');
    expect(told).toContain('a token was refused');
    for (const token of [good, ...FORGED.map(([, , forged]) => forged)]) {
      for (const part of token.split('.').filter((one) => one.length > 16)) expect(told).not.toContain(part);
    }
  });

  test('attack 55: where none is to be replaced the newest tabs are 429 with a time to come back, until one of the others ends', async () => {
    const open = async (): Promise<RawClient> => {
      const client = await RawClient.connect(gateway.port);
      client.write(upgrade('/socket', { Host: 'localhost', 'Sec-WebSocket-Protocol': `busgate.v1, busgate.token.${rs256(of({ sub: 'tabs' }))}` }));
      return client;
    };
    const tabs = await Promise.all(Array.from({ length: 50 }, open));
    const answers = await Promise.all(tabs.map((tab) => tab.answer()));
    expect(answers.filter(({ status }) => status === 101)).toHaveLength(5);
    const refused = answers.filter(({ status }) => status === 429);
    expect(refused).toHaveLength(45);
    expect(refused.filter(({ headers }) => !(Number(headers.get('retry-after')) > 0))).toEqual([]);
    for (const tab of tabs) await tab[Symbol.asyncDispose]();
    await expect
      .poll(async () => {
        await using tab = await open();
        return (await tab.answer()).status;
      })
      .toBe(101);
  });
});

test('attack 54: sockets that never say who they are have the time of a handshake; with one they are nobody for as long as they last, and count as any other', async () => {
  const routes = '[{path: "/room/:room", kind: room, join: user, publish: user}, {path: /socket, kind: multiplex, join: user, publish: user}]';
  await using gateway = await startGateway({
    args: ['--routes', routes, '--auth-jwt', JWT, '--limits-handshake', '500ms', '--limits-address-sessions', '3'],
  });
  const silent = await Promise.all(Array.from({ length: 50 }, () => RawClient.connect(gateway.port)));
  for (const client of silent.slice(25)) client.write('GET /room/a HTTP/1.1\r\nHost: localhost\r\n');
  await Promise.all(silent.map((client) => client.closed()));
  for (const client of silent) await client[Symbol.asyncDispose]();
  expect(await Client.refused(gateway.ws('/room/a'))).toBe(401);
  await using one = await MultiplexClient.open(gateway.ws('/socket'));
  await using two = await MultiplexClient.open(gateway.ws('/socket'));
  await using _three = await MultiplexClient.open(gateway.ws('/socket'));
  expect(await Client.refused(gateway.ws('/socket'))).toBe(429);
  expect(await one.request({ type: 'join', room: 'a' })).toMatchObject({ type: 'error', code: 'not_allowed' });
  expect(await one.request({ type: 'publish', room: 'a', data: 1 })).toMatchObject({ type: 'error', code: 'not_allowed' });
  two.send(JSON.stringify({ type: 'token', token: tokenFor() }));
  expect((await two.closed).code).toBe(4403);
});

test('attack 55: of fifty tabs of one user the oldest end with 4409, and another user notices nothing', async () => {
  await using gateway = await startGateway({ args: ['--demo', '--auth-jwt', JWT, '--limits-user-sessions', '5', '--limits-user-replace'] });
  const open = (sub: string): Promise<Client> => Client.open(gateway.ws('/socket'), ['busgate.v1', `busgate.token.${tokenFor({ sub })}`]);
  await using other = await open('ann');
  const tabs: Client[] = [];
  while (tabs.length < 50) tabs.push(await open('bob'));
  const closes = await Promise.all(tabs.slice(0, 45).map((tab) => tab.closed));
  expect(new Set(closes.map(({ code }) => code))).toEqual(new Set([4409]));
  expect([other, ...tabs.slice(45)].map(({ socket }) => socket.readyState)).toEqual(Array(6).fill(1));
  for (const tab of tabs) await tab[Symbol.asyncDispose]();
});

test('attack 84: a thousand wrong tokens from one address are 429 past a bound, and those from another address are looked at all the while', async () => {
  await using gateway = await startGateway({ args: ['--demo', '--auth-jwt', JWT, '--trusted-proxies', '127.0.0.1'] });
  const post = (address: string, token: string): string =>
    request('POST /room/a HTTP/1.1', 'Host: localhost', `X-Forwarded-For: ${address}`, `Authorization: Bearer ${token}`, 'Content-Length: 0');
  /** They are all there before one is answered, so that a slow machine has them within a second too. */
  const burst = async (requests: readonly string[]): Promise<readonly number[]> => {
    const clients = await Promise.all(requests.map(() => RawClient.connect(gateway.port)));
    for (const [index, client] of clients.entries()) client.write(requests[index] ?? '');
    const answers = await Promise.all(clients.map((client) => client.answer()));
    await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
    return answers.map(({ status }) => status);
  };
  const wrong = Array.from({ length: 400 }, (_, index) => post('203.0.113.1', `${tokenFor()}${index}`));
  const statuses: number[] = [];
  while (statuses.length < 1000 || !statuses.includes(429)) {
    const began = performance.now();
    const [good, ...others] = await burst([post('203.0.113.2', tokenFor()), ...wrong]);
    expect(good).toBe(202);
    // The bound is a second's: as many were looked at as seconds have begun meanwhile, however many came at the same moment.
    const windows = Math.ceil((performance.now() - began) / 1000) + 1;
    expect(others.filter((status) => status === 401).length).toBeLessThanOrEqual(100 * windows);
    statuses.push(...others);
  }
  expect(new Set(statuses)).toEqual(new Set([401, 429]));
});

test('attack 83: keys that are known hold when their server sends what never ends; while none is known a token is 503, and nobody without one notices', async () => {
  let isEndless = false;
  let sent = 0;
  const keys = JSON.stringify({ keys: [{ ...RSA.publicKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig' }] });
  const issuer = createServer((_request, response) => {
    if (!isEndless) return void response.end(keys);
    const more = (): void => {
      while (!response.destroyed && response.write(' '.repeat(65_536))) sent += 65_536;
    };
    response.on('drain', more);
    more();
  }).listen(0, '127.0.0.1');
  await once(issuer, 'listening');
  await using _ended = {
    [Symbol.asyncDispose]: async () => {
      issuer.closeAllConnections();
      issuer.close();
    },
  };
  const jwt = JSON.stringify({ jwks: `http://127.0.0.1:${(issuer.address() as AddressInfo).port}/jwks.json`, algorithms: ['RS256'] });
  const start = (): Promise<GatewayProcess> => startGateway({ args: ['--demo', '--auth-jwt', jwt] });
  const posting = (gateway: GatewayProcess, headers: Record<string, string>): Promise<number> =>
    fetch(gateway.http('/room/a'), { method: 'POST', body: 'x', headers }).then(({ status }) => status);
  const bearer = { Authorization: `Bearer ${rs256(claimsOf())}` };
  await using before = await start();
  expect(await posting(before, bearer)).toBe(202);
  isEndless = true;
  await using after = await start();
  expect(await Promise.all([posting(before, bearer), posting(after, bearer), posting(after, {})])).toEqual([202, 503, 202]);
  expect(sent).toBeLessThan(16 * 1_048_576);
});

const urlOf = (application: Server): string => `http://127.0.0.1:${(application.address() as AddressInfo).port}/auth`;

describe('an application that takes its time', () => {
  const held: ServerResponse[] = [];
  let application: Server;
  let gateway: GatewayProcess;
  beforeAll(async () => {
    application = createServer((_request, response) => void held.push(response)).listen(0, '127.0.0.1');
    await once(application, 'listening');
    gateway = await startGateway({ args: ['--demo', '--auth-http', JSON.stringify({ url: urlOf(application), timeout: '30s' })] });
  });
  afterAll(async () => {
    await gateway?.[Symbol.asyncDispose]();
    application?.closeAllConnections();
    application?.close();
  });

  /** What the application is asked next. */
  const question = async (): Promise<ServerResponse> => {
    await expect.poll(() => held.length).toBeGreaterThan(0);
    return held.shift() as ServerResponse;
  };
  const letIn = async (answered: Promise<unknown>): Promise<void> => {
    (await question()).end('{"user":"ann"}');
    await answered;
  };

  test.each([
    [401, []],
    [200, ['early']],
  ])('attack 85: frames that come behind the handshake wait for its answer, which is %i', async (status, published) => {
    const room = `raced.${status}`;
    const opening = MultiplexClient.open(gateway.ws('/socket'));
    await letIn(opening);
    await using witness = await opening;
    await witness.request({ type: 'join', room });
    await using client = await RawClient.connect(gateway.port);
    client.write(Buffer.concat([Buffer.from(upgrade(`/room/${room}`, { Host: 'localhost' })), frame(1, 'early')]));
    const asked = await question();
    await witness.request({ type: 'publish', room, data: 'before' });
    await witness.until(() => witness.messages(room).includes('before'));
    asked.writeHead(status).end(status === 200 ? '{"user":"eve"}' : '{}');
    expect((await client.answer()).status).toBe(status === 200 ? 101 : 401);
    if (status === 200) await witness.until(() => witness.messages(room).length === 2);
    await witness.request({ type: 'publish', room, data: 'marker' });
    await witness.until(() => witness.messages(room).includes('marker'));
    expect(witness.messages(room)).toEqual(['before', ...published, 'marker']);
  });

  test('attack 23: who resets the connection while it is asked about him leaves no place taken', async () => {
    const [places, clients] = [10, 30];
    const limits = ['--limits-sessions', String(places), '--limits-address-sessions', String(places)];
    await using limited = await startGateway({ args: ['--demo', '--auth-http', JSON.stringify({ url: urlOf(application), timeout: '30s' }), ...limits] });
    const ask = async (): Promise<RawClient> => {
      const client = await RawClient.connect(limited.port);
      client.write(upgrade('/room/left', { Host: 'localhost' }));
      return client;
    };
    for (let left = 0; left < clients; left += 1) {
      const client = await ask();
      const asked = await question();
      client.socket.resetAndDestroy();
      await client.closed();
      asked.end('{"user":"ann"}');
    }
    await expect.poll(() => limited.metric('busgate_sessions')).toBe(0);
    const stay = await Promise.all(Array.from({ length: places }, ask));
    for (let answered = 0; answered < places; answered += 1) (await question()).end('{"user":"ann"}');
    expect(new Set(await Promise.all(stay.map(async (client) => (await client.answer()).status)))).toEqual(new Set([101]));
    for (const client of stay) await client[Symbol.asyncDispose]();
  });

  test('attack 108: told to stop while it is asked and answers nothing, a gateway exits within its deadline', async () => {
    const drain = ['--drain-notice', '100ms', '--drain-deadline', '2s'];
    await using stopped = await startGateway({ args: ['--demo', '--auth-http', JSON.stringify({ url: urlOf(application), timeout: '30s' }), ...drain] });
    await using socket = await RawClient.connect(stopped.port);
    socket.write(upgrade('/room/hanging', { Host: 'localhost' }));
    await using post = await RawClient.connect(stopped.port);
    post.write(request('POST /room/hanging HTTP/1.1', 'Host: localhost', 'Content-Length: 0'));
    for (let asked = 0; asked < 2; asked += 1) await question();
    const began = performance.now();
    stopped.signal('SIGTERM');
    expect(await stopped.exited).toEqual({ code: 0, signal: null });
    expect(performance.now() - began).toBeLessThan(4000);
  });
});
