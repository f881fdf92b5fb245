import { LayerError, openLayer } from '@busgate/layer';
import { describe, expect, test } from 'vitest';
import { freePort } from '../../../test/support/ports.ts';
import { loadConfig } from '../src/config.ts';
import { Gateway } from '../src/gateway.ts';
import { PreparedQueues } from '../src/routes/events/prepared-queues.ts';
import { SILENT } from './support/gateway.ts';

describe('queues of event routes, made ready for their workers', () => {
  /** A layer that keeps what was made ready, and can be away. */
  function scripted(): {
    readonly prepared: string[];
    readonly stats: { connects: number };
    error: Error | undefined;
    prepareQueue(queue: string): Promise<void>;
  } {
    return {
      prepared: [],
      stats: { connects: 1 },
      error: undefined,
      async prepareQueue(queue) {
        if (this.error !== undefined) throw this.error;
        this.prepared.push(queue);
      },
    };
  }

  test('each once, and again with each minute and each return of the broker, which may have come back empty', async () => {
    const layer = scripted();
    let now = 0;
    const queues = new PreparedQueues(layer, SILENT, () => now, ['a', 'b', 'a']);
    await queues.prepare();
    now = 59_999;
    queues.look();
    expect(layer.prepared).toEqual(['a', 'b']);
    now = 60_000;
    queues.look();
    queues.look();
    expect(layer.prepared).toEqual(['a', 'b', 'a', 'b']);
    layer.stats.connects = 2;
    queues.look();
    queues.look();
    expect(layer.prepared).toEqual(['a', 'b', 'a', 'b', 'a', 'b']);
  });

  test('a broker that is away is no fault of a queue, and what is one is told', async () => {
    const layer = scripted();
    const warned: unknown[] = [];
    const queues = new PreparedQueues(layer, { ...SILENT, warn: (_, fields) => void warned.push(fields) }, () => 0, ['a']);
    layer.error = new LayerError('LAYER_AWAY', 'gone');
    await queues.prepare();
    layer.error = new LayerError('REFUSED', 'not yours');
    await queues.prepare();
    expect(warned).toEqual([{ queue: 'a', error: expect.stringContaining('not yours') as string }]);
  });

  test('a gateway is ready once they are, and can be seen before', async () => {
    const made = Promise.withResolvers<void>();
    const asked: string[] = [];
    await using layer = await openLayer(`memory:${crypto.randomUUID()}`);
    Object.assign(layer, { prepareQueue: (queue: string) => made.promise.then(() => void asked.push(queue)) });
    const opsPort = await freePort();
    const routes = '[{path: /app, kind: events, url: "http://127.0.0.1:1/"}]';
    const argv = ['--port', '0', '--ops-port', `${opsPort}`, '--host', '127.0.0.1', '--routes', routes];
    const config = loadConfig({ argv, env: {}, readFile: () => '', descriptors: 20_000 });
    const starting = Gateway.start({ config, log: SILENT, version: 'test', layer });
    const ready = async (): Promise<unknown> => (await fetch(`http://127.0.0.1:${opsPort}/readyz`)).json().catch(() => undefined);
    await expect.poll(() => ready().catch(() => undefined)).toEqual({ status: 'not ready', reason: 'starting' });
    made.resolve();
    await using gateway = await starting;
    expect([await ready(), asked.length]).toEqual([{ status: 'ready' }, 1]);
    expect(gateway.isReached).toBe(true);
  });
});
