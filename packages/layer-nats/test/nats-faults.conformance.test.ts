import { openLayer } from '@busgate/layer';
import { layerFaultConformance } from '@busgate/layer/conformance';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { startNats, type Broker } from '../../../test/support/brokers.ts';

let nats: Broker;
let running = true;

beforeAll(async () => {
  nats = await startNats();
});

afterAll(async () => {
  await nats?.[Symbol.asyncDispose]();
});

for (const [name, empty] of [
  ['nats that comes back empty', true],
  ['nats that comes back with what it had', false],
] as const) {
  layerFaultConformance(
    { describe, test },
    {
      name,
      open: (options) => openLayer(nats.url, options),
      broker: {
        stop: async () => {
          if (running) await nats.kill();
          running = false;
        },
        start: async () => {
          if (!running) await nats.start({ empty });
          running = true;
        },
      },
      reachable: { port: () => nats.port, openAt: (port, options) => openLayer(`nats://127.0.0.1:${port}`, options) },
    },
  );
}
