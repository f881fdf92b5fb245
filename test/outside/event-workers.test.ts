import { join } from 'node:path';
import { afterAll } from 'vitest';
import { startRedis } from '../support/brokers.ts';
import { describeWorker } from '../support/event-workers/conformance.ts';
import { pythonWorker } from '../support/event-workers/python.ts';
import { ROOT } from './support/commands.ts';
import { PythonEnvironment } from './support/python.ts';

const python = await PythonEnvironment.with(join(ROOT, 'packages/asgi'));
afterAll(() => python[Symbol.asyncDispose]());

describeWorker(pythonWorker(python.command('busgate-asgi')), startRedis);
