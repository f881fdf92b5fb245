import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Answer, jsonAnswer } from '../src/answer.ts';
import { Inbound } from '../src/inbound.ts';
import { until } from './support/gateway.ts';
import { TestPublic } from './support/public.ts';
import { RawClient, request, upgrade } from './support/raw.ts';

const post = (body: string, path = '/r/1'): string => `${request(`POST ${path} HTTP/1.1`, 'Host: a', `Content-Length: ${body.length}`)}${body}`;

let server: TestPublic;
let client: RawClient;
/** Answers the POST that has this body. */
let settle: Map<string, (answer: Answer) => void>;

beforeEach(async () => {
  server = await TestPublic.start();
  client = await RawClient.connect(server.port);
  settle = new Map();
  server.route.onPost = (body) => new Promise((resolve) => void settle.set(body, resolve));
});

afterEach(async () => {
  await client[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  expect(server.inbound.bytes).toBe(0);
});

async function begun(...bodies: string[]): Promise<void> {
  await until(() => server.route.posted.length === bodies.length, `${bodies.join()} have begun`);
  expect(server.route.posted).toEqual(bodies);
}

function answer(...bodies: string[]): void {
  for (const body of bodies) settle.get(body)?.(jsonAnswer(202, { body }));
}

/** The server has read what was there for it: it has served somebody else meanwhile. */
async function seen(): Promise<void> {
  await using other = await RawClient.connect(server.port);
  other.write(request('GET /nothing HTTP/1.1', 'Host: a'));
  await other.answer();
}

const bodyOf = async (): Promise<unknown> => JSON.parse((await client.answer()).body);

describe('requests that one connection pipelines', () => {
  test('begin without waiting for each other, and are answered in their order', async () => {
    client.write(post('a') + post('b') + post('c'));
    await begun('a', 'b', 'c');
    answer('c', 'b', 'a');
    expect([await bodyOf(), await bodyOf(), await bodyOf()]).toEqual([{ body: 'a' }, { body: 'b' }, { body: 'c' }]);
  });

  test('an upgrade behind an answer that is owed is not looked at: the answer leaves, and the connection ends', async () => {
    client.write(post('a') + upgrade('/r/1'));
    await begun('a');
    answer('a');
    expect(await bodyOf()).toEqual({ body: 'a' });
    await client.closed();
    expect([server.route.asked.length, client.error]).toEqual([1, undefined]);
  });

  test('an upgrade behind answers that have left is taken', async () => {
    client.write(post('a'));
    await begun('a');
    answer('a');
    expect((await client.answer()).status).toBe(202);
    client.write(upgrade('/r/1'));
    expect((await client.answer()).status).toBe(403);
    expect(server.route.asked.map(({ method }) => method)).toEqual(['POST', 'GET']);
  });

  test('what is malformed is refused behind the answers that are owed', async () => {
    client.write(`${post('a')}NOT HTTP\r\n\r\n`);
    await begun('a');
    answer('a');
    expect([(await client.answer()).status, (await client.answer()).status]).toEqual([202, 400]);
    await client.closed();
  });

  test('a body that breaks off is refused behind them, and a bad chunk too', async () => {
    client.write(post('a') + request('POST /r/1 HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked'), 'nonsense\r\n');
    await begun('a');
    answer('a');
    expect([(await client.answer()).status, (await client.answer()).status]).toEqual([202, 400]);
    await using other = await RawClient.connect(server.port);
    other.socket.end(request('POST /r/1 HTTP/1.1', 'Host: a', 'Content-Length: 9') + 'half');
    expect((await other.answer()).status).toBe(400);
  });

  test('a refusal ends the connection: what follows it is not looked at', async () => {
    client.write(post('a') + post('x', '/nothing') + post('b'));
    await begun('a');
    answer('a');
    expect([(await client.answer()).status, (await client.answer()).status]).toEqual([202, 404]);
    await client.closed();
    expect(server.route.posted).toEqual(['a']);
  });

  test('a failure ends the connection behind those that have begun, which all are answered', async () => {
    client.write(post('a') + post('b') + post('c'));
    await begun('a', 'b', 'c');
    settle.get('a')?.({ ...jsonAnswer(503, { body: 'a' }), headers: { ...jsonAnswer(503, { body: 'a' }).headers, Connection: 'close' } });
    client.write(post('d'));
    answer('c', 'b');
    const answers = [await client.answer(), await client.answer(), await client.answer()];
    expect(answers.map(({ status, body }) => [status, JSON.parse(body)])).toEqual([
      [503, { body: 'a' }],
      [202, { body: 'b' }],
      [202, { body: 'c' }],
    ]);
    await client.closed();
    expect([server.route.posted, client.error]).toEqual([['a', 'b', 'c'], undefined]);
  });

  test('are not read on once too many wait, and all are answered in the end', async () => {
    const count = 4000;
    let peak = 0;
    server.route.onPost = async () => {
      peak = Math.max(peak, server.inbound.bytes);
      await new Promise((resolve) => setImmediate(resolve));
      return jsonAnswer(202, {});
    };
    client.write(post('x').repeat(count));
    for (let answers = 0; answers < count; answers += 1) await client.answer();
    // One read of the socket, and what is open besides.
    expect(peak).toBeLessThan(8 * 1024 * 1024);
    expect(server.route.posted.length).toBe(count);
  });
});

describe('where the process holds as much as it may', () => {
  test('what has begun is answered, the next request is 503, and nothing of it is kept', async () => {
    await using full = await TestPublic.start({ inbound: new Inbound(12 * 1024) });
    full.route.onPost = server.route.onPost;
    await using last = await RawClient.connect(full.port);
    last.write(post('a') + post('b') + post('c') + post('d'));
    await until(() => full.route.posted.length === 2, 'two have begun');
    answer('a', 'b');
    const answers = [await last.answer(), await last.answer(), await last.answer()];
    expect(answers.map(({ status }) => status)).toEqual([202, 202, 503]);
    await last.closed();
    expect([full.route.posted, full.inbound.bytes, full.counters.refused.full]).toEqual([['a', 'b'], 0, 1]);
  });
});

describe('a client that ends its writing', () => {
  test('has its answer all the same', async () => {
    client.socket.end(post('a'));
    await begun('a');
    await seen();
    answer('a');
    expect(await bodyOf()).toEqual({ body: 'a' });
    await client.closed();
  });

  test('has all answers to what it pipelined', async () => {
    client.socket.end(post('a') + post('b'));
    await begun('a', 'b');
    await seen();
    answer('b', 'a');
    expect([await bodyOf(), await bodyOf()]).toEqual([{ body: 'a' }, { body: 'b' }]);
    await client.closed();
  });
});

describe('while the gateway is being stopped', () => {
  test('each answer says that its connection is not to be used again, and what has begun is answered', async () => {
    client.write(post('a') + post('b'));
    await begun('a', 'b');
    server.isDraining = true;
    const answered = server.server.answered();
    answer('a', 'b');
    const answers = [await client.answer(), await client.answer()];
    expect(answers.map(({ status }) => status)).toEqual([202, 202]);
    expect(answers.at(-1)?.headers.get('connection')).toBe('close');
    await answered;
    await client.closed();
  });
});
