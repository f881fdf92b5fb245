import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { LayerError } from '@busgate/layer';
import { describe, expect, test } from 'vitest';
import { jsonAnswer } from '../src/answer.ts';
import { ANYONE } from '../src/identity.ts';
import { linger } from '../src/http/linger.ts';
import { Client } from './support/client.ts';
import { TestGateway, until } from './support/gateway.ts';
import { TestPublic } from './support/public.ts';
import { RawClient, request, upgrade } from './support/raw.ts';

const KIB = 1024;

describe('a refusal while the body still arrives', () => {
  test.each([
    ['no route has the path', 'POST /nothing HTTP/1.1', [], 404],
    ['the origin is foreign', 'POST /room/1 HTTP/1.1', ['Origin: http://evil.test'], 403],
    ['the body is too large', 'POST /room/1 HTTP/1.1', [], 413],
    ['the path does not take the method', 'PUT /room/1 HTTP/1.1', [], 405],
  ])('reaches the client where %s, and no reset follows it', async (_, line, headers, status) => {
    await using gateway = await TestGateway.start();
    await using client = await RawClient.connect(gateway.port);
    client.write(request(line, 'Host: a', ...headers, 'Content-Length: 8388608'), Buffer.alloc(KIB));
    const answer = await client.answer();
    expect([answer.status, answer.headers.get('connection')]).toEqual([status, 'close']);
    for (let piece = 0; piece < 64; piece += 1) {
      if (!client.socket.write(Buffer.alloc(64 * KIB))) await once(client.socket, 'drain');
    }
    await client.closed();
    client.socket.end();
    await until(() => client.isClosed, 'the connection has ended');
    expect(client.error).toBeUndefined();
  });

  test('does not keep the connection of a client that sends nothing more', async () => {
    const server = createServer({ allowHalfOpen: true }, (socket) => void socket.end());
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    await using silent = await RawClient.connect((server.address() as AddressInfo).port);
    const [socket] = await accepted;
    linger(socket);
    await silent.closed();
    await once(socket, 'close');
    expect(silent.isClosed).toBe(false);
    server.close();
  });
});

test('a body that takes too long to arrive is 408, and is not published', async () => {
  await using gateway = await TestGateway.start(['--limits-handshake', '300ms', '--limits-message-time', '300ms']);
  await using client = await RawClient.connect(gateway.port);
  client.write(request('POST /room/1 HTTP/1.1', 'Host: a', 'Content-Length: 9'), 'half');
  const answer = await client.answer();
  expect([answer.status, JSON.parse(answer.body).error]).toEqual([408, 'timeout']);
  await client.closed();
  client.write('and more');
  client.socket.end();
  await until(() => gateway.gateway.state.inboundBytes === 0, 'what had come is dropped');
  expect(gateway.gateway.counters.published).toBe(0);
});

describe('an error that nobody expected', () => {
  test.each(['match', 'post', 'answer'] as const)('in a POST (%s) is 500, logged and counted, and the gateway serves on', async (where) => {
    await using server = await TestPublic.start();
    const { route } = server;
    if (where === 'match') Object.assign(route, { postDenial: throws });
    else if (where === 'post') Object.assign(route, { post: throws });
    else route.onPost = () => ({ status: 200, headers: { 'X-Split': 'a\r\nb' }, body: Buffer.alloc(0) });
    expect((await fetch(`http://127.0.0.1:${server.port}/r/1`, { method: 'POST', body: 'x' })).status).toBe(500);
    expect([server.counters.refused.internal, server.logged]).toEqual([1, ['a request could not be served']]);
    Object.assign(route, { postDenial: () => undefined, post: async () => jsonAnswer(202, {}) });
    expect((await fetch(`http://127.0.0.1:${server.port}/r/1`, { method: 'POST', body: 'x' })).status).toBe(202);
  });

  test.each(['right', 'open', 'opening', 'begin'] as const)('in an upgrade (%s) is 500, logged and counted, and its place is free again', async (where) => {
    await using server = await TestPublic.start(where === 'begin' ? { begin: throws } : {});
    const { route } = server;
    if (where === 'right') Object.assign(route, { denial: throws });
    if (where === 'open') route.onOpen = throws;
    if (where === 'opening') route.onOpen = () => Promise.reject(new TypeError('not expected'));
    if (where === 'begin') route.onOpen = () => ({ kind: 'room', begin: throws, cancel: () => undefined });
    // More than there are places.
    for (let round = 0; round < 12; round += 1) {
      await using client = await RawClient.connect(server.port);
      client.write(upgrade('/r/1'));
      expect((await client.answer()).status).toBe(500);
    }
    expect([server.counters.refused.internal, server.logged.length]).toEqual([12, 12]);
  });

  test('a path whose escapes a regular expression cuts is no match, and ends nothing', async () => {
    const routes = '[{path: "^/r/(?<room>.{1,4}).*$", kind: room, join: anyone, publish: anyone}]';
    await using gateway = await TestGateway.start(['--routes', routes]);
    expect((await fetch(gateway.http('/r/%E2%82%AC'), { method: 'POST', body: 'x' })).status).toBe(404);
    await using client = await RawClient.connect(gateway.port);
    client.write(upgrade('/r/%E2%82%AC'));
    expect((await client.answer()).status).toBe(404);
    expect((await fetch(gateway.http('/r/abcd'), { method: 'POST', body: 'x' })).status).toBe(202);
  });
});

describe('a layer that fails', () => {
  test.each([
    ['LAYER_AWAY', 503, 'away', true],
    ['OUTCOME_UNKNOWN', 504, 'unknown', false],
    ['TIMEOUT', 504, 'unknown', false],
    ['INVALID_NAME', 400, 'bad_room', false],
    ['UNSUPPORTED', 400, 'no_history', false],
    ['MESSAGE_TOO_LARGE', 413, 'body_too_large', false],
  ] as const)('a POST that ends with %s is %i, and says when to come back only where nothing was done', async (code, status, error, again) => {
    await using server = await TestPublic.start();
    server.route.onPost = () => Promise.reject(new LayerError(code, 'why'));
    await using client = await RawClient.connect(server.port);
    client.write(request('POST /r/1 HTTP/1.1', 'Host: a', 'Content-Length: 0'));
    const answer = await client.answer();
    expect([answer.status, JSON.parse(answer.body).error, answer.headers.has('retry-after')]).toEqual([status, error, again]);
  });

  test('an upgrade whose subscription was not answered may be made again: 503', async () => {
    await using server = await TestPublic.start();
    server.route.onOpen = () => Promise.reject(new LayerError('TIMEOUT', 'why'));
    await using client = await RawClient.connect(server.port);
    client.write(upgrade('/r/1'));
    const answer = await client.answer();
    expect([answer.status, answer.headers.has('retry-after')]).toEqual([503, true]);
  });
});

describe('a route', () => {
  test('is given all of the request, and refuses an upgrade in its own words, at once or later', async () => {
    await using server = await TestPublic.start();
    const { route } = server;
    const refusal = { status: 418, headers: { 'X-Why': 'tea', 'Content-Length': '3' }, body: Buffer.from('tea') };
    for (const answer of [refusal, Promise.resolve(refusal)]) {
      route.onOpen = () => answer;
      await using client = await RawClient.connect(server.port);
      client.write(upgrade('/r/a%2Fb?x=1&x=2', { Cookie: 'c=1' }));
      const { status, headers, body } = await client.answer();
      expect([status, headers.get('x-why'), headers.get('connection'), body]).toEqual([418, 'tea', 'close', 'tea']);
      await client.closed();
      const asked = route.asked.at(-1);
      expect(asked).toMatchObject({ method: 'GET', scheme: 'http', path: '/r/a%2Fb', queryString: 'x=1&x=2', params: { name: 'a/b' } });
      expect([asked?.query.getAll('x'), asked?.headers['cookie'], asked?.rawHeaders.includes('Cookie')]).toEqual([['1', '2'], 'c=1', true]);
      expect(asked?.identity).toBe(ANYONE);
    }
  });

  test('knows both ends of the connection while it lives, and answers a POST with any status', async () => {
    await using server = await TestPublic.start();
    await using client = await RawClient.connect(server.port);
    let ends: unknown;
    server.route.onPost = () => {
      const { remote, local } = server.route.asked.at(-1) ?? {};
      ends = { remote, local };
      return jsonAnswer(409, { why: 'mine' });
    };
    client.write(request('POST /r/1 HTTP/1.1', 'Host: a', 'Content-Length: 0'));
    const { status, body } = await client.answer();
    expect([status, JSON.parse(body)]).toEqual([409, { why: 'mine' }]);
    const { localPort } = client.socket;
    expect(ends).toEqual({ remote: { address: '127.0.0.1', port: localPort }, local: { address: '127.0.0.1', port: server.port } });
  });
});

describe('what programs send besides', () => {
  test.each([
    ['POST', 'h2c', 202],
    ['POST', 'TLS/1.2', 202],
    ['GET', 'h2c', 426],
    ['HEAD', 'websocket', 426],
  ])('%s with an upgrade to %s is served as it is: %i', async (method, protocol, status) => {
    await using gateway = await TestGateway.start();
    await using client = await RawClient.connect(gateway.port);
    const body = method === 'POST' ? ['Content-Length: 2'] : [];
    client.write(request(`${method} /room/1 HTTP/1.1`, 'Host: a', `Upgrade: ${protocol}`, 'Connection: Upgrade, HTTP2-Settings', ...body));
    if (method === 'POST') client.write('hi');
    expect((await client.head()).status).toBe(status);
  });

  test('HEAD is answered as GET, without a body', async () => {
    await using gateway = await TestGateway.start(['--demo']);
    for (const path of ['/room/1', '/nothing', '/']) {
      const [head, get] = await Promise.all([fetch(gateway.http(path), { method: 'HEAD' }), fetch(gateway.http(path))]);
      expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([get.status, get.headers.get('content-length'), '']);
    }
  });
});

describe('a connection that is kept', () => {
  test('ends when no request has come for http.keep_alive, and says so', async () => {
    await using gateway = await TestGateway.start(['--http-keep-alive', '1s']);
    await using client = await RawClient.connect(gateway.port);
    client.write(request('POST /room/1 HTTP/1.1', 'Host: a', 'Content-Length: 0'));
    expect((await client.answer()).headers.get('keep-alive')).toBe('timeout=1');
    await client.closed();
  });

  test('holds nothing of the requests that it has had', async () => {
    await using gateway = await TestGateway.start();
    await using client = await RawClient.connect(gateway.port);
    const post = request('POST /room/kept HTTP/1.1', 'Host: a', 'Content-Length: 0');
    const rounds = async (count: number): Promise<number> => {
      for (let round = 0; round < count; round += 50) {
        client.write(post.repeat(50));
        for (let answer = 0; answer < 50; answer += 1) await client.answer();
      }
      collect();
      return process.memoryUsage().heapUsed;
    };
    const before = await rounds(2000);
    const after = await rounds(5000);
    expect((after - before) / 5000).toBeLessThan(100);
  });

  test('is answered to the end by a gateway that is drained, and not used again', async () => {
    await using gateway = await TestGateway.start(['--drain-notice', '100ms', '--drain-deadline', '20s']);
    await using witness = await Client.open(gateway.ws('/room/drain'));
    await using kept = await RawClient.connect(gateway.port);
    await using slow = await RawClient.connect(gateway.port);
    const post = (length: number): string => request('POST /room/drain HTTP/1.1', 'Host: a', `Content-Length: ${length}`);
    kept.write(post(1), 'a');
    expect((await kept.answer()).headers.get('connection')).toBe('keep-alive');
    slow.write(post(4), 'ha');
    await until(() => gateway.gateway.state.inboundBytes > 0, 'the slow one has begun');
    const drained = gateway.gateway.drain({ notice: true });
    kept.write(post(1), 'b');
    const during = await kept.answer();
    expect([during.status, during.headers.get('connection')]).toEqual([202, 'close']);
    await witness.closed();
    slow.write('lf');
    const last = await slow.answer();
    expect([last.status, last.headers.get('connection')]).toEqual([202, 'close']);
    await drained;
    expect(gateway.gateway.counters.published).toBe(3);
  });
});

function throws(): never {
  throw new TypeError('not expected');
}

function collect(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}
