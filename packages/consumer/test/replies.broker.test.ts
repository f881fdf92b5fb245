import { type LayerError, openLayer } from '@busgate/layer';
import { expect, test } from 'vitest';
import { startRedis } from '../../../test/support/brokers.ts';
import { FaultProxy } from '../../../test/support/fault-proxy.ts';
import { Replies } from '../src/batching.ts';

const HALF_MIB = 512 * 1024;
/** With what they are counted as besides, 64 MiB have no room for one more. */
const TAKEN = 127;

test('replies wait for a broker that is away up to 64 MiB of them, what is more fails at once, and those that waited come in their order', async () => {
  await using broker = await startRedis();
  await using layer = await openLayer(broker.url, { capacity: 1000 });
  await using reader = await openLayer(broker.url, { capacity: 1000 });
  const channel = reader.newChannel();
  const replies = new Replies(layer);
  const outlet = replies.outlet(channel, 1);
  const filling = 'x'.repeat(HALF_MIB - 3);
  await broker.stop();
  await expect.poll(() => layer.status.state).toBe('away');

  const sent = Array.from({ length: TAKEN + 7 }, (_, n) => outlet.reply({ type: 'websocket.send', text: String(n).padStart(3, '0') + filling }));
  const refused = await Promise.allSettled(sent.slice(TAKEN));
  expect(refused.map((outcome) => outcome.status === 'rejected' && outcome.reason.code)).toEqual(Array.from({ length: 7 }, () => 'LAYER_AWAY'));

  await broker.start();
  await Promise.all(sent.slice(0, TAKEN));
  const received: unknown[] = [];
  while (received.length < TAKEN) {
    const { text } = await reader.receive(channel);
    received.push(text);
  }
  expect(received).toEqual(Array.from({ length: TAKEN }, (_, n) => String(n).padStart(3, '0') + filling));
});

test('a gateway that comes back to the broker later than the worker is not taken for gone, and another session does not wait for it', async () => {
  await using broker = await startRedis();
  await using way = await FaultProxy.start(Number(new URL(broker.url).port));
  await using layer = await openLayer(broker.url);
  await using slow = await openLayer(`redis://127.0.0.1:${way.port}`);
  await using quick = await openLayer(broker.url);
  const refused = new Set<string>();
  const replies = new Replies({
    send: (...message) =>
      layer.send(...message).catch((error: LayerError) => {
        refused.add(`${error.code} ${layer.status.state}`);
        throw error;
      }),
  });
  const [late, other] = [slow.newChannel(), quick.newChannel()];
  await broker.stop();
  await expect.poll(() => layer.status.state).toBe('away');
  way.isDown = true;
  const say = (channel: string, text: string): Promise<void> => replies.outlet(channel, 1).reply({ type: 'websocket.send', text });
  const said = [say(late, 'first'), say(other, 'of another')];
  await expect.poll(() => [...refused]).toEqual(['LAYER_AWAY away']);
  await broker.start();
  await expect.poll(() => [...refused]).toEqual(['LAYER_AWAY away', 'LAYER_AWAY connected']);
  expect(await quick.receive(other)).toMatchObject({ text: 'of another' });
  said.push(say(late, 'second'));
  way.isDown = false;
  await Promise.all(said);
  expect([await slow.receive(late), await slow.receive(late)]).toMatchObject([{ text: 'first' }, { text: 'second' }]);
});

test('of what may have been lost it is said again that events are handled, and nothing else', async () => {
  await using broker = await startRedis();
  await using way = await FaultProxy.start(Number(new URL(broker.url).port));
  await using layer = await openLayer(`redis://127.0.0.1:${way.port}`);
  await using reader = await openLayer(broker.url);
  const channel = reader.newChannel();
  const outlet = new Replies(layer).outlet(channel, 1);
  await outlet.reply({ type: 'websocket.send', text: 'before' });
  await reader.receive(channel);
  broker.pause();
  const { sent } = way;
  const lost = Promise.allSettled([outlet.reply({ type: 'websocket.send', text: 'lost?', done: 1 }), outlet.reply({ type: 'done', order: 2 })]);
  await expect.poll(() => way.sent).toBeGreaterThan(sent);
  way.cut();
  broker.resume();
  expect((await lost).map((outcome) => outcome.status === 'rejected' && outcome.reason.code)).toEqual(['OUTCOME_UNKNOWN', 'OUTCOME_UNKNOWN']);
  // It may have reached the server, which tells it then, before or after.
  let heard: unknown = await reader.receive(channel);
  if (JSON.stringify(heard).includes('lost?')) heard = await reader.receive(channel);
  expect(heard).toMatchObject({
    replies: [
      { type: 'done', order: 1, lease: 1 },
      { type: 'done', order: 2, lease: 1 },
    ],
  });
});
