import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { Client, MultiplexClient } from './clients.ts';
import { LAYERS, startFleet } from './fleet.ts';

const SETTINGS = ['--drain-notice', '1s', '--drain-deadline', '20s'];

describe.each(LAYERS)('SIGTERM under load on $name', (layer) => {
  test('exit 0 in time, closes with 1012 spread over the drain, and nothing accepted is lost (attack 107)', async () => {
    await using fleet = await startFleet(layer, 2, SETTINGS);
    const witness = await Client.open(fleet.ws(1, '/room/load'));
    const leaving = await Promise.all(Array.from({ length: 60 }, () => Client.open(fleet.ws(0, '/room/idle'))));
    const told = await MultiplexClient.open(fleet.ws(0, '/socket'));
    const writers = await Promise.all(Array.from({ length: 5 }, () => MultiplexClient.open(fleet.ws(0, '/socket'))));
    const raw = await Client.open(fleet.ws(0, '/room/load'));
    const accepted: string[] = [];
    const writing = writers.map((client, index) => writeUntilClosed(client, index, accepted));
    let sent = 0;
    const sending = setInterval(() => {
      if (raw.socket.readyState === raw.socket.OPEN) raw.send(`raw ${(sent += 1)}`);
    }, 1);
    await witness.until((received) => received.length > 100);

    const signalled = performance.now();
    fleet.signal(0, 'SIGTERM');
    const closes = await Promise.all([...leaving, told, ...writers, raw].map((client) => client.closed));
    const exit = await fleet.exited(0);
    clearInterval(sending);
    await Promise.all(writing);

    assert.deepEqual(exit, { code: 0, signal: null });
    assert.ok(performance.now() - signalled < 21_000, 'the deadline counts from the signal');
    assert.deepEqual(new Set(closes.map((close) => close.code)), new Set([1012]));
    const times = closes.map((close) => close.at - signalled);
    assert.ok(Math.min(...times) >= 900, 'nobody is closed during the notice');
    assert.ok(Math.max(...times) - Math.min(...times) > 500, 'the closes are spread');
    assert.equal(told.frames.filter((frame) => frame.type === 'reconnect').length, 1);

    await fleet.broker.publish('load', 'marker');
    await witness.until((received) => received.at(-1) === 'marker');
    const arrived = witness.received.map(String);
    assert.ok(accepted.length > 0);
    const seen = new Set(arrived);
    assert.deepEqual(
      accepted.filter((message) => !seen.has(message)),
      [],
      'accepted and lost',
    );
    const fromRaw = arrived.filter((message) => message.startsWith('raw ')).map((message) => Number(message.slice(4)));
    assert.deepEqual(
      fromRaw,
      fromRaw.map((_, index) => index + 1),
      'what a raw socket sent before its close arrives in order, without a hole',
    );
  });

  test('during the notice a gateway is not ready but still accepts; a second signal ends it at once', async () => {
    await using fleet = await startFleet(layer, 1, ['--drain-notice', '20s', '--drain-deadline', '30s']);
    const client = await MultiplexClient.open(fleet.ws(0, '/socket'));
    fleet.signal(0, 'SIGTERM');
    while ((await fetch(fleet.ops(0, '/readyz'))).status !== 503);
    await using late = await Client.open(fleet.ws(0, '/room/late'));
    assert.equal((await client.request({ type: 'publish', room: 'late', text: 'still here' })).type, 'published');
    await late.until((received) => received.length === 1);
    fleet.signal(0, 'SIGTERM');
    assert.deepEqual(await fleet.exited(0), { code: 1, signal: null });
  });
});

const RATE = 40;
const EACH = 30;

test('gateways that drain together close no more than drain.fleet_rate says', async () => {
  const [layer] = LAYERS;
  assert.ok(layer !== undefined);
  await using fleet = await startFleet(layer, 2, ['--drain-notice', '0s', '--drain-deadline', '60s', '--drain-fleet-rate', `${RATE}/s`]);
  const clients = await Promise.all(Array.from({ length: 2 * EACH }, (_, index) => Client.open(fleet.ws(index % 2, '/room/idle'))));
  for (const gateway of [0, 1]) fleet.signal(gateway, 'SIGTERM');
  const closes = await Promise.all(clients.map((client) => client.closed));
  for (const gateway of [0, 1]) assert.deepEqual(await fleet.exited(gateway), { code: 0, signal: null });
  assert.deepEqual(new Set(closes.map(({ code }) => code)), new Set([1012]));
  const times = closes.map(({ at }) => at);
  // A machine that is busy closes more slowly, never faster. Each at a pace of its own would be twice the rate.
  assert.ok((1000 * (times.length - 1)) / (Math.max(...times) - Math.min(...times)) < 1.4 * RATE);
});

async function writeUntilClosed(client: MultiplexClient, index: number, accepted: string[]): Promise<void> {
  for (let round = 0; client.socket.readyState === client.socket.OPEN; round += 1) {
    const text = `writer ${index} ${round}`;
    try {
      const answer = await client.request({ type: 'publish', room: 'load', text });
      if (answer.type === 'published') accepted.push(text);
    } catch {
      return; // closed: whether this one was accepted nobody has told
    }
  }
}
