import { openLayer } from '@busgate/layer';
import { layerFaultConformance } from '@busgate/layer/conformance';
import { afterAll, beforeAll, describe, test } from 'vitest';
import type { Broker } from './brokers.ts';

/**
 * Runs the suite of a broker that goes away on a real one: killed and started again, once empty and once with what it had. `query` is what the layer's URL
 * says besides where it is.
 */
export function faultConformance(kind: 'redis' | 'nats', launch: () => Promise<Broker>, query = ''): void {
  let broker: Broker;
  let running = true;

  beforeAll(async () => {
    broker = await launch();
  });

  afterAll(async () => {
    await broker?.[Symbol.asyncDispose]();
  });

  for (const [how, empty] of [
    ['empty', true],
    ['with what it had', false],
  ] as const) {
    layerFaultConformance(
      { describe, test },
      {
        name: `${kind}${query} that comes back ${how}`,
        open: (options) => openLayer(`${broker.url}${query}`, options),
        broker: {
          stop: async () => {
            if (running) await broker.kill();
            running = false;
          },
          start: async () => {
            if (!running) await broker.start({ empty });
            running = true;
          },
        },
        reachable: { port: () => broker.port, openAt: (port, options) => openLayer(`${kind}://127.0.0.1:${port}${query}`, options) },
      },
    );
  }
}
