import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseReplies } from '../src/routes/events/parse-reply.ts';
import { REFUSALS, type Action } from '../src/routes/events/reply.ts';

function parse(value: unknown): ReturnType<typeof parseReplies> {
  return parseReplies(Buffer.from(JSON.stringify(value)));
}

/** The actions of a reply that must be good. */
function actionsOf(value: unknown): readonly Action[] {
  const [parsed] = parse(value);
  expect(parsed?.refused).toBeUndefined();
  return parsed?.reply?.actions ?? [];
}

function refusalOf(value: unknown): string | undefined {
  return parse(value)[0]?.refused;
}

const text = (payload: string): Uint8Array => Buffer.from(payload);

describe('what a worker replies', () => {
  const read: readonly [name: string, value: unknown, actions: readonly Action[]][] = [
    ['a bare accept', { type: 'websocket.accept' }, [{ type: 'accept', headers: [] }]],
    [
      'an accept with all it may have',
      { type: 'websocket.accept', subprotocol: 'v1', headers: [['Set-Cookie', 'a=b']], queue: 'app.w.1', window: 32 },
      [{ type: 'accept', subprotocol: 'v1', headers: [['set-cookie', 'a=b']], queue: 'app.w.1', window: 32 }],
    ],
    ['nulls, as Python leaves out', { type: 'websocket.accept', subprotocol: null, headers: null }, [{ type: 'accept', headers: [] }]],
    ['a text', { type: 'websocket.send', text: 'hé', bytes: null }, [{ type: 'send', payload: text('hé'), binary: false }]],
    ['bytes', { type: 'websocket.send', bytes: { $bytes: 'AAE=' } }, [{ type: 'send', payload: Buffer.from([0, 1]), binary: true }]],
    ['an empty text', { type: 'websocket.send', text: '' }, [{ type: 'send', payload: text(''), binary: false }]],
    ['a close without a code', { type: 'websocket.close' }, [{ type: 'close', code: 1000, reason: '' }]],
    ['a close with a code', { type: 'websocket.close', code: 4001, reason: 'so' }, [{ type: 'close', code: 4001, reason: 'so' }]],
    ['a room to join', { type: 'room.join', room: 'chat.1', since: 'e:4' }, [{ type: 'join', room: 'chat.1', since: 'e:4' }]],
    ['a group', { type: 'group.add', group: 'all' }, [{ type: 'group', op: 'add', group: 'all' }]],
    ['a publish of JSON', { type: 'room.publish', room: 'r', json: { a: [1] } }, [{ type: 'publish', room: 'r', payload: text('{"a":[1]}') }]],
    ['a release', { type: 'websocket.release' }, [{ type: 'release' }]],
    [
      'a whole answer in JSON',
      { type: 'http.response', status: 201, json: null },
      [
        { type: 'start', of: 'http', status: 201, headers: [['content-type', 'application/json']] },
        { type: 'body', of: 'http', body: text('null'), more: false },
      ],
    ],
    [
      'a text whose type is said',
      { type: 'http.response', headers: [['Content-Type', 'text/html']], text: '<p>' },
      [
        { type: 'start', of: 'http', status: 200, headers: [['content-type', 'text/html']] },
        { type: 'body', of: 'http', body: text('<p>'), more: false },
      ],
    ],
    [
      'a piece of an answer',
      { type: 'http.response.body', body: { $bytes: 'AA==' }, more_body: true },
      [{ type: 'body', of: 'http', body: Buffer.from([0]), more: true }],
    ],
    ['a denial', { type: 'websocket.http.response.start', status: 403 }, [{ type: 'start', of: 'websocket', status: 403, headers: [] }]],
    [
      'the short forms together, in their order',
      { close: 4000, bytes: { $bytes: 'AAE=' }, text: 'x', accept: true },
      [
        { type: 'accept', headers: [] },
        { type: 'send', payload: text('x'), binary: false },
        { type: 'send', payload: Buffer.from([0, 1]), binary: true },
        { type: 'close', code: 4000, reason: '' },
      ],
    ],
    ['a short refusal', { accept: false }, [{ type: 'close', code: 1000, reason: '' }]],
    ['a short form whose type is null', { type: null, text: 'x' }, [{ type: 'send', payload: text('x'), binary: false }]],
    ['a short close', { close: true }, [{ type: 'close', code: 1000, reason: '' }]],
  ];
  it.each(read)('is read: %s', (_, value, actions) => {
    expect(actionsOf(value)).toEqual(actions);
  });

  it('says of its event that it is done, or still at work, and under which lease it speaks', () => {
    expect(parse({ type: 'websocket.send', text: 'x', done: 3, lease: 2, state: { n: 1 } })[0]?.reply).toMatchObject({
      done: 3,
      lease: 2,
      state: { value: { n: 1 } },
    });
    expect(parse({ type: 'done', order: 4 })[0]?.reply).toEqual({ actions: [], done: 4 });
    expect(parse({ type: 'working', order: 4 })[0]?.reply).toEqual({ actions: [], working: 4 });
    expect(parse({ done: 0 })[0]?.reply).toEqual({ actions: [], done: 0 });
    expect(parse({ state: null, done: 1 })[0]?.reply).toEqual({ actions: [], done: 1, state: { value: null } });
  });

  it('may be a list, each of which stands for itself', () => {
    const parsed = parse({ replies: [{ text: 'a' }, { type: 'nonsense' }, { text: 'b', done: 1 }] });
    expect(parsed.map(({ refused }) => refused)).toEqual([undefined, 'unknown_type', undefined]);
    expect(parse({ replies: [{ replies: [] }] })[0]?.refused).toBe('bad_reply');
  });

  it('may say for a whole list what holds behind it, and the lease of all that say none', () => {
    const parsed = parse({ replies: [{ text: 'a' }, { text: 'b', lease: 3 }, { text: 'c', lease: null }, 7], done: 1, state: null, lease: 2 });
    expect(parsed.map(({ reply }) => reply?.lease)).toEqual([2, 3, 2, undefined, 2]);
    expect(parsed[3]?.refused).toBe('bad_reply');
    expect(parsed[4]?.reply).toEqual({ actions: [], done: 1, state: { value: null }, lease: 2 });
    expect(parse({ replies: [], done: null, working: null, lease: 2 })).toEqual([]);
    expect(parse({ replies: [{ text: 'a' }], done: '1' })[1]?.refused).toBe('bad_reply');
  });

  const refused: readonly [refusal: string, value: unknown][] = [
    ['bad_reply', []],
    ['bad_reply', null],
    ['bad_reply', 'accept'],
    ['bad_reply', {}],
    ['unknown_type', { type: 'websocket.receive' }],
    ['unknown_type', { type: 'constructor' }],
    ['unknown_type', { type: 7 }],
    ['bad_reply', { type: 'websocket.send' }],
    ['bad_reply', { type: 'websocket.send', text: 'a', bytes: { $bytes: 'AA==' } }],
    ['bad_reply', { type: 'websocket.send', text: 5 }],
    ['bad_reply', { type: 'websocket.send', bytes: 'AA==' }],
    ['bad_reply', { type: 'websocket.send', bytes: { $bytes: '%%%%' } }],
    ['bad_reply', { type: 'websocket.send', bytes: { $bytes: 'AA =' } }],
    ['bad_reply', { type: 'websocket.send', bytes: { $bytes: 'AAE' } }],
    ['bad_reply', { type: 'websocket.send', bytes: { $bytes: 'AA==AA==' } }],
    ['bad_state', { type: 'state', state: [{ $bytes: '!' }] }],
    ['bad_header', { type: 'websocket.accept', headers: [['x', 'a\r\nset-cookie: b']] }],
    ['bad_header', { type: 'websocket.accept', headers: [['x\r\n', 'a']] }],
    ['bad_header', { type: 'websocket.accept', headers: [['x', '\u0100']] }],
    ['bad_header', { type: 'websocket.accept', headers: [['Sec-WebSocket-Protocol', 'v1']] }],
    ['bad_header', { type: 'http.response', headers: [['Content-Length', '5']], text: 'hello' }],
    ['bad_header', { type: 'http.response.start', headers: [['Transfer-Encoding', 'chunked']] }],
    ['bad_header', { type: 'websocket.accept', headers: { x: 'a' } }],
    ['bad_code', { type: 'websocket.close', code: 1005 }],
    ['bad_code', { type: 'websocket.close', code: 1006 }],
    ['bad_code', { type: 'websocket.close', code: 999 }],
    ['bad_code', { type: 'websocket.close', code: 5000 }],
    ['bad_code', { type: 'websocket.close', code: 3000.5 }],
    ['bad_code', { type: 'websocket.close', code: '1000' }],
    ['bad_code', { type: 'websocket.close', reason: 'é'.repeat(62) }],
    ['bad_code', { close: 1 }],
    ['bad_name', { type: 'websocket.accept', queue: 'app.*' }],
    ['bad_name', { type: 'websocket.accept', queue: 'specific.p!1' }],
    ['bad_name', { type: 'room.join', room: '_worker.app' }],
    ['bad_name', { type: 'room.publish', room: 'a b', text: '' }],
    ['bad_reply', { type: 'room.join', room: 'r', since: 'no position' }],
    ['bad_reply', { type: 'websocket.accept', window: 0 }],
    ['bad_state', { type: 'state', state: 'x'.repeat(4095) }],
    ['bad_state', { type: 'state' }],
    ['bad_reply', { type: 'done' }],
    ['bad_reply', { type: 'done', order: -1 }],
    ['bad_reply', { type: 'group.send', group: 'g', message: 'x' }],
    ['bad_reply', { type: 'http.response', text: 'a', json: 1 }],
    ['bad_reply', { type: 'http.response.start', status: 101 }],
    ['bad_reply', { accept: 'yes' }],
  ];
  it.each(refused)('is dropped whole as %s: %j', (refusal, value) => {
    expect(refusalOf(value)).toBe(refusal);
  });

  it('is dropped where it is no JSON', () => {
    expect(parseReplies(Buffer.from('{"type":'))[0]?.refused).toBe('bad_json');
    expect(parseReplies(Buffer.from([0xff, 0xfe]))[0]?.refused).toBe('bad_json');
  });

  const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);

  it.each([
    ['bad_state', '{"type":"state","state":X}'],
    ['bad_reply', '{"type":"group.send","group":"g","message":{"m":X}}'],
    ['bad_reply', '{"type":"http.response","json":X}'],
    ['bad_reply', '{"type":"room.publish","room":"r","json":X}'],
  ])('is dropped as %s where %s is nested deeper than messages may be, or holds a number that none can carry', (refusal, reply) => {
    const refusals = [nested(20_000), nested(101), '[1e400]'].map((value) => parseReplies(Buffer.from(reply.replace('X', value)))[0]?.refused);
    expect(refusals).toEqual([refusal, refusal, refusal]);
    expect(parseReplies(Buffer.from(reply.replace('X', nested(50))))[0]?.refused).toBeUndefined();
  });

  it('may hold bytes, in a state and in what it sends to a group', () => {
    const bytes = { $bytes: 'AAE=' };
    expect(parse({ type: 'state', state: { key: bytes } })[0]?.reply?.state).toEqual({ value: { key: new Uint8Array([0, 1]) } });
    const message = { type: 'x', inner: [bytes], $bytes: 'AAE=' };
    expect(actionsOf({ type: 'group.send', group: 'g', message })).toEqual([
      { type: 'groupSend', group: 'g', message: { type: 'x', inner: [new Uint8Array([0, 1])], $bytes: 'AAE=' } },
    ]);
    expect(actionsOf({ type: 'room.publish', room: 'r', json: bytes })).toEqual([{ type: 'publish', room: 'r', payload: text('{"$bytes":"AAE="}') }]);
  });

  it('of any shape is read or dropped, and never throws', () => {
    fc.assert(
      fc.property(fc.json(), (json) => {
        for (const parsed of parseReplies(Buffer.from(json))) expect(parsed.refused === undefined || REFUSALS.includes(parsed.refused)).toBe(true);
      }),
    );
  });
});
