import { Buffer } from 'node:buffer';
import { layerConformance } from '@busgate/layer/conformance';
import { openLayer, type LayerOptions } from '@busgate/layer';
import { createDriver } from '@busgate/layer-redis';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { startRemoteLayer } from '../../../test/support/remote.ts';
import { sharedRedis, type SharedBroker } from '../../../test/support/shared-brokers.ts';

/** Runs the conformance suite on one Redis; `query` is what the layer's URL says besides where it is. */
export function redisConformance(name: string, query = ''): void {
  let redis: SharedBroker;
  let other: Redis;

  beforeAll(async () => {
    redis = await sharedRedis();
    other = new Redis(redis.url);
  });

  afterAll(async () => {
    await other?.quit();
    await redis?.[Symbol.asyncDispose]();
  });

  layerConformance(
    { describe, test },
    {
      name,
      open: (options) => openLayer(`${redis.url}${query}`, options),
      ...(query === '' ? { elsewhere: (options: LayerOptions) => startRemoteLayer(redis.url, options) } : {}),
      createDriver: (context) => createDriver(`${redis.url}${query}`, context),
      publishRaw: async (topicName, payload) => {
        await other.publish(topicName, Buffer.from(payload));
      },
    },
  );
}
