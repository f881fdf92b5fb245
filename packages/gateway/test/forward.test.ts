import { Webhook } from 'standardwebhooks';
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../src/config.ts';
import { type Posted, TestBackend } from './support/backend.ts';
import { Client } from './support/client.ts';
import { TestGateway, until } from './support/gateway.ts';
import { RawClient, upgrade } from './support/raw.ts';

const secret = (letter: string): string => `whsec_${Buffer.from(letter.repeat(32)).toString('base64')}`;
const [OLD, NEW, FOREIGN] = [secret('o'), secret('n'), secret('f')];

/** A gateway on memory whose one route has this backend. */
function start(backend: Pick<TestBackend, 'url'>, settings = ''): Promise<TestGateway> {
  return TestGateway.start(['--routes', `[{path: /app, kind: events, url: '${backend.url}'${settings}}]`]);
}

/** What happens to a message that the backend answers so. */
async function answered(handle: (posted: Posted) => unknown, settings = ''): Promise<{ code: number; posts: readonly Posted[]; failures: object }> {
  await using backend = await TestBackend.start((posted) => (posted.event.type === 'websocket.receive' ? handle(posted) : undefined));
  await using gateway = await start(backend, settings);
  await using client = await Client.open(gateway.ws('/app'));
  client.send('x');
  const code = await client.closed();
  return { code, posts: backend.of('websocket.receive'), failures: failuresOf(gateway) };
}

/** How the client is refused whose connect the backend answers so. */
async function refused(handle: (posted: Posted) => unknown, settings = ''): Promise<Awaited<ReturnType<RawClient['answer']>>> {
  await using backend = await TestBackend.start((posted) => (posted.event.type === 'websocket.connect' ? handle(posted) : undefined));
  await using gateway = await start(backend, settings);
  await using client = await RawClient.connect(gateway.port);
  client.write(upgrade('/app'));
  const answer = await client.answer();
  await until(() => backend.of('websocket.disconnect').length === 1, 'the end was told');
  expect(backend.of('websocket.connect')).toHaveLength(1);
  return answer;
}

function failuresOf(gateway: TestGateway): object {
  return Object.fromEntries(Object.entries(gateway.gateway.events[0]?.forwarding ?? {}).filter(([, count]) => count > 0));
}

describe('a route with a backend', () => {
  test('posts each event, in order, and does what is answered', async () => {
    await using backend = await TestBackend.start(({ event, answer }) => {
      if (event.type !== 'websocket.receive') return undefined;
      const replies = [
        { type: 'websocket.send', text: `you said ${event['text'] as string}` },
        { type: 'websocket.send', bytes: { $bytes: 'AP8=' } },
      ];
      answer(200, { replies });
      return true;
    });
    await using gateway = await start(backend);
    {
      await using client = await Client.open(gateway.ws('/app'));
      for (const text of ['one', 'two', 'three']) client.send(text);
      await client.until(() => client.received.length === 6);
      const bytes = Buffer.from([0, 0xff]);
      expect(client.received).toEqual(['you said one', bytes, 'you said two', bytes, 'you said three', bytes]);
    }
    await until(() => backend.of('websocket.disconnect').length === 1, 'the end was told');
    expect(backend.posts.map(({ event }) => event.order)).toEqual([0, 1, 2, 3, 4]);
    expect(backend.posts[0]).toMatchObject({
      path: '/busgate?token=t',
      headers: { 'content-type': 'application/json', 'webhook-id': backend.posts[0]?.event['id'] },
    });
    // Connections are kept: those of its own for each event would be four.
    expect(new Set(backend.posts.slice(0, 4).map(({ port }) => port)).size).toBeLessThan(3);
    expect(failuresOf(gateway)).toEqual({});
  });

  test('signs what a library of the specification accepts, with each of two secrets during a rotation', async () => {
    await using backend = await TestBackend.start();
    await using gateway = await start(backend, `, secret: ['${OLD}', '${NEW}']`);
    await using client = await Client.open(gateway.ws('/app'));
    client.send('grüße ✓');
    await until(() => backend.posts.length === 2, 'the message was posted');
    for (const { body, headers } of backend.posts) {
      const signed = headers as Record<string, string>;
      for (const known of [OLD, NEW]) expect(new Webhook(known).verify(body, signed)).toEqual(JSON.parse(body));
      expect(() => new Webhook(FOREIGN).verify(body, signed)).toThrow();
      expect(() => new Webhook(OLD).verify(`${body} `, signed)).toThrow();
    }
  });

  test('without a secret it signs nothing', async () => {
    await using backend = await TestBackend.start();
    await using gateway = await start(backend);
    await using client = await Client.open(gateway.ws('/app'));
    expect(client.received).toEqual([]);
    expect(backend.posts[0]?.headers).not.toHaveProperty('webhook-signature');
    expect(backend.posts[0]?.headers).toHaveProperty('webhook-timestamp');
  });

  test('answers plain requests too', async () => {
    const answer = { type: 'http.response', status: 201, json: { hello: 'you' } };
    await using backend = await TestBackend.start((posted) => posted.answer(200, { replies: [answer] }) ?? true);
    await using gateway = await start(backend, ', http: true');
    const response = await fetch(gateway.http('/app'), { method: 'POST', body: 'x' });
    expect([response.status, await response.json()]).toEqual([201, { hello: 'you' }]);
    expect(backend.posts[0]?.event).toMatchObject({ type: 'http.request', method: 'POST', body: { $bytes: 'eA==' } });
  });
});

describe('the connect', () => {
  test('is refused with the answer itself where that is 4xx', async () => {
    const answer = await refused((posted) => posted.answer(401, 'log in', { 'www-authenticate': 'Bearer', 'set-cookie': ['a=1', 'b=2'] }) ?? true);
    expect([answer.status, answer.body.toString(), answer.headers.get('www-authenticate')]).toEqual([401, 'log in', 'Bearer']);
  });

  test('is refused with a body that takes more than one message of the layer', async () => {
    const page = 'x'.repeat(1_000_000);
    const answer = await refused(({ answer }) => (answer(418, page), true));
    expect([answer.status, answer.body === page]).toEqual([418, true]);
  });

  test('is refused with 403 where it is done without an accept', async () => {
    expect((await refused((posted) => posted.answer(204) ?? true)).status).toBe(403);
  });

  test.each([
    ['500', 500, 'oops', {}],
    ['503, which is not tried again', 503, '', { 'retry-after': '0' }],
    ['a redirect', 302, '', { location: '/elsewhere' }],
    ['no JSON', 200, '<html>', {}],
    ['no list of replies', 200, '{"replies":{}}', {}],
  ])('is refused with 503 where the answer is %s', async (_, status, body, headers) => {
    const answer = await refused((posted) => posted.answer(status, body, headers) ?? true);
    expect([answer.status, answer.headers.has('retry-after')]).toEqual([503, true]);
  });

  test('is refused with 503 where nobody listens', async () => {
    const gone = await TestBackend.start();
    const { url } = gone;
    await gone[Symbol.asyncDispose]();
    await using gateway = await start({ url });
    const response = await fetch(gateway.http('/app'), { headers: { connection: 'close' } });
    expect(response.status).toBe(426);
    await using client = await RawClient.connect(gateway.port);
    client.write(upgrade('/app'));
    expect((await client.answer()).status).toBe(503);
    expect(failuresOf(gateway)).toEqual({ unreachable: 1 });
  });

  test('is refused with 503 where nothing is ever answered', async () => {
    expect((await refused(() => true, ', accept_timeout: 100ms')).status).toBe(503);
  });
});

describe('a message', () => {
  test.each([
    ['an error', 400, 'x', 'status'],
    ['500', 500, 'x', 'status'],
    ['another success', 202, '', 'status'],
    ['no JSON', 200, '{"replies":[', 'bad_answer'],
    ['nothing', 200, '', 'bad_answer'],
    ['JSON of another kind', 200, '[]', 'bad_answer'],
    ['JSON without replies', 200, '{}', 'bad_answer'],
    ['JSON that is too deep', 200, `{"replies":[${'['.repeat(500)}${']'.repeat(500)}]}`, 'bad_answer'],
    ['more than 1 MiB', 200, `{"replies":[],"more":"${'x'.repeat(1_048_576)}"}`, 'too_large'],
  ])('closes its session with 1011, counted, where the answer is %s', async (_, status, body, failure) => {
    const { code, posts, failures } = await answered((posted) => posted.answer(status, body) ?? true);
    expect([code, posts.length, failures]).toEqual([1011, 1, { [failure]: 1 }]);
  });

  test('may be answered with all of 1 MiB', async () => {
    const texts = ['a'.repeat(500_000), 'b'.repeat(500_000), 'c'.repeat(48_450)];
    const body = JSON.stringify({ replies: texts.map((text) => ({ type: 'websocket.send', text })) });
    await using backend = await TestBackend.start(({ event, answer }) => {
      if (event.type !== 'websocket.receive') return undefined;
      answer(200, body.padEnd(1_048_576));
      return true;
    });
    await using gateway = await start(backend);
    await using client = await Client.open(gateway.ws('/app'));
    client.send('x');
    client.send('and the next');
    await client.until(() => client.received.length === 6);
    expect(client.received.map((frame) => frame.length)).toEqual([...texts, ...texts].map((text) => text.length));
  });

  test('is not posted to where a redirect points', async () => {
    const { code, posts, failures } = await answered((posted) => posted.answer(307, '', { location: '/elsewhere' }) ?? true);
    expect([code, posts.length, failures]).toEqual([1011, 1, { status: 1 }]);
  });

  test('of an answer of 100 MB hardly more than 1 MiB is read', async () => {
    const ended = Promise.withResolvers<number>();
    const { code, failures } = await answered(({ response }) => {
      response.writeHead(200, { 'content-length': '100000000' });
      const piece = Buffer.alloc(65_536, 'x');
      let written = 0;
      const more = (): void => {
        while (written < 100_000_000) {
          written += piece.length;
          if (!response.write(piece)) return;
        }
      };
      response.on('drain', more).on('close', () => ended.resolve(written));
      more();
      return true;
    });
    expect([code, failures]).toEqual([1011, { too_large: 1 }]);
    expect(await ended.promise).toBeLessThan(50_000_000);
  });

  test('closes its session with 1011 where nothing is ever answered', async () => {
    const { code, posts } = await answered(() => true, ', handler_timeout: 200ms');
    expect([code, posts.length]).toEqual([1011, 1]);
  });

  test.each([429, 502, 503, 504])('is posted again under the same id after %i, and its session lives', async (status) => {
    await using backend = await TestBackend.start(({ event, answer }) => {
      if (event.type !== 'websocket.receive') return undefined;
      if (backend.of('websocket.receive').length < 3) answer(status);
      else answer(200, { replies: [{ type: 'websocket.send', text: 'at last' }] });
      return true;
    });
    await using gateway = await start(backend, `, secret: '${OLD}'`);
    await using client = await Client.open(gateway.ws('/app'));
    client.send('x');
    await client.until(() => client.received.length === 1);
    const posts = backend.of('websocket.receive');
    expect(posts).toHaveLength(3);
    expect(new Set(posts.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
    for (const { body, headers } of posts) new Webhook(OLD).verify(body, headers as Record<string, string>);
    expect(failuresOf(gateway)).toEqual({});
  });

  test('is posted again where the connection broke before its answer', async () => {
    await using backend = await TestBackend.start(({ event, response }) => {
      if (event.type !== 'websocket.receive' || backend.of('websocket.receive').length > 1) return undefined;
      response.destroy();
      return true;
    });
    await using gateway = await start(backend);
    await using client = await Client.open(gateway.ws('/app'));
    client.send('x');
    await until(() => backend.of('websocket.receive').length === 2, 'it was posted again');
    client.send('y');
    await until(() => backend.of('websocket.receive').length === 3, 'the next one was posted');
    expect(client.closeCode).toBeUndefined();
  });

  test('closes its session at once where the backend asks for more time than there is', async () => {
    const { code, posts, failures } = await answered((posted) => posted.answer(503, '', { 'retry-after': '31' }) ?? true);
    expect([code, posts.length, failures]).toEqual([1011, 1, { status: 1 }]);
  });

  test('that is slow holds up no other session', async () => {
    const held: Posted[] = [];
    await using backend = await TestBackend.start((posted) => (posted.event['text'] === 'slow' ? held.push(posted) : undefined));
    await using gateway = await start(backend, ', concurrency: 2');
    await using slow = await Client.open(gateway.ws('/app'));
    slow.send('slow');
    await until(() => held.length === 1, 'the slow one is under way');
    await using quick = await Client.open(gateway.ws('/app'));
    for (let index = 0; index < 10; index += 1) quick.send(`${index}`);
    await until(() => backend.of('websocket.receive').length === 11, 'the quick ones were handled');
    held[0]?.answer(200, { replies: [{ type: 'websocket.send', text: 'late' }] });
    await slow.until(() => slow.received.length === 1);
    expect(slow.received).toEqual(['late']);
  });
});

test('the end of a session is posted again for longer than a message would be', async () => {
  await using backend = await TestBackend.start(({ event, answer }) => {
    if (event.type !== 'websocket.disconnect' || backend.of('websocket.disconnect').length > 3) return undefined;
    answer(503);
    return true;
  });
  // Three waits are 700 ms at least.
  await using gateway = await start(backend, ', handler_timeout: 200ms');
  await (await Client.open(gateway.ws('/app')))[Symbol.asyncDispose]();
  await until(() => backend.of('websocket.disconnect').length === 4, 'it was posted until it was taken');
  expect(new Set(backend.posts.slice(1).map(({ headers }) => headers['webhook-id'])).size).toBe(1);
});

describe('the settings of a backend', () => {
  const load = (route: string, file = ''): ReturnType<typeof loadConfig> =>
    loadConfig({ argv: ['--routes', `[{path: /a, kind: events, ${route}}]`], env: {}, readFile: () => file, descriptors: 1024 });
  const URL_SAID = 'url: "http://app:3000/x"';

  test('are read, secrets also from a file with one a line', () => {
    const { routes } = load(`${URL_SAID}, secret_file: /run/secret`, `${OLD}\n${NEW}\n`);
    expect(routes[0]).toMatchObject({
      backend: { url: 'http://app:3000/x', secrets: [OLD, NEW], concurrency: 256 },
      queue: expect.stringMatching(/^url\.[0-9a-f]{16}$/),
    });
    expect(load(URL_SAID).routes[0]).toMatchObject({ backend: { secrets: [] } });
  });

  test.each([
    ['queue and url', `${URL_SAID}, queue: app`, 'queue must be left out'],
    ['neither', 'http: true', 'queue must be said'],
    ['a secret without url', `queue: app, secret: ${OLD}`, 'secret must be left out'],
    ['another scheme', 'url: "ftp://app/x"', 'url is'],
    ['a password in the URL', 'url: "http://me:hidden@app/x"', 'url is'],
    ['three secrets', `${URL_SAID}, secret: [${OLD}, ${NEW}, ${FOREIGN}]`, 'secret must be'],
    ['a secret that is too short', `${URL_SAID}, secret: whsec_hidden==`, 'secret must be'],
    ['an empty file', `${URL_SAID}, secret_file: /run/secret`, 'secret_file is'],
  ])('are refused, without showing a secret: %s', (_, route, fault) => {
    expect(() => load(route)).toThrow(fault);
    expect(() => load(route)).not.toThrow(/hidden|whsec_[A-Za-z0-9]/);
  });
});
