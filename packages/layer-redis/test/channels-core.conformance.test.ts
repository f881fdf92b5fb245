import { redisConformance } from './redis-conformance.ts';

redisConformance('redis standalone, wire channels-core', '?wire=channels-core');
