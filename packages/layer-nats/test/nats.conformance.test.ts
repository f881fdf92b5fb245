import { layerConformance } from '@busgate/layer/conformance';
import { openLayer } from '@busgate/layer';
import { createDriver } from '@busgate/layer-nats';
import { connect, type NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { startRemoteLayer } from '../../../test/support/remote.ts';
import { sharedNats, type SharedBroker } from '../../../test/support/shared-brokers.ts';

let nats: SharedBroker;
let other: NatsConnection;

beforeAll(async () => {
  nats = await sharedNats();
  other = await connect({ servers: nats.url });
});

afterAll(async () => {
  await other?.close();
  await nats?.[Symbol.asyncDispose]();
});

layerConformance(
  { describe, test },
  {
    name: 'nats',
    open: (options) => openLayer(nats.url, options),
    elsewhere: (options) => startRemoteLayer(nats.url, options),
    createDriver: (context) => createDriver(nats.url, context),
    publishRaw: async (topicName, payload) => {
      other.publish(topicName, payload);
      await other.flush();
    },
  },
);
