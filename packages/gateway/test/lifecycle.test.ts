import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { Client } from './support/client.ts';
import { TestGateway, until } from './support/gateway.ts';
import { RawClient, upgrade } from './support/raw.ts';

/** Whether it ends before a timer that was set before it began, and what falls due with it: a busy machine makes all timers of a process late together. */
async function endsWithin(ms: number, begin: () => Promise<void>): Promise<boolean> {
  const late = delay(ms, undefined, { ref: false })
    .then(() => delay(50, undefined, { ref: false }))
    .then(() => false);
  return Promise.race([begin().then(() => true), late]);
}

describe('two gateways in one process', () => {
  test('share nothing but their layer', async () => {
    await using one = await TestGateway.start();
    await using two = await TestGateway.start();
    await using ann = await Client.open(one.ws('/room/1'));
    await using ben = await Client.open(two.ws('/room/1'));
    ann.send('to one');
    ben.send('to two');
    await Promise.all([ann, ben].map((client) => client.until(() => client.received.length === 1)));
    expect([ann.received, ben.received]).toEqual([['to one'], ['to two']]);
    expect([one.gateway.sessions, two.gateway.sessions, one.gateway.counters.due]).toEqual([1, 1, 1]);
    const page = await (await fetch(`http://127.0.0.1:${one.gateway.ops.port}/metrics`)).text();
    expect(page).toContain('busgate_deliveries_sent_total 1\n');
    expect(page).toContain('busgate_sessions{transport="websocket"} 1\n');
  });
});

test('a gateway shows what its heartbeats take through the broker', async () => {
  await using gateway = await TestGateway.start();
  const shown = async (): Promise<string> => /roundtrip_seconds_count (\d+)/.exec(await gateway.gateway.metrics.scrape())?.[1] ?? 'none';
  // Looked at with each turn of the wheel.
  await expect.poll(shown).toBe('1');
});

describe('a drain', () => {
  test('tells, closes with 1012, delivers what is under way, and ends in time', async () => {
    await using gateway = await TestGateway.start(['--drain-notice', '2s', '--drain-deadline', '60s']);
    const raw = await Promise.all(Array.from({ length: 10 }, () => Client.open(gateway.ws('/room/1'))));
    const told = await Client.multiplex(gateway.ws('/socket'));
    await told.ask({ type: 'join', room: '1', ref: 1 });
    const drained = endsWithin(30_000, () => gateway.gateway.drain({ notice: true }));
    const [readiness, late] = await Promise.all([fetch(`http://127.0.0.1:${gateway.gateway.ops.port}/readyz`), Client.open(gateway.ws('/room/1'))]);
    expect(readiness.status).toBe(503);
    await told.until(() => told.frames.some(({ type }) => type === 'reconnect'));
    const published = gateway.layer.publish('1', 'last words');
    await using refused = await RawClient.connect(gateway.port);
    refused.write(upgrade('/room/1'));
    const answer = await refused.answer();
    expect([answer.status, (JSON.parse(answer.body) as { error: string }).error, Number(answer.headers.get('retry-after')) > 0]).toEqual([
      503,
      'draining',
      true,
    ]);
    await published;
    const codes = await Promise.all([...raw, told, late].map((client) => client.closed()));
    expect(await drained).toBe(true);
    expect(new Set(codes)).toEqual(new Set([1012]));
    expect(raw.filter((client) => client.received.includes('last words')).length).toBeGreaterThan(0);
    const { due, sent, dropped, queued } = gateway.balance();
    expect([due, dropped, queued]).toEqual([sent, 0, 0]);
    await expect(fetch(gateway.http('/room/1'))).rejects.toThrow();
  });

  test('cuts off who neither reads nor answers, and an idle connection holds up nothing', async () => {
    await using gateway = await TestGateway.start(['--drain-notice', '0s', '--drain-deadline', '1s']);
    await using stuck = await RawClient.upgraded(gateway.port, '/room/1');
    stuck.socket.pause();
    await using idle = await RawClient.connect(gateway.port);
    expect(await endsWithin(1000, () => gateway.gateway.drain({ notice: true }))).toBe(true);
    await until(() => gateway.gateway.sessions === 0, 'nobody is left');
    await idle.closed();
    expect(gateway.gateway.counters.closes.get('1012')).toBe(1);
  });

  test('what a raw socket sent before its close frame is published', async () => {
    await using gateway = await TestGateway.start(['--drain-notice', '0s', '--drain-deadline', '3s']);
    const published: string[] = [];
    await gateway.layer.subscribe('load', ({ payload }) => void published.push(Buffer.from(payload ?? []).toString()));
    const client = await Client.open(gateway.ws('/room/load'));
    let sent = 0;
    const sending = setInterval(() => client.send(String((sent += 1))), 1);
    await until(() => published.length > 20, 'some are published');
    await gateway.gateway.drain({ notice: false });
    clearInterval(sending);
    expect(published).toEqual(published.map((_, index) => String(index + 1)));
    expect(gateway.gateway.counters.published).toBe(published.length);
  });
});
