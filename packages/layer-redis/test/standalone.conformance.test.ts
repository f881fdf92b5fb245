import { redisConformance } from './redis-conformance.ts';

redisConformance('redis standalone');
