import { openLayer } from '@busgate/layer';
import { layerLoadConformance } from '@busgate/layer/conformance';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { startNats, startRedis, type Broker } from '../support/brokers.ts';

layerLoadConformance({ describe, test }, { name: 'memory', open: (options) => openLayer('memory:load', options) });

describe.each([
  ['redis', '', startRedis],
  ['redis', '?wire=channels-core', startRedis],
  ['redis', '?wire=channels-pubsub', startRedis],
  ['nats', '', startNats],
] as const)('%s%s', (scheme, query, start) => {
  let broker: Broker;

  beforeAll(async () => {
    broker = await start();
  });

  afterAll(async () => {
    await broker?.[Symbol.asyncDispose]();
  });

  layerLoadConformance(
    { describe, test },
    {
      name: `${scheme}${query}`,
      open: (options) => openLayer(`${broker.url}${query}`, options),
      reachable: { port: () => broker.port, openAt: (port, options) => openLayer(`${scheme}://127.0.0.1:${port}${query}`, options) },
    },
  );
});
