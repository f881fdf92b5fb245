import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeMessage, encodeMessage, encodePayload } from '../src/codec.ts';
import type { Message } from '../src/contract.ts';

const MIB = 1_048_576;
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Any value that a message may hold; not -0, which JSON writes as 0, and no lone surrogates, which become U+FFFD. */
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.string({ unit: 'binary' }),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => (Object.is(number, -0) ? 0 : number)),
    fc.boolean(),
    fc.constant(null),
    fc.uint8Array(),
    fc.array(tie('value')),
    fc.dictionary(fc.string({ unit: 'binary' }), tie('value'), { noNullPrototype: true }).filter((object) => Object.keys(object).join() !== '$bytes'),
  ),
}));
const message = fc
  .dictionary(fc.string({ unit: 'binary' }), value, { noNullPrototype: true })
  .filter((object) => !Object.hasOwn(object, '__expires') && Object.keys(object).join() !== '$bytes');

describe('a message as it travels', () => {
  test('comes back equal in every field', () => {
    fc.assert(
      fc.property(message, (sent) => {
        expect(decodeMessage(encodeMessage(sent, MIB))).toEqual(sent);
      }),
    );
  });

  test('is one JSON object that any language reads, bytes in it as {"$bytes":"<base64>"}', () => {
    const encoded = encodeMessage({ type: 'x', bytes: Uint8Array.of(0, 255), list: [Buffer.from('hi')] }, MIB);
    expect(JSON.parse(Buffer.from(encoded).toString())).toEqual({ type: 'x', bytes: { $bytes: 'AP8=' }, list: [{ $bytes: 'aGk=' }] });
  });

  test('takes the part of a buffer that a view shows', () => {
    const whole = Uint8Array.from([9, 1, 2, 9]);
    expect(decodeMessage(encodeMessage({ bytes: whole.subarray(1, 3) }, MIB))).toEqual({ bytes: Uint8Array.of(1, 2) });
  });

  test('shares nothing: each decoding gives an object of its own', () => {
    const encoded = encodeMessage({ bytes: Uint8Array.of(1), list: [1] }, MIB);
    const [one, other] = [decodeMessage(encoded), decodeMessage(encoded)];
    Object.assign(one?.['bytes'] ?? [], [9]);
    Object.assign(one?.['list'] ?? [], [2]);
    expect(other).toEqual({ bytes: Uint8Array.of(1), list: [1] });
  });

  test('a member named __proto__ is a member like any other', () => {
    const hostile = JSON.parse('{"__proto__":{"admin":true},"in":{"__proto__":7}}') as Message;
    Object.defineProperty(hostile['in'], '__proto__', { value: Uint8Array.of(0) });
    const decoded = decodeMessage(encodeMessage(hostile, MIB));
    expect(Object.getPrototypeOf(decoded)).toBe(Object.prototype);
    expect(Object.keys(decoded ?? {})).toEqual(['__proto__', 'in']);
    expect(Object.getOwnPropertyDescriptor(decoded?.['in'], '__proto__')?.value).toEqual(Uint8Array.of(0));
  });

  test('lone surrogates become U+FFFD', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)) }), (text) => {
        expect(decodeMessage(encodeMessage({ text }, MIB))).toEqual({ text: text.toWellFormed() });
      }),
    );
  });
});

describe('what is no message', () => {
  test.each([
    ['a number that JSON cannot carry', { a: { b: [1, Number.NaN] } }, 'member a.b[1] is NaN'],
    ['undefined in a list', { a: [undefined] }, 'member a[0] is undefined'],
    ['a hole in a list', { a: Object.assign([1], { 2: 3 }) }, 'member a[1] is undefined'],
    ['an object of a class', { when: new Date(0) }, 'member when is an object of class Date'],
    ['an object without constructor of a class', { a: Object.create(Object.create(null) as object) as unknown }, 'member a is an object'],
    ['an object that would be taken for bytes', { a: { $bytes: 'AA==' } }, 'pass a Uint8Array'],
    ['the layer own member', { __expires: 1 }, '__expires'],
    ['a list', [1], 'must be a JSON object, not an array'],
    ['nothing', undefined, 'must be a JSON object, not undefined'],
    ['bytes', Uint8Array.of(1), 'must be a JSON object, not an object of class Uint8Array'],
  ])('%s is INVALID_MESSAGE, and the error names it', (_, sent, mention) => {
    expect(() => encodeMessage(sent, MIB)).toThrow(expect.objectContaining({ code: 'INVALID_MESSAGE', message: expect.stringContaining(mention) as string }));
  });

  test('an object that is only `$bytes` is taken as a whole message, since bytes are never one', () => {
    expect(decodeMessage(encodeMessage({ $bytes: 'AA==' }, MIB))).toEqual({ $bytes: 'AA==' });
  });

  test('a circle is INVALID_MESSAGE, not the end of the stack', () => {
    const circle: Record<string, unknown> = {};
    circle['self'] = { circle };
    expect(() => encodeMessage(circle, MIB)).toThrow(expect.objectContaining({ code: 'INVALID_MESSAGE' }));
  });

  test('the limit counts the bytes of the JSON text', () => {
    expect(encodeMessage({ a: 'é' }, 10)).toHaveLength(10);
    expect(() => encodeMessage({ a: 'é' }, 9)).toThrow(expect.objectContaining({ code: 'MESSAGE_TOO_LARGE' }));
  });
});

describe('what JSON would call or leave out', () => {
  test('what an array has beside its items does not travel, and is not called', () => {
    const items = Object.assign([1, 'a'], { toJSON: () => 'forged' });
    expect(decodeMessage(encodeMessage({ items, none: [] }, 100))).toEqual({ items: [1, 'a'], none: [] });
  });

  test('a hole in an array is refused with its place', () => {
    const items: unknown[] = [1];
    items[2] = 3;
    expect(() => encodeMessage({ deep: { items } }, 100)).toThrow(/member deep\.items\[1\] is undefined/);
  });

  test('a member called toJSON is refused where it is a function, and travels where it is a text', () => {
    expect(() => encodeMessage({ toJSON: () => 'forged' }, 100)).toThrow(/member toJSON is a function/);
    expect(decodeMessage(encodeMessage({ toJSON: 'a' }, 100))).toEqual({ toJSON: 'a' });
  });
});

describe('reading what others wrote', () => {
  test('whatever the bytes are, decoding answers a message or undefined', () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), fc.json().map(utf8)), (payload) => {
        const decoded = decodeMessage(payload);
        expect(decoded === undefined || (typeof decoded === 'object' && decoded !== null && !Array.isArray(decoded))).toBe(true);
      }),
    );
  });

  test.each(['', 'x', '[]', 'null', '1', '"a"', '{', '\ufeff{}'])('%j is no message', (text) => {
    expect(decodeMessage(utf8(text))).toBeUndefined();
  });

  test('invalid UTF-8 is no message', () => {
    expect(decodeMessage(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d))).toBeUndefined();
  });

  test('a $bytes that is not a text, or not alone, stays what it is', () => {
    const text = '{"a":{"$bytes":1},"b":{"$bytes":"AA==","c":2},"d":{"$bytes":"AA=="}}';
    expect(decodeMessage(utf8(text))).toEqual({ a: { $bytes: 1 }, b: { $bytes: 'AA==', c: 2 }, d: Uint8Array.of(0) });
  });

  test('nesting without end around bytes is no message, and does not end the stack', () => {
    expect(decodeMessage(utf8(`{"a":${'['.repeat(5000)}{"$bytes":""}${']'.repeat(5000)}}`))).toBeUndefined();
  });
});

describe("a room's payload", () => {
  test('a string is its UTF-8', () => {
    expect(encodePayload('é\ud800', 100)).toEqual(utf8('é\ufffd'));
  });

  test.each([Buffer.from('abc'), new Uint8Array([97, 98, 99])])('bytes are copied, of whatever class', (payload) => {
    const encoded = encodePayload(payload, 100);
    payload.fill(0);
    expect(encoded).toEqual(utf8('abc'));
  });

  test('at the limit it passes, beyond it is MESSAGE_TOO_LARGE', () => {
    expect(encodePayload(new Uint8Array(10), 10)).toHaveLength(10);
    expect(() => encodePayload(new Uint8Array(11), 10)).toThrow(expect.objectContaining({ code: 'MESSAGE_TOO_LARGE' }));
  });
});
