import { startRedis } from '../../support/brokers.ts';
import { faultConformance } from '../../support/fault-conformance.ts';

faultConformance('redis', () => startRedis(), '?wire=channels-pubsub');
