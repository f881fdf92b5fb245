import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseCursor } from '../src/hub/cursor.ts';
import { TestGateway, until } from './support/gateway.ts';
import { StreamClient } from './support/stream.ts';

const HISTORY = [{ rooms: 'kept.>', size: 100, ageMs: 60_000 }];
let gateway: TestGateway;

beforeEach(async () => {
  gateway = await TestGateway.start([], HISTORY);
});

afterEach(async () => {
  await gateway[Symbol.asyncDispose]();
});

const publish = (room: string, ...payloads: (string | Uint8Array)[]): Promise<string[]> => gateway.publish(room, ...payloads);

describe('a stream of lines of a room', () => {
  test('says where it stands first, and then a message a line, as a frame that names no room', async () => {
    const [before] = await publish('kept.1', 'old');
    await using stream = await StreamClient.openLines(gateway.port, '/room/kept.1');
    const positions = await publish('kept.1', '{"a":\r\n 1.50}', 'two\nlines', '', Buffer.from([0xff, 0x0a]), '"\u2028"');
    await stream.until(() => stream.lines.length === 6);
    expect(stream.lines).toEqual([
      { type: 'cursor', cursor: before },
      { type: 'message', data: { a: 1.5 }, position: positions[0] },
      { type: 'message', text: 'two\nlines', position: positions[1] },
      { type: 'message', text: '', position: positions[2] },
      { type: 'message', base64: '/wo=', position: positions[3] },
      { type: 'message', data: '\u2028', position: positions[4] },
    ]);
    // As it was sent but for what would break the line.
    expect(stream.blocks[1]).toBe(`{"type":"message","data":{"a":   1.50},"position":"${positions[0]}"}`);
    expect(stream.head.split('\r\n')).toEqual(
      expect.arrayContaining([
        'HTTP/1.1 200 OK',
        'Content-Type: application/x-ndjson',
        'Cache-Control: no-store',
        'X-Accel-Buffering: no',
        'Transfer-Encoding: chunked',
        expect.stringMatching(/^Date: \w{3}, /),
      ]),
    );
    expect(stream.head).not.toMatch(/content-(?:encoding|length)/i);
  });

  test('goes on from a position at any gateway, and tells a gap where it cannot', async () => {
    await using other = await TestGateway.start([], HISTORY, gateway.bus);
    const [first = '', second] = await publish('kept.1', '1', '2');
    for (const [path, headers] of [
      [`/room/kept.1?since=${first}`, []],
      ['/room/kept.1', [`Last-Event-ID: ${first}`]],
      ['/room/kept.1?last=1', []],
    ] as const) {
      await using stream = await StreamClient.openLines(other.port, path, headers);
      await stream.until(() => stream.lines.length === 2);
      expect(stream.lines).toEqual([
        { type: 'cursor', cursor: first },
        { type: 'message', data: 2, position: second },
      ]);
    }
    await using foreign = await StreamClient.openLines(gateway.port, '/room/kept.1', ['Last-Event-ID: 17']);
    await foreign.until(() => foreign.lines.length === 2);
    // Before the gap nothing says where it stands: a client that is cut there is told it again.
    expect(foreign.lines).toEqual([
      { type: 'gap', room: 'kept.1', after: expect.any(Number) },
      { type: 'cursor', cursor: second },
    ]);
  });

  test('that says nothing has a line all the same, and is told to come back before a drain', async () => {
    await using short = await TestGateway.start(['--heartbeat-interval', '1s', '--heartbeat-timeout', '1s']);
    await using stream = await StreamClient.openLines(short.port, '/room/r');
    await stream.until(() => stream.lines.filter(({ type }) => type === 'ping').length === 2);
    expect([short.gateway.state.sessions.stream, short.gateway.counters.opened.stream]).toEqual([1, 1]);
    void short.gateway.drain({ notice: false, deadline: 2000 });
    await stream.closed();
    expect([stream.lines.at(-1), stream.isWhole]).toEqual([{ type: 'reconnect', after: expect.any(Number) }, true]);
  });
});

describe('a stream of lines of many rooms', () => {
  test('carries the frames of /socket, and a cursor after whatever leaves together', async () => {
    await using stream = await StreamClient.openLines(gateway.port, '/socket?rooms=kept.a&rooms=kept.b&rooms=live');
    await stream.until(() => stream.lines.at(-1)?.type === 'cursor');
    expect(stream.lines.map(({ type, room }) => [type, room])).toEqual([
      ['welcome', undefined],
      ['joined', 'kept.a'],
      ['joined', 'kept.b'],
      ['joined', 'live'],
      ['cursor', undefined],
    ]);
    const [[a], [b]] = [await publish('kept.a', '1'), await publish('kept.b', '"b"')];
    await publish('live', '2');
    await stream.until(() => stream.lines.filter(({ type }) => type === 'message').length === 3 && stream.lines.at(-1)?.type === 'cursor');
    expect(stream.lines.filter(({ type }) => type === 'message')).toEqual([
      { type: 'message', room: 'kept.a', data: 1, position: a },
      { type: 'message', room: 'kept.b', data: 'b', position: b },
      { type: 'message', room: 'live', data: 2 },
    ]);
    const cursor = String(stream.lines.at(-1)?.['cursor']);
    expect(parseCursor(cursor)).toEqual(
      new Map([
        ['kept.a', a],
        ['kept.b', b],
      ]),
    );
    // The same cursor serves an event stream, and the other way round.
    await publish('kept.a', '3');
    await using events = await StreamClient.open(gateway.port, `/socket?rooms=kept.a&since=${cursor}`);
    await events.until(() => events.lastId !== undefined);
    expect(events.frames.at(-1)).toMatchObject({ type: 'message', data: 3 });
  });

  test('takes its frames by POST, and each answer says where it stands', async () => {
    await using stream = await StreamClient.openLines(gateway.port, '/socket');
    await stream.until(() => stream.lines.length === 2);
    const session = String(stream.lines[0]?.['session']);
    const frames = JSON.stringify([{ type: 'join', room: 'kept.a', ref: 1 }, { type: 'ping' }, { type: 'leave', room: 'kept.a', ref: 2 }]);
    const { status } = await fetch(gateway.http(`/socket?session=${session}`), { method: 'POST', body: frames });
    await stream.until(() => stream.lines.some(({ type }) => type === 'left') && stream.lines.at(-1)?.type === 'cursor');
    expect([status, stream.lines.slice(2).map(({ type }) => type)]).toEqual([202, ['joined', 'cursor', 'pong', 'left', 'cursor']]);
    expect(parseCursor(String(stream.lines.at(-1)?.['cursor']))).toEqual(new Map());
  });
});

describe('streams of both kinds', () => {
  test.each([
    ['application/x-ndjson', 'stream'],
    ['text/event-stream, application/x-ndjson', 'sse'],
    ['application/x-ndjson, text/event-stream', 'sse'],
    ['application/x-ndjson;q=0.9, text/event-stream;q=0.8', 'stream'],
    ['text/event-stream;q=0, application/x-ndjson;q=0.1', 'stream'],
    ['*/*, application/x-ndjson;q=0.1', 'stream'],
  ] as const)('are chosen by what is wanted most: %s', async (accept, kind) => {
    const aborted = new AbortController();
    const answer = await fetch(gateway.http('/room/r'), { headers: { Accept: accept }, signal: aborted.signal });
    expect([answer.status, gateway.gateway.counters.opened[kind]]).toEqual([200, 1]);
    aborted.abort();
  });

  test.each(['sse', 'stream'] as const)('may be asked for by POST, of as many rooms as a session may have: %s', async (kind) => {
    const accept = kind === 'sse' ? 'text/event-stream' : 'application/x-ndjson';
    const rooms = Array.from({ length: 1000 }, (_, n) => `kept.${n}`);
    const [before = '', after] = [...(await publish('kept.7', '1')), ...(await publish('kept.7', '2'))];
    await using stream = await StreamClient.ask(gateway.port, '/socket', { accept, body: { rooms, since: { 'kept.7': before } } });
    const frames = (): readonly { readonly type: string }[] => (kind === 'sse' ? stream.frames : stream.lines);
    await stream.until(() => frames().filter(({ type }) => type === 'joined').length === 1000);
    expect(frames().filter(({ type }) => type === 'message')).toEqual([{ type: 'message', room: 'kept.7', data: 2, position: after }]);
    const [next] = await publish('kept.999', '3');
    await stream.until(() => frames().some((frame) => 'position' in frame && frame.position === next));
    for (const [body, status] of [
      [{ rooms: [...rooms, 'one.more'] }, 413],
      [{ rooms: ['a b'] }, 400],
      [{ rooms: ['kept.1'], since: '1-abc' }, 400],
    ] as const) {
      await using refused = await StreamClient.ask(gateway.port, '/socket', { accept, body });
      expect(refused.head).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    }
  });

  test('and sockets share order and ledger, and what a slow one loses', async () => {
    await using small = await TestGateway.start(['--limits-outbox', '64KiB']);
    const streams = await Promise.all([StreamClient.open(small.port, '/room/r'), StreamClient.openLines(small.port, '/room/r')]);
    await using slow = await StreamClient.openLines(small.port, '/room/slow');
    for (let n = 0; n < 100; n += 1) await small.layer.publish('r', String(n));
    await Promise.all([streams[0]?.until(() => streams[0]?.events.length === 100), streams[1]?.until(() => streams[1]?.lines.length === 100)]);
    expect(streams[1]?.lines.map(({ data }) => data)).toEqual(Array.from({ length: 100 }, (_, n) => n));
    slow.socket.pause();
    const { closes, dropped: lost } = small.gateway.counters;
    await until(() => {
      void small.layer.publish('slow', 'x'.repeat(60_000));
      return lost.slow > 0;
    }, 'it is too slow');
    slow.socket.destroy();
    await until(() => small.gateway.sessions === 2, 'it is gone');
    const { due, sent, dropped, queued } = small.balance();
    expect([closes.get('1013'), due, queued]).toEqual([1, sent + dropped, 0]);
    for (const stream of streams) await stream[Symbol.asyncDispose]();
  });
});
