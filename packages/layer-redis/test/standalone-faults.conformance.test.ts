import { openLayer } from '@busgate/layer';
import { layerFaultConformance } from '@busgate/layer/conformance';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { startRedis, type Broker } from '../../../test/support/brokers.ts';

let redis: Broker;
let running = true;

beforeAll(async () => {
  redis = await startRedis();
});

afterAll(async () => {
  await redis?.[Symbol.asyncDispose]();
});

for (const [name, empty] of [
  ['redis that comes back empty', true],
  ['redis that comes back with what it had', false],
] as const) {
  layerFaultConformance(
    { describe, test },
    {
      name,
      open: (options) => openLayer(redis.url, options),
      broker: {
        stop: async () => {
          if (running) await redis.kill();
          running = false;
        },
        start: async () => {
          if (!running) await redis.start({ empty });
          running = true;
        },
      },
      reachable: { port: () => redis.port, openAt: (port, options) => openLayer(`redis://127.0.0.1:${port}`, options) },
    },
  );
}
