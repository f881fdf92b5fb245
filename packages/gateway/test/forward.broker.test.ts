import { type ChannelLayer, type LayerError, openLayer } from '@busgate/layer';
import { expect, test } from 'vitest';
import { startRedis } from '../../../test/support/brokers.ts';
import { FaultProxy } from '../../../test/support/fault-proxy.ts';
import { Forwarder } from '../src/forward/forwarder.ts';
import type { Log } from '../src/log.ts';
import { type Posted, TestBackend } from './support/backend.ts';

const SILENT: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

test('what a backend answers while the broker is away, or is back before the gateway is, comes to the session when both are', async () => {
  await using broker = await startRedis();
  await using way = await FaultProxy.start(Number(new URL(broker.url).port));
  await using layer = await openLayer(broker.url);
  await using gateway = await openLayer(`redis://127.0.0.1:${way.port}`);
  const waiting: Posted[] = [];
  await using backend = await TestBackend.start((posted) => waiting.push(posted));
  const failures: string[] = [];
  const refused = new Set<string>();
  const watched: Pick<ChannelLayer, 'listen' | 'send'> = {
    listen: (...asked) => layer.listen(...asked),
    send: (...message) =>
      layer.send(...message).catch((error: LayerError) => {
        refused.add(`${error.code} ${layer.status.state}`);
        throw error;
      }),
  };
  const times = { concurrency: 2, acceptTimeout: 60_000, handlerTimeout: 60_000 };
  const forwarder = new Forwarder(
    { queue: 'app', url: backend.url, secrets: [], ...times },
    { layer: watched, log: SILENT, failed: (failure) => failures.push(failure) },
  );
  const channel = gateway.newChannel();
  const event = (order: number): Promise<void> => layer.send('app', { type: 'websocket.receive', id: `e${order}`, order, reply_channel: channel });
  await event(1);
  await event(2);
  await expect.poll(() => waiting.length).toBe(2);

  await broker.stop();
  await expect.poll(() => [layer.status.state, gateway.status.state]).toEqual(['away', 'away']);
  way.isDown = true;
  waiting[0]?.answer(200, { replies: [{ type: 'websocket.send', text: 'while it is away' }] });
  await broker.start();
  await expect.poll(() => layer.status.state).toBe('connected');
  waiting[1]?.answer(200, { replies: [{ type: 'websocket.send', text: 'before the gateway is back' }] });
  await expect.poll(() => [...refused]).toContain('LAYER_AWAY connected');
  way.isDown = false;
  const texts = [await gateway.receive(channel), await gateway.receive(channel)].flatMap(({ replies }) =>
    (replies as { text?: string }[]).flatMap(({ text }) => text ?? []),
  );
  expect(texts.toSorted()).toEqual(['before the gateway is back', 'while it is away']);
  expect(failures).toEqual([]);
  await forwarder.close();
});
