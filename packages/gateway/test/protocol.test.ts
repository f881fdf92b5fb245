import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TestGateway, until } from './support/gateway.ts';
import { closeFrame, frame, RawClient } from './support/raw.ts';

let gateway: TestGateway;

beforeAll(async () => {
  gateway = await TestGateway.start(['--limits-message-time', '400ms']);
});

afterAll(async () => {
  await until(() => gateway.gateway.sessions === 0, 'no session is left');
  expect(gateway.balance().queued).toBe(0);
  await using client = await RawClient.upgraded(gateway.port, '/room/alive');
  client.write(frame(1, 'echo'));
  await client.until((frames) => frames[0]?.payload.toString() === 'echo');
  await gateway[Symbol.asyncDispose]();
});

interface Row {
  readonly name: string;
  readonly sent: readonly (string | Buffer)[];
  readonly code: number;
  readonly path?: string;
}

const KIB = 1024;
const ROWS: readonly Row[] = [
  { name: 'an unmasked frame', sent: [frame(1, 'a', { mask: false })], code: 1002 },
  { name: 'RSV1', sent: [frame(1, 'a', { rsv: 4 })], code: 1002 },
  { name: 'RSV2', sent: [frame(1, 'a', { rsv: 2 })], code: 1002 },
  { name: 'RSV3', sent: [frame(1, 'a', { rsv: 1 })], code: 1002 },
  { name: 'RSV1 on a continuation', sent: [frame(1, 'a', { fin: false }), frame(0, 'b', { rsv: 4 })], code: 1002 },
  { name: 'RSV1 on a ping', sent: [frame(9, '', { rsv: 4 })], code: 1002 },
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode) => ({ name: `opcode ${opcode}`, sent: [frame(opcode, 'a')], code: 1002 })),
  { name: 'a ping in fragments', sent: [frame(9, 'a', { fin: false })], code: 1002 },
  { name: 'a ping of 126 bytes', sent: [frame(9, 'a'.repeat(126))], code: 1002 },
  { name: 'a continuation of nothing', sent: [frame(0, 'a')], code: 1002 },
  { name: 'a text within a text', sent: [frame(1, 'a', { fin: false }), frame(1, 'b')], code: 1002 },
  { name: 'broken UTF-8', sent: [frame(1, Buffer.from([0xc3, 0x28]))], code: 1007 },
  { name: 'a surrogate in UTF-8', sent: [frame(1, Buffer.from([0xed, 0xa0, 0x80]))], code: 1007 },
  { name: 'an overlong form', sent: [frame(1, Buffer.from([0xc0, 0xaf]))], code: 1007 },
  { name: 'a text that is cut within a code point', sent: [frame(1, Buffer.from([0xe2, 0x82]))], code: 1007 },
  { name: 'a byte more than a message may have', sent: [frame(2, Buffer.alloc(64 * KIB + 1))], code: 1009, path: '/room/p' },
  { name: 'a header that claims 2^53 bytes', sent: [frame(2, '', { length: 2 ** 53 })], code: 1009 },
  { name: 'a header that claims 2^62 bytes', sent: [frame(2, '', { length: 2 ** 62 })], code: 1009 },
  {
    name: 'two fragments that are too large together',
    sent: [frame(2, Buffer.alloc(40 * KIB), { fin: false }), frame(0, Buffer.alloc(40 * KIB))],
    code: 1009,
    path: '/room/p',
  },
  { name: 'a byte more than a frame of /socket may have', sent: [frame(1, ' '.repeat(96 * KIB + 1))], code: 1009, path: '/socket' },
  { name: 'a binary frame on /socket', sent: [frame(2, '{"type":"ping"}')], code: 1003, path: '/socket' },
  {
    name: '1025 fragments',
    sent: [frame(1, 'a', { fin: false }), ...Array.from({ length: 1024 }, () => frame(0, 'a', { fin: false }))],
    code: 1008,
  },
  { name: '1025 empty fragments', sent: [frame(1, '', { fin: false }), ...Array.from({ length: 1024 }, () => frame(0, '', { fin: false }))], code: 1008 },
  { name: 'fragments without an end', sent: [frame(1, 'a', { fin: false }), frame(0, 'b', { fin: false })], code: 1008 },
  { name: 'a frame without an end', sent: [frame(1, 'abc').subarray(0, 7)], code: 1008 },
  { name: 'half a header', sent: [Buffer.from([0x81])], code: 1008 },
  ...[0, 999, 1004, 1005, 1006, 1015, 2999, 5000].map((code) => ({ name: `close with ${code}`, sent: [closeFrame(code)], code: 1002 })),
  { name: 'close with one byte', sent: [frame(8, 'a')], code: 1002 },
  { name: 'close with a reason of broken UTF-8', sent: [frame(8, Buffer.from([3, 232, 0xff]))], code: 1007 },
  ...[1000, 1001, 1011, 3000, 4999].map((code) => ({ name: `close with ${code}`, sent: [closeFrame(code)], code })),
  { name: 'close without a code', sent: [frame(8)], code: 1005 },
];

describe.each(['/room/p', '/socket'])('on %s', (path) => {
  test.each(ROWS.filter((row) => row.path === undefined || row.path === path))('$name: $code', async ({ sent, code }) => {
    await using client = await RawClient.upgraded(gateway.port, path);
    client.write(...sent);
    expect(await client.closeCode()).toBe(code);
    client.socket.end();
    await client.closed();
    expect(client.frames.at(-1)?.opcode).toBe(8);
  });
});

test('a ping is answered with its payload, also between fragments', async () => {
  await using client = await RawClient.upgraded(gateway.port, '/room/ping');
  client.write(frame(1, 'a', { fin: false }), frame(9, 'are you there'), frame(0, 'b'));
  await client.until((frames) => frames.length === 2);
  expect(client.frames.map(({ opcode, payload }) => [opcode, payload.toString()])).toEqual([
    [10, 'are you there'],
    [1, 'ab'],
  ]);
});

test('a ping is answered before the message that follows it', async () => {
  await using client = await RawClient.upgraded(gateway.port, '/socket');
  client.write(Buffer.concat([frame(9, 'first'), frame(1, '{"type":"ping"}')]));
  await client.until((frames) => frames.length === 3);
  expect(client.frames.slice(1).map(({ opcode, payload }) => [opcode, payload.toString()])).toEqual([
    [10, 'first'],
    [1, '{"type":"pong"}'],
  ]);
});

test('64 KiB in 1024 fragments, a byte at a time, is one message', async () => {
  await using gentle = await TestGateway.start();
  await using client = await RawClient.upgraded(gentle.port, '/room/pieces');
  const whole = Buffer.alloc(64 * KIB, 'x');
  for (let piece = 0; piece < 1024; piece += 1) client.write(frame(piece === 0 ? 1 : 0, whole.subarray(0, 64), { fin: piece === 1023 }));
  const slow = frame(1, 'dripping');
  for (const byte of slow) {
    client.write(Buffer.from([byte]));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await client.until((frames) => frames.length === 2);
  expect(client.frames[0]?.payload.equals(whole)).toBe(true);
  expect(client.frames[1]?.payload.toString()).toBe('dripping');
});

test('what comes after a close is dropped, and a close is answered once', async () => {
  await using witness = await RawClient.upgraded(gateway.port, '/room/after');
  await using client = await RawClient.upgraded(gateway.port, '/room/after');
  client.write(Buffer.concat([frame(1, 'before'), closeFrame(4000, 'bye'), frame(1, 'after'), closeFrame(4001)]));
  await client.closed();
  expect(client.frames.filter(({ opcode }) => opcode === 8).map(({ payload }) => payload.readUInt16BE())).toEqual([4000]);
  witness.write(frame(1, 'marker'));
  await witness.until((frames) => frames.length === 2);
  expect(witness.frames.map(({ payload }) => payload.toString())).toEqual(['before', 'marker']);
});

test('a peer that pings without reading is ended when its outbox is full', async () => {
  await using small = await TestGateway.start(['--limits-outbox', '64KiB', '--rate-control', '1000000/s']);
  await using client = await RawClient.upgraded(small.port, '/room/pings');
  client.socket.pause();
  const pings = Buffer.concat(Array.from({ length: 5000 }, () => frame(9, 'x'.repeat(125))));
  const flood = setInterval(() => client.write(pings), 5);
  await until(() => small.gateway.state.outboxBytes > 64 * KIB, 'its outbox is full');
  clearInterval(flood);
  client.write(pings);
  client.socket.resume();
  expect(await client.closeCode()).toBe(1013);
  client.socket.end();
  await until(() => small.gateway.sessions === 0, 'it is gone');
  expect(small.gateway.counters.closes.get('1013')).toBe(1);
});
