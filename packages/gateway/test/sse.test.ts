import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { parseCursor } from '../src/hub/cursor.ts';
import { Client } from './support/client.ts';
import { TestGateway, until } from './support/gateway.ts';
import { RawClient, request } from './support/raw.ts';
import { dataOf, StreamClient } from './support/stream.ts';

const HISTORY = [{ rooms: 'kept.>', size: 100, ageMs: 60_000 }];
let gateway: TestGateway;

beforeEach(async () => {
  gateway = await TestGateway.start([], HISTORY);
});

afterEach(async () => {
  await gateway[Symbol.asyncDispose]();
});

const publish = (room: string, ...payloads: (string | Uint8Array)[]): Promise<string[]> => gateway.publish(room, ...payloads);

describe('a stream of a room', () => {
  test('begins with when to come back and where it stands, and each message is an event with its position', async () => {
    const [before = ''] = await publish('kept.1', 'old');
    await using stream = await StreamClient.open(gateway.port, '/room/kept.1');
    const positions = await publish('kept.1', 'a', 'two\nlines', '');
    await stream.until(() => stream.events.length === 4);
    expect(stream.blocks[0]).toMatch(/^retry: 1\d{3}$/);
    expect(stream.events).toEqual([
      `id: ${before}`,
      `id: ${positions[0]}\ndata: a`,
      `id: ${positions[1]}\ndata: two\ndata: lines`,
      `id: ${positions[2]}\ndata: `,
    ]);
    const lines = stream.head.split('\r\n');
    expect(lines[0]).toBe('HTTP/1.1 200 OK');
    expect(lines).toEqual(
      expect.arrayContaining(['Content-Type: text/event-stream', 'Cache-Control: no-store', 'X-Accel-Buffering: no', 'Transfer-Encoding: chunked']),
    );
    expect(stream.head).not.toMatch(/content-(?:encoding|length)/i);
  });

  test('carries what lines cannot carry as base64, and everything else byte for byte', async () => {
    await using stream = await StreamClient.open(gateway.port, '/room/bytes');
    const others = ['a\rb', 'a\r\nb', '\0', Buffer.from([0xff, 0xfe]), '\r'];
    const texts = [' leading', '\uFEFFmark', 'data: x', ':', '\n', 'a\n\nb\n', '😀', 'id: 7\nretry: 1'];
    await publish('bytes', ...others, ...texts, 'end');
    // A blank line in a payload stands behind its field's name, so that no block ends there.
    await stream.until(() => stream.events.at(-1) === 'data: end');
    expect(stream.events.slice(0, others.length)).toEqual(others.map((bytes) => `event: base64\ndata: ${Buffer.from(bytes as string).toString('base64')}`));
    expect(stream.events.slice(others.length, -1).map(dataOf)).toEqual(texts);
  });

  test('goes on at any gateway from the last id that came, and tells a gap where it cannot', async () => {
    await using other = await TestGateway.start([], HISTORY, gateway.bus);
    const [first = '', second, third] = await publish('kept.1', 'a', 'b', 'c');
    await using stream = await StreamClient.open(other.port, '/room/kept.1', [`Last-Event-ID: ${first}`]);
    const [fourth] = await publish('kept.1', 'd');
    await stream.until(() => stream.events.length === 4);
    expect(stream.events).toEqual([`id: ${first}`, `id: ${second}\ndata: b`, `id: ${third}\ndata: c`, `id: ${fourth}\ndata: d`]);
    await using asked = await StreamClient.open(gateway.port, `/room/kept.1?since=${third}`);
    await asked.until(() => asked.events.length === 2);
    expect(asked.events[1]).toBe(`id: ${fourth}\ndata: d`);
    await using foreign = await StreamClient.open(gateway.port, '/room/kept.1', ['Last-Event-ID: 17']);
    await foreign.until(() => foreign.lastId === fourth);
    expect(foreign.events.find((block) => block.includes('event: gap'))).toMatch(/^id: \S+\nevent: gap\ndata: \{"room":"kept\.1","after":\d+\}$/);
    const bad = await fetch(gateway.http('/room/kept.1?since=17'), { headers: { Accept: 'text/event-stream' } });
    expect([bad.status, await bad.json()]).toMatchObject([400, { error: 'bad_position' }]);
  });

  test('has no ids where its room keeps no history, from whatever place its client comes', async () => {
    await using stream = await StreamClient.open(gateway.port, '/room/live?since=another:7');
    await stream.until(() => stream.events.some((block) => block.startsWith('event: gap')));
    await gateway.layer.publish('live', 'x');
    await stream.until(() => stream.events.includes('data: x'));
    expect(stream.lastId).toBeUndefined();
  });
});

describe('a stream', () => {
  test.each([
    ['text/event-stream', 200],
    ['text/html, text/event-stream;q=0.5, */*;q=0.1', 200],
    ['TEXT/EVENT-STREAM; charset=utf-8', 200],
    ['text/event-stream;q=0', 426],
    ['*/*', 426],
    ['text/*', 426],
    ['text/event-streams', 426],
    ['', 426],
  ])('is given to whom its type is wanted by: %s', async (accept, status) => {
    const aborted = new AbortController();
    const answer = await fetch(gateway.http('/room/r'), { headers: { Accept: accept }, signal: aborted.signal });
    expect(answer.status).toBe(status);
    aborted.abort();
  });

  test('is not opened by HEAD, which is answered as GET', async () => {
    const answer = await fetch(gateway.http('/room/r'), { method: 'HEAD', headers: { Accept: 'text/event-stream' } });
    expect([answer.status, answer.headers.get('content-type'), await answer.text()]).toEqual([200, 'text/event-stream', '']);
    expect(gateway.gateway.counters.opened.sse).toBe(0);
  });

  test('is refused as a socket is, with the CORS headers where the page is allowed', async () => {
    await using strict = await TestGateway.start(['--origins', 'https://app.example', '--limits-sessions', '1']);
    const ask = (origin: string): Promise<Response> => fetch(strict.http('/room/r'), { headers: { Accept: 'text/event-stream', Origin: origin } });
    expect((await ask('https://evil.example')).status).toBe(403);
    await using stream = await StreamClient.open(strict.port, '/room/r', ['Origin: https://app.example']);
    expect(stream.head).toMatch(/^Access-Control-Allow-Origin: https:\/\/app\.example$/m);
    const full = await ask('https://app.example');
    expect([full.status, full.headers.get('access-control-allow-origin'), full.headers.has('retry-after')]).toEqual([503, 'https://app.example', true]);
    await strict.layer.close();
    expect((await fetch(strict.http('/room/a%20b'), { headers: { Accept: 'text/event-stream' } })).status).toBe(400);
  });

  test('that says nothing has a comment, and one that is left is noticed', async () => {
    await using short = await TestGateway.start(['--heartbeat-interval', '1s', '--heartbeat-timeout', '1s']);
    const stream = await StreamClient.open(short.port, '/room/r');
    await stream.until(() => stream.blocks.filter((block) => block === ':').length === 2);
    expect(short.gateway.state.sessions.sse).toBe(1);
    await stream[Symbol.asyncDispose]();
    await until(() => short.gateway.sessions === 0, 'it is gone');
  });

  test('is told to come back and then ended while the gateway is being stopped', async () => {
    await using room = await StreamClient.open(gateway.port, '/room/r');
    await using many = await StreamClient.open(gateway.port, '/socket?rooms=r');
    await many.until(() => many.lastId !== undefined);
    void gateway.gateway.drain({ notice: false, deadline: 2000 });
    await Promise.all([room.closed(), many.closed()]);
    for (const { events, isWhole } of [room, many]) {
      expect(events.at(-1)).toMatch(/^event: reconnect\ndata: \{"after":\d+\}$/);
      expect(isWhole).toBe(true);
    }
  });

  test('whose client sends more behind its request is not stopped by it, and nothing of that is looked at', async () => {
    await using stream = await StreamClient.open(gateway.port, '/room/r');
    stream.socket.write(request('POST /room/r HTTP/1.1', 'Host: a', 'Content-Length: 1') + 'x'.repeat(100_000));
    await publish('r', 'a');
    await stream.until(() => stream.events.length === 1);
    expect(gateway.gateway.counters.published).toBe(0);
  });

  test('that its client leaves at once leaves nothing behind, however often', async () => {
    for (let round = 0; round < 200; round += 1) {
      await using client = await RawClient.connect(gateway.port);
      client.write(request('GET /socket?rooms=r HTTP/1.1', 'Host: a', 'Accept: text/event-stream'));
      client.socket.destroy();
    }
    await until(() => gateway.gateway.sessions === 0 && gateway.gateway.state.rooms === 0, 'all have gone');
    await using stream = await StreamClient.open(gateway.port, '/room/r');
    await publish('r', 'a');
    await stream.until(() => stream.events.length === 1);
    expect(gateway.gateway.sessions).toBe(1);
  });

  test('whose client ended its side while it was made ready does not begin', async () => {
    const { promise: isRead, resolve: read } = Promise.withResolvers<void>();
    const history = gateway.layer.history.bind(gateway.layer);
    vi.spyOn(gateway.layer, 'history').mockImplementation(async (...asked) => {
      await isRead;
      return await history(...asked);
    });
    await using client = await RawClient.connect(gateway.port);
    client.socket.end(request('GET /room/kept.1?last=1 HTTP/1.1', 'Host: a', 'Accept: text/event-stream'));
    // One that asks later, and is answered, was read later.
    await using later = await RawClient.connect(gateway.port);
    later.write(request('GET /nothing HTTP/1.1', 'Host: a'));
    await later.answer();
    read();
    await client.closed();
    expect(gateway.gateway.state.sessions.sse).toBe(0);
  });

  test('shares order and ledger with sockets', async () => {
    await using socket = await Client.open(gateway.ws('/room/r'));
    const streams = await Promise.all(Array.from({ length: 10 }, () => StreamClient.open(gateway.port, '/room/r')));
    for (let message = 0; message < 100; message += 1) socket.send(String(message));
    await Promise.all(streams.map((stream) => stream.until(() => stream.events.length === 100)));
    for (const { events } of streams) expect(events).toEqual(Array.from({ length: 100 }, (_, message) => `data: ${message}`));
    await until(() => gateway.balance().sent === 1100, 'all are sent');
    expect(gateway.balance()).toEqual({ due: 1100, sent: 1100, dropped: 0, queued: 0 });
    for (const stream of streams) await stream[Symbol.asyncDispose]();
  });

  test.each([
    ['/room/r', 'text/event-stream'],
    ['/room/r', 'application/x-ndjson'],
    ['/socket?rooms=r', 'text/event-stream'],
    ['/socket?rooms=r', 'application/x-ndjson'],
  ])('whose client stops reading ends as a slow socket does: %s, %s', async (path, accept) => {
    await using small = await TestGateway.start(['--limits-outbox', '64KiB']);
    await using slow = await StreamClient.ask(small.port, path, { accept });
    slow.socket.pause();
    const { closes, dropped: lost } = small.gateway.counters;
    const payload = 'x'.repeat(60_000);
    await until(() => {
      void small.layer.publish('r', payload);
      return lost.slow > 0;
    }, 'it is too slow');
    slow.socket.destroy();
    await until(() => small.gateway.sessions === 0, 'it is gone');
    expect([closes.get('1013'), small.gateway.state.outboxBytes]).toEqual([1, 0]);
    const { due, sent, dropped, queued } = small.balance();
    expect([due, queued]).toEqual([sent + dropped, 0]);
  });
});

describe('a stream of many rooms', () => {
  test('is in the rooms that its request names, and each flush ends with where it stands', async () => {
    await using stream = await StreamClient.open(gateway.port, '/socket?rooms=kept.a&rooms=kept.b&rooms=kept.a&rooms=live');
    await stream.until(() => stream.lastId !== undefined);
    expect(stream.frames.map(({ type, room }) => [type, room])).toEqual([
      ['welcome', undefined],
      ['joined', 'kept.a'],
      ['joined', 'kept.b'],
      ['joined', 'live'],
    ]);
    // Before all rooms are joined nothing says where it stands.
    expect(stream.events.filter((block) => block.includes('id: '))).toEqual([`id: ${stream.lastId}`]);
    const [a] = await publish('kept.a', '{"n":\r\n1}');
    const [b] = await publish('kept.b', 'text');
    await publish('live', '1');
    await stream.until(() => stream.frames.length === 7 && /^id: .*$/.test(stream.events.at(-1) ?? ''));
    expect(stream.frames.slice(4)).toEqual([
      { type: 'message', room: 'kept.a', data: { n: 1 }, position: a },
      { type: 'message', room: 'kept.b', text: 'text', position: b },
      { type: 'message', room: 'live', data: 1 },
    ]);
    expect(parseCursor(stream.lastId ?? '')).toEqual(
      new Map([
        ['kept.a', a],
        ['kept.b', b],
      ]),
    );
  });

  test('goes on at any gateway with all its rooms, those only that it names', async () => {
    await using other = await TestGateway.start([], HISTORY, gateway.bus);
    const first = await StreamClient.open(gateway.port, '/socket?rooms=kept.a&rooms=kept.b');
    await publish('kept.a', '1');
    await first.until(() => first.frames.length === 4 && first.events.at(-1)?.startsWith('id: ') === true);
    const cursor = first.lastId ?? '';
    await first[Symbol.asyncDispose]();
    await publish('kept.a', '2', '3');
    await publish('kept.b', '4');
    for (const [query, headers] of [
      [`&since=${cursor}`, []],
      ['', [`Last-Event-ID: ${cursor}`]],
    ] as const) {
      await using again = await StreamClient.open(other.port, `/socket?rooms=kept.a${query}`, headers);
      await again.until(() => again.lastId !== undefined);
      expect(again.frames.slice(1).map(({ type, data, recovered }) => [type, data, recovered])).toEqual([
        ['joined', undefined, true],
        ['message', 2, undefined],
        ['message', 3, undefined],
      ]);
    }
  });

  test.each([
    ['cut', (cursor: string) => cursor.slice(0, -3)],
    ['forged', () => '1-abc'],
    ['of 1500 letters', () => 'a'.repeat(1500)],
  ])('is not opened from a cursor that is %s: 400', async (_, change) => {
    await using stream = await StreamClient.open(gateway.port, '/socket?rooms=kept.a');
    await stream.until(() => stream.lastId !== undefined);
    const answer = await fetch(gateway.http(`/socket?rooms=kept.a&since=${change(stream.lastId ?? '')}`), { headers: { Accept: 'text/event-stream' } });
    expect([answer.status, await answer.json()]).toMatchObject([400, { error: 'bad_position' }]);
  });

  test.each([
    ['of a newer version', '/socket?rooms=kept.a&since=2-anything', []],
    ['that its browser brought from elsewhere', '/socket?rooms=kept.a', ['Last-Event-ID: 17']],
  ])('tells a gap where it comes with a cursor %s', async (_, path, headers) => {
    await using stream = await StreamClient.open(gateway.port, path, headers);
    await stream.until(() => stream.lastId !== undefined);
    expect(stream.frames.slice(1)).toMatchObject([
      { type: 'joined', recovered: false },
      { type: 'gap', room: 'kept.a' },
    ]);
  });

  test.each([
    ['rooms=a%20b', 400, 'bad_room'],
    ['rooms=', 400, 'bad_room'],
    [Array.from({ length: 51 }, (_, n) => `rooms=${n}`).join('&'), 414, 'target_too_long'],
  ])('is not opened with %s: %i', async (query, status, error) => {
    const answer = await fetch(gateway.http(`/socket?${query}`), { headers: { Accept: 'text/event-stream' } });
    expect([answer.status, await answer.json()]).toMatchObject([status, { error }]);
  });
});

describe('frames by POST', () => {
  async function up(session: string, body: string): Promise<number> {
    const { status } = await fetch(gateway.http(`/socket?session=${session}`), { method: 'POST', body, headers: { 'Content-Type': 'application/json' } });
    return status;
  }

  test('are answered on the stream, one or a list of them, in their order and as they were sent', async () => {
    await using reader = await StreamClient.open(gateway.port, '/room/kept.a');
    await using stream = await StreamClient.open(gateway.port, '/socket');
    await stream.until(() => stream.lastId !== undefined);
    const session = String(stream.frames[0]?.['session']);
    expect(await up(session, '{"type":"join","room":"kept.a","ref":1}')).toBe(202);
    expect(await up(session, '[{"type":"publish","room":"kept.a","data":1.50,"ref":2} , {"type":"ping"},{"type":"leave","room":"kept.a","ref":"]"}, 7]')).toBe(
      202,
    );
    await stream.until(() => stream.frames.some(({ type }) => type === 'error'));
    expect(stream.frames.slice(1).filter(({ type }) => type !== 'message')).toMatchObject([
      { type: 'joined', ref: 1 },
      { type: 'published', ref: 2 },
      { type: 'pong' },
      { type: 'left', ref: ']' },
      { type: 'error', code: 'bad_frame' },
    ]);
    await reader.until(() => reader.events.length === 2);
    expect(reader.events[1]).toMatch(/\ndata: 1\.50$/);
    // The frames that change where it stands carry it.
    expect(stream.events.find((block) => block.includes('"joined"'))).toMatch(/^id: 1-\S+\ndata: /);
    expect(stream.events.find((block) => block.includes('"left"'))).toMatch(/^id: 1-\S+\ndata: /);
  });

  test('are refused where no such session is, or it takes frames of its own, or they are none', async () => {
    await using socket = await Client.open(gateway.ws('/socket'));
    await socket.until(() => socket.received.length === 1);
    await using stream = await StreamClient.open(gateway.port, '/socket');
    await stream.until(() => stream.lastId !== undefined);
    const session = String(stream.frames[0]?.['session']);
    expect(await up('nobody', '{"type":"ping"}')).toBe(404);
    expect(await up(String(JSON.parse(String(socket.received[0])).session), '{"type":"ping"}')).toBe(404);
    for (const body of ['', 'x', '"x"', '1', 'null']) expect(await up(session, body)).toBe(400);
    expect(await up(session, `[${'{"type":"ping"},'.repeat(20_000)}]`)).toBe(413);
    await stream[Symbol.asyncDispose]();
    await until(() => gateway.gateway.state.sessions.sse === 0, 'it has ended');
    expect(await up(session, '{"type":"ping"}')).toBe(404);
  });

  test('that publish need no session: they are answered as on the room itself', async () => {
    await using nobody = await TestGateway.start(['--routes', '[{path: /socket, kind: multiplex, join: anyone, publish: nobody}]']);
    await using reader = await StreamClient.open(gateway.port, '/room/kept.a');
    const post = async (body: string, to = gateway): Promise<readonly [number, Record<string, unknown>]> => {
      const answer = await fetch(to.http('/socket'), { method: 'POST', body });
      return [answer.status, (await answer.json()) as Record<string, unknown>];
    };
    const [status, answer] = await post('{"type":"publish","room":"kept.a","data":1.50}');
    await reader.until(() => reader.events.length === 2);
    expect([status, answer, reader.events[1]]).toEqual([202, { room: 'kept.a', position: reader.lastId }, `id: ${reader.lastId}\ndata: 1.50`]);
    const publish = (members: string): string => `{"type":"publish",${members}}`;
    expect(await post(publish('"room":"live","text":"x"'))).toEqual([202, { room: 'live' }]);
    expect(await post(publish('"room":"a b","data":1'))).toMatchObject([400, { error: 'bad_room' }]);
    expect(await post(publish(`"room":"a","text":"${'x'.repeat(70_000)}"`))).toMatchObject([413, { error: 'body_too_large' }]);
    for (const body of ['{"type":"join","room":"a"}', '[]', publish('"room":"a"'), `[${publish('"room":"a","data":1')},${publish('"room":"a","data":2')}]`])
      expect(await post(body)).toMatchObject([400, { error: 'bad_request' }]);
    expect(await post(publish('"room":"a","data":1'), nobody)).toMatchObject([403, { error: 'not_allowed' }]);
    expect([gateway.gateway.counters.published, nobody.gateway.counters.publishFailures.not_allowed]).toEqual([2, 1]);
  });
});
