import { describe } from 'vitest';
import { startNats, startRedis } from '../support/brokers.ts';
import { describeWorker } from '../support/event-workers/conformance.ts';
import { typescriptWorker } from '../support/event-workers/typescript.ts';

const BROKERS = { Redis: startRedis, NATS: startNats } as const;

describe.each(Object.entries(BROKERS))('on %s', (_, startBroker) => {
  describeWorker(typescriptWorker('function'), startBroker);
  describeWorker(typescriptWorker('class'), startBroker);
});
