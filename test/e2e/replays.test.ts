import { expect, test } from 'vitest';
import { metricsOf, sumOf } from '../support/metrics.ts';
import { startGateway } from '../support/processes.ts';
import { Client, MultiplexClient } from './clients.ts';

const MIB = 1024 * 1024;
const GREEDY = 10;
/** Of each, all under way at once. */
const JOINS = 60;
/** What all of them together may have at once, and in a second. */
const BURST = 2 * MIB;
const RATE = 32 * MIB;
const MESSAGES = 50;

test('a history that many sessions read again and again leaves as fast as it may, waits nowhere, and others notice nothing', async () => {
  const history = '[{rooms: "kept.>", size: 100, age: 10m}]';
  await using gateway = await startGateway({ args: ['--demo', '--history', history, '--limits-replay-total', '32MiB/s burst 2MiB'] });
  const publish = async (): Promise<string> => {
    const answer = await fetch(gateway.http('/room/kept.1'), { method: 'POST', body: Buffer.alloc(60_000, 'x') });
    return ((await answer.json()) as { position: string }).position;
  };
  const since = await publish();
  for (let count = 0; count < 20; count += 1) await publish();
  await using stack = new AsyncDisposableStack();
  const began = performance.now();
  for (let count = 0; count < GREEDY; count += 1) {
    const client = stack.use(await MultiplexClient.open(gateway.ws('/socket')));
    for (let join = 0; join < JOINS; join += 1) client.send(JSON.stringify({ type: 'join', room: 'kept.1', since }));
  }
  const replayed = async (): Promise<number> => sumOf(await metricsOf(gateway), 'busgate_replayed_bytes_total');
  await expect.poll(replayed).toBeGreaterThan(BURST);

  const good = stack.use(await Client.open(gateway.ws('/room/good')));
  for (let count = 0; count < MESSAGES; count += 1) {
    const sent = performance.now();
    good.send(String(count));
    await good.until((received) => received.length === count + 1);
    expect(performance.now() - sent).toBeLessThan(1000);
  }
  // One that is new waits for his turn with those who are there, and not behind all that they want.
  const newcomer = stack.use(await MultiplexClient.open(gateway.ws('/socket')));
  expect((await newcomer.request({ type: 'join', room: 'kept.1', since }))['recovered']).toBe(true);
  await newcomer.until(() => newcomer.messages('kept.1').length === 20);

  const page = await metricsOf(gateway);
  const [bytes, waiting, outbox, inbound] = ['replayed_bytes_total', 'replays_waiting', 'outbox_bytes', 'inbound_bytes'].map((name) =>
    sumOf(page, `busgate_${name}`),
  );
  // What is on its way to one of them is a piece of 256 KiB.
  expect(bytes).toBeLessThan(BURST + ((performance.now() - began) * RATE) / 1000 + MIB);
  expect(waiting).toBeGreaterThan(0);
  expect(Number(outbox) + Number(inbound)).toBeLessThan(GREEDY * 0.5 * MIB);
});
