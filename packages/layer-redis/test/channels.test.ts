import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromJson, fromRoom, packElement, packOpenElement, readElement, toJson, toRoom, unpack, checkDjangoName } from '../src/channels/messages.ts';
import { Packer, type Packable } from '../src/channels/msgpack.ts';

interface Vector {
  readonly id: string;
  readonly description: string;
  readonly layer: string;
  readonly operation: string;
  readonly config?: Record<string, unknown>;
  readonly input?: { message?: unknown };
  readonly payload?: readonly string[];
  readonly msgpack_b64?: string;
  readonly received?: unknown;
  readonly error?: string;
  readonly names?: { group: [string, boolean][]; channel: [string, boolean][] };
}

const { cases } = JSON.parse(readFileSync(new URL('wire/channels-redis-vectors.json', import.meta.url), 'utf8')) as { cases: Vector[] };

/** A value of the vectors as this package has it. A whole float is a whole number here, and is written as one: left out of what is compared byte for byte. */
function value(vector: unknown): Packable {
  if (Array.isArray(vector)) return vector.map(value);
  if (typeof vector !== 'object' || vector === null) return vector as Packable;
  const tagged = vector as { $bytes?: string; $int?: string; $float?: string; $tuple?: unknown[]; $repeat?: [string, number] };
  if (tagged.$bytes !== undefined) return Buffer.from(tagged.$bytes, 'base64');
  if (tagged.$int !== undefined) return BigInt(tagged.$int);
  if (tagged.$float !== undefined) return Number(tagged.$float);
  if (tagged.$tuple !== undefined) return tagged.$tuple.map(value);
  if (tagged.$repeat !== undefined) return tagged.$repeat[0].repeat(tagged.$repeat[1]);
  return Object.fromEntries(Object.entries(vector).map(([key, member]) => [key, value(member)]));
}

const plain = cases.filter(({ config = {} }) => !('serializer_format' in config) && !('symmetric_encryption_keys' in config));
const written = plain.filter(({ operation, input, payload }) => /send/.test(operation) && input?.message !== undefined && payload?.length === 1);
const hasWholeFloat = (vector: Vector): boolean => /"\$float":"-?\d+(\.0+)?(e\+?\d+)?"/.test(JSON.stringify(vector.input));

describe('the vectors of channels_redis 4.3', () => {
  test.each(written.filter((vector) => !hasWholeFloat(vector)).map((vector) => [vector.id, vector.description, vector] as const))(
    '%s is written byte for byte: %s',
    (_id, _description, vector) => {
      const packed = Packer.pack(value(vector.input?.message));
      const expected = Buffer.from(vector.msgpack_b64 ?? (vector.payload?.[0] as string), 'base64');
      if (JSON.stringify(vector.input).includes('!')) expect(expected.subarray(1, packed.length)).toEqual(packed.subarray(1));
      else expect(packed).toEqual(expected);
    },
  );

  test.each(written.map((vector) => [vector.id, vector.description, vector] as const))('%s is read: %s', (_id, _description, vector) => {
    const bytes = Buffer.from(vector.payload?.[0] as string, 'base64');
    const message = vector.layer === 'core' ? readElement(bytes).message : unpack(bytes);
    expect(message).toEqual(value(vector.input?.message));
  });

  const decoded = cases.filter(({ operation }) => operation === 'decode');
  /** What Python delivers, but no JSON has: it is skipped and counted here. */
  const skipped = ['cr-090', 'cr-093', 'cr-094', 'cr-101'];

  test.each(decoded.map((vector) => [vector.id, vector.description, vector] as const))('%s: %s', (id, _description, vector) => {
    const bytes = Buffer.from(vector.payload?.[0] ?? '', 'base64');
    if (vector.error !== undefined || skipped.includes(id)) expect(() => unpack(bytes)).toThrow();
    else expect(unpack(bytes)).toEqual(value(vector.received));
  });

  test('elements for channels of one process and of many', () => {
    const single = cases.find(({ id }) => id === 'cr-066') as Vector & { decoded: { __asgi_channel__: string } };
    expect(packElement({ type: 'direct', n: 1 }, single.decoded.__asgi_channel__).subarray(12)).toEqual(
      Buffer.from(single.payload?.[0] as string, 'base64').subarray(12),
    );
    const many = cases.find(({ id }) => id === 'cr-070') as Vector;
    const open = packOpenElement({ type: 'chat.message', text: 'hi' });
    for (const payload of many.payload ?? []) expect(Buffer.from(payload, 'base64').subarray(12, 12 + open.length)).toEqual(open);
  });

  test('names are Django’s, save the three that it takes by accident', () => {
    const vector = cases.find(({ operation }) => operation === 'validate') as Vector;
    const accidents = ['٣', 'chat\n', 'x!é', 'x!٣', 'x!y\n', 'a\n'];
    for (const kind of ['group', 'channel'] as const) {
      for (const [name, allowed] of vector.names?.[kind] ?? []) {
        if (allowed && !accidents.includes(name)) expect(() => checkDjangoName(kind, name)).not.toThrow();
        else expect(() => checkDjangoName(kind, name)).toThrow(expect.objectContaining({ code: 'INVALID_NAME' }));
      }
    }
  });
});

describe('messages between the layer and Django', () => {
  test('whole numbers keep their digits, bytes stay bytes, no lone surrogate leaves', () => {
    expect(String(toJson({ n: 2n ** 63n, b: Buffer.from('ab'), inner: [{ x: null }] }))).toBe(
      '{"n":9223372036854775808,"b":{"$bytes":"YWI="},"inner":[{"x":null}]}',
    );
    expect(fromJson(Buffer.from('{"b":{"$bytes":"YWI="},"t":"\\ud800"}'))).toEqual({ b: Buffer.from('ab'), t: '\ufffd' });
  });

  test('what is published to a room comes back as it was, and never chooses the type', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string().map((text) => Buffer.from(text)),
          fc.uint8Array().map((bytes) => Buffer.from(bytes)),
        ),
        (payload) => {
          const message = fromRoom(payload);
          expect(message['type']).toBe('busgate.message');
          expect(Buffer.from(toRoom(unpack(Packer.pack(message)))).equals(payload)).toBe(true);
        },
      ),
    );
    expect(fromRoom(Buffer.from('{"type":"websocket.disconnect"}'))).toEqual({ type: 'busgate.message', text: '{"type":"websocket.disconnect"}' });
  });

  test('what a backend sent to its group reaches the room as JSON', () => {
    expect(String(toRoom({ type: 'chat.message', text: 'hi' }))).toBe('{"type":"chat.message","text":"hi"}');
    expect(String(toRoom({ type: 'busgate.message', text: 'a', more: 1 }))).toBe('{"type":"busgate.message","text":"a","more":1}');
  });

  test('the reserved member is refused', () => {
    expect(() => packElement({ __asgi_channel__: 'x' })).toThrow(expect.objectContaining({ code: 'INVALID_MESSAGE' }));
  });

  test('any JSON object survives the way there and back', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (message) => {
        const text = JSON.stringify(message);
        fc.pre(!text.includes('$bytes'));
        expect(JSON.parse(String(toJson(unpack(Packer.pack(fromJson(Buffer.from(text)))))))).toEqual(JSON.parse(text));
      }),
    );
  });
});
