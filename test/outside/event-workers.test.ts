import { join } from 'node:path';
import { afterAll, describe } from 'vitest';
import { startNats, startRedis } from '../support/brokers.ts';
import { describeWorker } from '../support/event-workers/conformance.ts';
import { pythonWorker } from '../support/event-workers/python.ts';
import { ROOT } from './support/commands.ts';
import { PythonEnvironment } from './support/python.ts';

const BROKERS = { Redis: startRedis, NATS: startNats } as const;

const python = await PythonEnvironment.with(`${join(ROOT, 'packages/asgi')}[nats]`);
afterAll(() => python[Symbol.asyncDispose]());

describe.each(Object.entries(BROKERS))('on %s', (_, startBroker) => {
  describeWorker(pythonWorker(python.command('busgate-asgi')), startBroker);
});
