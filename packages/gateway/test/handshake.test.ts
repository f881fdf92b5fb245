import { afterAll, beforeAll, expect, test } from 'vitest';
import { processorMs } from './support/cpu.ts';
import { TestGateway, until } from './support/gateway.ts';
import { frame, KEY, RawClient, request, upgrade } from './support/raw.ts';

let gateway: TestGateway;

beforeAll(async () => {
  gateway = await TestGateway.start();
});

afterAll(async () => {
  // Whatever was sent: nobody is left, and a fresh client is served.
  await using client = await RawClient.upgraded(gateway.port, '/room/alive');
  client.write(frame(1, 'echo'));
  await client.until((frames) => frames[0]?.payload.toString() === 'echo');
  await until(() => gateway.gateway.sessions === 1, 'nobody else is left');
  await gateway[Symbol.asyncDispose]();
});

interface Row {
  readonly name: string;
  readonly sent: string | Buffer;
  readonly status: number;
  readonly error?: string;
  readonly header?: readonly [string, string];
}

const JUNK = Array.from({ length: 2050 }, (_, index) => `h${index}: x`);

const ROWS: readonly Row[] = [
  { name: 'one header of 20 KB', sent: upgrade('/room/1', { 'X-Long': 'x'.repeat(20_000) }), status: 431, error: 'headers_too_large' },
  { name: '2100 small headers', sent: request('GET /room/1 HTTP/1.1', 'Host: a', ...JUNK, ...JUNK.slice(0, 50)), status: 431, error: 'headers_too_large' },
  {
    name: '2050 tiny headers before the upgrade',
    sent: upgrade('/room/1').replace('\r\n', `\r\n${JUNK.join('\r\n')}\r\n`),
    status: 431,
    error: 'headers_too_large',
  },
  { name: 'an empty subprotocol token', sent: upgrade('/room/1', { 'Sec-WebSocket-Protocol': 'a,,b' }), status: 400, error: 'bad_request' },
  { name: 'a repeated subprotocol token', sent: upgrade('/room/1', { 'Sec-WebSocket-Protocol': 'a, a' }), status: 400, error: 'bad_request' },
  { name: 'version 12', sent: upgrade('/room/1', { 'Sec-WebSocket-Version': '12' }), status: 426, error: 'version', header: ['sec-websocket-version', '13'] },
  { name: 'no version', sent: upgrade('/room/1', { 'Sec-WebSocket-Version': '' }), status: 426, error: 'version', header: ['sec-websocket-version', '13'] },
  { name: 'version 13 twice', sent: upgrade('/room/1', { 'Sec-WebSocket-Version': '13, 13' }), status: 426, error: 'version' },
  {
    name: 'version 8, whose origin stands in another header',
    sent: upgrade('/room/1', { 'Sec-WebSocket-Version': '8', 'Sec-WebSocket-Origin': 'http://busgate.test', Origin: 'http://evil.test' }),
    status: 426,
    error: 'version',
  },
  { name: 'no key', sent: upgrade('/room/1', { 'Sec-WebSocket-Key': '' }), status: 400, error: 'bad_key' },
  { name: 'a key of 3 bytes', sent: upgrade('/room/1', { 'Sec-WebSocket-Key': 'YWJj' }), status: 400, error: 'bad_key' },
  { name: 'a key of 17 bytes', sent: upgrade('/room/1', { 'Sec-WebSocket-Key': 'MTIzNDU2Nzg5MDEyMzQ1Njc=' }), status: 400, error: 'bad_key' },
  { name: 'a key that is not base64', sent: upgrade('/room/1', { 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub2!jZQ==' }), status: 400, error: 'bad_key' },
  { name: 'two keys', sent: upgrade('/room/1', { 'Sec-WebSocket-Key': `${KEY}\r\nSec-WebSocket-Key: ${KEY}` }), status: 400, error: 'bad_key' },
  { name: 'POST with upgrade headers', sent: upgrade('/room/1', {}, 'POST /room/1 HTTP/1.1'), status: 405, error: 'method', header: ['allow', 'GET'] },
  { name: 'PUT with upgrade headers', sent: upgrade('/room/1', {}, 'PUT /room/1 HTTP/1.1'), status: 405, error: 'method', header: ['allow', 'GET'] },
  { name: 'CONNECT', sent: request('CONNECT a:80 HTTP/1.1', 'Host: a:80'), status: 405, error: 'method', header: ['allow', 'GET'] },
  { name: 'HTTP/1.0', sent: upgrade('/room/1', {}, 'GET /room/1 HTTP/1.0'), status: 400, error: 'bad_request' },
  { name: 'no Host', sent: upgrade('/room/1', { Host: '' }), status: 400, error: 'bad_request' },
  { name: 'an empty Host', sent: upgrade('/room/1', { Host: ' ' }), status: 400, error: 'bad_request' },
  { name: 'two Hosts', sent: upgrade('/room/1', { Host: 'a\r\nhost: b' }), status: 400, error: 'bad_request' },
  { name: 'no Host without an upgrade', sent: request('GET /room/1 HTTP/1.1'), status: 400, error: 'bad_request' },
  {
    name: 'a second request as body',
    sent: `${upgrade('/room/1', { 'Content-Length': '38' })}GET /admin HTTP/1.1\r\nHost: localhost\r\n\r\n`,
    status: 400,
    error: 'bad_request',
  },
  { name: 'a chunked body', sent: upgrade('/room/1', { 'Transfer-Encoding': 'chunked' }), status: 400, error: 'bad_request' },
  { name: 'two lengths of a body', sent: upgrade('/room/1', { 'Content-Length': '3', 'Transfer-Encoding': 'chunked' }), status: 400, error: 'bad_request' },
  { name: 'a folded header', sent: upgrade('/room/1', { 'X-A': 'b\r\n c' }), status: 400, error: 'bad_request' },
  { name: 'bare line feeds', sent: upgrade('/room/1').replaceAll('\r\n', '\n'), status: 400, error: 'bad_request' },
  { name: 'NUL in a header', sent: upgrade('/room/1', { 'X-A': 'b\0c' }), status: 400, error: 'bad_request' },
  { name: 'a space before the colon', sent: upgrade('/room/1', { 'X-A ': 'b' }), status: 400, error: 'bad_request' },
  { name: 'another protocol, which is ignored', sent: upgrade('/room/1', { Upgrade: 'h2c' }), status: 426, error: 'no_transport' },
  { name: 'two protocols', sent: upgrade('/room/1', { Upgrade: 'websocket, h2c' }), status: 400, error: 'bad_request' },
  { name: 'an upgrade that Connection does not ask for', sent: upgrade('/room/1', { Connection: 'keep-alive' }), status: 400, error: 'bad_request' },
  { name: 'target //', sent: upgrade('//'), status: 400, error: 'bad_request' },
  { name: 'target //[]/ws', sent: upgrade('//[]/ws'), status: 400, error: 'bad_request' },
  { name: 'target //:0', sent: upgrade('//:0'), status: 400, error: 'bad_request' },
  { name: 'target //room/1', sent: upgrade('//room/1'), status: 400, error: 'bad_request' },
  { name: String.raw`target /\evil`, sent: upgrade(String.raw`/\evil`), status: 400, error: 'bad_request' },
  {
    name: 'a whole URL, whose host is the one that was asked',
    sent: upgrade('http://evil.test/room/1', { Origin: 'http://busgate.test' }),
    status: 403,
    error: 'origin',
  },
  { name: 'a whole URL without a Host', sent: upgrade('http://busgate.test/room/1', { Host: '' }), status: 400, error: 'bad_request' },
  { name: 'target *', sent: upgrade('*'), status: 400, error: 'bad_request' },
  { name: 'escape %', sent: upgrade('/room/%'), status: 400, error: 'bad_request' },
  { name: 'escape %ff', sent: upgrade('/room/%ff'), status: 400, error: 'bad_request' },
  { name: 'a bad escape in the query', sent: upgrade('/room/1?room=%E0%A4%A'), status: 400, error: 'bad_request' },
  { name: 'an encoded slash', sent: upgrade('/room/a%2fb'), status: 400, error: 'bad_room' },
  { name: 'a room with a space', sent: upgrade('/room/a%20b'), status: 400, error: 'bad_room' },
  { name: 'a wildcard for a room', sent: upgrade('/room/*'), status: 400, error: 'bad_room' },
  { name: 'a room of NATS commands', sent: upgrade('/room/a%200%0d%0aPUB%20b'), status: 400, error: 'bad_room' },
  { name: 'a room with a doubled dot', sent: upgrade('/room/a..b'), status: 400, error: 'bad_room' },
  { name: 'dots for a room', sent: upgrade('/room/..'), status: 400, error: 'bad_room' },
  { name: 'a room of 201 bytes', sent: upgrade(`/room/${'a'.repeat(201)}`), status: 400, error: 'bad_room' },
  { name: 'no room', sent: upgrade('/room/'), status: 400, error: 'bad_room' },
  { name: 'dots in the path', sent: upgrade('/..//../room/1'), status: 404, error: 'no_route' },
  { name: 'an escaped literal', sent: upgrade('/%72oom/1'), status: 404, error: 'no_route' },
  { name: 'a literal in capitals', sent: upgrade('/ROOM/1'), status: 404, error: 'no_route' },
  { name: 'a parameter after a semicolon', sent: upgrade('/socket;a=b'), status: 404, error: 'no_route' },
  { name: 'a path that no route has', sent: upgrade('/nothing'), status: 404, error: 'no_route' },
  { name: 'a target over 2 KB', sent: upgrade(`/room/1?${'a'.repeat(8000)}`), status: 414, error: 'target_too_long' },
  { name: 'a foreign origin', sent: upgrade('/room/1', { Origin: 'http://evil.test' }), status: 403, error: 'origin' },
  { name: 'origin null', sent: upgrade('/socket', { Origin: 'null' }), status: 403, error: 'origin' },
  { name: 'no transport', sent: request('GET /room/1 HTTP/1.1', 'Host: a'), status: 426, error: 'no_transport', header: ['upgrade', 'websocket'] },
  {
    name: 'a transport that no route has',
    sent: request('GET /socket HTTP/1.1', 'Host: a', 'Accept: application/grpc'),
    status: 426,
    error: 'no_transport',
  },
  {
    name: 'a method that the route has not',
    sent: request('DELETE /room/1 HTTP/1.1', 'Host: a'),
    status: 405,
    error: 'method',
    header: ['allow', 'GET, HEAD, POST'],
  },
  {
    name: 'PUT to many rooms',
    sent: request('PUT /socket HTTP/1.1', 'Host: a', 'Content-Length: 0'),
    status: 405,
    error: 'method',
    header: ['allow', 'GET, HEAD, POST'],
  },
  {
    name: 'PUT with a body',
    sent: `${request('PUT /room/1 HTTP/1.1', 'Host: a', 'Content-Length: 1')}x`,
    status: 405,
    error: 'method',
    header: ['allow', 'GET, HEAD, POST'],
  },
  { name: 'a Host that is no host', sent: upgrade('/room/1', { Host: 'a b' }), status: 400, error: 'bad_request' },
  { name: 'GET with a body', sent: `${request('GET /room/1 HTTP/1.1', 'Host: a', 'Content-Length: 1')}x`, status: 400, error: 'bad_request' },
  { name: 'the metrics of the operator', sent: request('GET /metrics HTTP/1.1', 'Host: a'), status: 404, error: 'no_route' },
];

test.each(ROWS)('$name: $status', async ({ sent, status, error, header }) => {
  const { counters } = gateway.gateway;
  const before = { opened: counters.opened.websocket, refused: sumOf(counters.refused) };
  await using client = await RawClient.connect(gateway.port);
  client.write(sent);
  const answer = await client.answer();
  expect(answer.status).toBe(status);
  // What is for whoever is connected is named, so that a proxy keeps it to itself.
  expect(answer.headers.get('connection')).toBe(answer.headers.has('upgrade') ? 'close, Upgrade' : 'close');
  if (error !== undefined) {
    expect(JSON.parse(answer.body)).toEqual({ error, message: expect.any(String) });
    expect(Buffer.byteLength(answer.body)).toBeLessThanOrEqual(200);
    expect(sumOf(counters.refused)).toBe(before.refused + 1);
  }
  if (header !== undefined) expect(answer.headers.get(header[0])).toBe(header[1]);
  await client.closed();
  expect(counters.opened.websocket).toBe(before.opened);
});

test.each(['Via', 'Forwarded', 'X-Forwarded-For', 'X-Forwarded-Proto', 'X-Forwarded-Host', 'X-Real-IP'])(
  'a proxy that writes %s is told of no upgrade, which it could hand on to a client of HTTP/2',
  async (sign) => {
    await using client = await RawClient.connect(gateway.port);
    client.write(request('GET /room/1 HTTP/1.1', 'Host: a', `${sign}: x`));
    const { status, headers, body } = await client.answer();
    expect([status, JSON.parse(body), headers.get('connection'), headers.has('upgrade')]).toEqual([
      426,
      { error: 'no_transport', message: expect.any(String) },
      'close',
      false,
    ]);
  },
);

test.each(['/room/1?utm=a%20b', '/room/1?filter[x]=1|2', 'https://busgate.test/room/1', 'http://busgate.test/room/1'])(
  'an upgrade in order to %s is answered with 101',
  async (target) => {
    await using client = await RawClient.connect(gateway.port);
    client.write(upgrade(target, { Upgrade: 'WebSocket', Connection: 'keep-alive, Upgrade', Origin: 'https://busgate.test' }));
    const answer = await client.answer();
    expect(answer.status).toBe(101);
    expect(answer.headers.get('sec-websocket-accept')).toBe('s3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
    expect(answer.headers.has('sec-websocket-extensions')).toBe(false);
  },
);

test.each([
  { path: '/socket', offered: 'busgate.v1', chosen: 'busgate.v1' },
  { path: '/socket', offered: 'soap, busgate.v1', chosen: 'busgate.v1' },
  { path: '/socket', offered: 'soap', chosen: undefined },
  { path: '/room/1', offered: 'busgate.v1', chosen: 'busgate.v1' },
  { path: '/room/1', offered: 'soap', chosen: undefined },
])('$path: of the subprotocols $offered is chosen $chosen', async ({ path, offered, chosen }) => {
  await using client = await RawClient.connect(gateway.port);
  client.write(upgrade(path, { 'Sec-WebSocket-Protocol': offered }));
  const answer = await client.answer();
  expect([answer.status, answer.headers.get('sec-websocket-protocol')]).toEqual([101, chosen]);
});

test('a subprotocol header with 15,000 spaces is judged at once', async () => {
  await using client = await RawClient.connect(gateway.port);
  const cost = await processorMs(async () => {
    client.write(upgrade('/room/1', { 'Sec-WebSocket-Protocol': `b${' '.repeat(15_000)}x` }));
    expect((await client.answer()).status).toBe(400);
  });
  expect(cost).toBeLessThan(500);
});

test('frames that come before the answer are handled once, after it', async () => {
  await using client = await RawClient.connect(gateway.port);
  client.write(Buffer.concat([Buffer.from(upgrade('/room/early')), frame(1, 'early')]));
  expect((await client.answer()).status).toBe(101);
  await client.until((frames) => frames.length === 1);
  client.write(frame(1, 'marker'));
  await client.until((frames) => frames.length === 2);
  expect(client.frames.map(({ payload }) => payload.toString())).toEqual(['early', 'marker']);
});

test('a request that comes behind the upgrade is no frame', async () => {
  await using client = await RawClient.connect(gateway.port);
  client.write(upgrade('/room/1') + request('GET / HTTP/1.1', 'Host: a'));
  expect((await client.answer()).status).toBe(101);
  expect(await client.closeCode()).toBe(1002);
});

test('a client that leaves between the request and its answer frees its place', async () => {
  for (let round = 0; round < 200; round += 1) {
    const client = await RawClient.connect(gateway.port);
    client.write(upgrade(`/room/leaving-${round}`));
    client.socket.resetAndDestroy();
  }
  await using stays = await RawClient.upgraded(gateway.port, '/room/stays');
  await until(() => gateway.gateway.sessions === 1 && gateway.gateway.state.rooms === 1, 'nobody else is left, and no room of theirs');
  expect(stays.isClosed).toBe(false);
});

test('who sends nothing, or a header line now and then, is cut off when the time for the handshake is over', async () => {
  await using slow = await TestGateway.start(['--limits-handshake', '300ms']);
  const silent = await Promise.all(Array.from({ length: 20 }, () => RawClient.connect(slow.port)));
  await using dripping = await RawClient.connect(slow.port);
  dripping.write('GET /room/1 HTTP/1.1\r\nHost: a\r\n');
  const drip = setInterval(() => dripping.write('X-Drip: x\r\n'), 50);
  expect((await dripping.answer()).status).toBe(408);
  clearInterval(drip);
  await Promise.all(silent.map((client) => client.closed()));
});

function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}
