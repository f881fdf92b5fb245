import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TestGateway } from './support/gateway.ts';
import { type HttpAnswer, RawClient, request, upgrade } from './support/raw.ts';

const PAGE = 'https://app.example';
const CORS = { 'access-control-allow-origin': PAGE, 'access-control-expose-headers': 'retry-after', vary: 'Origin' };

let gateway: TestGateway;

beforeAll(async () => {
  gateway = await TestGateway.start(['--origins', PAGE]);
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
});

test('what is no page gets none of them, and OPTIONS that asks for nothing is a method as any other', async () => {
  expect(corsOf(await ask(post('/room/1')))).toEqual({});
  const answer = await ask(request('OPTIONS /room/1 HTTP/1.1', 'Host: a', `Origin: ${PAGE}`));
  expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET, HEAD, POST']);
});

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
