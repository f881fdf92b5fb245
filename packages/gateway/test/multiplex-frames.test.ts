import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MULTIPLEX_ENCODING } from '../src/routes/multiplex/encoding.ts';
import { isJson } from '../src/content/json.ts';
import { processorMs } from './support/cpu.ts';
import { Faults } from '../src/routes/multiplex/faults.ts';
import { parseFrame } from '../src/routes/multiplex/parse.ts';
import { isDeeperThan, sourceOf, withoutLoneSurrogates } from '../src/routes/multiplex/source.ts';
import { type WriteAnswer, Turns } from '../src/routes/multiplex/turns.ts';

const MAX = 65_536;
const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);

describe('a frame of a client', () => {
  test.each([
    ['{"type":"ping"}', { type: 'ping' }],
    ['{"type":"join","room":"r"}', { type: 'join', room: 'r', ref: undefined, since: undefined }],
    [' {"ref":"a", "room":"a.b:c@d-e_f","since":"e:12","type":"join"} ', { type: 'join', room: 'a.b:c@d-e_f', ref: 'a', since: 'e:12' }],
    ['{"type":"leave","room":"__proto__","ref":-1.5}', { type: 'leave', room: '__proto__', ref: -1.5 }],
    ['{"type":"leave","room":"r","unknown":[1],"__proto__":{"ref":7}}', { type: 'leave', room: 'r', ref: undefined }],
  ])('%s', (json, expected) => {
    expect(parseFrame(json, MAX)).toEqual(expected);
  });

  test.each([
    ['', 'bad_json'],
    ['{', 'bad_json'],
    ['null', 'bad_frame'],
    ['[]', 'bad_frame'],
    ['5', 'bad_frame'],
    ['"ping"', 'bad_frame'],
    ['\ufeff{"type":"ping"}', 'bad_json'],
    [nested(20_000), 'bad_json'],
    [`{"type":"publish","room":"r","data":${nested(33)}}`, 'bad_json'],
    ['{}', 'bad_frame'],
    ['{"type":5}', 'bad_frame'],
    ['{"type":"join"}', 'bad_frame'],
    ['{"type":"join","room":7}', 'bad_frame'],
    ['{"type":"ping","ref":null}', 'bad_frame'],
    ['{"type":"ping","ref":{}}', 'bad_frame'],
    ['{"type":"ping","ref":1e400}', 'bad_frame'],
    ['{"type":"ping","ref":12345678901234567890}', 'bad_frame'],
    ['{"type":"dance"}', 'unknown_type'],
    ['{"type":"__proto__"}', 'unknown_type'],
    ['{"type":"join","room":""}', 'bad_room'],
    ['{"type":"join","room":"a b"}', 'bad_room'],
    ['{"type":"join","room":"*"}', 'bad_room'],
    ['{"type":"join","room":">"}', 'bad_room'],
    [`{"type":"join","room":"${'a'.repeat(201)}"}`, 'bad_room'],
    [String.raw`{"type":"publish","room":"a 0\r\n\r\nPUB b","text":""}`, 'bad_room'],
    ['{"type":"join","room":"r","since":"12"}', 'bad_position'],
    ['{"type":"join","room":"r","since":12}', 'bad_position'],
    ['{"type":"publish","room":"r"}', 'bad_frame'],
    ['{"type":"publish","room":"r","data":1,"text":"1"}', 'bad_frame'],
    ['{"type":"publish","room":"r","text":5}', 'bad_frame'],
    ['{"type":"publish","room":"r","base64":"a"}', 'bad_frame'],
    ['{"type":"publish","room":"r","base64":"YQ"}', 'bad_frame'],
    ['{"type":"publish","room":"r","base64":"Y Q="}', 'bad_frame'],
    [`{"type":"publish","room":"r","text":"${'a'.repeat(MAX + 1)}"}`, 'too_large'],
    [`{"type":"publish","room":"r","text":"${'é'.repeat(MAX / 2)}a"}`, 'too_large'],
  ])('%.60s is %s', (json, code) => {
    expect(parseFrame(json, MAX)).toMatchObject({ type: 'fault', code });
  });

  test('an error carries the ref that could be read', () => {
    expect(parseFrame('{"type":"dance","ref":7}', MAX)).toEqual({ type: 'fault', code: 'unknown_type', ref: 7 });
    expect(parseFrame('{"type":"join","room":"","ref":"x"}', MAX)).toEqual({ type: 'fault', code: 'bad_room', ref: 'x' });
  });

  test.each([
    ['"data":1.0', '1.0'],
    ['"data": { "a" : 1e2 } ', '{ "a" : 1e2 }'],
    ['"data":"text"', '"text"'],
    ['"data":null', 'null'],
    ['"data":12345678901234567890', '12345678901234567890'],
    [String.raw`"d\u0061ta":[1,{"data":2}]`, '[1,{"data":2}]'],
    ['"data":1,"data":2', '2'],
    ['"data":"\\"}{,"', String.raw`"\"}{,"`],
    ['"data":["\\ud800"]', String.raw`["\ufffd"]`],
    ['"text":"a\\ud800b"', 'a\ufffdb'],
    ['"text":""', ''],
    ['"base64":""', ''],
    ['"base64":"AP8="', '\0\ufffd'],
    [`"text":"${'a'.repeat(MAX)}"`, 'a'.repeat(MAX)],
    [`"data":${nested(32)}`, nested(32)],
  ])('publishes of %.40s the payload %.20s', (member, payload) => {
    const frame = parseFrame(`{"type":"publish",${member},"room":"r"}`, MAX);
    expect(frame.type === 'publish' && frame.payload.toString()).toBe(payload);
  });
});

describe('the source of a member', () => {
  test('is found in any JSON object, as it was written', () => {
    const spaces = fc.constantFrom('', ' ', '\n\t ');
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 4 }), fc.jsonValue(), fc.nat(5), spaces, (others, value, at, space) => {
        const source = JSON.stringify(value, undefined, at % 3);
        const members = Object.entries(others).filter(([name]) => name !== 'data');
        const texts = members.map(([name, other]) => `${space}${JSON.stringify(name)}${space}:${space}${JSON.stringify(other)}${space}`);
        texts.splice(at, 0, `${space}"data"${space}:${space}${source}${space}`);
        const json = `${space}{${texts.join(',')}}${space}`;
        expect(JSON.parse(json)).toHaveProperty('data');
        expect(sourceOf(json, 'data')).toBe(source);
      }),
      { numRuns: 200 },
    );
  });

  test('lone surrogates are replaced and nothing else', () => {
    const piece = fc.constantFrom(
      'a',
      String.raw`\\`,
      String.raw`\"`,
      String.raw`\n`,
      String.raw`\ud800`,
      String.raw`\uDBFF`,
      String.raw`\udc00`,
      String.raw`\uDFFF`,
      String.raw`\u0041`,
      'ud800',
      '😀',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const json = `"${pieces.join('')}"`;
        expect(JSON.parse(withoutLoneSurrogates(json))).toBe((JSON.parse(json) as string).toWellFormed());
      }),
      { numRuns: 1000 },
    );
  });

  test('brackets in strings are no depth', () => {
    expect(isDeeperThan(JSON.stringify(['[[[[', '"[[[', '\\']), 1)).toBe(false);
    expect(isDeeperThan(nested(32), 32)).toBe(false);
    expect(isDeeperThan(`"\\\\"${nested(33)}`, 32)).toBe(true);
  });
});

describe('whether bytes are JSON', () => {
  const parses = (text: string): boolean => {
    try {
      JSON.parse(text);
      return true;
    } catch {
      return false;
    }
  };
  const token = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"',
    '\\',
    'u00e',
    '0',
    '1',
    '-',
    '+',
    '.',
    'e',
    'E',
    'true',
    'false',
    'null',
    'nul',
    ' ',
    '\n',
    '\t',
    '\u0001',
    '"a"',
    '"\\u00e9"',
    '"\\ud800"',
    '"\\x"',
    '"é€😀"',
    '1.5e-3',
    '{"a":',
    '{}',
    '[]',
    '\u00a0',
    '\ufeff',
    '\u2028',
  );

  test('is what JSON.parse says of them', () => {
    const texts = fc.oneof(
      fc.json(),
      fc.array(token, { maxLength: 12 }).map((tokens) => tokens.join('')),
      fc.string({ unit: 'binary' }),
    );
    fc.assert(
      fc.property(texts, (text) => {
        expect(isJson(Buffer.from(text.toWellFormed()), 32)).toBe(parses(text.toWellFormed()));
      }),
      { numRuns: 5000 },
    );
  });

  test('ends at the depth that is allowed, for arrays and objects', () => {
    const objects = (depth: number): string => `${'{"a":['.repeat(depth / 2)}${']}'.repeat(depth / 2)}`;
    expect([nested(32), objects(32), ` ${objects(30)} `].map((text) => isJson(Buffer.from(text), 32))).toEqual([true, true, true]);
    expect([nested(33), objects(34), '['.repeat(100_000)].map((text) => isJson(Buffer.from(text), 32))).toEqual([false, false, false]);
  });

  test('is known for text at no more than half as much again as for JSON of its size', async () => {
    const encoder = MULTIPLEX_ENCODING.encoder('r');
    const json = Buffer.from(JSON.stringify({ id: 1234, at: 1_790_000_000.5, text: 'x'.repeat(80) }));
    const text = Buffer.from('It is the same length as that, but in plain words, and somebody said: "yes". '.repeat(2).slice(0, json.length));
    const cost = (payload: Buffer): Promise<number> =>
      processorMs(() => {
        for (let count = 0; count < 20_000; count += 1) encoder.message({ payload });
      });
    await cost(json);
    await cost(text);
    const rounds = [];
    for (let round = 0; round < 20; round += 1) rounds.push((await cost(text)) / (await cost(json)));
    expect(Math.min(...rounds)).toBeLessThan(1.5);
  });
});

describe('a message frame', () => {
  const encoder = MULTIPLEX_ENCODING.encoder('r');
  const textOf = (payload: Uint8Array, position?: string): string =>
    Buffer.concat(encoder.message({ payload, ...(position === undefined ? {} : { position }) }).parts).toString();

  test.each([
    ['{ "a": 1.0 }', '{"type":"message","room":"r","data":{ "a": 1.0 }}'],
    ['"quoted"', '{"type":"message","room":"r","data":"quoted"}'],
    ['plain', '{"type":"message","room":"r","text":"plain"}'],
    ['', '{"type":"message","room":"r","text":""}'],
    ['\ufeff1', '{"type":"message","room":"r","text":"\ufeff1"}'],
    [nested(32), `{"type":"message","room":"r","data":${nested(32)}}`],
    [nested(33), `{"type":"message","room":"r","text":"${nested(33)}"}`],
    ['{"a":1} x', String.raw`{"type":"message","room":"r","text":"{\"a\":1} x"}`],
  ])('of %.20s', (payload, frame) => {
    expect(textOf(Buffer.from(payload))).toBe(frame);
  });

  test('of bytes that are no UTF-8, and with a position', () => {
    expect(textOf(Buffer.from([0xff, 0]))).toBe('{"type":"message","room":"r","base64":"/wA="}');
    expect(textOf(Buffer.from('1'), 'e:7')).toBe('{"type":"message","room":"r","data":1,"position":"e:7"}');
    expect(textOf(Buffer.from('x'), 'e:7')).toBe('{"type":"message","room":"r","text":"x","position":"e:7"}');
  });

  test('is always one JSON object that gives the payload back', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.string({ unit: 'binary' }).map((text) => Buffer.from(text)),
          fc.json().map((json) => Buffer.from(json)),
        ),
        (payload) => {
          const sheet = encoder.message({ payload });
          const bytes = Buffer.concat(sheet.parts);
          expect(sheet.length).toBe(bytes.length);
          const frame = JSON.parse(bytes.toString()) as Record<string, unknown>;
          const kinds = ['data', 'text', 'base64'].filter((kind) => kind in frame);
          expect(kinds.length).toBe(1);
          if (kinds[0] === 'data') expect(frame['data']).toEqual(JSON.parse(Buffer.from(payload).toString()));
          else if (kinds[0] === 'text') expect(Buffer.from(String(frame['text']))).toEqual(Buffer.from(payload));
          else expect(Buffer.from(String(frame['base64']), 'base64')).toEqual(Buffer.from(payload));
        },
      ),
      { numRuns: 200 },
    );
  });

  test('a gap is spread over more time the more are told, 10 s at most', () => {
    const after = (members: number): number => {
      const sheet = encoder.gap(members);
      if (typeof sheet === 'string') throw new Error(sheet);
      const frame = JSON.parse(Buffer.concat(sheet.parts).toString()) as { type: string; room: string; after: number };
      expect(frame).toEqual({ type: 'gap', room: 'r', after: expect.any(Number) });
      return frame.after;
    };
    const few = Array.from({ length: 200 }, () => after(1));
    const many = Array.from({ length: 200 }, () => after(1_000_000));
    expect(Math.max(...few)).toBeLessThanOrEqual(101);
    expect(Math.max(...many)).toBeLessThanOrEqual(10_000);
    expect(new Set(many).size).toBeGreaterThan(100);
  });
});

describe('the turns of a session', () => {
  /** Steps that the test ends itself, and what happened in which order. */
  function stage() {
    const happened: string[] = [];
    const ends = new Map<string, () => void>();
    let ended = 0;
    let cost = 0;
    const served: number[] = [];
    const turns = new Turns({ refill: () => (ended += 1) }, { give: (bytes) => void served.push(bytes) });
    const take = (name: string, overlaps: boolean, isLate = true): void => {
      const answer: WriteAnswer = () => void happened.push(`answer ${name}`);
      turns.take({
        cost: (cost += 1),
        overlaps,
        begin: () => {
          happened.push(`begin ${name}`);
          return isLate ? new Promise((resolve) => ends.set(name, () => resolve(answer))) : answer;
        },
      });
    };
    const end = async (name: string): Promise<void> => {
      ends.get(name)?.();
      await new Promise((resolve) => setImmediate(resolve));
    };
    return { happened, take, end, turns, served, ended: () => ended };
  }

  test('publishes are under way together and answered in order', async () => {
    const { happened, take, end, ended } = stage();
    take('1', true);
    take('2', true);
    take('ping', true, false);
    await end('2');
    expect(happened).toEqual(['begin 1', 'begin 2', 'begin ping']);
    await end('1');
    expect(happened.slice(3)).toEqual(['answer 1', 'answer 2', 'answer ping']);
    expect(ended()).toBe(3);
  });

  test('a join waits for what is before it, and all behind it wait for the join', async () => {
    const { happened, take, end } = stage();
    take('publish', true);
    take('join', false);
    take('later', true, false);
    expect(happened).toEqual(['begin publish']);
    await end('publish');
    expect(happened.slice(1)).toEqual(['answer publish', 'begin join']);
    await end('join');
    expect(happened.slice(3)).toEqual(['answer join', 'begin later', 'answer later']);
  });

  test('after the end nothing begins and nothing is answered', async () => {
    const { happened, take, end, turns, served } = stage();
    take('join', false);
    take('later', true, false);
    turns.end();
    expect(served).toEqual([2]);
    await end('join');
    expect([happened, served]).toEqual([['begin join'], [2, 1]]);
  });
});

test('the 20th error within a minute is one too many; what is no fault of the client is not counted', () => {
  const faults = new Faults();
  const told = Array.from({ length: 20 }, (_, index) => faults.add('bad_json', 1000 + index, 20));
  expect(told.indexOf(true)).toBe(19);
  const slow = new Faults();
  expect(Array.from({ length: 100 }, (_, index) => slow.add('bad_json', index * 4000, 20)).includes(true)).toBe(false);
  for (const code of ['away', 'unknown', 'full'] as const) expect(new Faults().add(code, 0, 1)).toBe(false);
});
