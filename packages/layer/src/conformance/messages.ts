import assert from 'node:assert/strict';
import type { Message, Value } from '../contract.ts';
import type { ChannelLayer } from '../layer.ts';
import { next, rejects } from './expect.ts';
import { Random } from './random.ts';
import type { Stage } from './stage.ts';
import type { Family } from './suite.ts';

const VALUES: Message = {
  texts: ['', 'hello', 'a\0b', 'é', '\u{1f600}', '\u2028\u2029\ufeff', '"\\/\b\f\n\r\t', '1', 'null'],
  numbers: [0, 1, -1, 1.5, 2 ** 53 - 1, -(2 ** 53), 2 ** 31, 2 ** 32, 2 ** 63, 5e-324, Number.MAX_VALUE, 1e21, 0.1 + 0.2],
  others: [true, false, null],
  empty: [[], {}, '', new Uint8Array(0)],
  nested: { a: { b: { c: [[[{ d: null }]]] } } },
  bytes: [Uint8Array.of(0), Uint8Array.from({ length: 256 }, (_, index) => index), { deep: Uint8Array.of(1, 2, 3) }],
  'text that looks like bytes': ['$bytes', 'AAEC', '{"$bytes":"AAEC"}'],
  'an object with more than bytes': { $bytes: 'AAEC', other: 1 },
  '': 'the empty key',
  'a.b c\n"': 'any key',
  constructor: 'of a message',
  toJSON: 'text',
  length: 3,
};

/** Member at fault, as the error names it, and the message. */
const INVALID: readonly (readonly [string, unknown])[] = [
  ['a', { a: Number.NaN }],
  ['a', { a: Number.POSITIVE_INFINITY }],
  ['a.b', { a: { b: Number.NEGATIVE_INFINITY } }],
  ['a[1]', { a: [0, 1n] }],
  ['a', { a: undefined }],
  ['a[0].b', { a: [{ b: undefined }] }],
  ['a', { a: () => undefined }],
  ['a', { a: Symbol('a') }],
  ['a', { a: new Date(0) }],
  ['a', { a: new Map() }],
  ['a', { a: new (class Thing {})() }],
  ['a', { a: new ArrayBuffer(1) }],
  ['a', { a: new Uint16Array(1) }],
  ['a[1]', { a: Array.of<unknown>(1, undefined) }],
  ['a', { a: { $bytes: 'AAEC' } }],
  ['__expires', { __expires: 1 }],
];
const NO_MESSAGES: readonly unknown[] = [undefined, null, 'text', 7, true, [], [{}], () => ({}), new Date(0), Uint8Array.of(1), new Map(), 1n];

export const messages: Family = {
  title: 'messages',
  tests: {
    'JSON objects, and a Uint8Array anywhere in them, arrive equal in every field': async (stage) => {
      for (const { send, receive } of await paths(stage)) {
        await send(VALUES);
        assert.deepEqual(plain(await receive()), VALUES);
        await send({});
        assert.deepEqual(await receive(), {});
        await send({ 'no type': true });
        assert.deepEqual(await receive(), { 'no type': true });
      }
    },

    'members of every name are members like any other: nothing reaches a prototype': async (stage) => {
      const hostile = JSON.parse(
        '{"__proto__":{"polluted":1},"a":{"__proto__":[1],"constructor":{"prototype":{"polluted":1}}},"b":{"$bytes":"AA==","__proto__":2}}',
      ) as Message;
      for (const { send, receive } of await paths(stage)) {
        await send(hostile);
        const received = await receive();
        assert.equal(JSON.stringify(received), JSON.stringify(hostile));
        assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
        assert.ok(Object.getPrototypeOf(received) === Object.prototype);
      }
    },

    'whatever message is made of these parts arrives equal (200 random ones)': async (stage) => {
      const random = new Random(3);
      for (const { send, receive } of await paths(stage)) {
        for (let made = 0; made < 200; made += 1) {
          const message = { type: 'random', value: makeValue(random, 4) };
          await send(message);
          assert.deepEqual(plain(await receive()), message);
        }
      }
    },

    'lone surrogates become U+FFFD': async (stage) => {
      for (const { send, receive } of await paths(stage)) {
        await send({ a: '\ud83d', 'k\udc00': ['x\ud800y', '\u{1f600}'] });
        assert.deepEqual(await receive(), { a: '\ufffd', 'k\ufffd': ['x\ufffdy', '\u{1f600}'] });
      }
    },

    'NaN, infinities, BigInt, undefined, functions and whatever else JSON cannot carry are INVALID_MESSAGE, naming the member': async (stage) => {
      const [here, there] = await stage.openTwo();
      const channel = here.newChannel();
      for (const [member, message] of INVALID) {
        await rejects(here.send(channel, message as Message), 'INVALID_MESSAGE', member);
        await rejects(there.send(channel, message as Message), 'INVALID_MESSAGE', member);
        await rejects(here.send('work', message as Message), 'INVALID_MESSAGE', member);
        await rejects(here.groupSend('nobody', message as Message), 'INVALID_MESSAGE', member);
      }
      await here.send(channel, { end: true });
      assert.deepEqual(await next(here, channel), { end: true });
    },

    'what is no JSON object is INVALID_MESSAGE, also for an empty group': async (stage) => {
      const layer = await stage.open();
      const channel = layer.newChannel();
      for (const message of NO_MESSAGES) {
        await rejects(layer.send(channel, message as Message), 'INVALID_MESSAGE');
        await rejects(layer.send('work', message as Message), 'INVALID_MESSAGE');
        await rejects(layer.groupSend('nobody', message as Message), 'INVALID_MESSAGE');
      }
    },

    'a message that holds itself, or is nested without end, is INVALID_MESSAGE': async (stage) => {
      const layer = await stage.open();
      const circle: Record<string, unknown> = {};
      circle['again'] = [circle];
      await rejects(layer.send(layer.newChannel(), circle as Message), 'INVALID_MESSAGE');
      const deep = JSON.parse(`{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`) as Message;
      await rejects(layer.send(layer.newChannel(), deep), 'INVALID_MESSAGE');
    },

    'a message of exactly the limit passes, one byte more is MESSAGE_TOO_LARGE naming both sizes': async (stage) => {
      for (const { send, receive } of await paths(stage, { maxMessageBytes: 1000 })) {
        const largest = { a: 'é'.repeat(496) };
        await send(largest);
        assert.deepEqual(await receive(), largest);
        await rejects(send({ a: `${'é'.repeat(496)}.` }), 'MESSAGE_TOO_LARGE', '1001', '1000');
      }
      const layer = await stage.open({ maxMessageBytes: 1000 });
      await rejects(layer.groupSend('nobody', { a: 'x'.repeat(1000) }), 'MESSAGE_TOO_LARGE', '1008', '1000');
    },

    'a message of 1 MiB passes': async (stage) => {
      const layer = await stage.open();
      const channels = [layer.newChannel(), ...(layer.capabilities.queues ? ['work'] : [])];
      for (const channel of channels) {
        const message = { a: 'x'.repeat(1_048_576 - 8) };
        await layer.send(channel, message);
        assert.deepEqual(await next(layer, channel), message);
        await rejects(layer.send(channel, { a: `${message.a}x` }), 'MESSAGE_TOO_LARGE', '1048577', '1048576');
      }
    },
  },
};

interface Path {
  readonly send: (message: Message) => Promise<void>;
  readonly receive: () => Promise<Message>;
}

/** Every way that a message can take: within the process, from another one, through a worker queue, through a group. */
async function paths(stage: Stage, options: { maxMessageBytes?: number } = {}): Promise<Path[]> {
  const [here, there] = await stage.openTwo(options);
  const path = (sender: ChannelLayer, channel: string, reader: ChannelLayer): Path => ({
    send: (message) => sender.send(channel, message),
    receive: () => next(reader, channel),
  });
  const [own, foreign, member] = [here.newChannel(), there.newChannel(), there.newChannel()];
  const result = [path(here, own, here), path(here, foreign, there)];
  if (here.capabilities.queues) result.push(path(here, 'work', there));
  if (here.capabilities.groups) {
    await there.groupAdd('group', member);
    result.push({ send: async (message) => void (await here.groupSend('group', message)), receive: () => next(there, member) });
  }
  return result;
}

/** The same message with every Uint8Array of whatever class as a plain one, so that it can be compared. */
function plain(value: Value): unknown {
  if (value instanceof Uint8Array) return new Uint8Array(value);
  if (Array.isArray(value)) return value.map((item: Value) => plain(item));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, plain(member as Value)]));
}

function makeValue(random: Random, depth: number): Value {
  const kind = random.below(depth > 0 ? 8 : 6);
  if (kind === 0) return random.pick([true, false, null]);
  if (kind === 1) return random.below(2 ** 32) - 2 ** 31;
  if (kind === 2) return (random.below(2 ** 32) / 2 ** 32) * 10 ** (random.below(60) - 30);
  if (kind === 3) return makeText(random);
  if (kind === 4) return Uint8Array.from(random.list(20, () => random.below(256)));
  if (kind === 5) return random.pick(['', '$bytes', '__proto__', '\0', '[', '{"$bytes":""}']);
  if (kind === 6) return random.list(5, () => makeValue(random, depth - 1));
  return Object.fromEntries(random.list(5, () => [`${makeText(random)}.`, makeValue(random, depth - 1)]));
}

function makeText(random: Random): string {
  return String.fromCodePoint(...random.list(12, () => random.pick([random.below(0x80), random.below(0xd800), 0x10000 + random.below(0x100000)])));
}
