import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseCursor } from '../src/hub/cursor.ts';
import { TestGateway } from './support/gateway.ts';
import { ask } from './support/questions.ts';
import { RawClient, request } from './support/raw.ts';
import { StreamClient } from './support/stream.ts';

const HISTORY = [{ rooms: 'kept.>', size: 10, ageMs: 60_000 }];
let gateway: TestGateway;

beforeEach(async () => {
  gateway = await TestGateway.start([], HISTORY);
});

afterEach(async () => {
  await gateway[Symbol.asyncDispose]();
});

const publish = (room: string, ...payloads: (string | Uint8Array)[]): Promise<string[]> => gateway.publish(room, ...payloads);

describe('the history of a room by GET', () => {
  test('says where the room stands, what its newest messages are, and what followed a position, oldest first', async () => {
    const positions = await publish('kept.1', '{"n":1.50}', 'text', Buffer.from([0xff]));
    const items = [
      { data: { n: 1.5 }, position: positions[0] },
      { text: 'text', position: positions[1] },
      { base64: '/w==', position: positions[2] },
    ];
    const here = { status: 200, cursor: positions[2], recovered: true };
    expect(await ask(gateway, '/room/kept.1?last=0')).toMatchObject({ ...here, messages: [] });
    expect(await ask(gateway, '/room/kept.1?last=2')).toMatchObject({ ...here, messages: items.slice(1) });
    expect(await ask(gateway, '/room/kept.1?last=5')).toMatchObject({ ...here, messages: items });
    expect(await ask(gateway, `/room/kept.1?since=${positions[0]}`)).toMatchObject({ ...here, messages: items.slice(1) });
    expect(await ask(gateway, `/room/kept.1?since=${positions[0]}&last=3`)).toMatchObject({ ...here, messages: items.slice(1) });
    const { headers, ...answer } = await ask(gateway, '/room/kept.1', { headers: { 'Last-Event-ID': positions[1] ?? '' } });
    // Where no question is asked, it is not taken for one.
    expect([answer.status, headers['cache-control']]).toEqual([426, undefined]);
    const kept = await ask(gateway, '/room/kept.1?last=9', { headers: { 'Last-Event-ID': positions[1] ?? '' } });
    expect([kept.messages, kept.headers['cache-control'], kept.headers['content-type']]).toEqual([items.slice(2), 'no-store', 'application/json']);
  });

  test('is given in pieces where it is asked for so, and each says where the next begins', async () => {
    const positions = await publish('kept.1', '1', '2', '3');
    const first = await ask(gateway, `/room/kept.1?since=${positions[0]}&limit=1`);
    expect(first).toMatchObject({ messages: [{ data: 2 }], cursor: positions[1], more: true });
    const rest = await ask(gateway, `/room/kept.1?since=${first.cursor}&limit=1`);
    expect([rest.messages, rest.cursor, rest.more]).toEqual([[{ data: 3, position: positions[2] }], positions[2], undefined]);
  });

  test('holds no more than 1 MiB of JSON, and one message in any case', async () => {
    const large = 'x'.repeat(300_000);
    const positions = await publish('kept.1', 'first', '\n'.repeat(900_000), large, large, large, large);
    let { messages, cursor, more } = await ask(gateway, `/room/kept.1?since=${positions[0]}`);
    // Each line feed is two bytes of JSON.
    expect([messages.length, cursor, more]).toEqual([1, positions[1], true]);
    ({ messages, cursor, more } = await ask(gateway, `/room/kept.1?since=${cursor}`));
    expect([messages.length, cursor, more]).toEqual([3, positions[4], true]);
    expect((await ask(gateway, `/room/kept.1?since=${cursor}`)).messages).toHaveLength(1);
    expect((await ask(gateway, '/room/kept.1?last=4')).messages.map(({ position }) => position)).toEqual(positions.slice(3));
  });

  test('tells a gap where it is kept no longer, and then what is', async () => {
    const positions = await publish('kept.1', ...Array.from({ length: 15 }, (_, n) => String(n)));
    for (const since of [positions[0], 'another:7', positions[14]?.replace(/\d+$/, '999')]) {
      const { recovered, gap, messages, cursor } = await ask(gateway, `/room/kept.1?since=${since}`);
      expect([recovered, gap, messages.map(({ data }) => data), cursor]).toEqual([false, true, [5, 6, 7, 8, 9, 10, 11, 12, 13, 14], positions[14]]);
    }
    const foreign = await ask(gateway, '/room/kept.1?last=0', { headers: { 'Last-Event-ID': '17' } });
    expect([foreign.gap, foreign.messages.length]).toEqual([true, 10]);
    const piece = await ask(gateway, `/room/kept.1?since=${positions[0]}&limit=3`);
    expect([piece.gap, piece.more]).toEqual([true, true]);
    expect(await ask(gateway, `/room/kept.1?since=${piece.cursor}`)).toMatchObject({ recovered: true, cursor: positions[14] });
  });

  test.each([
    ['since=17', 400, 'bad_position'],
    [`since=${'a'.repeat(100)}:1`, 400, 'bad_position'],
    ['since=', 400, 'bad_position'],
    ['last=-1', 400, 'bad_request'],
    ['last=abc', 400, 'bad_request'],
    ['last=', 400, 'bad_request'],
    ['last=1&limit=abc', 400, 'bad_request'],
    ['last=1&limit=', 400, 'bad_request'],
    ['last=1&limit=Infinity', 400, 'bad_request'],
    ['last=1&limit=0x1', 400, 'bad_request'],
  ])('is not given for %s: %i', async (query, status, error) => {
    expect(await ask(gateway, `/room/kept.1?${query}`)).toMatchObject({ status, error });
  });

  test('cuts a limit to what it may be', async () => {
    await publish('kept.1', '1', '2');
    for (const limit of ['-1', '0', '1', '0.5', '1e0']) expect((await ask(gateway, `/room/kept.1?last=9&limit=${limit}`)).messages).toHaveLength(1);
    for (const limit of ['1e9', '1e308', '2.9', '99999999999999999999'])
      expect((await ask(gateway, `/room/kept.1?last=9&limit=${limit}`)).messages).toHaveLength(2);
  });

  test('is refused where a room keeps none, and where it may not be joined', async () => {
    expect(await ask(gateway, '/room/live?last=1')).toMatchObject({ status: 400, error: 'no_history' });
    expect(await ask(gateway, '/room/_worker.1?last=1')).toMatchObject({ status: 403, error: 'not_allowed' });
    expect(await ask(gateway, '/room/a%20b?last=1')).toMatchObject({ status: 400, error: 'bad_room' });
    await using closed = await TestGateway.start(
      ['--routes', '[{path: "/room/:room", kind: room, join: nobody, publish: anyone}]', '--origins', 'https://app.example'],
      HISTORY,
    );
    expect(await ask(closed, '/room/kept.1?last=1')).toMatchObject({ status: 403, error: 'not_allowed' });
    const page = await ask(closed, '/room/kept.1?last=1', { headers: { Origin: 'https://app.example' } });
    expect([page.status, page.headers['access-control-allow-origin']]).toEqual([403, 'https://app.example']);
    expect(await ask(closed, '/room/kept.1?last=1', { headers: { Origin: 'https://evil.example' } })).toMatchObject({ status: 403, error: 'origin' });
    await gateway.layer.close();
    const away = await ask(gateway, '/room/kept.1?last=1');
    expect([away.status, away.error, 'retry-after' in away.headers]).toEqual([503, 'away', true]);
  });

  test('is answered by HEAD without a body, and nothing of it counts as delivered', async () => {
    await publish('kept.1', '1', '2');
    await using client = await RawClient.connect(gateway.port);
    client.write(request('HEAD /room/kept.1?last=2 HTTP/1.1', 'Host: a'), request('GET /room/kept.1?last=2 HTTP/1.1', 'Host: a'));
    const head = await client.head();
    const { headers, body } = await client.answer();
    expect([head.status, head.headers.get('content-length'), body.length]).toEqual([200, headers.get('content-length'), Number(headers.get('content-length'))]);
    await client.until(() => gateway.balance().sent === 2);
    expect(gateway.balance()).toEqual({ due: 2, sent: 2, dropped: 0, queued: 0 });
  });

  test('is what a snapshot is taken with: read where the room stands, then the database, and join since then', async () => {
    await publish('kept.1', 'change 1');
    const { cursor } = await ask(gateway, '/room/kept.1?last=0');
    // What the database says now, it says with this change or without it.
    const [position] = await publish('kept.1', 'change 2');
    await using stream = await StreamClient.open(gateway.port, `/room/kept.1?since=${cursor}`);
    await stream.until(() => stream.events.length === 2);
    expect(stream.events[1]).toBe(`id: ${position}\ndata: change 2`);
  });
});

describe('what many rooms hold by a plain poll', () => {
  test('comes with the room of each message, and one cursor for all', async () => {
    const [a = ''] = await publish('kept.a', '1');
    const here = await ask(gateway, '/socket?poll=0&rooms=kept.a&rooms=kept.b&rooms=kept.a');
    expect(here).toMatchObject({ status: 200, messages: [], recovered: true });
    expect(parseCursor(here.cursor)).toEqual(
      new Map([
        ['kept.a', a],
        ['kept.b', expect.any(String)],
      ]),
    );
    const [b, c] = [await publish('kept.b', 'two'), await publish('kept.a', '3')];
    const next = await ask(gateway, `/socket?poll=0&rooms=kept.a&rooms=kept.b&since=${here.cursor}`);
    expect(next.messages).toEqual([
      { room: 'kept.a', data: 3, position: c[0] },
      { room: 'kept.b', text: 'two', position: b[0] },
    ]);
    const one = await ask(gateway, `/socket?poll=0&rooms=kept.b&since=${here.cursor}`);
    expect([one.messages.length, parseCursor(one.cursor)]).toEqual([1, new Map([['kept.b', b[0]]])]);
    const newest = await ask(gateway, '/socket?poll=0&rooms=kept.a&rooms=kept.b&last=1');
    expect(newest.messages.map(({ room, data, text }) => [room, data ?? text])).toEqual([
      ['kept.a', 3],
      ['kept.b', 'two'],
    ]);
  });

  test('may be asked for by POST, of as many rooms as a session may have, with a position for each', async () => {
    const rooms = Array.from({ length: 1000 }, (_, n) => `kept.${n}`);
    const [before = '', after] = [...(await publish('kept.7', '1')), ...(await publish('kept.7', '2'))];
    const here = await ask(gateway, '/socket', { body: { rooms } });
    expect([here.status, (parseCursor(here.cursor) as ReadonlyMap<string, string>).size]).toEqual([200, 1000]);
    expect(await ask(gateway, '/socket', { body: { rooms: [...rooms, 'kept.1000'] } })).toMatchObject({ status: 413 });
    const next = await ask(gateway, '/socket', { body: { rooms: ['kept.7', 'kept.8'], since: { 'kept.7': before } } });
    expect(next.messages).toEqual([{ room: 'kept.7', data: 2, position: after }]);
    expect((await ask(gateway, '/socket', { body: { rooms: ['kept.7'], last: 2, limit: 1 } })).messages).toHaveLength(1);
    const byItself = await ask(gateway, '/socket', { body: { rooms: ['kept.7'], since: here.cursor }, headers: { 'Last-Event-ID': 'not ours' } });
    expect([byItself.gap, byItself.messages.length]).toEqual([true, 2]);
  });

  test('goes on where not all fits, in each room, after a gap too', async () => {
    const rooms = ['kept.a', 'kept.b', 'kept.c'];
    for (const room of rooms) await publish(room, ...Array.from({ length: 12 }, (_, n) => String(n)));
    const first = await ask(gateway, '/socket', { body: { rooms, since: '2-later', limit: 12 } });
    expect([first.gap, first.more]).toEqual([true, true]);
    const second = await ask(gateway, '/socket', { body: { rooms, since: first.cursor } });
    expect([second.recovered, second.more]).toEqual([true, undefined]);
    const all = [...first.messages, ...second.messages];
    for (const room of rooms) expect(all.filter((message) => message['room'] === room).map(({ data }) => data)).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    const newest = await ask(gateway, '/socket', { body: { rooms, last: 2, limit: 2 } });
    const rest = await ask(gateway, '/socket', { body: { rooms, last: 2, since: newest.cursor } });
    expect([newest.more, [...newest.messages, ...rest.messages].map((message) => [message['room'], message['data']])]).toEqual([
      true,
      rooms.flatMap((room) => [10, 11].map((data) => [room, data])),
    ]);
  });

  test.each([
    ['poll=0', 400, 'bad_room'],
    ['poll=0&rooms=', 400, 'bad_room'],
    ['poll=0&rooms=a%20b', 400, 'bad_room'],
    ['poll=0&rooms=live', 400, 'no_history'],
    ['poll=0&rooms=kept.1&rooms=live', 400, 'no_history'],
    ['poll=0&rooms=_worker.1', 403, 'not_allowed'],
    ['poll=0&rooms=kept.1&since=1-abc', 400, 'bad_position'],
    ['poll=abc&rooms=kept.1', 400, 'bad_request'],
    ['rooms=kept.1&last=1', 426, 'no_transport'],
  ])('is not given for ?%s: %i', async (query, status, error) => {
    expect(await ask(gateway, `/socket?${query}`)).toMatchObject({ status, error });
  });

  test.each([
    [{ rooms: 'kept.1' }, 400, 'bad_request'],
    [{ rooms: [] }, 400, 'bad_room'],
    [{ rooms: [1] }, 400, 'bad_room'],
    [{ rooms: ['live'] }, 400, 'no_history'],
    [{ rooms: ['_own'] }, 403, 'not_allowed'],
    [{ rooms: ['kept.1'], since: 5 }, 400, 'bad_position'],
    [{ rooms: ['kept.1'], since: ['e:1'] }, 400, 'bad_position'],
    [{ rooms: ['kept.1'], since: { 'kept.1': 'x' } }, 400, 'bad_position'],
    [{ rooms: ['kept.1'], since: null }, 400, 'bad_position'],
    [{ rooms: ['kept.1'], poll: '5' }, 400, 'bad_request'],
    [{ rooms: ['kept.1'], limit: null }, 400, 'bad_request'],
    [{ rooms: ['kept.1'], last: -1 }, 400, 'bad_request'],
    [{ rooms: ['kept.1'], last: '1' }, 400, 'bad_request'],
  ])('is not given for a body %j: %i', async (body, status, error) => {
    expect(await ask(gateway, '/socket', { body })).toMatchObject({ status, error });
  });

  test('is not given for a cursor or a list of rooms that is too long', async () => {
    const manyRooms = Array.from({ length: 51 }, (_, n) => `rooms=${n}`).join('&');
    expect(await ask(gateway, `/socket?poll=0&${manyRooms}`)).toMatchObject({ status: 414, error: 'target_too_long' });
    expect(await ask(gateway, `/socket?poll=0&rooms=kept.1&since=${'a'.repeat(1500)}`)).toMatchObject({ status: 400, error: 'bad_position' });
    expect(await ask(gateway, '/socket', { body: { rooms: ['kept.1'], since: 'a'.repeat(100_000) } })).toMatchObject({ status: 413, error: 'body_too_large' });
  });

  test('is asked for by JSON that says so alone', async () => {
    const body = '{"rooms":["kept.1"]}';
    expect((await ask(gateway, '/socket', { body, headers: { 'Content-Type': 'APPLICATION/JSON; charset=utf-8' } })).status).toBe(200);
    for (const type of ['text/plain', 'application/jsonp', 'application/x-www-form-urlencoded'])
      expect(await ask(gateway, '/socket', { body, headers: { 'Content-Type': type } })).toMatchObject({ status: 400, error: 'bad_request' });
  });
});
