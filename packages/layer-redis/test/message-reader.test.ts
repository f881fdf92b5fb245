import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import process from 'node:process';
import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type MessageHandler, MessageReader, readAhead } from '../src/message-reader.ts';

/** What came of one thing that a server sent. */
type Outcome = readonly ['message' | 'pattern' | 'rest', ...string[]];

/** Notes everything in the order in which it comes; bytes that are passed on one after the other are one. */
class Record {
  readonly outcomes: Outcome[] = [];
  readonly handler: MessageHandler = {
    message: (channel, payload) => this.add('message', channel, payload.toString('latin1')),
    patternMessage: (pattern, channel, payload) => this.add('pattern', pattern, channel, payload.toString('latin1')),
  };
  readonly pass = (bytes: Buffer): void => this.add('rest', bytes.toString('latin1'));

  add(...outcome: Outcome): void {
    const last = this.outcomes.at(-1);
    if (outcome[0] === 'rest' && last?.[0] === 'rest') this.outcomes[this.outcomes.length - 1] = ['rest', `${last[1]}${outcome[1]}`];
    else this.outcomes.push(outcome);
  }
}

/** Bytes that a server may send, and what is to come of them. */
interface Sent {
  readonly wire: string;
  readonly outcome: Outcome;
}

const string = (text: string): string => `$${text.length}\r\n${text}\r\n`;
const array = (type: string, items: readonly string[]): string => `${type}${items.length}\r\n${items.join('')}`;
const other = (wire: string): Sent => ({ wire, outcome: ['rest', wire] });

/** Any bytes, many of which look as if they meant something. */
const bytes = fc
  .array(
    fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom('\r\n', '\r', '\n', '$', '>3\r\n', '*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n', '') },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array).toString('latin1')) },
    ),
    { maxLength: 5 },
  )
  .map((parts) => parts.join(''));
const type = fc.constantFrom('*', '>');

const message: fc.Arbitrary<Sent> = fc
  .tuple(type, fc.constantFrom('message', 'smessage'), bytes, bytes)
  .map(([kind, name, channel, payload]) => ({ wire: array(kind, [name, channel, payload].map(string)), outcome: ['message', channel, payload] }));
const patternMessage: fc.Arbitrary<Sent> = fc
  .tuple(type, bytes, bytes, bytes)
  .map(([kind, ...texts]) => ({ wire: array(kind, ['pmessage', ...texts].map(string)), outcome: ['pattern', ...texts] }));

const line = fc.string({ unit: fc.constantFrom('a', ' ', '>', '$', '9'), maxLength: 8 });
const value = fc.letrec<{ any: string; leaf: string; list: string; map: string }>((tie) => ({
  leaf: fc.oneof(
    bytes.map(string),
    fc.tuple(fc.constantFrom('+', '-', ','), line).map(([kind, text]) => `${kind}${text}\r\n`),
    fc.integer().map((number) => `:${number}\r\n`),
    bytes.map((text) => `${string(text).replace('$', '=')}`),
    fc.constantFrom('$-1\r\n', '*-1\r\n', '_\r\n', '#t\r\n', '(12345678901234567890\r\n'),
  ),
  list: fc.tuple(fc.constantFrom('*', '~', '>'), fc.array(tie('any'), { maxLength: 3 })).map(([kind, items]) => array(kind, items)),
  map: fc.array(fc.tuple(tie('any'), tie('any')), { maxLength: 2 }).map((pairs) => `%${pairs.length}\r\n${pairs.flat().join('')}`),
  any: fc.oneof({ maxDepth: 3 }, tie('leaf'), tie('list'), tie('map')),
})).any;
/** Replies that begin as messages do, and are none. */
const lookalike = fc.constantFrom(
  array('>', [string('subscribe'), string('a'), ':1\r\n']),
  array('*', [string('ssubscribe'), string('a'), ':1\r\n']),
  array('>', [string('sunsubscribe'), '_\r\n', ':0\r\n']),
  array('*', [string('pong'), string('')]),
  array('>', [string('message'), string('a')]),
  array('>', [string('messages'), string('a'), string('b')]),
  array('*', [string('message'), string('a'), ':1\r\n']),
  array('*', [string('message'), '*0\r\n', string('a')]),
  array('>', [string('pmessage'), string('a'), string('b')]),
  array('>', [array('>', [string('message'), string('a'), string('b')])]),
);
const sent = fc.array(fc.oneof(message, message, patternMessage, value.map(other), lookalike.map(other)), { maxLength: 12 });
const cuts = fc.array(fc.nat(), { maxLength: 12 });

/** The same bytes in chunks. */
function cut(wire: string, at: readonly number[]): Buffer[] {
  const whole = Buffer.from(wire, 'latin1');
  const ends = [...new Set(at.map((place) => place % (whole.length + 1))), whole.length].toSorted((a, b) => a - b);
  return ends.map((end, index) => whole.subarray(ends[index - 1] ?? 0, end));
}

function outcomesOf(chunks: readonly Buffer[]): Outcome[] {
  const record = new Record();
  const reader = new MessageReader(record.handler, record.pass);
  for (const chunk of chunks) reader.write(chunk);
  return record.outcomes;
}

/** What is to come of all of it, without any cutting. */
function expected(all: readonly Sent[]): Outcome[] {
  const record = new Record();
  for (const { outcome } of all) record.add(...outcome);
  return record.outcomes;
}

describe('messages among other replies', () => {
  test('whatever the server sends, cut anywhere, each message is handed on and everything else passed on, in order', () => {
    fc.assert(
      fc.property(sent, cuts, (all, at) => {
        expect(outcomesOf(cut(all.map(({ wire }) => wire).join(''), at))).toEqual(expected(all));
      }),
      { numRuns: 3000 },
    );
  });

  test('byte by byte too', () => {
    fc.assert(
      fc.property(sent, (all) => {
        const wire = all.map((one) => one.wire).join('');
        expect(outcomesOf([...Buffer.from(wire, 'latin1')].map((byte) => Buffer.of(byte)))).toEqual(expected(all));
      }),
      { numRuns: 300 },
    );
  });

  test('what cannot be understood is passed on with everything that follows', () => {
    const broken = ['?1\r\n', '\n', '$abc\r\n', '>x\r\n', ':1\n', '>3\r\n$7\r\nmessage\r\n$1\r\na\r\n$-7\r\n', '*3\r\n$7\r\nmessage\r\n$\r\n'];
    fc.assert(
      fc.property(sent, fc.constantFrom(...broken), sent, cuts, (before, odd, after, at) => {
        const passed = [odd, ...after.map(({ wire }) => wire)].join('');
        const wire = [...before.map((one) => one.wire), passed].join('');
        expect(outcomesOf(cut(wire, at))).toEqual(expected([...before, other(passed)]));
      }),
      { numRuns: 1000 },
    );
  });

  test('a payload of several MiB in chunks of 64 KiB', () => {
    const payload = Buffer.alloc(5_000_000, '\r\n>3\r\n$').toString('latin1');
    const wire = array('>', ['message', 'a', payload].map(string)) + array('>', ['message', 'b', ''].map(string));
    const places = Array.from({ length: 80 }, (_, index) => index * 65_536);
    const [first, second, ...more] = outcomesOf(cut(wire, places));
    expect(first?.[2] === payload).toBe(true);
    expect([first?.[1], second, more]).toEqual(['a', ['message', 'b', ''], []]);
  });

  test('no memory is set aside for more than Redis can send: such a reply is passed on', () => {
    const wire = '>3\r\n$7\r\nmessage\r\n$1\r\na\r\n$999999999999\r\nabc';
    expect(outcomesOf(cut(wire, [30]))).toEqual([['rest', wire]]);
  });

  test('an error of the handler is uncaught, as one of any listener, and the messages after it are handed on', async () => {
    const others = process.rawListeners('uncaughtException') as NodeJS.UncaughtExceptionListener[];
    process.removeAllListeners('uncaughtException');
    const uncaught = once(process, 'uncaughtException');
    try {
      const taken: string[] = [];
      const message = (channel: string): void => {
        taken.push(channel);
        if (channel === 'a') throw new Error('of the handler');
      };
      const reader = new MessageReader({ message, patternMessage: () => undefined }, () => undefined);
      for (const chunk of cut(['a', 'b', 'c'].map((channel) => array('>', ['message', channel, ''].map(string))).join(''), [40])) reader.write(chunk);
      expect(taken).toEqual(['a', 'b', 'c']);
      expect(await uncaught).toMatchObject([{ message: 'of the handler' }, 'uncaughtException']);
    } finally {
      for (const other of others) process.on('uncaughtException', other);
    }
  });

  test('a payload that came in one chunk is a part of it', () => {
    const chunk = Buffer.from(array('>', ['message', 'a', 'payload'].map(string)));
    let payload: Buffer | undefined;
    new MessageReader({ message: (_, bytes) => (payload = bytes), patternMessage: () => undefined }, () => undefined).write(chunk);
    chunk.fill('x');
    expect(String(payload)).toBe('xxxxxxx');
  });
});

describe('whose bytes are read', () => {
  const wire = `${array('>', ['message', 'a', 'b'].map(string))}+OK\r\n`;

  test('those of the one listener that a socket has, which gets the rest', () => {
    const record = new Record();
    const socket = new PassThrough();
    socket.on('data', record.pass);
    expect(readAhead(socket, record.handler)).toBe(true);
    socket.emit('data', Buffer.from(wire));
    expect(record.outcomes).toEqual([
      ['message', 'a', 'b'],
      ['rest', '+OK\r\n'],
    ]);
  });

  test.each<[string, (socket: PassThrough, pass: (bytes: Buffer) => void) => void]>([
    ['has two listeners', (socket, pass) => socket.on('data', pass).on('data', () => undefined)],
    ['has one for the next bytes only', (socket, pass) => socket.once('data', pass)],
    ['is read when it is readable', (socket, pass) => socket.on('data', pass).on('readable', () => undefined)],
    ['is decoded', (socket, pass) => socket.setEncoding('latin1').on('data', (text: string) => pass(Buffer.from(text)))],
  ])('a socket that %s is left as it is', (_, listen) => {
    const record = new Record();
    const socket = new PassThrough();
    listen(socket, record.pass);
    const listeners = socket.rawListeners('data');
    expect(readAhead(socket, record.handler)).toBe(false);
    expect(socket.rawListeners('data')).toEqual(listeners);
    socket.emit('data', Buffer.from(wire));
    expect(record.outcomes).toEqual([['rest', wire]]);
  });

  test('a socket that nobody reads is left as it is', () => {
    const socket = new PassThrough();
    expect(readAhead(socket, new Record().handler)).toBe(false);
    expect(socket.listenerCount('data')).toBe(0);
  });
});
