import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Client } from '../support/client.ts';
import { TestGateway, until } from '../support/gateway.ts';
import { KEY } from '../support/operator.ts';
import { StreamClient, dataOf } from '../support/stream.ts';

let gateway: TestGateway;
let port: number;
beforeAll(async () => {
  gateway = await TestGateway.start(['--ops-key', KEY], [{ rooms: 'kept.>', size: 100, ageMs: 60_000 }]);
  port = gateway.gateway.ops.port;
});
afterAll(() => gateway?.[Symbol.asyncDispose]());

/** Messages that nobody reads, of so many bytes: what the kernel holds for a reader is less than half of them. */
const UNREAD = 2000;
const PAYLOAD = 60_000;

const AUTHORIZED = [`Authorization: Bearer ${KEY}`];

function tap(path: string): Promise<StreamClient> {
  return StreamClient.open(port, `/api/tap/${path}`, AUTHORIZED);
}

/** Events of one kind, and the data of each. */
function eventsOf(client: StreamClient, event: string): string[] {
  return client.blocks.filter((block) => block.startsWith(`event: ${event}\n`)).map(dataOf);
}

describe('a tap', () => {
  test('shows live messages as frames, of a room that nobody is in, too', async () => {
    await using watching = await tap('kept.t');
    expect(watching.head).toMatch(/^HTTP\/1\.1 200 .*content-type: text\/event-stream/is);
    await watching.until(() => watching.blocks.length > 0);
    const { position } = await gateway.layer.publish('kept.t', '{"a":\n1}');
    await gateway.layer.publish('kept.t', 'plain\ntext');
    await watching.until(() => eventsOf(watching, 'message').length === 2);
    expect(eventsOf(watching, 'message')[0]).toBe(`{"type":"message","room":"kept.t","data":{"a": 1},"position":"${position}"}`);
    expect(JSON.parse(eventsOf(watching, 'message')[1] ?? '')).toMatchObject({ text: 'plain\ntext' });
  });

  test('shows so many a second as it was asked for, and tells how many it left out', async () => {
    await using watching = await tap('t.many?rate=3');
    await watching.until(() => watching.blocks.length > 0);
    for (let n = 0; n < 500; n += 1) void gateway.layer.publish('t.many', `${n}`);
    const counted = (): number =>
      eventsOf(watching, 'message').length + eventsOf(watching, 'skipped').reduce((sum, data) => sum + (JSON.parse(data) as { count: number }).count, 0);
    await watching.until(() => counted() === 500);
    expect(
      eventsOf(watching, 'message')
        .slice(0, 3)
        .map((data) => (JSON.parse(data) as { data: number }).data),
    ).toEqual([0, 1, 2]);
  });

  test('ends when its reader goes, and leaves nothing behind', async () => {
    for (let n = 0; n < 40; n += 1) {
      const watching = await tap('t.gone');
      expect(watching.head).toContain(' 200 ');
      await watching[Symbol.asyncDispose]();
      await until(() => watching.isClosed, 'it is closed');
    }
  });

  test('ends where its reader sends what is no request: no answer stands among its events', async () => {
    await using watching = await tap('t.raw');
    await watching.until(() => watching.blocks.length > 0);
    let text = '';
    // Read as it is: as a stream it would be none.
    watching.socket.removeAllListeners('data').on('data', (bytes) => (text += String(bytes)));
    watching.socket.write('\0\r\n\r\n');
    await watching.closed();
    expect(text).not.toContain('HTTP/1.1');
  });

  test('more than 32 at a time are refused with 503, and there is room again when one goes', async () => {
    const taps = await Promise.all(Array.from({ length: 32 }, () => tap('t.full')));
    await using refused = await tap('t.full');
    expect(refused.head).toContain(' 503 ');
    await taps.pop()?.[Symbol.asyncDispose]();
    for (let isOpen = false; !isOpen;) {
      await using again = await tap('t.full');
      isOpen = again.head.includes(' 200 ');
    }
    await Promise.all(taps.map((one) => one[Symbol.asyncDispose]()));
  });

  test.each([
    ['no%20room', 400],
    ['a?rate=0', 400],
    ['a?rate=1001', 400],
    ['a?rate=x', 400],
  ])('of %s is %i', async (path, status) => {
    await using refused = await tap(path);
    expect(refused.head).toContain(` ${status} `);
  });

  test('that is not read holds up nobody, keeps no more than a bound, and tells what it lost once it is read again', async () => {
    await using member = await Client.multiplex(gateway.ws('/socket'));
    await member.ask({ type: 'join', room: 't.unread', ref: 1 });
    await using unread = await tap('t.unread?rate=1000');
    unread.socket.pause();
    const payload = 'x'.repeat(PAYLOAD);
    for (let sent = 0; sent < UNREAD; sent += 50) {
      await Promise.all(Array.from({ length: 50 }, () => gateway.layer.publish('t.unread', payload)));
      await member.until(() => member.received.length === 2 + 50);
      member.received.length = 2;
    }
    unread.socket.resume();
    const skipped = (): number => eventsOf(unread, 'skipped').reduce((sum, data) => sum + (JSON.parse(data) as { count: number }).count, 0);
    await unread.until(() => eventsOf(unread, 'message').length + skipped() === UNREAD);
    expect(skipped() * PAYLOAD).toBeGreaterThan((UNREAD * PAYLOAD) / 2);
  });
});
