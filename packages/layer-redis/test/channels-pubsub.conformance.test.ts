import { redisConformance } from './redis-conformance.ts';

redisConformance('redis standalone, wire channels-pubsub', '?wire=channels-pubsub');
