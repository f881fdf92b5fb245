import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readElement, writeElement } from '../src/channels/elements.ts';
import { Fernet } from '../src/channels/fernet.ts';
import { hostOf } from '../src/channels/hash.ts';
import { readJson, writeJson } from '../src/channels/json.ts';
import { fromJson, toJson } from '../src/channels/messages.ts';
import { Serializer } from '../src/channels/serializer.ts';
import type { ChannelsFormat } from '../src/url.ts';
import { cases, value, type Vector } from './vectors.ts';

const PLAIN: ChannelsFormat = { serializer: 'msgpack', encryptionKeys: [] };

function formatOf({ config = {} }: Vector): ChannelsFormat {
  const { serializer_format: serializer, symmetric_encryption_keys: keys = [], random_prefix_length: length } = config;
  return { serializer: serializer === 'json' ? 'json' : 'msgpack', encryptionKeys: keys, ...(length === undefined ? {} : { randomPrefixLength: length }) };
}

const payloadOf = ({ payload = [] }: Vector): Buffer => Buffer.from(payload[0] ?? '', 'base64');
const messageOf = ({ input }: Vector): never => value(input?.message) as never;
const named = (vectors: readonly Vector[]) => vectors.map((vector) => [vector.id, vector.layer, vector] as const);

/** The token in a payload, and what makes it this one. */
function tokenOf(vector: Vector): { token: Buffer; seconds: number; vector: Buffer } {
  const token = payloadOf(vector).subarray(vector.layer === 'core' ? 12 : 0);
  const bytes = Buffer.from(token.toString(), 'base64url');
  return { token, seconds: Number(bytes.readBigUInt64BE(1)), vector: bytes.subarray(9, 25) };
}

describe('what channels_redis encrypted', () => {
  const encrypted = cases.filter(({ config }) => config?.symmetric_encryption_keys !== undefined);

  test.each(named(encrypted))('%s (%s) is decrypted by whichever key encrypted it, and encrypted byte for byte', (_id, _layer, recorded) => {
    const { token, seconds, vector } = tokenOf(recorded);
    const inner = Buffer.from(recorded.inner_msgpack ?? '', 'base64');
    const fernet = new Fernet(['k-one', 'k-two'], undefined, { now: () => seconds, vector: () => vector });
    expect(fernet.encrypt(inner)).toEqual(token);
    expect(fernet.decrypt(token)).toEqual(inner);
    expect(new Fernet(['k-other', 'k-one']).decrypt(token)).toEqual(inner);
    expect(() => new Fernet(['k-two']).decrypt(token)).toThrow('another key');
  });

  test('the pub/sub layer takes a token of any age, the core layer refuses an old one', () => {
    const [old, older] = ['pubsub', 'core'].map((layer) => encrypted.find((vector) => vector.layer === layer) as Vector) as [Vector, Vector];
    expect(Serializer.forPubSub(formatOf(old)).read(payloadOf(old))).toEqual(messageOf(old));
    const { seconds } = tokenOf(older);
    const at = (now: number) => new Fernet(['k-one'], 70, { now: () => now, vector: () => Buffer.alloc(16) });
    expect(() => at(seconds + 70).decrypt(tokenOf(older).token)).not.toThrow();
    expect(() => at(seconds + 71).decrypt(tokenOf(older).token)).toThrow('too old');
    expect(() => at(seconds - 60).decrypt(tokenOf(older).token)).not.toThrow();
    expect(() => at(seconds - 61).decrypt(tokenOf(older).token)).toThrow('future');
    expect(() =>
      Serializer.forCore(formatOf(older), 1).read(Buffer.concat([Buffer.alloc(12), new Fernet(['k-one'], 0, past()).encrypt(Buffer.from([0x80]))])),
    ).toThrow('too old');
  });

  test('a token that was changed anywhere, cut or is none is refused', () => {
    const { token } = tokenOf(encrypted[0] as Vector);
    const bytes = Buffer.from(token.toString(), 'base64url');
    const fernet = new Fernet(['k-one']);
    for (let index = 0; index < bytes.length; index += 1) {
      const changed = Buffer.from(bytes);
      changed[index] = (changed[index] as number) ^ 1;
      expect(() => fernet.decrypt(Buffer.from(changed.toString('base64url')))).toThrow();
    }
    for (const text of ['', 'garbage', token.toString().slice(0, 60)]) expect(() => fernet.decrypt(Buffer.from(text))).toThrow('no Fernet token');
  });

  test('messages of any size, written with the first key, are read', () => {
    const writer = Serializer.forCore({ ...PLAIN, encryptionKeys: ['new', 'old'] }, 60_000);
    const reader = Serializer.forCore({ ...PLAIN, encryptionKeys: ['new'] }, 60_000);
    for (const size of [0, 1, 15, 16, 17, 100_000]) {
      const message = { text: 'x'.repeat(size) };
      expect(readElement(reader, writeElement(writer, message, ['a', 'b']))).toEqual({ message, recipients: ['a', 'b'] });
    }
    expect(() => Serializer.forCore({ ...PLAIN, encryptionKeys: ['old'] }, 60_000).read(writer.write({}))).toThrow('another key');
    expect(() => reader.read(Serializer.forCore(PLAIN, 60_000).write({ type: 't' }))).toThrow('no Fernet token');
  });
});

describe('what the JSON serializer of channels_redis wrote', () => {
  const written = cases.filter(({ config }) => config?.serializer_format === 'json');

  test.each(named(written))('%s (%s) is read, and written as Python writes it', (_id, layer, vector) => {
    const format = formatOf(vector);
    const serializer = layer === 'core' ? Serializer.forCore(format, 60_000) : Serializer.forPubSub(format);
    const random = format.randomPrefixLength ?? 0;
    expect(serializer.read(payloadOf(vector))).toEqual(messageOf(vector));
    // A whole number is always an integer here.
    const expected = payloadOf(vector).subarray(random).toString().replace('1.0', '1');
    expect(serializer.write(messageOf(vector)).subarray(random).toString()).toBe(expected);
  });

  test('everything that is not ASCII is escaped, in keys too', () => {
    expect(writeJson({ 'é\n"': 'Grüße 漢 😀 \u0000\u007f\\', list: [true, null, -1.5, 2n ** 70n, [], {}] })).toBe(
      String.raw`{"\u00e9\n\"": "Gr\u00fc\u00dfe \u6f22 \ud83d\ude00 \u0000\u007f\\", "list": [true, null, -1.5, 1180591620717411303424, [], {}]}`,
    );
  });

  test('bytes are refused with the reason', () => {
    expect(() => writeJson({ type: 't', inner: [Buffer.from([1])] })).toThrow(
      expect.objectContaining({ code: 'INVALID_MESSAGE', message: expect.stringContaining('serializer=msgpack can') }),
    );
  });

  test('integers keep all their digits; NaN and the infinities become null, in strings they stay', () => {
    const read = (text: string): string => toJson(readJson(Buffer.from(text)) as never).toString();
    expect(read('{"n": 9007199254740993, "m": -36893488147419103232, "f": 1234567890123456.5}')).toBe(
      '{"n":9007199254740993,"m":-36893488147419103232,"f":1234567890123456.5}',
    );
    expect(read(String.raw`{"a": [NaN, -Infinity, Infinity], "b": "NaN \" Infinity", "-Infinity": 1e400}`)).toBe(
      String.raw`{"a":[null,null,null],"b":"NaN \" Infinity","-Infinity":null}`,
    );
    expect(read(String.raw`{"a": 1, "a": 2, "t": "\ud800"}`)).toBe('{"a":2,"t":"\ufffd"}');
  });

  test('what is no JSON object in UTF-8 is refused', () => {
    const serializer = Serializer.forPubSub({ ...PLAIN, serializer: 'json' });
    const deep = `{"a":${'['.repeat(201)}${']'.repeat(201)}}`;
    for (const text of ['', '[]', '"text"', 'null', '{"a":1}x', '{1:2}', '{"a":nan}', '{"a":NaNa}', "{'a':1}", deep]) {
      expect(() => serializer.read(Buffer.from(text)), text).toThrow();
    }
    expect(() => serializer.read(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))).toThrow();
  });

  test('any JSON object survives the way there and back', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue()), (message) => {
        const text = JSON.stringify(message);
        fc.pre(!text.includes('$bytes'));
        const json = writeJson(fromJson(Buffer.from(text)));
        expect(/^[ -~]*$/.test(json)).toBe(true);
        expect(JSON.parse(String(toJson(readJson(Buffer.from(json)) as never)))).toEqual(JSON.parse(text));
      }),
    );
  });
});

describe('hosts', () => {
  const { rows = [] } = cases.find(({ operation }) => operation === 'hash') as Vector;

  test.each(rows)('%s is on the host of %i that channels_redis takes: %i', (name, hosts, index) => {
    expect(hostOf(name, hosts)).toBe(index);
  });

  test('every name has a host', () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 1, max: 50 }), (name, hosts) => {
        const index = hostOf(name, hosts);
        expect(Number.isInteger(index) && index >= 0 && index < hosts).toBe(true);
      }),
    );
  });
});

/** A source of tokens that are too old. */
function past(): { now(): number; vector(): Buffer } {
  return { now: () => Math.floor(Date.now() / 1000) - 12, vector: () => Buffer.alloc(16) };
}
