import { expect, test } from 'vitest';
import { costOf, Inbound } from '../src/inbound.ts';
import { Client } from './support/client.ts';
import { TestGateway, until } from './support/gateway.ts';
import { RawClient, request } from './support/raw.ts';

const KIB = 1024;
/** Pieces of one byte, as the wire has them. */
const drops = (count: number): string => '1\r\nx\r\n'.repeat(count);
const CHUNKED = request('POST /room/drops HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked');

test('what would pass the bound is not counted, and what is given back can be taken again', () => {
  const inbound = new Inbound(10);
  expect([inbound.take(10), inbound.take(1), inbound.bytes]).toEqual([true, false, 10]);
  inbound.give(4);
  expect([inbound.take(5), inbound.take(4), inbound.bytes]).toEqual([false, true, 10]);
});

test('where the bound is met those go who hold most, and not who asks for little', () => {
  const inbound = new Inbound(160);
  const gone: string[] = [];
  const holder = (name: string, bytes: number) => {
    const held = {
      begun: bytes,
      evict: () => {
        gone.push(name);
        inbound.give(bytes);
        inbound.remove(held);
      },
    };
    expect(inbound.take(bytes, held)).toBe(true);
    inbound.add(held);
    return held;
  };
  holder('small', 10);
  const large = holder('large', 80);
  holder('middle', 60);
  expect([inbound.take(20), gone, inbound.bytes]).toEqual([true, ['large'], 90]);
  // Who holds most is asked last: it has what it wants at nobody's cost, or not at all.
  inbound.give(20);
  expect([inbound.take(100, large), gone]).toEqual([false, ['large']]);
});

test('a view costs the whole buffer that it holds', () => {
  expect(costOf(Buffer.alloc(64 * KIB).subarray(0, 1))).toBeGreaterThanOrEqual(64 * KIB);
  expect(costOf(Buffer.alloc(1))).toBeLessThan(KIB);
});

test('a body in pieces of one byte costs twice its size at most, and nothing once it is published', async () => {
  await using gateway = await TestGateway.start();
  await using witness = await Client.open(gateway.ws('/room/drops'));
  await using client = await RawClient.connect(gateway.port);
  client.write(CHUNKED, drops(40 * KIB));
  await until(() => gateway.gateway.state.inboundBytes >= 40 * KIB, 'all of it has come');
  expect(gateway.gateway.state.inboundBytes).toBeLessThan(96 * KIB);
  client.write(drops(KIB), '0\r\n\r\n');
  expect((await client.answer()).status).toBe(202);
  await witness.until(() => witness.received.length === 1);
  expect(witness.received).toEqual(['x'.repeat(41 * KIB)]);
  expect(gateway.gateway.state.inboundBytes).toBe(0);
});

test('bodies that are never finished fill the bound and no more: further ones are refused with 503, and others are served once they are gone', async () => {
  await using gateway = await TestGateway.start(['--limits-inbound-total', '256KiB']);
  const slow = await Promise.all(Array.from({ length: 12 }, () => RawClient.connect(gateway.port)));
  for (const client of slow) client.write(CHUNKED, drops(30 * KIB));
  const refused = await Promise.race(slow.map((client) => client.answer()));
  expect([refused.status, JSON.parse(refused.body).error, refused.headers.has('retry-after')]).toEqual([503, 'full', true]);
  expect(gateway.gateway.state.inboundBytes).toBeLessThanOrEqual(256 * KIB);
  await Promise.all(slow.map((client) => client[Symbol.asyncDispose]()));
  await until(() => gateway.gateway.state.inboundBytes === 0, 'what they had begun is dropped');
  expect((await fetch(gateway.http('/room/drops'), { method: 'POST', body: 'x' })).status).toBe(202);
});
