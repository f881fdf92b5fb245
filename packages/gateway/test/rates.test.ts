import { describe, expect, test } from 'vitest';
import { Pace } from '../src/limits/pace.ts';
import { Client } from './support/client.ts';
import { TestGateway, until } from './support/gateway.ts';
import { frame, RawClient, request } from './support/raw.ts';
import { StreamClient } from './support/stream.ts';

/** Milliseconds of the wall clock that a piece of work takes. */
async function elapsed(work: () => Promise<unknown>): Promise<number> {
  const before = performance.now();
  await work();
  return performance.now() - before;
}

const messages = (count: number, payload = 'x'): Buffer => Buffer.concat(Array.from({ length: count }, () => frame(1, payload)));

describe('a pace', () => {
  const rates = { frames: { perSecond: 10, burst: 2 }, bytes: { perSecond: 1000, burst: 100 }, control: { perSecond: 10, burst: 1 } };

  test('counts what was read, also where it was too much, and says how long that is too much', () => {
    let now = 0;
    const pace = new Pace(rates, () => now);
    expect(pace.wait).toBe(0);
    pace.frames(1);
    expect(pace.wait).toBe(0);
    pace.frames(4);
    expect(pace.wait).toBe(400);
    now = 400;
    expect(pace.wait).toBe(0);
    pace.bytes(500);
    expect(pace.wait).toBe(0);
    pace.bytes(1);
    expect(Math.round(pace.wait)).toBe(401);
    expect(pace.isFlooded).toBe(false);
    pace.control();
    pace.control();
    expect(pace.isFlooded).toBe(true);
    now = 801;
    expect([Math.round(pace.wait), pace.isFlooded]).toEqual([0, false]);
  });

  test('takes all that comes together, or nothing of it', () => {
    let now = 0;
    const pace = new Pace(rates, () => now);
    expect([pace.takes(10, 4), pace.takes(10, 1)]).toEqual([true, false]);
    now = 300;
    expect([pace.takes(10, 2), pace.takes(10, 1)]).toEqual([true, false]);
  });
});

describe('what comes faster than its rate is not read, and nothing of it is lost', () => {
  test('frames of messages, those of which a message is made included', async () => {
    await using gateway = await TestGateway.start(['--rate-frames', '100/s burst 10']);
    await using fast = await RawClient.upgraded(gateway.port, '/room/1');
    const took = await elapsed(async () => {
      fast.write(
        messages(40),
        Buffer.concat([frame(1, 'a', { fin: false }), ...Array.from({ length: 18 }, () => frame(0, 'b', { fin: false })), frame(0, 'c')]),
      );
      fast.write(messages(1, 'last'));
      await fast.until((frames) => frames.length === 42);
    });
    expect(fast.frames.at(-1)?.payload.toString()).toBe('last');
    expect(took).toBeGreaterThanOrEqual(495);
  });

  test('bytes, while others are served', async () => {
    await using gateway = await TestGateway.start(['--rate-bytes', '10KiB/s burst 4KiB']);
    await using fast = await RawClient.upgraded(gateway.port, '/room/1');
    await using other = await Client.open(gateway.ws('/room/2'));
    const took = await elapsed(async () => {
      for (let count = 0; count < 10; count += 1) {
        fast.write(messages(1, 'x'.repeat(1024)));
        await fast.until((frames) => frames.length >= count);
        other.send(String(count));
        await other.until(() => other.received.length > count);
      }
      await fast.until((frames) => frames.length === 10);
    });
    // The last of them is read before it is paid for.
    expect(took).toBeGreaterThanOrEqual(450);
  });

  test('5000 pings are answered, no faster than control frames may come', async () => {
    await using gateway = await TestGateway.start(['--rate-control', '10000/s burst 100']);
    await using client = await RawClient.upgraded(gateway.port, '/room/1');
    const took = await elapsed(async () => {
      client.write(Buffer.concat(Array.from({ length: 5000 }, () => frame(9, 'p'))), messages(1));
      await client.until((frames) => frames.length === 5001);
    });
    expect(took).toBeGreaterThanOrEqual(485);
    expect(client.frames.at(-1)?.opcode).toBe(1);
  });

  test('pongs that nobody asked for count, and those that answer do not', async () => {
    await using gateway = await TestGateway.start(['--rate-control', '1/s burst 1', '--heartbeat-interval', '100ms']);
    await using honest = await Client.open(gateway.ws('/room/1'));
    await using flooding = await RawClient.upgraded(gateway.port, '/room/2');
    let pings = 0;
    honest.socket.on('ping', () => (pings += 1));
    // They keep the message behind them unread for five seconds. As many answers, counted, would keep the other one's pings as long.
    flooding.write(Buffer.concat(Array.from({ length: 5 }, () => frame(10, 'p'))), messages(1));
    await until(() => pings >= 6, 'six pings');
    honest.send('x');
    await honest.until(() => honest.received.length === 1);
    expect(flooding.frames.filter(({ opcode }) => opcode === 1)).toEqual([]);
  });

  test('a message takes no longer for the time in which it was not read', async () => {
    await using gateway = await TestGateway.start(['--rate-bytes', '10KiB/s burst 1KiB', '--limits-message-time', '200ms']);
    await using client = await RawClient.upgraded(gateway.port, '/room/1');
    const message = frame(1, 'x'.repeat(8 * 1024));
    client.write(message.subarray(0, 5 * 1024));
    await until(() => gateway.gateway.state.inboundBytes > 0, 'it has begun');
    client.write(message.subarray(5 * 1024));
    await client.until((frames) => frames.length === 1);
    expect(client.frames[0]?.payload.length).toBe(8 * 1024);
  });

  test('a session that is not read is not taken for dead, and can still be closed', async () => {
    await using gateway = await TestGateway.start(['--rate-frames', '4/s burst 1', '--heartbeat-interval', '100ms', '--heartbeat-timeout', '100ms']);
    await using client = await RawClient.upgraded(gateway.port, '/room/1');
    await using _other = await Client.open(gateway.ws('/room/other'));
    client.write(messages(3));
    await client.until((frames) => frames.filter(({ opcode }) => opcode === 1).length === 3);
    client.write(messages(100));
    await until(() => gateway.gateway.state.inboundBytes > 0, 'it is not read');
    client.socket.resetAndDestroy();
    await until(() => gateway.gateway.sessions === 1, 'it is gone');
    expect(gateway.gateway.state.inboundBytes).toBe(0);
  });

  test('and who has gone, or floods with control frames, does not live on by what is not read', async () => {
    await using gateway = await TestGateway.start([
      '--rate-frames',
      '1/s burst 1',
      '--rate-control',
      '1/s burst 1',
      '--heartbeat-interval',
      '100ms',
      '--heartbeat-timeout',
      '100ms',
    ]);
    await using leaving = await RawClient.upgraded(gateway.port, '/room/1');
    await using flooding = await RawClient.upgraded(gateway.port, '/room/2');
    leaving.write(messages(600));
    leaving.socket.end();
    flooding.write(Buffer.concat(Array.from({ length: 600 }, () => frame(10, 'p'))));
    await until(() => gateway.gateway.sessions === 0, 'both are gone');
    expect(gateway.gateway.counters.closes.get('1006')).toBe(2);
  });

  test('frames that a stream’s session sends by POST are refused with 429, all of a request together', async () => {
    await using gateway = await TestGateway.start(['--rate-frames', '1/s burst 1']);
    await using stream = await StreamClient.open(gateway.port, '/socket');
    await stream.until(() => stream.frames.length > 0);
    const post = (text: string): Promise<Response> =>
      fetch(gateway.http(`/socket?session=${String(stream.frames[0]?.['session'])}`), {
        method: 'POST',
        body: JSON.stringify(Array.from({ length: 20 }, () => ({ type: 'publish', room: '1', text, ref: text }))),
      });
    const first = await post('a');
    const second = await post('b');
    expect([first.status, second.status, Number(second.headers.get('retry-after')) > 0]).toEqual([202, 429, true]);
    await stream.until(() => stream.frames.filter(({ ref }) => ref === 'a').length === 20);
    expect(stream.frames.filter(({ ref }) => ref === 'b')).toEqual([]);
  });
});

describe('what is asked for more often than its rate', () => {
  test('joins and publishes are answered with rate, each for itself, and nothing else is', async () => {
    await using gateway = await TestGateway.start(['--rate-joins', '1/s burst 2', '--rate-publishes', '1/s burst 3', '--limits-errors', '1000']);
    await using client = await Client.multiplex(gateway.ws('/socket'));
    for (let ref = 0; ref < 40; ref += 1) client.send({ type: 'join', room: `r${ref}`, ref: `join ${ref}` });
    for (let ref = 0; ref < 40; ref += 1) client.send({ type: 'publish', room: 'r0', text: 'x', ref: `publish ${ref}` });
    expect(await client.ask({ type: 'leave', room: 'r0', ref: 'last' })).toMatchObject({ type: 'left' });
    const answers = (what: string): unknown[] => client.frames.filter(({ ref }) => String(ref).startsWith(what)).map(({ type, code }) => code ?? type);
    expect([new Set(answers('join')), new Set(answers('publish'))]).toEqual([new Set(['joined', 'rate']), new Set(['published', 'rate'])]);
    expect([answers('join').indexOf('rate'), answers('publish').indexOf('rate')]).toEqual([2, 3]);
    expect(gateway.gateway.counters.publishFailures.rate).toBe(answers('publish').filter((answer) => answer === 'rate').length);
  });

  test('ends the session with 4429 after limits.errors of them in a minute, whatever other errors there were', async () => {
    await using gateway = await TestGateway.start(['--rate-publishes', '1/s burst 1', '--limits-errors', '5']);
    await using client = await Client.multiplex(gateway.ws('/socket'));
    for (let count = 0; count < 4; count += 1) client.send('no JSON');
    for (let count = 0; count < 20; count += 1) client.send({ type: 'publish', room: 'r', text: 'x', ref: count });
    expect(await client.closed()).toBe(4429);
    expect(client.frames.filter(({ code }) => code === 'rate').length).toBe(5);
  });

  test('on a raw route it ends the session with 4429, since nothing else could say that a message was not published', async () => {
    await using gateway = await TestGateway.start(['--rate-publishes', '1/s burst 3']);
    await using listener = await Client.open(gateway.ws('/room/1'));
    await using client = await RawClient.upgraded(gateway.port, '/room/1');
    client.write(messages(100));
    expect(await client.closeCode()).toBe(4429);
    await listener.until(() => listener.received.length >= 3);
    expect(listener.received.length).toBeLessThan(10);
  });

  test('where the raw route stays open on failures it is dropped, and the session ends after limits.errors of them', async () => {
    const routes = '[{path: "/room/:room", kind: room, join: anyone, publish: anyone, on_publish_failure: stay}]';
    await using gateway = await TestGateway.start(['--rate-publishes', '1/s burst 1', '--limits-errors', '5', '--routes', routes]);
    await using client = await RawClient.upgraded(gateway.port, '/room/1');
    client.write(messages(5));
    await until(() => gateway.gateway.counters.publishFailures.rate >= 3, 'most were dropped');
    await client.until((frames) => frames.length > 0);
    expect(client.frames.some(({ opcode }) => opcode === 8)).toBe(false);
    client.write(messages(20));
    expect(await client.closeCode()).toBe(4429);
    expect(gateway.gateway.counters.publishFailures.rate).toBe(5);
  });

  test('does not count what is published without a session', async () => {
    await using gateway = await TestGateway.start(['--rate-publishes', '1/s burst 1']);
    await using client = await RawClient.connect(gateway.port);
    for (let count = 0; count < 5; count += 1) {
      client.write(request('POST /room/1 HTTP/1.1', 'Host: a', 'Content-Length: 1'), 'x');
      expect((await client.answer()).status).toBe(202);
    }
  });
});
