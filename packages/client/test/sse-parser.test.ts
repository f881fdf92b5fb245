import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type StreamEvent, StreamParser } from '../src/transports/sse-parser.ts';

/** All events of a stream, fed in pieces of so many bytes. */
function read(stream: string | Uint8Array, size = Infinity, parser = new StreamParser()): StreamEvent[] {
  const bytes = typeof stream === 'string' ? new TextEncoder().encode(stream) : Uint8Array.from(stream);
  const events: StreamEvent[] = [];
  for (let at = 0; at < bytes.length; at += Math.min(size, bytes.length)) events.push(...parser.feed(bytes.slice(at, at + size)));
  return events;
}

const message = (data: string): StreamEvent => ({ type: 'message', data });

describe('the cases of the standard', () => {
  test.each<[string, string, StreamEvent[]]>([
    ['data of several lines', 'data: YHOO\ndata: +2\ndata: 10\n\n', [message('YHOO\n+2\n10')]],
    [
      'comments, ids, and one space that is no part of a value',
      ': test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n',
      [message('first event'), message('second event'), message(' third event')],
    ],
    ['empty data, and a block that is not finished', 'data\n\ndata\ndata\n\ndata:', [message(''), message('\n')]],
    ['with and without the space', 'data:test\n\ndata: test\n\n', [message('test'), message('test')]],
    ['CR, LF and CRLF', 'data: a\rdata: b\ndata: c\r\n\r\ndata: d\r\rdata: e\n\n', [message('a\nb\nc'), message('d'), message('e')]],
    ['a byte order mark, once', '\uFEFFdata: a\n\n\uFEFFdata: b\n\ndata: c\n\n', [message('a'), message('c')]],
    ['an event with a name, which lasts for one block', 'event: gap\ndata: 1\n\ndata: 2\n\n', [{ type: 'gap', data: '1' }, message('2')]],
    ['a name without data', 'event: gap\n\ndata: 1\n\n', [message('1')]],
    ['fields that nobody knows, also with other letters', 'Data: a\ndata : b\nother: c\ndata: d\n\n', [message('d')]],
    ['NUL in data', 'data: a\0b\n\n', [message('a\0b')]],
    ['a colon in a value', 'data: a: b\n\n', [message('a: b')]],
    ['U+2028 and other ends that are none', 'data: a\u2028b\u0085c\u000bd\n\n', [message('a\u2028b\u0085c\u000bd')]],
  ])('%s', (_, stream, events) => {
    expect(read(stream)).toEqual(events);
    expect(read(stream, 1)).toEqual(events);
  });

  test('an id holds from its block on, also without data, and not where it has NUL', () => {
    const parser = new StreamParser();
    const ids = ['id: 1\n\n', 'data: a\n\n', 'id: 2\0\ndata: b\n\n', 'id: 3\n', '\n', 'id\n\n'].map((block) => {
      read(block, Infinity, parser);
      return parser.id;
    });
    expect(ids).toEqual(['1', '1', '1', '1', '3', '']);
  });

  test('the time for reconnecting is digits alone', () => {
    for (const [text, retry] of [
      ['1000', 1000],
      ['-1', undefined],
      ['1e3', undefined],
      ['', undefined],
    ] as const) {
      const parser = new StreamParser();
      read(`retry: ${text}\n\n`, Infinity, parser);
      expect(parser.retry).toBe(retry);
    }
  });

  test('bytes that are no UTF-8 are replaced, and split characters are not', () => {
    expect(read(Uint8Array.from([...new TextEncoder().encode('data: '), 0xff, 10, 10]))).toEqual([message('\uFFFD')]);
    expect(read('data: é✓😀\n\n', 1)).toEqual([message('é✓😀')]);
  });
});

test('whatever lines hold and however the stream is cut, what comes out is what went in', () => {
  const text = fc.string({ unit: fc.oneof(fc.constantFrom('\0', ' ', ':', '\uFEFF', '\u2028', 'é', '😀'), fc.string({ minLength: 1, maxLength: 1 })) });
  const lines = fc.array(
    text.map((line) => line.replaceAll(/[\r\n]/g, '')),
    { minLength: 1, maxLength: 4 },
  );
  const end = fc.constantFrom('\n', '\r', '\r\n');
  const block = fc.record({ lines, end, name: fc.constantFrom('', 'gap', 'reconnect'), comment: fc.boolean() });
  fc.assert(
    fc.property(fc.array(block, { maxLength: 6 }), fc.integer({ min: 1, max: 20 }), (blocks, size) => {
      const stream = blocks.map(({ lines: data, end: eol, name, comment }) =>
        [...(comment ? [': comment'] : []), ...(name === '' ? [] : [`event: ${name}`]), ...data.map((line) => `data: ${line}`), '', ''].join(eol),
      );
      const events = blocks.map(({ lines: data, name }) => ({ type: name || 'message', data: data.join('\n') }));
      // The last CR of a stream could be half of a CRLF: something follows.
      expect(read(`${stream.join('')}:\n`, size)).toEqual(events);
    }),
  );
});
