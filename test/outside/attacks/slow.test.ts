import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { frame } from '../../../packages/gateway/test/support/raw.ts';
import { openRaw, Stage } from '../../attacks/stage.ts';
import { MultiplexClient } from '../../e2e/clients.ts';
import { startRedis } from '../../support/brokers.ts';
import { DelayingProxy } from '../../support/delaying-proxy.ts';
import { metricsOf, sumOf } from '../../support/metrics.ts';

const KIB = 1024;
/** A peer that does not answer a close is cut off after so long, and one whose oldest bytes are so old is too slow. */
const CLOSE_MS = 5000;
const AGE_MS = 10_000;

test('attack 41: a peer that does not answer our close is cut off after five seconds', async () => {
  await using stage = await Stage.start();
  await stage.withstands(async () => {
    await using client = await openRaw(stage.gateway.port, '/room/mute');
    client.write(frame(3));
    expect(await client.closeCode()).toBe(1002);
    const began = performance.now();
    await expect.poll(async () => sumOf(await metricsOf(stage.gateway), 'busgate_sessions{transport="websocket"}')).toBe(1);
    expect(performance.now() - began).toBeLessThan(CLOSE_MS * 1.5);
  });
});

test('attack 51: a client that reads a little now and then is too slow once its oldest bytes are ten seconds old', async () => {
  await using stage = await Stage.start(['--limits-outbox', '64MiB', '--limits-outbox-total', '128MiB']);
  await stage.withstands(async () => {
    await using slow = await openRaw(stage.gateway.port, '/room/busy');
    slow.socket.removeAllListeners('data').pause();
    await using speaker = await openRaw(stage.gateway.port, '/room/busy');
    const began = performance.now();
    for (let sent = 0; sent < 300; sent += 1) speaker.write(frame(2, Buffer.alloc(60 * KIB)));
    const closed = async (): Promise<number> => sumOf(await metricsOf(stage.gateway), 'busgate_closes_total{code="1013"}');
    for (const before = await closed(); (await closed()) === before;) {
      slow.socket.read(KIB);
      await sleep(1000);
      expect(performance.now() - began).toBeLessThan(3 * AGE_MS);
    }
    expect(performance.now() - began).toBeGreaterThan(AGE_MS);
  });
});

test('attack 97: a broker that takes half a second is only slow; one that takes too long is away, and nothing is held for it', async () => {
  await using broker = await startRedis();
  await using proxy = await DelayingProxy.start(broker.port);
  await using stage = await Stage.start(['--layer', `redis://127.0.0.1:${proxy.port}`]);
  await stage.survives(async () => {
    await using client = await MultiplexClient.open(stage.gateway.ws('/socket'));
    await client.request({ type: 'join', room: 'r' });
    proxy.delay = 250;
    const answers = await Promise.all(Array.from({ length: 50 }, (_, n) => client.request({ type: 'publish', room: 'r', data: n })));
    expect(new Set(answers.map(({ type }) => type))).toEqual(new Set(['published']));
    await client.until(() => client.messages('r').length === 50);
    proxy.delay = 6000;
    const codes = new Set<unknown>();
    while (!codes.has('away')) codes.add((await client.request({ type: 'publish', room: 'r', text: 'x'.repeat(1000) }))['code']);
    expect([...codes].filter((code) => code !== 'away' && code !== 'unknown')).toEqual([]);
    proxy.delay = 0;
    await expect.poll(async () => sumOf(await metricsOf(stage.gateway), 'busgate_layer_up')).toBe(1);
    await client.until(() => client.frames.some(({ type }) => type === 'gap'));
    expect((await client.request({ type: 'publish', room: 'r', text: 'after' })).type).toBe('published');
    await client.until(() => client.messages('r').includes('after'));
  });
});
