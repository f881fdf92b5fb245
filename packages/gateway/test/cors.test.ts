import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TestGateway, until } from './support/gateway.ts';
import { type HttpAnswer, RawClient, request, upgrade } from './support/raw.ts';
import { StreamClient } from './support/stream.ts';
import { JWT } from './support/tokens.ts';
import { type Asked, requestOf, type Way, WAYS } from './support/ways.ts';

const PAGE = 'https://app.example';
const CORS = { 'access-control-allow-origin': PAGE, 'access-control-expose-headers': 'retry-after', vary: 'Origin' };

let gateway: TestGateway;

beforeAll(async () => {
  gateway = await TestGateway.start(['--origins', PAGE], [{ rooms: 'kept.>', size: 100, ageMs: 60_000 }]);
});

afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
});

async function ask(sent: string, port = gateway.port): Promise<HttpAnswer> {
  await using client = await RawClient.connect(port);
  client.write(sent);
  return await client.answer();
}

function corsOf({ headers }: HttpAnswer): Record<string, string> {
  return Object.fromEntries([...headers].filter(([name]) => name.startsWith('access-control-') || name === 'vary'));
}

const post = (path: string, ...headers: string[]): string => request(`POST ${path} HTTP/1.1`, 'Host: a', 'Content-Length: 0', ...headers);
const preflight = (path: string, ...headers: string[]): string =>
  request(`OPTIONS ${path} HTTP/1.1`, 'Host: a', 'Access-Control-Request-Method: POST', 'Access-Control-Request-Headers: content-type', ...headers);

describe('a page of an allowed origin', () => {
  test.each([
    ['its publish', post('/room/1', `Origin: ${PAGE}`), 202],
    ['a bad room', post('/room/a%20b', `Origin: ${PAGE}`), 400],
    ['no route', post('/nothing', `Origin: ${PAGE}`), 404],
    ['a method', request('PUT /socket HTTP/1.1', 'Host: a', `Origin: ${PAGE}`), 405],
    ['a body too large', request('POST /room/1 HTTP/1.1', 'Host: a', `Origin: ${PAGE}`, 'Content-Length: 100000'), 413],
    ['a target too long', post(`/room/1?${'a'.repeat(3000)}`, `Origin: ${PAGE}`), 414],
    ['no transport', request('GET /room/1 HTTP/1.1', 'Host: a', `Origin: ${PAGE}`), 426],
    ['an upgrade that is refused', upgrade('/room/a%20b', { Origin: PAGE }), 400],
    ['an upgrade to nowhere', upgrade('/nothing', { Origin: PAGE }), 404],
  ])('may read every answer: %s', async (_, sent, status) => {
    const answer = await ask(sent);
    expect([answer.status, corsOf(answer)]).toEqual([status, CORS]);
  });

  test('may read that the layer is away, and when to come back', async () => {
    await using away = await TestGateway.start(['--origins', PAGE]);
    await away.layer.close();
    const answer = await ask(post('/room/1', `Origin: ${PAGE}`), away.port);
    expect([answer.status, corsOf(answer), answer.headers.has('retry-after')]).toEqual([503, CORS, true]);
  });

  test.each([
    ['/room/1', 'GET, HEAD, POST'],
    ['/room/a%20b', 'GET, HEAD, POST'],
    ['/socket', 'GET, HEAD, POST'],
  ])('is told before it asks what %s takes: %s', async (path, methods) => {
    const answer = await ask(preflight(path, `Origin: ${PAGE}`));
    expect([answer.status, answer.body, answer.headers.has('content-length')]).toEqual([204, '', false]);
    expect(corsOf(answer)).toEqual({
      ...CORS,
      'access-control-allow-methods': methods,
      'access-control-allow-headers': 'content-type, authorization, idempotency-key, last-event-id',
      'access-control-max-age': '7200',
    });
  });

  test('is told so on one connection, and asks there', async () => {
    await using client = await RawClient.connect(gateway.port);
    client.write(preflight('/room/1', `Origin: ${PAGE}`));
    expect((await client.answer()).status).toBe(204);
    client.write(post('/room/1', `Origin: ${PAGE}`));
    expect((await client.answer()).status).toBe(202);
  });
});

describe('a page of a foreign origin', () => {
  test.each([
    ['a publish', post('/room/1', 'Origin: https://evil.test')],
    ['a question before it', preflight('/room/1', 'Origin: https://evil.test')],
    ['a question before it, of the origin null', preflight('/room/1', 'Origin: null')],
    ['an upgrade', upgrade('/room/1', { Origin: 'https://evil.test' })],
  ])('gets 403 and none of the headers: %s', async (_, sent) => {
    const answer = await ask(sent);
    expect([answer.status, corsOf(answer), JSON.parse(answer.body).error]).toEqual([403, {}, 'origin']);
  });

  test.each([
    ['no route', post('/nowhere', 'Origin: https://evil.test'), 404],
    ['no route, beforehand', preflight('/nowhere', 'Origin: https://evil.test'), 404],
    ['no name of a room', post('/room/a..b', 'Origin: https://evil.test'), 400],
  ])('may not read that there is %s', async (_, sent, status) => {
    const answer = await ask(sent);
    expect([answer.status, corsOf(answer)]).toEqual([status, {}]);
  });
});

test('what is no page gets none of them, and OPTIONS that asks for nothing is a method as any other', async () => {
  expect(corsOf(await ask(post('/room/1')))).toEqual({});
  const answer = await ask(request('OPTIONS /room/1 HTTP/1.1', 'Host: a', `Origin: ${PAGE}`));
  expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET, HEAD, POST']);
});

/** Of an answer's headers those that are about pages. */
function corsIn(headers: Headers): Record<string, string> {
  return Object.fromEntries([...headers].filter(([name]) => name.startsWith('access-control-') || name === 'vary'));
}

/** A stream is left once its head has come. */
async function sent(way: Way, origin: string, asked: Asked, method?: string): Promise<Response> {
  const [path, init] = requestOf(way, 'kept.1', { ...asked, headers: { Origin: origin } });
  const left = new AbortController();
  const answer = await fetch(gateway.http(path), { ...init, ...(method !== undefined && { method }), signal: left.signal });
  if (!answer.headers.has('content-length')) left.abort();
  return answer;
}

describe.each(WAYS)('$name, asked for by a page', (way) => {
  test('may be read where its origin is allowed, and so may be why it is refused', async () => {
    const answer = await sent(way, PAGE, {});
    expect([answer.status, corsIn(answer.headers), answer.headers.get('cache-control')]).toEqual([200, CORS, 'no-store']);
    for (const asked of [{ since: '' }, { last: -1 }]) {
      const refused = await sent(way, PAGE, asked);
      expect([refused.status, corsIn(refused.headers)]).toEqual([400, CORS]);
    }
  });

  test.each(['https://evil.test', 'null', `${PAGE}.evil.test`, 'not an origin'])(
    'is 403 where it is not, opens nothing, and has none of the headers: %s',
    async (origin) => {
      const { opened } = gateway.gateway.counters;
      const before = { ...opened };
      const answer = await sent(way, origin, {});
      expect([answer.status, corsIn(answer.headers), await answer.json()]).toMatchObject([403, {}, { error: 'origin' }]);
      expect([corsIn(answer.headers), opened]).toEqual([{}, before]);
    },
  );
});

describe.each(WAYS.filter(({ form }) => form !== 'posted'))('$name, asked for by HEAD', (way) => {
  test.each([
    ['what is right', PAGE, {}],
    ['a place that is none', PAGE, { since: 'made up' }],
    ['a number that is none', PAGE, { last: -1 }],
    ['a foreign page', 'https://evil.test', {}],
  ])('is answered as GET is, without a body, and opens nothing: %s', async (_, origin, asked) => {
    const { opened } = gateway.gateway.counters;
    const got = await sent(way, origin, asked);
    const before = { ...opened };
    const head = await sent(way, origin, asked, 'HEAD');
    const telling = ({ status, headers }: Response): unknown[] => [status, corsIn(headers), headers.get('content-type'), headers.get('cache-control')];
    expect([telling(head), await head.text(), opened]).toEqual([telling(got), '', before]);
  });
});

test('pages may have cookies sent where cookies say who somebody is, by every wire, and nowhere else', async () => {
  await using known = await TestGateway.start(['--origins', PAGE, '--auth-jwt', JWT, '--auth-cookie', 'live']);
  const allowed = ({ headers }: HttpAnswer): string | undefined => headers.get('access-control-allow-credentials');
  const get = (accept: string): string => request('GET /room/1 HTTP/1.1', 'Host: a', `Origin: ${PAGE}`, `Accept: ${accept}`);
  for (const each of [preflight('/room/1', `Origin: ${PAGE}`), post('/room/1', `Origin: ${PAGE}`), get('*/*'), upgrade('/room/a%20b', { Origin: PAGE })]) {
    expect([allowed(await ask(each, known.port)), allowed(await ask(each))]).toEqual(['true', undefined]);
  }
  for (const accept of ['text/event-stream', 'application/x-ndjson']) {
    await using stream = await StreamClient.ask(known.port, '/room/1', { accept, headers: [`Origin: ${PAGE}`] });
    expect(stream.head).toMatch(/^Access-Control-Allow-Credentials: true$/m);
  }
  expect(allowed(await ask(post('/room/1', 'Origin: https://evil.test'), known.port))).toBeUndefined();
});

test('a poll that has waited may be read by the page that asked, too', async () => {
  const [since] = await gateway.publish('kept.2', '1');
  const asked = fetch(gateway.http(`/room/kept.2?poll=30&since=${since}`), { headers: { Origin: PAGE } });
  await until(() => gateway.gateway.state.sessions.poll === 1, 'it waits');
  await gateway.publish('kept.2', '2');
  expect(corsIn((await asked).headers)).toEqual(CORS);
});

test.each(['/room/kept.1?poll=30', '/room/kept.1?last=1', '/socket?rooms=kept.1', '/socket?session=a-b-c', '/socket?rooms='])(
  'what a page may do at %s is told before it asks: all of it, or nothing',
  async (path) => {
    const told = await ask(preflight(path, `Origin: ${PAGE}`));
    expect([told.status, told.headers.get('access-control-allow-headers'), told.headers.get('access-control-allow-methods')]).toEqual([
      204,
      'content-type, authorization, idempotency-key, last-event-id',
      'GET, HEAD, POST',
    ]);
    const foreign = await ask(preflight(path, 'Origin: https://evil.test'));
    expect([foreign.status, corsOf(foreign)]).toEqual([403, {}]);
  },
);

describe('a page that has its DNS give its name to this machine', () => {
  const evil = { Host: 'evil.example', Origin: 'http://evil.example' };

  test('does not get in', async () => {
    await using open = await TestGateway.start();
    const answer = await ask(upgrade('/room/1', evil), open.port);
    expect([answer.status, JSON.parse(answer.body).error]).toEqual([403, 'origin']);
  });

  test('gets nothing of a demo, and localhost does', async () => {
    await using demo = await TestGateway.start(['--demo']);
    const sent = [
      upgrade('/room/1', evil),
      upgrade('/socket', { Host: 'evil.example' }),
      request('GET / HTTP/1.1', 'Host: evil.example:8080'),
      post('/room/1'),
    ];
    for (const each of sent) {
      const answer = await ask(each, demo.port);
      expect([answer.status, JSON.parse(answer.body).error]).toEqual([403, 'host']);
    }
    const host = `localhost:${demo.port}`;
    expect((await ask(upgrade('/room/1', { Host: host, Origin: `http://${host}` }), demo.port)).status).toBe(101);
  });
});
