/**
 * `npm run test:matrix [-- --binary <redis-server or valkey-server> …]`: the Redis layer's tests on other servers, and the NATS layer's on newer ones,
 * which Go builds; prints the tables of docs/compat.md.
 */
import { parseArgs } from 'node:util';
import { natsRows } from './nats.ts';
import { redisRows } from './redis.ts';

const { values } = parseArgs({ options: { binary: { type: 'string', multiple: true, default: [] } } });
const rows = [...(await redisRows(values.binary)), ...(await natsRows())];
if (rows.length === 0) throw new Error('nothing to try: start Docker, install Go, or name servers with --binary');
console.log('\n| server | version | tests | when |\n| --- | --- | --- | --- |');
for (const { server, outcome } of rows) console.log(`| ${server} | ${outcome} | ${new Date().toISOString().slice(0, 10)} |`);
