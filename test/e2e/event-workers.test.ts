import { startRedis } from '../support/brokers.ts';
import { describeWorker, FAMILIES } from '../support/event-workers/conformance.ts';
import { typescriptWorker } from '../support/event-workers/typescript.ts';

const { order, fences } = FAMILIES;

// The outer ring runs the whole list, for every worker.
describeWorker(typescriptWorker('class'), startRedis, { order, fences });
