import { afterAll, beforeAll, expect, test } from 'vitest';
import { closeFrame, frame } from '../../../packages/gateway/test/support/raw.ts';
import { ENDINGS, fragments } from '../../attacks/endings.ts';
import { openRaw, Stage } from '../../attacks/stage.ts';

const MIB = 1_048_576;
/** Sockets that do it at the same time. */
const TIMES = 20;
/** Many of them, each of which holds what it has begun. */
const MANY = 200;

let stage: Stage;

beforeAll(async () => {
  stage = await Stage.start(['--limits-message-time', '500ms', '--limits-outbox', '64KiB', '--heartbeat-interval', '400ms', '--heartbeat-timeout', '400ms']);
});

afterAll(async () => {
  await stage[Symbol.asyncDispose]();
});

test.each(ENDINGS)('attack $attack: $name ends its session with $code, and no other', async ({ sent, code }) => {
  await stage.withstands(async () => {
    const once = async (): Promise<void> => {
      await using client = await openRaw(stage.gateway.port, '/room/attacked');
      client.write(...sent);
      expect(await client.closeCode()).toBe(code);
    };
    await Promise.all(Array.from({ length: TIMES }, once));
  });
});

test('attack 36: fragments without an end cost little more than their bytes, for as long as a message may take', async () => {
  const sent = Buffer.concat(fragments(1000, 'x'));
  await stage.withstands(async () => {
    const before = await stage.inspector.resident();
    const clients = await Promise.all(Array.from({ length: MANY }, () => openRaw(stage.gateway.port, '/room/attacked')));
    for (const client of clients) client.write(sent);
    const codes = await Promise.all(clients.map((client) => client.closeCode()));
    expect(new Set(codes)).toEqual(new Set([1008]));
    expect(stage.inspector.peak() - before).toBeLessThan(64 * MIB);
    await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
  });
});

test('attack 37: a frame that comes a byte at a time must end within the time of a message', async () => {
  await stage.withstands(async () => {
    await using client = await openRaw(stage.gateway.port, '/room/attacked');
    const bytes = frame(1, 'x'.repeat(10_000));
    let at = 0;
    const drip = setInterval(() => client.write(bytes.subarray(at, (at += 1))), 20);
    expect(await client.closeCode()).toBe(1008);
    clearInterval(drip);
  });
});

test('attack 40: what follows a close is dropped, and only the first one is answered', async () => {
  await stage.withstands(async () => {
    await using witness = await openRaw(stage.gateway.port, '/room/after');
    await using client = await openRaw(stage.gateway.port, '/room/after');
    client.write(Buffer.concat([closeFrame(4000, 'bye'), frame(1, 'after'), closeFrame(4001)]));
    await client.closed();
    expect(client.frames.map(({ opcode, payload }) => [opcode, payload.readUInt16BE()])).toEqual([[8, 4000]]);
    witness.write(frame(1, 'marker'));
    await witness.until((frames) => frames.length > 0);
    expect(witness.frames.map(({ payload }) => payload.toString())).toEqual(['marker']);
  });
});

test('attacks 42, 43: a flood of pings is read no faster than it may come, whether its answers are read or not, and nothing is kept of it', async () => {
  const flood = Buffer.concat(Array.from({ length: 5000 }, () => frame(9, 'x'.repeat(125))));
  await stage.withstands(async () => {
    const before = await stage.inspector.resident();
    await using deaf = await openRaw(stage.gateway.port, '/room/attacked');
    deaf.socket.pause();
    await using reader = await openRaw(stage.gateway.port, '/room/attacked');
    for (const client of [deaf, reader]) client.write(flood);
    await using probe = await openRaw(stage.gateway.port, '/room/probe');
    for (let round = 1; round <= 50; round += 1) {
      probe.write(frame(1, 'x'));
      await probe.until((frames) => frames.filter(({ opcode }) => opcode === 1).length === round);
    }
    await reader.until((frames) => frames.some(({ opcode }) => opcode === 10));
    expect(reader.frames.filter(({ opcode }) => opcode === 10).length).toBeLessThan(500);
    expect(stage.inspector.peak() - before).toBeLessThan(64 * MIB);
  });
});

test('attack 44: pongs that answer nothing, or something else, are no sign of life', async () => {
  await stage.withstands(async () => {
    await using blind = await openRaw(stage.gateway.port, '/room/attacked');
    const pongs = setInterval(() => blind.write(frame(10, ''), frame(10, 'alive'), frame(10, Buffer.from([0, 0, 0, 1]))), 20);
    await blind.closed();
    clearInterval(pongs);
    expect(blind.frames.some(({ opcode }) => opcode === 9)).toBe(true);
  });
});

test('attack 45: a close carries the client’s own reason of 123 bytes back, or one of ours that fits', async () => {
  await stage.withstands(async () => {
    const reason = `${'é'.repeat(61)}x`;
    await using own = await openRaw(stage.gateway.port, '/room/attacked');
    own.write(closeFrame(4000, reason));
    await own.closeCode();
    expect(own.frames.at(-1)?.payload.subarray(2).toString()).toBe(reason);
    await using ours = await openRaw(stage.gateway.port, '/room/attacked');
    ours.write(frame(3));
    await ours.closeCode();
    const payload = ours.frames.at(-1)?.payload;
    expect([payload?.readUInt16BE(), payload?.subarray(2).toString(), ours.frames.length]).toEqual([1002, expect.stringMatching(/^[ -~]{1,123}$/), 1]);
  });
});
