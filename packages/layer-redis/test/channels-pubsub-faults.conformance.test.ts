import { startRedis } from '../../../test/support/brokers.ts';
import { faultConformance } from '../../../test/support/fault-conformance.ts';

faultConformance('redis', () => startRedis(), '?wire=channels-pubsub');
