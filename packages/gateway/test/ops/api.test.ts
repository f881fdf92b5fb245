import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Client } from '../support/client.ts';
import { TestGateway, until } from '../support/gateway.ts';
import { RawClient, upgrade } from '../support/raw.ts';
import { JWT, tokenFor } from '../support/tokens.ts';
import { DOCUMENTED_CALLS, KEY, Operator } from '../support/operator.ts';

const HISTORY = [{ rooms: 'kept.>', size: 1000, ageMs: 60_000 }];

/** Two gateways of one fleet; the operator asks the first. */
let here: TestGateway;
let there: TestGateway;
let operator: Operator;
beforeAll(async () => {
  const flags = ['--ops-key', KEY, '--history', '[{rooms: "kept.>", size: 1000, age: 60s}]', '--heartbeat-interval', '5s', '--auth-jwt', JWT];
  here = await TestGateway.start(flags, HISTORY);
  there = await TestGateway.start(flags, HISTORY, here.bus);
  operator = new Operator(`http://127.0.0.1:${here.gateway.ops.port}`);
  await seesFleet();
});
afterAll(async () => {
  await there?.[Symbol.asyncDispose]();
  await here?.[Symbol.asyncDispose]();
});

async function seesFleet(): Promise<void> {
  for (;;) if ((await operator.get('/api/fleet')).body.gateways.length === 2) return;
}

/** A session of `/socket` in these rooms, and its id. */
async function join(gateway: TestGateway, ...rooms: string[]): Promise<{ client: Client; id: string }> {
  const client = await Client.multiplex(gateway.ws('/socket'));
  for (const room of rooms) await client.ask({ type: 'join', room, ref: room });
  return { client, id: String(client.frames[0]?.['session']) };
}

describe('publish', () => {
  test('to one room and to many, whatever the payload, with a result for each', async () => {
    await using client = (await join(there, 'p.1', 'p.2')).client;
    const sent = await operator.ask('POST', '/api/publish', '{"rooms":["p.1","p.2","kept.p","no room","_own"],"data": {"n": 1.0}}');
    expect(sent.status).toBe(200);
    expect(sent.body).toEqual({
      results: [
        { room: 'p.1' },
        { room: 'p.2' },
        { room: 'kept.p', position: expect.stringMatching(/:1$/) as string },
        { room: 'no room', error: 'bad_room' },
        { room: '_own', error: 'not_allowed' },
      ],
    });
    await operator.ask('POST', '/api/publish', { room: 'p.1', text: 'plain' });
    await operator.ask('POST', '/api/publish', { room: 'p.1', base64: '/w==' });
    await client.until(() => client.frames.filter(({ type }) => type === 'message').length === 4);
    expect(client.received.slice(-4)).toEqual([
      '{"type":"message","room":"p.1","data":{"n": 1.0}}',
      '{"type":"message","room":"p.2","data":{"n": 1.0}}',
      '{"type":"message","room":"p.1","text":"plain"}',
      '{"type":"message","room":"p.1","base64":"/w=="}',
    ]);
    expect(here.gateway.counters.received.ops).toBeGreaterThanOrEqual(5);
  });

  test('with an id once; in a room without history that is refused', async () => {
    const twice = { rooms: ['kept.id', 'live'], text: 'once', id: 'order-1' };
    const first = await operator.ask('POST', '/api/publish', twice);
    const second = await operator.ask('POST', '/api/publish', twice);
    expect(first.body.results).toEqual([
      { room: 'kept.id', position: expect.any(String) as string },
      { room: 'live', error: 'no_history' },
    ]);
    expect(second.body).toEqual(first.body);
  });

  test('a thousand rooms in one call, and no more', async () => {
    const rooms = Array.from({ length: 1000 }, (_, index) => `many.${index}`);
    const { body } = await operator.ask('POST', '/api/publish', { rooms, text: 'x' });
    expect(body.results.length).toBe(1000);
    expect((await operator.ask('POST', '/api/publish', { rooms: [...rooms, 'more'], text: 'x' })).status).toBe(400);
  });

  test.each([
    ['', 'bad_json'],
    ['{', 'bad_json'],
    [`{"room":"a","data":${'['.repeat(40)}${']'.repeat(40)}}`, 'bad_json'],
    ['[]', 'bad_request'],
    ['null', 'bad_request'],
    ['{}', 'bad_request'],
    ['{"room":"a"}', 'bad_request'],
    ['{"room":"a","text":"x","data":1}', 'bad_request'],
    ['{"room":"a","rooms":["b"],"text":"x"}', 'bad_request'],
    ['{"rooms":[],"text":"x"}', 'bad_request'],
    ['{"rooms":[1],"text":"x"}', 'bad_request'],
    ['{"room":"a","text":1}', 'bad_request'],
    ['{"room":"a","base64":"*"}', 'bad_request'],
    ['{"room":"a","text":"x","id":""}', 'bad_request'],
  ])('%s is refused: %s', async (body, error) => {
    const refused = await operator.ask('POST', '/api/publish', body);
    expect([refused.status, refused.body.error]).toEqual([400, error]);
  });

  test('a payload larger than limits.message, and a body larger than any, are too large', async () => {
    expect((await operator.ask('POST', '/api/publish', { room: 'a', text: 'x'.repeat(65_537) })).body.error).toBe('body_too_large');
    expect((await operator.ask('POST', '/api/publish', { room: 'a', text: 'x'.repeat(2_000_000) })).status).toBe(413);
    expect((await operator.ask('POST', '/api/publish', { room: 'a', text: 'x'.repeat(65_536) })).status).toBe(200);
  });
});

describe('rooms', () => {
  test('of the whole fleet, by pattern and in pages, each with its members here and everywhere', async () => {
    await using one = (await join(here, 'r.a', 'r.b', 'r.x.y')).client;
    await using other = (await join(there, 'r.b', 'r.c')).client;
    const pages = await operator.pages('/api/rooms?match=r.*&limit=2');
    expect(pages.map(({ rooms }) => rooms.map(({ room }) => room))).toEqual([['r.a', 'r.b'], ['r.c']]);
    expect(pages.flatMap(({ rooms }) => rooms.map(({ members }) => members))).toEqual([
      { process: 1, fleet: 1 },
      { process: 1, fleet: 2 },
      { process: 0, fleet: 1 },
    ]);
    expect([one.closeCode, other.closeCode]).toEqual([undefined, undefined]);
  });

  test('one of them: when its subscription was proved, where it stands, what it lost', async () => {
    await using client = (await join(there, 'kept.one')).client;
    const { body: published } = await operator.ask('POST', '/api/publish', { room: 'kept.one', text: 'x' });
    await client.until(() => client.frames.some(({ type }) => type === 'message'));
    const { body } = await operator.get('/api/rooms/kept.one');
    expect(body).toMatchObject({
      members: { process: 0, fleet: 1 },
      position: published['results'][0]?.position,
      drops: { backlog: 0, missed: 0 },
    });
    expect(Math.abs(Date.now() - Date.parse(body.subscribed_at))).toBeLessThan(60_000);
    expect(body.gateways.map(({ gateway }) => gateway)).toEqual([there.layer.process]);
    expect((await operator.get('/api/rooms/nobody.here')).body).toMatchObject({ members: { process: 0, fleet: 0 }, subscribed_at: null, position: null });
    expect((await operator.get('/api/rooms/no%20room')).body.error).toBe('bad_room');
    expect((await operator.get('/api/rooms?match=a.>.b')).body.error).toBe('bad_request');
  });

  test('history: the newest, page by page from a position, and purged', async () => {
    for (let n = 1; n <= 5; n += 1) await operator.ask('POST', '/api/publish', { room: 'kept.h', data: n });
    const newest = (await operator.get('/api/rooms/kept.h/history?limit=2')).body;
    expect(newest['messages'].map(({ data }) => data)).toEqual([4, 5]);
    const first = (await operator.get('/api/rooms/kept.h/history?limit=5')).body.messages;
    const after = await operator.get(`/api/rooms/kept.h/history?limit=3&cursor=${first[0]?.position}`);
    expect(after.body.messages.map(({ data }) => data)).toEqual([2, 3, 4]);
    const rest = await operator.get(`/api/rooms/kept.h/history?cursor=${String(after.body.cursor)}`);
    expect(rest.body).toMatchObject({ messages: [{ data: 5 }], recovered: true });
    expect(rest.body.cursor).toBeUndefined();
    expect((await operator.ask('DELETE', '/api/rooms/kept.h/history')).body).toEqual({ room: 'kept.h', purged: true });
    expect((await operator.get('/api/rooms/kept.h/history')).body.messages).toEqual([]);
    expect((await operator.get('/api/rooms/live/history')).body.error).toBe('no_history');
    expect((await operator.ask('DELETE', '/api/rooms/live/history')).status).toBe(400);
    expect((await operator.get('/api/rooms/kept.h/history?cursor=none')).body.error).toBe('bad_position');
  });
});

describe('sessions', () => {
  test('of the whole fleet, by room, user and address, each as it is', async () => {
    const a = await join(here, 's.both', 's.a');
    const b = await join(there, 's.both');
    await using raw = await Client.open(there.ws('/room/s.raw'));
    const found = (await operator.get('/api/sessions?room=s.both')).body.sessions;
    expect(found.map(({ id }) => id).toSorted()).toEqual([a.id, b.id].toSorted());
    expect((await operator.get(`/api/sessions/${a.id}`)).body).toMatchObject({
      id: a.id,
      gateway: here.layer.process,
      identity: { user: null },
      address: '127.0.0.1',
      transport: 'websocket',
      route: '/socket',
      rooms: ['s.both', 's.a'],
      queued_bytes: 0,
    });
    expect((await operator.get('/api/sessions?room=s.raw')).body.sessions).toMatchObject([{ route: '/room/:room', rooms: ['s.raw'] }]);
    expect((await operator.get('/api/sessions?address=127.0.0.1&room=s.raw')).body.sessions).toHaveLength(1);
    expect((await operator.get('/api/sessions?address=192.0.2.1')).body.sessions).toEqual([]);
    expect((await operator.get('/api/sessions?user=ada')).body.sessions).toEqual([]);
    expect((await operator.get('/api/sessions?room=no%20room')).body.error).toBe('bad_room');
    expect(raw.closeCode).toBeUndefined();
    await Promise.all([a, b].map(({ client }) => client[Symbol.asyncDispose]()));
  });

  test('behind a proxy that is trusted have the address of their client', async () => {
    await using behind = await TestGateway.start(['--ops-key', KEY, '--trusted-proxies', '127.0.0.1']);
    const asking = new Operator(`http://127.0.0.1:${behind.gateway.ops.port}`);
    await using client = await RawClient.connect(behind.port);
    client.write(upgrade('/room/s.proxied', { 'X-Forwarded-For': '203.0.113.9' }));
    expect((await client.answer()).status).toBe(101);
    expect((await asking.get('/api/sessions?address=203.0.113.9')).body.sessions).toMatchObject([{ rooms: ['s.proxied'], address: '203.0.113.9' }]);
    expect((await asking.get('/api/sessions?address=127.0.0.1')).body.sessions).toEqual([]);
  });

  test('in pages, each session once, while others come and go', async () => {
    const staying = await Promise.all(Array.from({ length: 30 }, (_, index) => join(index % 2 === 0 ? here : there, 's.pages')));
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const passing = await join(here, 's.pages');
      const { body } = await operator.get(`/api/sessions?room=s.pages&limit=7${cursor === undefined ? '' : `&cursor=${cursor}`}`);
      expect(body.sessions.length).toBeLessThanOrEqual(7);
      seen.push(...body.sessions.map(({ id }) => id));
      cursor = body.cursor;
      await passing.client[Symbol.asyncDispose]();
    } while (cursor !== undefined);
    for (const { id } of staying) expect(seen.filter((one) => one === id)).toEqual([id]);
    await Promise.all(staying.map(({ client }) => client[Symbol.asyncDispose]()));
  });

  test('are closed wherever they are, with 1012 or another code', async () => {
    const a = await join(here);
    const b = await join(there);
    expect((await operator.ask('DELETE', `/api/sessions/${a.id}`)).body).toEqual({ id: a.id, code: 1012 });
    expect((await operator.ask('DELETE', `/api/sessions/${b.id}?code=4242`)).status).toBe(200);
    expect([await a.client.closed(), await b.client.closed()]).toEqual([1012, 4242]);
    for (const { id } of [a, b]) {
      await until(() => here.gateway.sessions + there.gateway.sessions === 0, 'no session is left');
      expect((await operator.get(`/api/sessions/${id}`)).status).toBe(404);
      expect((await operator.ask('DELETE', `/api/sessions/${id}`)).body.error).toBe('no_session');
    }
    expect((await operator.get('/api/sessions/nobody-knows-it')).body.error).toBe('no_session');
    for (const code of ['999', '1005', '1006', '1015', '2000', '5000', 'x', ''])
      expect([code, (await operator.ask('DELETE', `/api/sessions/${a.id}?code=${code}`)).body.error]).toEqual([code, 'bad_request']);
  });
});

test('pages: a limit from 1 to 1000, and a cursor that a page of that list gave', async () => {
  for (const limit of ['0', '1001', '-1', 'x', '', '1.5', '10000'])
    for (const list of ['/api/rooms', '/api/sessions'])
      expect([limit, (await operator.get(`${list}?limit=${limit}`)).body.error]).toEqual([limit, 'bad_request']);
  for (const cursor of ['x', '', 'W10', Buffer.from('[1]').toString('base64url'), 'a'.repeat(3000)])
    for (const list of ['/api/rooms', '/api/sessions'])
      expect([cursor, (await operator.get(`${list}?cursor=${cursor}`)).body.error]).toEqual([cursor, 'bad_cursor']);
});

test('the fleet: each gateway as it is', async () => {
  const { body } = await operator.get('/api/fleet');
  expect(body.gateways.map(({ gateway }) => gateway).toSorted()).toEqual([here.layer.process, there.layer.process].toSorted());
  expect(body).toMatchObject({ missing: [], gateways: [{ version: 'test', draining: false, layer: { state: 'connected', partitioned: false } }, {}] });
});

test('guarantees: what holds for each route and pattern of rooms, and why not more', async () => {
  const { body } = await operator.get('/api/guarantees');
  const guarantees = body.guarantees;
  expect(guarantees.map(({ route, rooms }) => `${route} ${rooms}`)).toEqual(['/room/:room kept.>', '/room/:room >', '/socket kept.>', '/socket >']);
  expect(guarantees[0]).toMatchObject({
    delivery: { holds: true },
    order: { holds: 'total' },
    history: { holds: { size: 1000, age: 60 } },
    resume: { holds: true },
  });
  expect(guarantees[1]).toMatchObject({
    history: { holds: null },
    resume: { holds: false, why: expect.stringContaining('history') as string },
    loss: { holds: 'close' },
  });
});

describe('the key', () => {
  const refused = async (headers: Record<string, string>, path = '/api/fleet') => {
    const response = await fetch(`http://127.0.0.1:${here.gateway.ops.port}${path}`, { headers });
    return [response.status, ((await response.json()) as { error: string }).error, response.headers.get('www-authenticate')];
  };

  test.each(DOCUMENTED_CALLS)('%s wants it', async (call) => {
    const [method = '', template = ''] = call.split(' ');
    const path = template.replaceAll(/\{[a-z]+\}/g, 'x');
    const response = await fetch(`http://127.0.0.1:${here.gateway.ops.port}${path}`, { method });
    expect(response.status).toBe(401);
    expect(await response.json()).toMatchObject({ error: 'unauthorized' });
  });

  test('a wrong one, a shorter, a longer, another scheme, or none is 401, and nothing else is said', async () => {
    const wrong = [{}, { Authorization: '' }, { Authorization: KEY }, { Authorization: `Basic ${btoa(KEY)}` }];
    for (const key of ['wrong', KEY.slice(1), `${KEY}x`, KEY.toUpperCase(), '']) wrong.push({ Authorization: `Bearer ${key}` });
    for (const headers of wrong) {
      expect(await refused(headers)).toEqual([401, 'unauthorized', 'Bearer']);
      expect(await refused(headers, '/api/no/such/path')).toEqual([401, 'unauthorized', 'Bearer']);
    }
  });

  test('in a query is refused, with the right one in the header too', async () => {
    for (const query of [`key=${KEY}`, `token=${KEY}`, `access_token=x`, `whatever=${KEY}`, `KEY=1`])
      for (const headers of [{}, { Authorization: `Bearer ${KEY}` }])
        expect((await refused(headers, `/api/fleet?${query}`)).slice(0, 2)).toEqual([401, 'key_in_query']);
  });

  test('health and metrics want none', async () => {
    for (const path of ['/healthz', '/readyz', '/metrics']) expect((await fetch(`http://127.0.0.1:${here.gateway.ops.port}${path}`)).status).toBe(200);
  });

  test('without a key set there is health and metrics only, and no other gateway hears of it', async () => {
    await using plain = await TestGateway.start([], [], here.bus);
    for (const path of ['/', '/api', '/api/fleet', '/api/openapi.json', '/api/publish'])
      expect([path, (await fetch(`http://127.0.0.1:${plain.gateway.ops.port}${path}`, { headers: { Authorization: `Bearer ${KEY}` } })).status]).toEqual([
        path,
        404,
      ]);
    expect((await operator.get('/api/fleet')).body.gateways).toHaveLength(2);
  });
});

test('a path that is none is 404, a method that it does not take 405 with those that it does', async () => {
  for (const path of ['/api', '/api/', '/api/none', '/api/rooms/', '/api/rooms/a/b', '/api/sessions/a/b'])
    expect([path, (await operator.get(path)).status]).toEqual([path, 404]);
  const refused = await operator.ask('PUT', '/api/rooms/kept.x/history');
  expect([refused.status, refused.body.error, refused.headers.get('allow')]).toEqual([405, 'method', 'GET, DELETE']);
  expect((await operator.get('/api/rooms/%zz')).status).toBe(400);
});

describe('revoke and disconnect', () => {
  const bearer = (changes: Record<string, unknown>): Record<string, string> => ({ Authorization: `Bearer ${tokenFor(changes)}` });
  const mayCome = async (headers: Record<string, string>): Promise<number> =>
    (await fetch(there.http('/room/revoked'), { method: 'POST', body: 'x', headers })).status;

  test('a user, at whatever gateway: its sessions end with 4401, and what was issued before is believed no more', async () => {
    await using victim = await Client.multiplex(there.ws('/socket'), bearer({ sub: 'eve' }));
    await using other = await Client.multiplex(there.ws('/socket'), bearer({ sub: 'ann' }));
    const { status, body } = await operator.ask('POST', '/api/revoke', { user: 'eve', until: new Date(Date.now() + 60_000).toISOString() });
    expect([status, body]).toMatchObject([200, { user: 'eve' }]);
    expect(await victim.closed()).toBe(4401);
    const later = Math.floor(Date.now() / 1000) + 1;
    expect([await mayCome(bearer({ sub: 'eve' })), await mayCome(bearer({ sub: 'eve', iat: later })), await mayCome(bearer({ sub: 'ann' }))]).toEqual([
      401, 202, 202,
    ]);
    await using fresh = await TestGateway.start(['--auth-jwt', JWT], [], here.bus);
    expect((await fetch(fresh.http('/room/revoked'), { method: 'POST', body: 'x', headers: bearer({ sub: 'eve' }) })).status).toBe(401);
    await operator.ask('POST', '/api/revoke', { user: 'eve', all: true });
    expect(await other.ask({ type: 'join', room: 'a', ref: 1 })).toMatchObject({ type: 'joined' });
    expect(await mayComeNoMore(() => mayCome(bearer({ sub: 'eve', iat: later })))).toBe(401);
  });

  test('a token by its jti, and a session by its id', async () => {
    await using byToken = await Client.multiplex(there.ws('/socket'), bearer({ jti: 'one' }));
    await using bySession = await Client.multiplex(there.ws('/socket'), bearer({ jti: 'two' }));
    expect((await operator.ask('POST', '/api/revoke', { token: 'one' })).status).toBe(200);
    expect((await operator.ask('POST', '/api/revoke', { session: bySession.frames[0]?.['session'] })).status).toBe(200);
    expect([await byToken.closed(), await bySession.closed()]).toEqual([4401, 4401]);
    expect([await mayCome(bearer({ jti: 'one' })), await mayCome(bearer({ jti: 'two' }))]).toEqual([401, 202]);
  });

  test('disconnect ends sessions with a code, and who was disconnected may come back', async () => {
    await using client = await Client.multiplex(there.ws('/socket'), bearer({ sub: 'tom' }));
    expect((await operator.ask('POST', '/api/disconnect', { user: 'tom', code: 4000 })).body).toEqual({ user: 'tom', code: 4000 });
    expect(await client.closed()).toBe(4000);
    expect(await mayCome(bearer({ sub: 'tom' }))).toBe(202);
  });

  test.each([
    ['revoke', {}],
    ['revoke', { user: 'a', token: 'b' }],
    ['revoke', { user: 1 }],
    ['revoke', { user: 'a', until: '2001-01-01T00:00:00Z' }],
    ['revoke', { user: 'a', until: 'tomorrow' }],
    ['revoke', { user: 'a', all: 'yes' }],
    ['disconnect', { user: 'a', code: 1006 }],
    ['disconnect', {}],
  ])('%s %j is 400', async (call, body) => {
    expect(await operator.ask('POST', `/api/${call}`, body)).toMatchObject({ status: 400, body: { error: 'bad_request' } });
  });
});

/** What is answered once another gateway has heard of it: within a second. */
async function mayComeNoMore(ask: () => Promise<number>): Promise<number> {
  const end = performance.now() + 1000;
  let status = await ask();
  while (status !== 401 && performance.now() < end) status = await ask();
  return status;
}

test('the document: served, and each call of it was answered as it says', async () => {
  const { status, body } = await operator.get('/api/openapi.json');
  expect([status, body.openapi]).toEqual([200, '3.1.0']);
  const unseen = DOCUMENTED_CALLS.filter((call) => !operator.seen.has(call));
  expect(unseen).toEqual(['post /api/drain']);
});

test('drain: begins as SIGTERM does, at the gateway that was asked, and twice is once', async () => {
  await using gateway = await TestGateway.start(['--ops-key', KEY, '--drain-notice', '50ms', '--drain-deadline', '5s'], [], here.bus);
  await using client = await Client.open(gateway.ws('/room/a'));
  const asking = new Operator(`http://127.0.0.1:${gateway.gateway.ops.port}`);
  const answers = await Promise.all([1, 2].map(() => asking.ask('POST', '/api/drain')));
  expect(answers.map(({ status, body }) => [status, body])).toEqual([1, 2].map(() => [202, { draining: true }]));
  expect(await client.closed()).toBe(1012);
  await until(() => gateway.gateway.sessions === 0, 'no session is left');
  expect(here.gateway.state.draining).toBe(false);
});
